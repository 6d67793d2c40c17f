//! What must hold of refresh tokens, judged at each request by what has happened and not by the rules.

use super::{Actor, Exchanged, GRACE, Outcome, Place, Refresh, State};

pub(super) const LOGGED_OUT_BY_A_LOST_RESPONSE: &str =
    "Nobody is logged out because a response was lost, without a thief.";
pub(super) const REUSE_SURVIVED: &str = "A replaced token that comes too late ends the session.";
pub(super) const TWO_SUCCESSORS: &str = "A token has one successor.";
pub(super) const WORKS_AFTER_LOGOUT: &str = "After a logout no token is accepted.";

impl Refresh {
    /// Whether nobody who obeys the protocol would present this token here and now, whichever
    /// replica is asked.
    pub(super) fn is_too_late(&self, state: &State, token: u8, place: Place) -> bool {
        let used = |token: u8| state.exchanged.iter().find(|one| one.token == token);
        used(token).is_some_and(|first| {
            let after_grace = state.now - first.at > GRACE + self.skew;
            used(first.successor).is_some() || (after_grace && !place.same_address(first.place))
        })
    }
}

/// Looks at a response for the invariants.
pub(super) fn judge(state: &mut State, by: Actor, token: u8, place: Place, outcome: Outcome) {
    let Outcome::Refreshed(successor) = outcome else {
        if by == Actor::Owner && !state.thief_used && !state.logged_out {
            state.broken = Some(LOGGED_OUT_BY_A_LOST_RESPONSE);
        }
        return;
    };
    if state.logged_out {
        state.broken = Some(WORKS_AFTER_LOGOUT);
    }
    match state.exchanged.iter().find(|one| one.token == token) {
        Some(first) if first.successor != successor => state.broken = Some(TWO_SUCCESSORS),
        Some(_) => {}
        None => state.exchanged.push(Exchanged { token, successor, at: state.now, place }),
    }
}
