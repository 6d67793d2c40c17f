//! Plays traces of a model against the real functions, and compares what they say, and what is
//! stored in the end.

use crate::explorer::{Model, Race, told};

/// What the model is a model of.
pub trait Real<M: Model> {
    /// Does it, and returns the outcome in the words of the model.
    async fn play(&self, action: &M::Action) -> M::Outcome;

    /// Compares what is stored with the state of the model.
    ///
    /// # Errors
    /// Returns what differs.
    async fn compare(&self, state: &M::State) -> Result<(), String>;
}

/// What is played.
pub struct Plan<Action> {
    pub traces: Vec<Vec<Action>>,
    pub races: Vec<Race<Action>>,
}

/// Plays each trace from the beginning, and compares every outcome and the state after the last
/// one.
pub async fn agree<M: Model, R: Real<M>>(model: &M, traces: &[Vec<M::Action>], begin: impl AsyncFn() -> R) {
    for trace in traces {
        let (real, mut state) = (begin().await, model.initial());
        for (number, action) in trace.iter().enumerate() {
            let expected = model.apply(&mut state, action);
            let seen = real.play(action).await;
            let trace = || told(model, &trace[..=number]);
            assert!(
                seen == expected,
                "The code says {seen:?} where the model says {expected:?}:\n{}",
                trace()
            );
        }
        if let Err(difference) = real.compare(&state).await {
            panic!("The code stores another state: {difference}\n{}", told(model, trace));
        }
    }
    println!("{} traces played, the longest of {:?} steps", traces.len(), traces.iter().map(Vec::len).max());
}

/// Plays each trace, then two actions at the same moment, and expects what one after the other
/// gives, in either order, or step by step if the model says that an action has several.
pub async fn agree_at_once<M: Model, R: Real<M>>(
    model: &M,
    races: &[Race<M::Action>],
    begin: impl AsyncFn() -> R,
) {
    for (trace, [one, other]) in races {
        let (real, mut state) = (begin().await, model.initial());
        for action in trace {
            model.apply(&mut state, action);
            real.play(action).await;
        }
        let (first, second) = tokio::join!(real.play(one), real.play(other));
        let seen = [Some(first), Some(second)];
        let mut differences = String::new();
        let mut agrees = false;
        for order in interleavings(&model.steps(one), &model.steps(other)) {
            let (outcomes, after) = run(model, &state, &order);
            let difference = if outcomes == seen {
                real.compare(&after).await.err()
            } else {
                Some(format!("{outcomes:?}"))
            };
            agrees |= difference.is_none();
            differences.extend(difference.map(|difference| format!("{order:?}: {difference}\n")));
        }
        let trace = || told(model, trace);
        assert!(
            agrees,
            "At the same moment {one:?} and {other:?} gave {seen:?}. The model has\n{differences}{}",
            trace(),
        );
    }
    println!("{} pairs of actions played at the same moment", races.len());
}

/// Returns all orders of two sequences in which each of them keeps its own order, with the number
/// of the sequence that each step is of.
fn interleavings<A: Clone>(one: &[A], other: &[A]) -> Vec<Vec<(usize, A)>> {
    let mut orders = Vec::new();
    for (number, rest) in [(0, one.split_first()), (1, other.split_first())] {
        let Some((step, rest)) = rest else { continue };
        let rests = if number == 0 { interleavings(rest, other) } else { interleavings(one, rest) };
        let first = (number, step.clone());
        orders.extend(rests.into_iter().map(|rest| std::iter::once(first.clone()).chain(rest).collect()));
    }
    if orders.is_empty() { vec![Vec::new()] } else { orders }
}

/// Runs steps of two actions, and returns the outcome of each action, which is that of its last
/// step.
fn run<M: Model>(
    model: &M,
    before: &M::State,
    order: &[(usize, M::Action)],
) -> ([Option<M::Outcome>; 2], M::State) {
    let (mut outcomes, mut state) = ([None, None], before.clone());
    for (number, step) in order {
        outcomes[*number] = Some(model.apply(&mut state, step));
    }
    (outcomes, state)
}
