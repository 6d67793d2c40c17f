//! The model of the keys that sign: two secrets, which every replica has in its settings, and two
//! stored keys. An operator adds, rotates and retires keys, and changes `token.secret` there and
//! back, replica by replica, while both replicas sign tokens all the time.

mod play;
mod schedule;

use self::schedule::KeyState;
use crate::explorer::{Model, holds, is_found};

/// The lifetime of tokens, in units of the model's clock. What the clocks of replicas may differ is
/// one unit as well, and so is the time between a rotation and the first signature of the new key.
const LIFE: u8 = 2;
const SKEW: u8 = 1;
const LEAD: u8 = 1;
const LAST_MOMENT: u8 = 7;
/// What the operator does in one run.
const COMMANDS: u8 = 3;
const SECRETS: usize = 2;
const KEYS: usize = 4;

/// A rule that is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// A secret that is set again signs again, even if it has expired.
    ExpiredSecretsReturn,
    /// The row that says that a secret was retired is forgotten when the secret is set again.
    RetiredSecretsReturn,
    /// A new key signs at once, before every replica knows it.
    WithoutLead,
    /// A key is dropped as soon as another one signs.
    DroppedWhenReplaced,
    /// A secret that was retired before it signed still ends the one before it.
    TurnsThatNeverCame,
}

#[derive(Default)]
struct Keys {
    mistake: Option<Mistake>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    stored: Stored,
    replicas: [Replica; 2],
    /// The secret that the operator wants to be `token.secret`.
    wanted: usize,
    commands: u8,
    /// For the invariants: when a token that is still valid was last signed with each key, and
    /// which keys were shown as expired or retired.
    signed: [Option<u8>; KEYS],
    over: [bool; KEYS],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Replica {
    /// Which secret is `token.secret`. The other one is in `token.previous_secrets`.
    secret: usize,
    seen: Stored,
}

/// What is in the database. The first keys are secrets; those without a time are not known there.
type Stored = [Key; KEYS];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Key {
    /// Only of stored keys.
    exists: bool,
    signs_from: Option<u8>,
    retired_at: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Generate,
    Rotate,
    Retire {
        key: usize,
    },
    /// The operator decides for the other secret. Every replica has the last decision in its
    /// settings.
    ChangeSecret,
    Restart {
        replica: usize,
    },
    /// A replica reads the database.
    Look {
        replica: usize,
    },
    /// Between two ticks every replica reads the database.
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The key signs, and cannot be retired.
    Signs,
}

const REJECTED: &str = "A token that has not expired is accepted by every replica.";
const RETURNED: &str = "A key that is expired or retired verifies nothing, ever again.";

impl Keys {
    fn lead(&self) -> u8 {
        if self.mistake == Some(Mistake::WithoutLead) { 0 } else { LEAD }
    }

    fn rotate(&self, state: &mut State) {
        let state_of = |key| self.state(&state.stored, key, state.now);
        let added = (SECRETS..KEYS).find(|key| state_of(*key) == KeyState::Added);
        let Some(key) = added.or_else(|| unused(&state.stored)) else { return };
        let last = state.stored[SECRETS..].iter().filter_map(|key| key.signs_from).max();
        let soon = state.now + self.lead();
        let signs_from = Some(last.map_or(soon, |last| soon.max(last + 1)));
        state.stored[key] = Key { exists: true, signs_from, retired_at: None };
    }

    fn retire(&self, state: &mut State, key: usize) -> Outcome {
        match self.state(&state.stored, key, state.now) {
            KeyState::Signing => return Outcome::Signs,
            KeyState::Retired | KeyState::Unknown => return Outcome::Done,
            _ => {}
        }
        let Key { signs_from, .. } = state.stored[key];
        // The time of a secret is kept apart, and stays.
        let stays = |from: &u8| key < SECRETS || *from <= state.now;
        let signs_from = signs_from.filter(stays);
        state.stored[key] = Key { exists: true, signs_from, retired_at: Some(state.now) };
        // Whoever holds a token of it is logged out: that is what the operator wants.
        state.signed[key] = None;
        Outcome::Done
    }

    /// A replica starts, and writes down that its secret signs, unless that is over.
    fn restart(&self, state: &mut State, replica: usize) {
        let secret = state.wanted;
        let known = state.stored[secret].signs_from;
        let is_newest = known.is_some() && known >= state.stored[1 - secret].signs_from;
        let is_over = match self.state(&state.stored, secret, state.now) {
            KeyState::Retired => self.mistake != Some(Mistake::RetiredSecretsReturn),
            KeyState::Expired => self.mistake != Some(Mistake::ExpiredSecretsReturn),
            KeyState::Signing => true,
            _ => false,
        };
        let begins = known.is_none() || !is_over;
        if begins && !is_newest {
            state.stored[secret].signs_from = Some(state.now + self.lead());
            if self.mistake == Some(Mistake::RetiredSecretsReturn) {
                state.stored[secret].retired_at = None;
            }
        }
        state.replicas[replica] = Replica { secret, seen: state.stored };
    }

    /// Both replicas sign tokens at every moment, and an operator reads the list.
    fn note(&self, state: &mut State) {
        for signed in &mut state.signed {
            *signed = signed.filter(|at| state.now < at + LIFE);
        }
        for replica in &state.replicas {
            if let Some(key) = self.signing(&replica.seen, state.now) {
                state.signed[key] = Some(state.now);
            }
        }
        for key in 0..KEYS {
            let is_over = match self.state(&state.stored, key, state.now) {
                KeyState::Retired => true,
                // Of a secret that has no time, it is not known that it ever signed.
                KeyState::Expired => state.stored[key].signs_from.is_some(),
                _ => false,
            };
            state.over[key] |= is_over;
        }
    }
}

fn unused(stored: &Stored) -> Option<usize> {
    (SECRETS..KEYS).find(|key| !stored[*key].exists)
}

/// What the operator can do: to change the secret again, after all replicas have the last change.
fn commands(state: &State) -> Vec<Action> {
    let exists = |key: usize| key < SECRETS || state.stored[key].exists;
    let in_use = (0..KEYS).filter(|key| exists(*key) && state.stored[*key].retired_at.is_none());
    let mut commands: Vec<Action> = in_use.map(|key| Action::Retire { key }).collect();
    if unused(&state.stored).is_some() {
        commands.push(Action::Generate);
    }
    commands.push(Action::Rotate);
    let settled = state.replicas.iter().all(|replica| replica.secret == state.wanted);
    commands.extend(settled.then_some(Action::ChangeSecret));
    commands
}

impl Model for Keys {
    type State = State;
    type Action = Action;
    type Outcome = Outcome;

    fn initial(&self) -> State {
        let mut stored = Stored::default();
        stored[0].signs_from = Some(0);
        let replica = || Replica { secret: 0, seen: stored };
        State {
            now: 0,
            stored,
            replicas: [replica(), replica()],
            wanted: 0,
            commands: 0,
            signed: [Some(0), None, None, None],
            over: [false; KEYS],
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        if state.commands < COMMANDS {
            actions.extend(commands(state));
        }
        let behind = |replica: &Replica| replica.seen != state.stored;
        for (number, replica) in state.replicas.iter().enumerate() {
            if replica.secret != state.wanted {
                actions.push(Action::Restart { replica: number });
            } else if behind(replica) {
                actions.push(Action::Look { replica: number });
            }
        }
        if state.now < LAST_MOMENT && !state.replicas.iter().any(behind) {
            actions.push(Action::Tick);
        }
        actions
    }

    fn apply(&self, state: &mut State, action: &Action) -> Outcome {
        let mut outcome = Outcome::Done;
        let is_command = !matches!(action, Action::Tick | Action::Look { .. } | Action::Restart { .. });
        state.commands += u8::from(is_command);
        match *action {
            Action::Generate => {
                if let Some(key) = unused(&state.stored) {
                    state.stored[key].exists = true;
                }
            }
            Action::Rotate => self.rotate(state),
            Action::Retire { key } => outcome = self.retire(state, key),
            Action::ChangeSecret => state.wanted = 1 - state.wanted,
            Action::Restart { replica } => self.restart(state, replica),
            Action::Look { replica } => state.replicas[replica].seen = state.stored,
            Action::Tick => state.now += 1,
        }
        self.note(state);
        outcome
    }

    fn check(&self, state: &State) -> Result<(), &'static str> {
        for key in 0..KEYS {
            for replica in &state.replicas {
                // A token by a key that a replica does not know waits for the next look.
                let known = key < SECRETS || replica.seen[key].exists;
                let seen = if known { &replica.seen } else { &state.stored };
                let verifies = self.verifies(seen, key, state.now);
                if state.signed[key].is_some() && !verifies {
                    return Err(REJECTED);
                }
                if state.over[key] && verifies && replica.seen == state.stored {
                    return Err(RETURNED);
                }
            }
        }
        Ok(())
    }
}

#[test]
fn no_token_is_rejected_and_no_key_returns() {
    holds("keys", &Keys::default());
}

#[test]
fn mistakes_are_found() {
    for (mistake, broken) in [
        (Mistake::ExpiredSecretsReturn, RETURNED),
        (Mistake::RetiredSecretsReturn, RETURNED),
        (Mistake::WithoutLead, REJECTED),
        (Mistake::DroppedWhenReplaced, REJECTED),
        (Mistake::TurnsThatNeverCame, REJECTED),
    ] {
        let model = Keys { mistake: Some(mistake) };
        is_found(&format!("keys, {mistake:?}"), &model, broken);
    }
}
