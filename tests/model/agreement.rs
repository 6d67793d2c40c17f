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
/// gives, in either order.
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
        let seen: [M::Outcome; 2] = tokio::join!(real.play(one), real.play(other)).into();
        let mut differences = Vec::new();
        for reversed in [false, true] {
            let mut after = state.clone();
            let (first, second) = if reversed { (other, one) } else { (one, other) };
            let mut outcomes = [first, second].map(|action| model.apply(&mut after, action));
            if reversed {
                outcomes.reverse();
            }
            if outcomes != seen {
                differences.push(format!("{first:?} first: {outcomes:?}"));
            } else if let Err(difference) = real.compare(&after).await {
                differences.push(format!("{first:?} first: {difference}"));
            }
        }
        let trace = || told(model, trace);
        assert!(
            differences.len() < 2,
            "At the same moment {one:?} and {other:?} gave {seen:?}, but one after the other gives\n{}\n{}",
            differences.join("\n"),
            trace(),
        );
    }
    println!("{} pairs of actions played at the same moment", races.len());
}
