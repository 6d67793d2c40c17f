//! The rules of the model: what the service does with a refresh token.

use super::{GRACE, Mistake, Outcome, Place, REPEATS_FROM_ELSEWHERE, Refresh, Session, State};

impl Place {
    pub(super) fn same_address(self, other: Self) -> bool {
        self == other || (self.is_thief() && other.is_thief())
    }

    fn same_program(self, other: Self) -> bool {
        (self == Self::Thief) == (other == Self::Thief)
    }

    fn is_thief(self) -> bool {
        matches!(self, Self::Thief | Self::ThiefInDisguise)
    }
}

impl Refresh {
    pub(super) fn exchange(&self, state: &mut State, token: u8, place: Place, replica: u8) -> Outcome {
        let now = state.now + if replica == 1 { self.skew } else { 0 };
        let Some(session) = state.session else { return Outcome::NoSession };
        if token == session.current {
            let next = new_token(state);
            let previous = Some(token);
            state.session = Some(Session { current: next, previous, rotated_at: now, place, repeats: 0 });
            return Outcome::Refreshed(next);
        }
        if session.previous == Some(token) && self.may_repeat(session, now, place) {
            let mut session = session;
            session.repeats += u8::from(!place.same_address(session.place));
            if self.mistake == Some(Mistake::AnotherSuccessor) {
                session.current = new_token(state);
            }
            state.session = Some(session);
            return Outcome::Refreshed(session.current);
        }
        if self.mistake != Some(Mistake::ReuseEndsNothing) {
            state.session = None;
        }
        Outcome::Reused
    }

    fn may_repeat(&self, session: Session, now: u8, place: Place) -> bool {
        let within_grace = now.saturating_sub(session.rotated_at) <= GRACE;
        match self.mistake {
            Some(Mistake::RepeatsAreReuse) => false,
            Some(Mistake::GraceWithoutEnd) => true,
            _ if place.same_address(session.place) => true,
            _ => {
                within_grace && place.same_program(session.place) && session.repeats < REPEATS_FROM_ELSEWHERE
            }
        }
    }
}

fn new_token(state: &mut State) -> u8 {
    state.made += 1;
    state.made - 1
}
