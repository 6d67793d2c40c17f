//! The real functions, played against the model of sign-in methods.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

use tokenbooth::account::acting_user::{ActingUser, Authority};
use tokenbooth::account::password::{self, Proof};
use tokenbooth::account::sessions::{Limit, Times, begin, end};
use tokenbooth::account::{self, AccountError, administration, identities};
use tokenbooth::authentication::{AuthenticationClaims, Recency};
use tokenbooth::db::{Db, DbConn, DbError};
use tokenbooth::password::Passwords;
use tokenbooth::provider::VerifiedIdentity;
use tokenbooth::session::Place;
use tokenbooth::settings::{PasswordSettings, Settings};
use tokenbooth::user::{BearerKey, Identity, UserId};
use uuid::Uuid;

use super::{Action, Asks, Outcome, SignInMethods, State, WITH_ADDRESS};
use crate::agreement::{Plan, Real, agree, agree_at_once};
use crate::databases::TestDatabase;
use crate::explorer::holds;
use crate::stored::{
    BEGINNING, find, identity_of, new_user, origin, replica, same, settings, somebody, write,
};

struct Played<'a> {
    db: &'a Db,
    passwords: &'a Passwords,
    settings: &'a Settings,
    user_id: UserId,
    email: Option<String>,
    /// The caller on each device, as found when the request began, and what is asked for.
    requests: RefCell<[Option<(ActingUser, Asks)>; 2]>,
}

const PROVIDERS: [&str; 2] = ["google", "github"];

impl<'a> Played<'a> {
    async fn begin(db: &'a Db, passwords: &'a Passwords, settings: &'a Settings) -> Self {
        let user = new_user(db, somebody()).await;
        let identity = identity_of(&user);
        write(db, move |conn| tokenbooth::db::identities::insert(conn, &identity)).await;
        let (user_id, email, requests) = (user.id, user.email, RefCell::default());
        Self { db, passwords, settings, user_id, email, requests }
    }

    /// What the provider says of the user. The second one says no address.
    fn proved(&self, identity: usize) -> VerifiedIdentity {
        let email = self.email.clone().filter(|_| identity == WITH_ADDRESS);
        VerifiedIdentity {
            provider: PROVIDERS[identity].to_owned(),
            provider_id: self.user_id.to_string(),
            email_verified: email.is_some(),
            email,
            name: None,
            avatar_url: None,
            issued_at: None,
            authenticated_at: None,
            single_use: None,
        }
    }

    async fn linked(&self) -> Vec<Identity> {
        let id = self.user_id;
        write(self.db, move |conn| tokenbooth::db::identities::list(conn, id)).await
    }

    /// Returns the id of an identity, or one that there is not.
    async fn identity_id(&self, identity: usize) -> Uuid {
        let linked = self.linked().await;
        let found = linked.iter().find(|one| one.provider == PROVIDERS[identity]);
        found.map_or_else(Uuid::new_v4, |one| one.id)
    }

    async fn ask(&self, device: usize, asks: Asks) -> Outcome {
        let user = find(self.db, self.user_id).await.expect("a user");
        let times = Times { settings: self.settings.refresh, now: BEGINNING, now_ms: BEGINNING.0 * 1000 };
        let (place, limit) = (Place::default(), Limit { times, per_user: 100 });
        let begun = begin(self.db, &user, None, place, limit, &origin(BEGINNING)).await.expect("a session");
        let key = BearerKey { user_id: user.id, session_id: Some(begun.session_id) };
        let bearer = self.db.bearer(key).await.expect("a database").expect("a user");
        let caller = ActingUser { user: bearer.user, session_id: Some(begun.session_id) };
        self.requests.borrow_mut()[device] = Some((caller, asks));
        Outcome::Asked
    }

    async fn finish(&self, device: usize) -> Result<Outcome, AccountError> {
        let request = self.requests.borrow_mut()[device].take();
        let (caller, asks) = request.expect("a request");
        let (db, passwords, origin) = (self.db, self.passwords, origin(BEGINNING));
        match asks {
            Asks::Link(identity) => {
                let linked = identities::link(db, &caller, &self.proved(identity), &origin).await?;
                return Ok(if linked.new { Outcome::Done } else { Outcome::AlreadyLinked });
            }
            Asks::Unlink(identity) => {
                let id = self.identity_id(identity).await;
                identities::unlink(db, &caller, id, true, &origin).await?;
            }
            Asks::SetPassword => {
                let new = "correct horse battery staple".into();
                password::set(db, passwords, &caller, new, recent(), &origin).await?;
            }
            Asks::RemovePassword => password::remove(db, passwords, &caller, recent(), &origin).await?,
        }
        Ok(Outcome::Done)
    }

    async fn sign_out(&self, device: usize) {
        let session = self.requests.borrow()[device].as_ref().and_then(|(caller, _)| caller.session_id);
        let ended = end(self.db, self.user_id, session.expect("a session"), &origin(BEGINNING)).await;
        assert!(matches!(ended, Ok(()) | Err(AccountError::NoSuchSession)), "{ended:?}");
    }

    async fn administrate(
        &self,
        change: impl Fn(&mut DbConn, UserId, &Authority) -> Result<Result<(), AccountError>, DbError>
        + Clone
        + Send
        + 'static,
    ) -> Result<Outcome, AccountError> {
        let (id, authority) = (self.user_id, Authority::operator(origin(BEGINNING)));
        account::write(self.db, move |conn| change(conn, id, &authority)).await?;
        Ok(Outcome::Done)
    }
}

/// A sign-in by a provider a moment ago, which replaces the current password.
fn recent() -> Proof {
    let claims = AuthenticationClaims::new(Some(BEGINNING.0), Some(PROVIDERS[0]));
    Proof { current: None, recency: Recency::new(claims, Duration::from_mins(10), BEGINNING) }
}

impl Real<SignInMethods> for Played<'_> {
    async fn play(&self, action: &Action) -> Outcome {
        let result = match *action {
            Action::Ask { device, asks } => Ok(self.ask(device, asks).await),
            Action::Prove { .. } => panic!("it cannot be seen from outside"),
            Action::Finish { device } => self.finish(device).await,
            Action::SignOut { device } => {
                self.sign_out(device).await;
                Ok(Outcome::Done)
            }
            Action::AdministratorUnlinks(identity) => {
                let identity = self.identity_id(identity).await;
                self.administrate(move |conn, id, authority| {
                    administration::unlink(conn, id, identity, true, authority)
                })
                .await
            }
            Action::AdministratorRemovesPassword => self.administrate(administration::remove_password).await,
        };
        match result {
            Ok(outcome) => outcome,
            Err(AccountError::EmailRequired) => Outcome::EmailRequired,
            Err(AccountError::LastWayIn) => Outcome::LastSignInMethod,
            Err(AccountError::NoSuchIdentity) => Outcome::NoSuchIdentity,
            Err(AccountError::NoSuchUser) => Outcome::NoSuchUser,
            Err(AccountError::WrongPassword) => Outcome::WrongPassword,
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn compare(&self, state: &State) -> Result<(), String> {
        let user = find(self.db, self.user_id).await.expect("a user");
        let linked = self.linked().await;
        let is_linked = |provider: &str| linked.iter().any(|one| one.provider == provider);
        same("linked", PROVIDERS.map(is_linked), state.linked)?;
        same("password", user.has_password, state.password)?;
        same("address", user.email.is_some(), state.address)
    }
}

fn passwords(settings: &Settings) -> Passwords {
    let cheap = PasswordSettings { memory_kib: 8, iterations: 1, parallelism: 1, ..settings.password };
    Passwords::new(&cheap).expect("good settings")
}

const MODEL: SignInMethods = SignInMethods { proof_is_no_step: true, mistake: None };

static PLAYED: LazyLock<Plan<Action>> = LazyLock::new(|| {
    let explored = holds("sign_in_methods, as played", &MODEL);
    let races = explored.races(&MODEL, 200, |one, other| {
        let is_step = |action: &Action| !matches!(action, Action::Ask { .. });
        is_step(one) && is_step(other) && device_of(*one) != device_of(*other)
    });
    Plan { traces: explored.traces(&MODEL, 400), races }
});

fn device_of(action: Action) -> Option<usize> {
    match action {
        Action::Ask { device, .. }
        | Action::Prove { device }
        | Action::Finish { device }
        | Action::SignOut { device } => Some(device),
        Action::AdministratorUnlinks(_) | Action::AdministratorRemovesPassword => None,
    }
}

on_both_databases! {
    async fn the_code_does_what_the_model_does(database: TestDatabase) {
        let (db, settings) = (replica(&database), settings());
        let passwords = passwords(&settings);
        let begin = async || Played::begin(&db, &passwords, &settings).await;
        agree(&MODEL, &PLAYED.traces, begin).await;
    }

    async fn changes_at_the_same_moment_do_what_one_after_the_other_does(database: TestDatabase) {
        let (db, settings) = (replica(&database), settings());
        let passwords = passwords(&settings);
        let begin = async || Played::begin(&db, &passwords, &settings).await;
        agree_at_once(&MODEL, &PLAYED.races, begin).await;
    }
}
