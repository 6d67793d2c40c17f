//! Explores every interleaving of a model's actions, breadth first, so that the first
//! counterexample is a shortest one.

use std::collections::HashMap;
use std::fmt::{self, Debug, Write};
use std::hash::Hash;
use std::rc::Rc;

/// More states than this are a mistake in the bounds of a model.
const MAX_STATES: usize = 1_000_000;

/// A state machine with rules that hold in every state. It knows neither the database nor the code
/// that it is a model of.
pub trait Model {
    type State: Clone + Eq + Hash + Debug;
    type Action: Clone + PartialEq + Debug;
    /// What the actor is told. Two steps that are told apart here must be told apart by the code,
    /// too.
    type Outcome: PartialEq + Debug;

    fn initial(&self) -> Self::State;

    /// Returns what can be done next in this state, by any actor.
    fn actions(&self, state: &Self::State) -> Vec<Self::Action>;

    /// Does it, in one step that nothing interrupts.
    fn apply(&self, state: &mut Self::State, action: &Self::Action) -> Self::Outcome;

    /// Returns the steps of an action between which somebody else can do something, if it is one
    /// action only from outside.
    fn steps(&self, action: &Self::Action) -> Vec<Self::Action> {
        vec![action.clone()]
    }

    /// # Errors
    /// Returns the invariant that does not hold in this state.
    fn check(&self, state: &Self::State) -> Result<(), &'static str>;
}

/// Every state that can be reached, in the order of its distance from the first one.
pub struct Explored<M: Model> {
    nodes: Vec<Node<M>>,
    transitions: usize,
}

struct Node<M: Model> {
    state: Rc<M::State>,
    /// The state before it on a shortest path, and what was done there.
    reached_by: Option<(usize, M::Action)>,
    depth: usize,
}

/// A trace, and two actions at the same moment after it.
pub type Race<Action> = (Vec<Action>, [Action; 2]);

/// A shortest sequence of actions after which an invariant does not hold.
#[derive(Debug)]
pub struct Counterexample {
    pub broken: &'static str,
    pub trace: String,
}

/// Visits every state.
///
/// # Errors
/// Returns a shortest counterexample, if there is one.
pub fn explore<M: Model>(model: &M) -> Result<Explored<M>, Counterexample> {
    let first = Rc::new(model.initial());
    let mut numbers = HashMap::from([(Rc::clone(&first), 0)]);
    let mut explored =
        Explored { nodes: vec![Node { state: first, reached_by: None, depth: 0 }], transitions: 0 };
    let mut next = 0;
    while next < explored.nodes.len() {
        let (state, depth) = (Rc::clone(&explored.nodes[next].state), explored.nodes[next].depth);
        if let Err(broken) = model.check(&state) {
            return Err(Counterexample { broken, trace: told(model, &explored.path(next)) });
        }
        for action in model.actions(&state) {
            let mut after = M::State::clone(&state);
            model.apply(&mut after, &action);
            explored.transitions += 1;
            if numbers.contains_key(&after) {
                continue;
            }
            let after = Rc::new(after);
            numbers.insert(Rc::clone(&after), explored.nodes.len());
            explored.nodes.push(Node { state: after, reached_by: Some((next, action)), depth: depth + 1 });
        }
        assert!(explored.nodes.len() < MAX_STATES, "the model is too large");
        next += 1;
    }
    Ok(explored)
}

impl<M: Model> Explored<M> {
    pub fn states(&self) -> impl Iterator<Item = &M::State> {
        self.nodes.iter().map(|node| &*node.state)
    }

    /// Returns a shortest sequence of actions to the state of this number.
    fn path(&self, mut number: usize) -> Vec<M::Action> {
        let mut actions = Vec::new();
        while let Some((before, action)) = &self.nodes[number].reached_by {
            actions.push(action.clone());
            number = *before;
        }
        actions.reverse();
        actions
    }

    /// Returns about `count` traces, evenly spread over all transitions: a shortest path to a
    /// state, and one action there. They are all transitions if there are no more than that.
    pub fn traces(&self, model: &M, count: usize) -> Vec<Vec<M::Action>> {
        let stride = self.transitions.div_ceil(count).max(1);
        let transitions = self.nodes.iter().enumerate().flat_map(|(number, node)| {
            model.actions(&node.state).into_iter().map(move |action| (number, action))
        });
        let chosen = transitions.skip(stride / 2).step_by(stride);
        let trace = |(number, action)| self.path(number).into_iter().chain([action]).collect();
        chosen.map(trace).collect()
    }

    /// Returns at most `count` traces, evenly spread over all states, each with two actions that
    /// were possible after it, of which the model says that two actors can take them at the same
    /// moment.
    pub fn races(
        &self,
        model: &M,
        count: usize,
        at_once: impl Fn(&M::Action, &M::Action) -> bool,
    ) -> Vec<Race<M::Action>> {
        let mut found = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let actions = model.actions(&node.state);
            for (index, one) in actions.iter().enumerate() {
                let others = actions[index + 1..].iter().filter(|other| at_once(one, other));
                found.extend(others.map(|other| (number, [one.clone(), other.clone()])));
            }
        }
        let stride = found.len().div_ceil(count).max(1);
        let chosen = found.into_iter().skip(stride / 2).step_by(stride);
        chosen.map(|(number, pair)| (self.path(number), pair)).collect()
    }
}

/// The figures that docs/MODELS.md quotes.
impl<M: Model> fmt::Display for Explored<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = self.nodes.last().map_or(0, |last| last.depth);
        write!(f, "{} states, {} transitions, {depth} steps deep", self.nodes.len(), self.transitions)
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "An invariant does not hold: {}\n{}", self.broken, self.trace)
    }
}

/// Writes a trace for people: each action with its outcome, and the state after all of them.
pub fn told<M: Model>(model: &M, actions: &[M::Action]) -> String {
    let mut state = model.initial();
    let mut text = String::new();
    for (number, action) in actions.iter().enumerate() {
        let outcome = model.apply(&mut state, action);
        let _ = writeln!(text, "{:>4}. {action:?} -> {outcome:?}", number + 1);
    }
    let _ = write!(text, "      {state:?}");
    text
}

/// Explores a model in which every invariant is expected to hold, and prints its size.
pub fn holds<M: Model>(name: &str, model: &M) -> Explored<M> {
    let explored = explore(model).unwrap_or_else(|found| panic!("{name}: {found}"));
    println!("{name}: {explored}");
    explored
}

/// Explores a model with a rule that is wrong on purpose, and expects this invariant to be broken
/// by it.
pub fn is_found<M: Model>(name: &str, model: &M, expected: &str) {
    match explore(model) {
        Ok(explored) => panic!("{name}: nothing was found in {explored}"),
        Err(found) => {
            println!("{name}: {found}");
            assert_eq!(found.broken, expected, "{name}: {found}");
        }
    }
}
