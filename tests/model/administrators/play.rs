//! The real functions, played against the model of administrators.

use std::cell::RefCell;
use std::sync::LazyLock;

use tokenbooth::account::acting_user::{ActingUser, Authority};
use tokenbooth::account::administration::{self, UserChange};
use tokenbooth::account::{self, AccountError};
use tokenbooth::db::{Db, identities};
use tokenbooth::user::{BearerKey, UserId};
use uuid::Uuid;

use super::{Action, Administrators, Asks, Outcome, State, USERS};
use crate::agreement::{Plan, Real, agree, agree_at_once};
use crate::databases::TestDatabase;
use crate::explorer::holds;
use crate::stored::{BEGINNING, find, identity_of, new_user, origin, replica, same, somebody, write};

struct Played<'a> {
    db: &'a Db,
    users: Vec<UserId>,
    identities: Vec<Uuid>,
    /// Who asks, as found when the request began, for what.
    requests: RefCell<[Option<(ActingUser, Asks, usize)>; USERS]>,
}

impl<'a> Played<'a> {
    async fn begin(database: &TestDatabase, db: &'a Db) -> Self {
        // The rule is about all administrators there are.
        database.execute("DELETE FROM users");
        let (mut users, mut linked) = (Vec::new(), Vec::new());
        for admin in [true, true, false] {
            let user = new_user(db, tokenbooth::user::User { admin, ..somebody() }).await;
            let identity = identity_of(&user);
            users.push(user.id);
            linked.push(identity.id);
            write(db, move |conn| identities::insert(conn, &identity)).await;
        }
        Self { db, users, identities: linked, requests: RefCell::default() }
    }

    async fn ask(&self, by: usize, asks: Asks, of: usize) -> Outcome {
        let key = BearerKey { user_id: self.users[by], session_id: None };
        let bearer = self.db.bearer(key).await.expect("a database").expect("a user");
        assert!(bearer.user.admin && !bearer.user.disabled, "it would be rejected");
        let acting = ActingUser { user: bearer.user, session_id: None };
        self.requests.borrow_mut()[by] = Some((acting, asks, of));
        Outcome::Asked
    }

    async fn finish(&self, by: usize) -> Result<(), AccountError> {
        let request = self.requests.borrow_mut()[by].take();
        let (acting, asks, of) = request.expect("a request");
        let (id, identity, origin) = (self.users[of], self.identities[of], origin(BEGINNING));
        if asks == Asks::Delete && by == of {
            return administration::delete_own(self.db, &acting, &origin).await;
        }
        let authority = Authority::administrator(acting, &origin);
        let (admin, disabled) = match asks {
            Asks::Demote => (Some(false), None),
            Asks::Promote => (Some(true), None),
            Asks::Disable => (None, Some(true)),
            Asks::Enable => (None, Some(false)),
            Asks::Delete | Asks::Unlink => (None, None),
        };
        account::write(self.db, move |conn| match asks {
            Asks::Delete => administration::delete(conn, id, &authority),
            Asks::Unlink => administration::unlink(conn, id, identity, true, &authority),
            _ => {
                let change = UserChange { disabled, admin, ..UserChange::default() };
                Ok(administration::change(conn, id, change, &authority)?.map(drop))
            }
        })
        .await
    }
}

impl Real<Administrators> for Played<'_> {
    async fn play(&self, action: &Action) -> Outcome {
        let by = match *action {
            Action::Ask { by, asks, of } => return self.ask(by, asks, of).await,
            Action::Finish { by } => by,
        };
        match self.finish(by).await {
            Ok(()) => Outcome::Done,
            Err(AccountError::LastAdministrator) => Outcome::LastAdministrator,
            Err(AccountError::NoSuchIdentity) => Outcome::NoSuchIdentity,
            Err(AccountError::NotAdministrator) => Outcome::NotAdministrator,
            Err(AccountError::NoSuchUser) => Outcome::NoSuchUser,
            Err(AccountError::UnknownUser) => Outcome::UnknownUser,
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn compare(&self, state: &State) -> Result<(), String> {
        for (id, expected) in self.users.iter().copied().zip(state.users) {
            let stored = find(self.db, id).await;
            same("a user", stored.is_some(), expected.is_some())?;
            let (Some(stored), Some(expected)) = (stored, expected) else { continue };
            let linked = write(self.db, move |conn| identities::list(conn, id)).await;
            same("admin", stored.admin, expected.admin)?;
            same("disabled", stored.disabled, expected.disabled)?;
            same("linked", !linked.is_empty(), expected.linked)?;
        }
        Ok(())
    }
}

const MODEL: Administrators = Administrators { mistake: None };

static PLAYED: LazyLock<Plan<Action>> = LazyLock::new(|| {
    let explored = holds("administrators", &MODEL);
    let finish = |action: &Action| matches!(action, Action::Finish { .. });
    let races = explored.races(&MODEL, 200, |one, other| finish(one) && finish(other));
    Plan { traces: explored.traces(&MODEL, 400), races }
});

on_both_databases! {
    async fn the_code_does_what_the_model_does(database: TestDatabase) {
        let db = replica(&database);
        let begin = async || Played::begin(&database, &db).await;
        agree(&MODEL, &PLAYED.traces, begin).await;
    }

    async fn changes_at_the_same_moment_do_what_one_after_the_other_does(database: TestDatabase) {
        let db = replica(&database);
        let begin = async || Played::begin(&database, &db).await;
        agree_at_once(&MODEL, &PLAYED.races, begin).await;
    }
}
