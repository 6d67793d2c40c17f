//! The model of one-time codes: one code, presented with its verifier at two replicas whose clocks
//! differ, while its user signs out or is disabled, and housekeeping removes used codes.

mod play;

use crate::explorer::{Model, holds, is_found};

/// A rule that is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// That the code was not used is read in one transaction, and that it is used is written in
    /// another.
    TwoTransactions,
    /// A replay is rejected, and that is all.
    ReplayEndsNothing,
    /// Housekeeping removes a used code as soon as it has expired by its own clock.
    SweptAtExpiry,
}

struct Codes {
    mistake: Option<Mistake>,
}

/// How far the clock of a replica is: an hour is more than two clocks may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Clock {
    BeforeExpiry,
    Expired,
    AnHourAfter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    clocks: [Clock; 2],
    /// That the code was used is stored, and whether it gave a session.
    used: Option<bool>,
    session: bool,
    /// All tokens of the user were ended.
    revoked: bool,
    disabled: bool,
    deleted: bool,
    /// Only with [`Mistake::TwoTransactions`]: a replica has seen that the code is unused, and will
    /// give a session or not.
    looked: [Option<bool>; 2],
    /// For the invariants: how often the code was exchanged, up to two, and what for.
    exchanged: u8,
    gave_session: bool,
    replayed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Redeem {
        replica: usize,
        session: bool,
    },
    /// Only with [`Mistake::TwoTransactions`].
    Finish {
        replica: usize,
    },
    Advance {
        replica: usize,
    },
    Sweep {
        replica: usize,
    },
    SignOut,
    SignOutEverywhere,
    Disable,
    Enable,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Exchanged,
    Expired,
    UserDeleted,
    UserDisabled,
    UserRevoked,
    UsedBefore,
}

impl Clock {
    fn next(self) -> Self {
        if self == Self::BeforeExpiry { Self::Expired } else { Self::AnHourAfter }
    }
}

impl Codes {
    fn redeem(&self, state: &mut State, replica: usize, session: bool) -> Outcome {
        if state.clocks[replica] > Clock::BeforeExpiry {
            return Outcome::Expired;
        }
        state.replayed |= state.exchanged > 0;
        if state.deleted {
            return Outcome::UserDeleted;
        }
        if state.disabled {
            return Outcome::UserDisabled;
        }
        if state.revoked {
            return Outcome::UserRevoked;
        }
        if let Some(gave_session) = state.used {
            if self.mistake != Some(Mistake::ReplayEndsNothing) {
                state.session &= !gave_session;
                state.revoked |= !gave_session;
            }
            return Outcome::UsedBefore;
        }
        if self.mistake == Some(Mistake::TwoTransactions) {
            state.looked[replica] = Some(session);
            return Outcome::Done;
        }
        exchange(state, session)
    }
}

fn exchange(state: &mut State, session: bool) -> Outcome {
    state.used = Some(session);
    state.session |= session;
    state.exchanged = (state.exchanged + 1).min(2);
    state.gave_session = session;
    Outcome::Exchanged
}

impl Model for Codes {
    type State = State;
    type Action = Action;
    type Outcome = Outcome;

    fn initial(&self) -> State {
        State {
            clocks: [Clock::BeforeExpiry; 2],
            used: None,
            session: false,
            revoked: false,
            disabled: false,
            deleted: false,
            looked: [None; 2],
            exchanged: 0,
            gave_session: false,
            replayed: false,
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        for replica in [0, 1] {
            match state.looked[replica] {
                None => actions.extend([true, false].map(|session| Action::Redeem { replica, session })),
                Some(_) => actions.push(Action::Finish { replica }),
            }
            let (own, other) = (state.clocks[replica], state.clocks[1 - replica]);
            if own < Clock::AnHourAfter && own <= other {
                actions.push(Action::Advance { replica });
            }
            actions.push(Action::Sweep { replica });
        }
        if !state.deleted {
            actions.extend(state.session.then_some(Action::SignOut));
            actions.push(if state.disabled { Action::Enable } else { Action::Disable });
            actions.extend([Action::SignOutEverywhere, Action::Delete]);
        }
        actions
    }

    fn apply(&self, state: &mut State, action: &Action) -> Outcome {
        match *action {
            Action::Redeem { replica, session } => return self.redeem(state, replica, session),
            Action::Finish { replica } => {
                let session = state.looked[replica].take().unwrap_or_default();
                return exchange(state, session);
            }
            Action::Advance { replica } => {
                state.clocks[replica] = state.clocks[replica].next();
            }
            Action::Sweep { replica } => {
                let swept_from = match self.mistake {
                    Some(Mistake::SweptAtExpiry) => Clock::Expired,
                    _ => Clock::AnHourAfter,
                };
                if state.clocks[replica] >= swept_from {
                    state.used = None;
                }
            }
            Action::SignOut => state.session = false,
            Action::SignOutEverywhere => (state.session, state.revoked) = (false, true),
            Action::Disable => (state.session, state.revoked, state.disabled) = (false, true, true),
            Action::Enable => state.disabled = false,
            Action::Delete => (state.session, state.deleted) = (false, true),
        }
        Outcome::Done
    }

    fn check(&self, state: &State) -> Result<(), &'static str> {
        if state.exchanged > 1 {
            return Err("A code is exchanged at most once.");
        }
        let given_lives = if state.gave_session { state.session } else { !state.revoked && !state.deleted };
        if state.replayed && given_lives {
            return Err("A replay ends what the code gave.");
        }
        Ok(())
    }
}

#[test]
fn a_code_is_exchanged_once_and_a_replay_ends_what_it_gave() {
    holds("codes", &Codes { mistake: None });
}

#[test]
fn mistakes_are_found() {
    for (mistake, broken) in [
        (Mistake::TwoTransactions, "A code is exchanged at most once."),
        (Mistake::ReplayEndsNothing, "A replay ends what the code gave."),
        (Mistake::SweptAtExpiry, "A code is exchanged at most once."),
    ] {
        is_found(&format!("codes, {mistake:?}"), &Codes { mistake: Some(mistake) }, broken);
    }
}
