//! The model of administrators: three users, of whom two are administrators at first, who demote,
//! disable, delete and lock out each other. Between the moment when a request is authenticated and
//! the transaction that does what it asks for, anything can happen.

mod play;

use crate::explorer::{Model, holds, is_found};

const USERS: usize = 3;
/// Requests in one run.
const REQUESTS: u8 = 4;

/// A rule that is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// Whether another administrator is left is read when the request begins.
    TwoTransactions,
    /// The right of whoever asks is not looked at again in the transaction.
    RightNotCheckedAgain,
    /// An administrator without a sign-in method counts as one who is left.
    LockedOutOnesCount,
}

#[derive(Default)]
struct Administrators {
    mistake: Option<Mistake>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    users: [Option<User>; USERS],
    /// A request that was authenticated, of each user.
    requests: [Option<Request>; USERS],
    requested: u8,
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct User {
    admin: bool,
    disabled: bool,
    /// Has the identity to sign in with.
    linked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    asks: Asks,
    of: usize,
    /// The tokens of whoever asks were ended since.
    revoked: bool,
    /// Only with [`Mistake::TwoTransactions`]: another administrator was left when the request
    /// began.
    another_was_left: bool,
}

/// What is to be done to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asks {
    Demote,
    Promote,
    Disable,
    Enable,
    Delete,
    Unlink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A request is authenticated: the user is an administrator.
    Ask { by: usize, asks: Asks, of: usize },
    /// Its transaction runs.
    Finish { by: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Asked,
    Done,
    LastAdministrator,
    NoSuchIdentity,
    NotAdministrator,
    /// Whoever asks is not signed in any more.
    NoSuchUser,
    /// There is no user to do it to.
    UnknownUser,
}

const NOBODY_LEFT: &str = "There is an administrator who can sign in.";
const WITHOUT_RIGHT: &str = "Nothing is done for somebody who has no right to it any more.";

impl User {
    fn is_administrator(self) -> bool {
        self.admin && !self.disabled
    }

    fn can_administrate(self) -> bool {
        self.is_administrator() && self.linked
    }
}

impl Request {
    /// Whether it is the deletion of the own account, which every user may ask for.
    fn is_own(self, by: usize) -> bool {
        self.asks == Asks::Delete && self.of == by
    }
}

impl Asks {
    /// Whether there is an administrator less afterwards, if it is done to one.
    fn takes(self) -> bool {
        matches!(self, Self::Demote | Self::Disable | Self::Delete | Self::Unlink)
    }
}

impl Administrators {
    /// Whether another administrator is left without this one.
    fn another_is_left(&self, users: &[Option<User>; USERS], without: usize) -> bool {
        let counts = |user: User| match self.mistake {
            Some(Mistake::LockedOutOnesCount) => user.is_administrator(),
            _ => user.can_administrate(),
        };
        let others = users.iter().enumerate().filter(|(number, _)| *number != without);
        others.filter_map(|(_, user)| *user).any(counts)
    }

    fn finish(&self, state: &mut State, by: usize, request: Request) -> Outcome {
        if let Some(rejected) = self.rejected(state, by, request) {
            return rejected;
        }
        let Request { asks, of, revoked, .. } = request;
        let is_administrator = state.users[by].is_some_and(User::is_administrator);
        let is_own = request.is_own(by) && state.users[by].is_some();
        if revoked || !(is_own || is_administrator) {
            state.broken = Some(WITHOUT_RIGHT);
        }
        change(state, asks, of);
        Outcome::Done
    }

    /// Returns why it is not done: the right of whoever asks first, then what is stored.
    fn rejected(&self, state: &State, by: usize, request: Request) -> Option<Outcome> {
        let (own, target) = (request.is_own(by), state.users[request.of]);
        let takes_one = request.asks.takes() && target.is_some_and(User::is_administrator);
        if !own && self.mistake != Some(Mistake::RightNotCheckedAgain) {
            match state.users[by] {
                None => return Some(Outcome::NoSuchUser),
                Some(_) if request.revoked => return Some(Outcome::NoSuchUser),
                Some(user) if !user.is_administrator() => return Some(Outcome::NotAdministrator),
                Some(_) => {}
            }
        }
        let Some(target) = target else {
            return Some(if own { Outcome::NoSuchUser } else { Outcome::UnknownUser });
        };
        let another_is_left = match self.mistake {
            Some(Mistake::TwoTransactions) => request.another_was_left,
            _ => self.another_is_left(&state.users, request.of),
        };
        if takes_one && target.linked && !another_is_left {
            return Some(Outcome::LastAdministrator);
        }
        if own && request.revoked {
            return Some(Outcome::NoSuchUser);
        }
        (request.asks == Asks::Unlink && !target.linked).then_some(Outcome::NoSuchIdentity)
    }
}

fn change(state: &mut State, asks: Asks, of: usize) {
    let Some(target) = state.users[of] else { return };
    let changed = match asks {
        Asks::Demote => Some(User { admin: false, ..target }),
        Asks::Promote => Some(User { admin: true, ..target }),
        Asks::Disable => Some(User { disabled: true, ..target }),
        Asks::Enable => Some(User { disabled: false, ..target }),
        Asks::Delete => None,
        Asks::Unlink => Some(User { linked: false, ..target }),
    };
    let revokes = (asks == Asks::Disable && !target.disabled) || asks == Asks::Unlink;
    state.users[of] = changed;
    if let Some(request) = state.requests[of].as_mut().filter(|_| revokes) {
        request.revoked = true;
    }
}

impl Model for Administrators {
    type State = State;
    type Action = Action;
    type Outcome = Outcome;

    fn initial(&self) -> State {
        let user = |admin| Some(User { admin, disabled: false, linked: true });
        State {
            users: [user(true), user(true), user(false)],
            requests: [None; USERS],
            requested: 0,
            broken: None,
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        for by in 0..USERS {
            let may_ask = state.requested < REQUESTS && state.users[by].is_some_and(User::can_administrate);
            if state.requests[by].is_some() {
                actions.push(Action::Finish { by });
            } else if may_ask {
                for asks in
                    [Asks::Demote, Asks::Promote, Asks::Disable, Asks::Enable, Asks::Delete, Asks::Unlink]
                {
                    actions.extend((0..USERS).map(|of| Action::Ask { by, asks, of }));
                }
            }
        }
        actions
    }

    fn apply(&self, state: &mut State, action: &Action) -> Outcome {
        match *action {
            Action::Ask { by, asks, of } => {
                let another_was_left =
                    self.mistake == Some(Mistake::TwoTransactions) && self.another_is_left(&state.users, of);
                let request = Request { asks, of, revoked: false, another_was_left };
                state.requests[by] = Some(request);
                state.requested += 1;
                Outcome::Asked
            }
            Action::Finish { by } => {
                let Some(request) = state.requests[by].take() else { return Outcome::Done };
                self.finish(state, by, request)
            }
        }
    }

    fn check(&self, state: &State) -> Result<(), &'static str> {
        if !state.users.iter().flatten().any(|user| user.can_administrate()) {
            return Err(NOBODY_LEFT);
        }
        state.broken.map_or(Ok(()), Err)
    }
}

#[test]
fn an_administrator_who_can_sign_in_is_left_whatever_they_do_to_each_other() {
    holds("administrators", &Administrators::default());
}

#[test]
fn mistakes_are_found() {
    for (mistake, broken) in [
        (Mistake::TwoTransactions, NOBODY_LEFT),
        (Mistake::RightNotCheckedAgain, WITHOUT_RIGHT),
        (Mistake::LockedOutOnesCount, NOBODY_LEFT),
    ] {
        let model = Administrators { mistake: Some(mistake) };
        is_found(&format!("administrators, {mistake:?}"), &model, broken);
    }
}
