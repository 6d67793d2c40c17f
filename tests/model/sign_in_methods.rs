//! The model of the sign-in methods of one user: an identity that gives the e-mail address, one
//! that gives none, and a password. The user asks for changes on two devices at once, and an
//! administrator removes methods meanwhile.

mod play;
mod rules;

use crate::explorer::{Model, holds, is_found};

/// A rule that is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// Whether the caller is signed in and another method is left is read when the request begins,
    /// and what is written does not depend on it any more.
    TwoTransactions,
    /// Whether the tokens of whoever asks are still valid is not looked at again.
    RightNotCheckedAgain,
    /// Whether the password is still the one that was proved is not looked at again.
    ProofNotCheckedAgain,
    /// An address goes with the identity that gave it, also if the password is all that is left.
    AddressAlwaysGoes,
}

#[derive(Default)]
struct SignInMethods {
    /// The password is proved in the step that changes it, as it is from outside.
    proof_is_no_step: bool,
    mistake: Option<Mistake>,
}

/// The identity that gives the address.
const WITH_ADDRESS: usize = 0;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    linked: [bool; 2],
    password: bool,
    /// Without the identity that gave it, the address is kept as the name that the password is used
    /// with.
    address: bool,
    /// A request that was authenticated, of each device.
    requests: [Option<Request>; 2],
    /// The administrator removed the last method.
    emptied: bool,
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    asks: Asks,
    /// Only of those that concern the password.
    proof: Option<Proof>,
    /// All tokens of the user, or the session of the device, were ended since.
    revoked: bool,
    /// Only with [`Mistake::TwoTransactions`]: another method was left when the request began.
    another_was_left: bool,
}

/// What the password was when the caller proved to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Proof {
    NoneSet,
    Set,
    ChangedSince,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asks {
    Link(usize),
    Unlink(usize),
    SetPassword,
    RemovePassword,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A request is authenticated.
    Ask {
        device: usize,
        asks: Asks,
    },
    /// The password is read and compared.
    Prove {
        device: usize,
    },
    /// The transaction runs.
    Finish {
        device: usize,
    },
    SignOut {
        device: usize,
    },
    AdministratorUnlinks(usize),
    AdministratorRemovesPassword,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Asked,
    Proved,
    Done,
    AlreadyLinked,
    EmailRequired,
    LastSignInMethod,
    NoSuchIdentity,
    /// The caller is not signed in any more.
    NoSuchUser,
    /// The password was changed meanwhile.
    WrongPassword,
}

const LOCKED_OUT: &str = "No user removes the last sign-in method of the own account.";
const PASSWORD_WITHOUT_ADDRESS: &str = "A password has an address that it is used with.";
const ADDRESS_OF_NOBODY: &str = "An address has an identity that gave it, or is a password's.";
const WITHOUT_RIGHT: &str = "Nothing is done for somebody who is not signed in any more.";
const WITHOUT_PROOF: &str = "A password is replaced only by somebody who proved it.";

impl Asks {
    fn concerns_password(self) -> bool {
        matches!(self, Self::SetPassword | Self::RemovePassword)
    }
}

impl Model for SignInMethods {
    type State = State;
    type Action = Action;
    type Outcome = Outcome;

    fn initial(&self) -> State {
        State {
            linked: [true, false],
            password: false,
            address: true,
            requests: [None; 2],
            emptied: false,
            broken: None,
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions: Vec<Action> = [0, 1].map(Action::AdministratorUnlinks).into();
        actions.push(Action::AdministratorRemovesPassword);
        for device in [0, 1] {
            let Some(request) = state.requests[device] else {
                let all = [
                    Asks::Link(0),
                    Asks::Link(1),
                    Asks::Unlink(0),
                    Asks::Unlink(1),
                    Asks::SetPassword,
                    Asks::RemovePassword,
                ];
                let possible = all.into_iter().filter(|_| state.can_sign_in());
                actions.extend(possible.map(|asks| Action::Ask { device, asks }));
                continue;
            };
            let to_prove =
                request.asks.concerns_password() && request.proof.is_none() && !self.proof_is_no_step;
            let next = if to_prove { Action::Prove { device } } else { Action::Finish { device } };
            actions.extend([next, Action::SignOut { device }]);
        }
        actions
    }

    fn apply(&self, state: &mut State, action: &Action) -> Outcome {
        match *action {
            Action::Ask { device, asks } => {
                let another_was_left = match asks {
                    Asks::Unlink(identity) if self.mistake == Some(Mistake::TwoTransactions) => {
                        state.another_is_left(identity)
                    }
                    _ => false,
                };
                state.requests[device] =
                    Some(Request { asks, proof: None, revoked: false, another_was_left });
                Outcome::Asked
            }
            Action::Prove { device } => {
                let proof = state.proof();
                let request = state.requests[device].as_mut();
                if let Some(request) = request.filter(|request| request.asks.concerns_password()) {
                    request.proof = Some(proof);
                }
                Outcome::Proved
            }
            Action::Finish { device } => {
                let Some(request) = state.requests[device].take() else { return Outcome::Done };
                self.finish(state, request)
            }
            Action::SignOut { device } => {
                if let Some(request) = &mut state.requests[device] {
                    request.revoked = true;
                }
                Outcome::Done
            }
            Action::AdministratorUnlinks(identity) => self.administrator_unlinks(state, identity),
            Action::AdministratorRemovesPassword => {
                state.remove_password();
                state.emptied |= !state.can_sign_in();
                Outcome::Done
            }
        }
    }

    fn steps(&self, action: &Action) -> Vec<Action> {
        match *action {
            Action::Finish { device } => vec![Action::Prove { device }, *action],
            _ => vec![*action],
        }
    }

    fn check(&self, state: &State) -> Result<(), &'static str> {
        if !state.can_sign_in() && !state.emptied {
            return Err(LOCKED_OUT);
        }
        if state.password && !state.address {
            return Err(PASSWORD_WITHOUT_ADDRESS);
        }
        if state.address && !state.linked[WITH_ADDRESS] && !state.password {
            return Err(ADDRESS_OF_NOBODY);
        }
        state.broken.map_or(Ok(()), Err)
    }
}

#[test]
fn no_user_removes_the_last_sign_in_method() {
    holds("sign_in_methods", &SignInMethods::default());
}

#[test]
fn mistakes_are_found() {
    for (mistake, broken) in [
        (Mistake::TwoTransactions, LOCKED_OUT),
        (Mistake::RightNotCheckedAgain, WITHOUT_RIGHT),
        (Mistake::ProofNotCheckedAgain, WITHOUT_PROOF),
        (Mistake::AddressAlwaysGoes, LOCKED_OUT),
    ] {
        let model = SignInMethods { mistake: Some(mistake), ..SignInMethods::default() };
        is_found(&format!("sign_in_methods, {mistake:?}"), &model, broken);
    }
}
