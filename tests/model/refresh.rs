//! The model of refresh tokens: an owner whose responses may be lost and who moves between two
//! networks, a thief who copies a token once, two replicas whose clocks may differ, and a logout.

mod invariants;
mod play;
mod rules;

use std::sync::LazyLock;

use self::invariants::{
    LOGGED_OUT_BY_A_LOST_RESPONSE, REUSE_SURVIVED, TWO_SUCCESSORS, WORKS_AFTER_LOGOUT, judge,
};
use crate::explorer::{Model, holds, is_found};

/// `refresh.grace`, in units of the model's clock.
const GRACE: u8 = 2;
/// The last moment that is looked at. It is past the grace, also by a clock that is ahead.
const LAST_MOMENT: u8 = 4;
/// Tokens of the session: the first one, and two rotations.
const TOKENS: u8 = 3;
/// Repeats from another address than the first use, as the code allows them.
const REPEATS_FROM_ELSEWHERE: u8 = 2;

/// A rule that is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// The grace is not honoured.
    RepeatsAreReuse,
    /// A token that was used before is rejected, and the session goes on.
    ReuseEndsNothing,
    /// A token may be repeated for ever, from anywhere.
    GraceWithoutEnd,
    /// A repeat gets another successor than the first use.
    AnotherSuccessor,
    /// A logout with a token that was replaced ends nothing.
    LogoutNeedsTheCurrentToken,
}

#[derive(Default)]
struct Refresh {
    /// How far the clock of the second replica is ahead.
    skew: u8,
    /// The owner also retries from elsewhere when that is too late.
    moves_too_late: bool,
    mistake: Option<Mistake>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Actor {
    Owner,
    Thief,
}

/// Where a request comes from: an address and a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// The owner's program, at two addresses.
    Home,
    Away,
    /// The thief's address, with the thief's own program or with the name of the owner's.
    Thief,
    ThiefInDisguise,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    session: Option<Session>,
    /// Tokens that were made, by number; the first one is 0.
    made: u8,
    owner: u8,
    /// The first of the owner's requests of which the response was lost, while no other one has
    /// come.
    lost: Option<Lost>,
    thief: Option<u8>,
    logged_out: bool,
    /// For the invariants: of each token that was exchanged, its successor, when, and where.
    exchanged: Vec<Exchanged>,
    thief_used: bool,
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Session {
    current: u8,
    previous: Option<u8>,
    /// By the clock of the replica that did it.
    rotated_at: u8,
    place: Place,
    repeats: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lost {
    at: u8,
    place: Place,
    elsewhere: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Exchanged {
    token: u8,
    successor: u8,
    at: u8,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Without the response the client keeps the token it has.
    Refresh {
        by: Actor,
        place: Place,
        replica: u8,
        lost: bool,
    },
    Steal,
    LogOut,
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Another token, by its number.
    Refreshed(u8),
    /// There is no such session.
    NoSession,
    /// The token was used before, and the session has been ended.
    Reused,
}

impl Refresh {
    fn refresh(&self, state: &mut State, by: Actor, place: Place, replica: u8, lost: bool) -> Outcome {
        let token = match by {
            Actor::Owner => state.owner,
            Actor::Thief => state.thief.unwrap_or_default(),
        };
        state.thief_used |= by == Actor::Thief;
        let too_late = self.is_too_late(state, token, place);
        let outcome = self.exchange(state, token, place, replica);
        judge(state, by, token, place, outcome);
        if too_late && state.session.is_some() {
            state.broken = Some(REUSE_SURVIVED);
        }
        match (by, outcome) {
            (Actor::Owner, _) if lost => note_lost(state, place),
            (Actor::Owner, Outcome::Refreshed(next)) => (state.owner, state.lost) = (next, None),
            (Actor::Thief, Outcome::Refreshed(next)) if !lost => state.thief = Some(next),
            _ => {}
        }
        outcome
    }

    /// Where an owner who obeys the protocol sends the next request from: from anywhere, and again
    /// after a lost response from the same address, or within the grace from another one, twice.
    /// The grace is shorter by what the clocks differ.
    fn places(&self, state: &State) -> Vec<Place> {
        let may_be_at = |place: Place| match state.lost {
            None => true,
            Some(lost) => {
                let in_time = state.now - lost.at + self.skew <= GRACE;
                let is_allowed = in_time && lost.elsewhere < REPEATS_FROM_ELSEWHERE;
                place == lost.place || is_allowed || self.moves_too_late
            }
        };
        [Place::Home, Place::Away].into_iter().filter(|place| may_be_at(*place)).collect()
    }

    fn refreshes(&self, state: &State) -> impl Iterator<Item = Action> {
        let owner = self.places(state).into_iter().map(|place| (Actor::Owner, place));
        let thief = [Place::Thief, Place::ThiefInDisguise].map(|place| (Actor::Thief, place));
        let thief = thief.into_iter().filter(|_| state.thief.is_some());
        owner.chain(thief).flat_map(|(by, place)| {
            // Without a difference of the clocks, the replicas are the same.
            let replicas = if self.skew == 0 { 0..1 } else { 0..2 };
            replicas.flat_map(move |replica| {
                [false, true].map(|lost| Action::Refresh { by, place, replica, lost })
            })
        })
    }
}

fn note_lost(state: &mut State, place: Place) {
    let first = state.lost.unwrap_or(Lost { at: state.now, place, elsewhere: 0 });
    let elsewhere = first.elsewhere + u8::from(place != first.place);
    state.lost = Some(Lost { elsewhere, ..first });
}

impl Model for Refresh {
    type State = State;
    type Action = Action;
    type Outcome = Outcome;

    fn initial(&self) -> State {
        State {
            now: 0,
            session: Some(Session {
                current: 0,
                previous: None,
                rotated_at: 0,
                place: Place::Home,
                repeats: 0,
            }),
            made: 1,
            owner: 0,
            lost: None,
            thief: None,
            logged_out: false,
            exchanged: Vec::new(),
            thief_used: false,
            broken: None,
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        if state.made < TOKENS {
            actions.extend(self.refreshes(state));
        } else {
            // No further rotation, but whatever else may be done with the tokens there are.
            let current = state.session.map(|session| session.current);
            actions.extend(self.refreshes(state).filter(|action| match action {
                Action::Refresh { by: Actor::Owner, .. } => current != Some(state.owner),
                _ => current != state.thief,
            }));
        }
        if state.thief.is_none() {
            actions.push(Action::Steal);
        }
        if !state.logged_out {
            actions.push(Action::LogOut);
        }
        if state.now < LAST_MOMENT {
            actions.push(Action::Tick);
        }
        actions
    }

    fn apply(&self, state: &mut State, action: &Action) -> Outcome {
        match *action {
            Action::Refresh { by, place, replica, lost } => {
                return self.refresh(state, by, place, replica, lost);
            }
            Action::Steal => state.thief = Some(state.owner),
            Action::LogOut => {
                let current = state.session.map(|session| session.current);
                let needs_current = self.mistake == Some(Mistake::LogoutNeedsTheCurrentToken);
                if !needs_current || current == Some(state.owner) {
                    state.session = None;
                }
                state.logged_out = true;
            }
            Action::Tick => state.now += 1,
        }
        Outcome::Done
    }

    fn check(&self, state: &State) -> Result<(), &'static str> {
        state.broken.map_or(Ok(()), Err)
    }
}

#[test]
fn a_lost_response_logs_nobody_out_and_a_thief_is_noticed() {
    holds("refresh", &Refresh::default());
    // With clocks that differ it is explored once, for this and for what is played.
    LazyLock::force(&play::PLAYED);
}

#[test]
fn mistakes_are_found() {
    for (mistake, broken) in [
        (Mistake::RepeatsAreReuse, LOGGED_OUT_BY_A_LOST_RESPONSE),
        (Mistake::ReuseEndsNothing, REUSE_SURVIVED),
        (Mistake::GraceWithoutEnd, REUSE_SURVIVED),
        (Mistake::AnotherSuccessor, TWO_SUCCESSORS),
        (Mistake::LogoutNeedsTheCurrentToken, WORKS_AFTER_LOGOUT),
    ] {
        let model = Refresh { mistake: Some(mistake), ..Refresh::default() };
        is_found(&format!("refresh, {mistake:?}"), &model, broken);
    }
}

/// The limit of the promise, which docs/MODELS.md names: a third repeat, and one after the grace,
/// is accepted from the same address only.
#[test]
fn whoever_retries_from_another_network_too_late_or_too_often_is_logged_out() {
    let model = Refresh { moves_too_late: true, ..Refresh::default() };
    is_found("refresh, too late from elsewhere", &model, LOGGED_OUT_BY_A_LOST_RESPONSE);
}
