//! The real functions, played against the model of refresh tokens.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokenbooth::account::AccountError;
use tokenbooth::account::sessions::{Limit, Times, begin, log_out, refresh};
use tokenbooth::db::{Db, sessions};
use tokenbooth::session::Place as StoredPlace;
use tokenbooth::settings::RefreshSettings;
use tokenbooth::token::{Keyring, RefreshToken, SuccessorKeys};

use super::{Action, Actor, GRACE, Outcome, Place, Refresh, State};
use crate::agreement::{Plan, Real, agree, agree_at_once};
use crate::databases::TestDatabase;
use crate::explorer::holds;
use crate::stored::{BEGINNING, new_user, origin, replica, same, settings, somebody, write};

/// Seconds of one unit of the model's clock.
const UNIT: u8 = 5;

struct Played<'a> {
    replicas: &'a [Db; 2],
    keys: &'a Arc<SuccessorKeys>,
    settings: RefreshSettings,
    now: Cell<u8>,
    tokens: RefCell<Vec<RefreshToken>>,
    owner: Cell<usize>,
    thief: Cell<usize>,
}

impl<'a> Played<'a> {
    async fn begin(replicas: &'a [Db; 2], keys: &'a Arc<SuccessorKeys>) -> Self {
        let user = new_user(&replicas[0], somebody()).await;
        let grace = Duration::from_secs(u64::from(GRACE * UNIT));
        let settings = RefreshSettings { grace, ..settings().refresh };
        let limit = Limit { times: times(settings, 0), per_user: 100 };
        let (place, origin) = (stored(Place::Home), origin(BEGINNING));
        let begun = begin(&replicas[0], &user, None, place, limit, &origin).await.expect("a session");
        let tokens = RefCell::new(vec![begun.token]);
        let (now, owner, thief) = (Cell::default(), Cell::default(), Cell::default());
        Self { replicas, keys, settings, now, tokens, owner, thief }
    }

    async fn refresh(&self, by: Actor, place: Place, replica: u8, lost: bool) -> Outcome {
        let held = if by == Actor::Owner { &self.owner } else { &self.thief };
        let token = self.tokens.borrow()[held.get()].clone();
        let times = times(self.settings, self.now.get() + replica * MODEL.skew);
        let (db, origin) = (&self.replicas[usize::from(replica)], origin(times.now));
        match refresh(db, self.keys, token, stored(place), times, &origin).await {
            Ok(refreshed) => {
                let number = self.number_of(refreshed.token);
                if !lost {
                    held.set(number);
                }
                Outcome::Refreshed(u8::try_from(number).expect("few tokens"))
            }
            Err(AccountError::InvalidRefreshToken("its session has ended, or never was")) => {
                Outcome::NoSession
            }
            Err(AccountError::InvalidRefreshToken("it was used before: its session has been ended")) => {
                Outcome::Reused
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Returns the number of a token, which is the next one for a token that was not given before.
    fn number_of(&self, token: RefreshToken) -> usize {
        let mut tokens = self.tokens.borrow_mut();
        let known = tokens.iter().position(|known| *known == token);
        known.unwrap_or_else(|| {
            tokens.push(token);
            tokens.len() - 1
        })
    }
}

fn times(settings: RefreshSettings, moment: u8) -> Times {
    let now = BEGINNING.plus(i64::from(moment * UNIT));
    Times { settings, now, now_ms: now.0 * 1000 }
}

fn stored(place: Place) -> StoredPlace {
    let address = match place {
        Place::Home => [192, 0, 2, 1],
        Place::Away => [192, 0, 2, 2],
        Place::Thief | Place::ThiefInDisguise => [203, 0, 113, 9],
    };
    let device = if place == Place::Thief { "curl/8" } else { "Mail/1" };
    StoredPlace { ip: Some(IpAddr::from(address)), device: Some(device.to_owned()) }
}

impl Real<Refresh> for Played<'_> {
    async fn play(&self, action: &Action) -> Outcome {
        match *action {
            Action::Refresh { by, place, replica, lost } => {
                return self.refresh(by, place, replica, lost).await;
            }
            Action::Steal => self.thief.set(self.owner.get()),
            Action::LogOut => {
                let token = self.tokens.borrow()[self.owner.get()].clone();
                log_out(&self.replicas[0], token.handle_hash(), &origin(BEGINNING))
                    .await
                    .expect("logged out");
            }
            Action::Tick => self.now.set(self.now.get() + 1),
        }
        Outcome::Done
    }

    async fn compare(&self, state: &State) -> Result<(), String> {
        let handle = self.tokens.borrow()[0].handle_hash();
        let found = write(&self.replicas[1], move |conn| sessions::find_by_handle(conn, &handle)).await;
        same("a session", found.is_some(), state.session.is_some())?;
        let (Some(found), Some(session)) = (found, state.session) else { return Ok(()) };
        let hash = |token: u8| self.tokens.borrow()[usize::from(token)].secret_hash();
        same("the current token", found.secret == hash(session.current), true)?;
        let previous = found.previous.map(|(hash, _)| hash);
        same("the previous token", previous == session.previous.map(hash), true)?;
        same("its place", found.place == stored(session.place), true)?;
        same("repeats", found.repeats, session.repeats.into())
    }
}

fn successor_keys() -> Arc<SuccessorKeys> {
    let keyring = Keyring::new(&"the-secret-of-the-tests-0123456789abcdef".into(), &[]);
    let keyring = keyring.map(|keyring| keyring.with(&[], 1800, |_| None));
    Arc::new(keyring.expect("a secret").expect("a key").successor_keys(BEGINNING))
}

/// Two requests of the owner are those of two tabs: neither has the other's response when it is
/// sent.
fn at_once(one: Action, other: Action) -> bool {
    match (one, other) {
        (Action::Refresh { by: a, lost: c, .. }, Action::Refresh { by: b, lost: d, .. }) => {
            a != b || (c && d)
        }
        (Action::Refresh { .. }, Action::LogOut) => true,
        _ => false,
    }
}

/// The clocks of the replicas differ: then the model has everything that it has otherwise, and
/// more.
const MODEL: Refresh = Refresh { skew: 1, moves_too_late: false, mistake: None };

/// What is played, on either database: to explore the model takes longer than to play that.
pub(super) static PLAYED: LazyLock<Plan<Action>> = LazyLock::new(|| {
    let explored = holds("refresh, clocks differ", &MODEL);
    let races = explored.races(&MODEL, 200, |one, other| at_once(*one, *other));
    Plan { traces: explored.traces(&MODEL, 500), races }
});

on_both_databases! {
    async fn the_code_does_what_the_model_does(database: TestDatabase) {
        let (replicas, keys) = ([replica(&database), replica(&database)], successor_keys());
        let begin = async || Played::begin(&replicas, &keys).await;
        agree(&MODEL, &PLAYED.traces, begin).await;
    }

    async fn requests_at_the_same_moment_do_what_one_after_the_other_does(database: TestDatabase) {
        let (replicas, keys) = ([replica(&database), replica(&database)], successor_keys());
        let begin = async || Played::begin(&replicas, &keys).await;
        agree_at_once(&MODEL, &PLAYED.races, begin).await;
    }
}
