//! The rules of the model: what a request does to the sign-in methods of its user.

use super::{
    Asks, Mistake, Outcome, Proof, Request, SignInMethods, State, WITH_ADDRESS, WITHOUT_PROOF, WITHOUT_RIGHT,
};

impl State {
    pub(super) fn can_sign_in(&self) -> bool {
        self.linked.contains(&true) || (self.password && self.address)
    }

    pub(super) fn another_is_left(&self, without: usize) -> bool {
        self.linked[1 - without] || (self.password && self.address)
    }

    pub(super) fn end_everything(&mut self) {
        for request in self.requests.iter_mut().flatten() {
            request.revoked = true;
        }
    }

    pub(super) fn set_password(&mut self, password: bool) {
        self.password = password;
        for request in self.requests.iter_mut().flatten() {
            if request.proof == Some(Proof::Set) {
                request.proof = Some(Proof::ChangedSince);
            }
        }
    }

    pub(super) fn remove_password(&mut self) {
        self.set_password(false);
        self.end_everything();
        self.address &= self.linked[WITH_ADDRESS];
    }

    pub(super) fn proof(&self) -> Proof {
        if self.password { Proof::Set } else { Proof::NoneSet }
    }
}

impl SignInMethods {
    fn unlink(&self, state: &mut State, identity: usize) {
        state.linked[identity] = false;
        let is_last_name = !state.linked.contains(&true) && state.password;
        let is_kept = is_last_name && self.mistake != Some(Mistake::AddressAlwaysGoes);
        if identity == WITH_ADDRESS && !is_kept {
            state.address = false;
            if state.password {
                state.set_password(false);
            }
        }
        state.end_everything();
    }

    pub(super) fn finish(&self, state: &mut State, mut request: Request) -> Outcome {
        if request.asks.concerns_password() && request.proof.is_none() {
            request.proof = Some(state.proof());
        }
        if request.asks == Asks::RemovePassword && request.proof == Some(Proof::NoneSet) {
            return Outcome::Done;
        }
        let unchanged = request.proof.is_none_or(|proof| proof == state.proof());
        if !unchanged && self.mistake != Some(Mistake::ProofNotCheckedAgain) {
            return Outcome::WrongPassword;
        }
        let right_is_old =
            matches!(self.mistake, Some(Mistake::TwoTransactions | Mistake::RightNotCheckedAgain));
        if request.revoked && !right_is_old {
            return Outcome::NoSuchUser;
        }
        if let Some(rejected) = self.rejected(state, request) {
            return rejected;
        }
        if request.revoked && self.mistake != Some(Mistake::TwoTransactions) {
            state.broken = Some(WITHOUT_RIGHT);
        }
        if !unchanged {
            state.broken = Some(WITHOUT_PROOF);
        }
        self.change(state, request.asks);
        Outcome::Done
    }

    /// Returns why what is stored does not allow it.
    fn rejected(&self, state: &State, request: Request) -> Option<Outcome> {
        let another_is_left = |identity| match self.mistake {
            Some(Mistake::TwoTransactions) => request.another_was_left,
            _ => state.another_is_left(identity),
        };
        match request.asks {
            Asks::Link(identity) if state.linked[identity] => Some(Outcome::AlreadyLinked),
            Asks::Unlink(identity) if !state.linked[identity] => Some(Outcome::NoSuchIdentity),
            Asks::Unlink(identity) if !another_is_left(identity) => Some(Outcome::LastSignInMethod),
            Asks::SetPassword if !state.address => Some(Outcome::EmailRequired),
            Asks::RemovePassword if !state.linked.contains(&true) => Some(Outcome::LastSignInMethod),
            _ => None,
        }
    }

    fn change(&self, state: &mut State, asks: Asks) {
        match asks {
            Asks::Link(identity) => {
                state.linked[identity] = true;
                state.address |= identity == WITH_ADDRESS;
            }
            Asks::Unlink(identity) => self.unlink(state, identity),
            Asks::SetPassword => {
                // The first password ends nothing.
                if state.password {
                    state.end_everything();
                }
                state.set_password(true);
            }
            Asks::RemovePassword => state.remove_password(),
        }
    }

    pub(super) fn administrator_unlinks(&self, state: &mut State, identity: usize) -> Outcome {
        if !state.linked[identity] {
            return Outcome::NoSuchIdentity;
        }
        self.unlink(state, identity);
        state.emptied |= !state.can_sign_in();
        Outcome::Done
    }
}
