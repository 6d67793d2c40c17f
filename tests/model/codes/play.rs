//! The real functions, played against the model of one-time codes.

use std::cell::{Cell, RefCell};

use tokenbooth::account::AccountError;
use tokenbooth::account::codes::redeem;
use tokenbooth::account::housekeeping::sweep;
use tokenbooth::account::revocation::log_out_everywhere;
use tokenbooth::account::sessions::{Limit, Times, end};
use tokenbooth::clock::Timestamp;
use tokenbooth::db::{Db, DbConn, sessions, spent_codes, users};
use tokenbooth::session::Place;
use tokenbooth::settings::Settings;
use tokenbooth::token::{CodeChallenge, OneTimeCode};
use tokenbooth::user::{BearerKey, UserId};
use uuid::Uuid;

use super::{Action, Clock, Codes, Outcome, State};
use crate::agreement::{Real, agree, agree_at_once};
use crate::databases::TestDatabase;
use crate::explorer::holds;
use crate::stored::{BEGINNING, find, new_user, origin, replica, same, settings, somebody, write};

/// As `sign_in.code_ttl` is, if nobody changes it.
const CODE_TTL: i64 = 60;
const HOUR: i64 = 60 * 60;

struct Played<'a> {
    replicas: &'a [Db; 2],
    settings: &'a Settings,
    user_id: UserId,
    code: OneTimeCode,
    clocks: Cell<[Clock; 2]>,
    session: RefCell<Option<Uuid>>,
}

impl<'a> Played<'a> {
    async fn begin(replicas: &'a [Db; 2], settings: &'a Settings) -> Self {
        let user = new_user(&replicas[0], somebody()).await;
        let code = OneTimeCode {
            id: Uuid::new_v4(),
            user_id: user.id.into(),
            token_version: 0,
            created: false,
            authentication: None,
            redirect_uri: "com.mail.app:/callback".to_owned(),
            code_challenge: CodeChallenge::of("a verifier"),
            expires_at: BEGINNING.plus(CODE_TTL).0,
        };
        let clocks = Cell::new([Clock::BeforeExpiry; 2]);
        Self { replicas, settings, user_id: user.id, code, clocks, session: RefCell::default() }
    }

    fn now(&self, replica: usize) -> Timestamp {
        BEGINNING.plus(match self.clocks.get()[replica] {
            Clock::BeforeExpiry => CODE_TTL - 1,
            Clock::Expired => CODE_TTL + 1,
            Clock::AnHourAfter => CODE_TTL + HOUR + 1,
        })
    }

    async fn redeem(&self, replica: usize, session: bool) -> Outcome {
        let now = self.now(replica);
        if self.code.check_expiry(now, self.settings.sign_in.code_ttl).is_err() {
            return Outcome::Expired;
        }
        let times = Times { settings: self.settings.refresh, now, now_ms: now.0 * 1000 };
        let limit = Limit { times, per_user: 100 };
        let place = session.then(Place::default);
        match redeem(&self.replicas[replica], &self.code, place, limit, &origin(now)).await {
            Ok((_, begun)) => {
                assert_eq!(begun.is_some(), session);
                *self.session.borrow_mut() = begun.map(|begun| begun.session_id);
                Outcome::Exchanged
            }
            Err(AccountError::Disabled(_)) => Outcome::UserDisabled,
            Err(AccountError::InvalidCode("its user was deleted")) => Outcome::UserDeleted,
            Err(AccountError::InvalidCode("its user's tokens were revoked")) => Outcome::UserRevoked,
            Err(AccountError::InvalidCode("it was exchanged before")) => Outcome::UsedBefore,
            Err(other) => panic!("{other:?}"),
        }
    }
}

impl Real<Codes> for Played<'_> {
    async fn play(&self, action: &Action) -> Outcome {
        let (db, id, origin) = (&self.replicas[0], self.user_id, origin(BEGINNING));
        match *action {
            Action::Redeem { replica, session } => return self.redeem(replica, session).await,
            Action::Finish { .. } => panic!("only the mistaken model does that"),
            Action::Advance { replica } => {
                let mut clocks = self.clocks.get();
                let next =
                    if clocks[replica] == Clock::BeforeExpiry { Clock::Expired } else { Clock::AnHourAfter };
                clocks[replica] = next;
                self.clocks.set(clocks);
            }
            Action::Sweep { replica } => {
                sweep(&self.replicas[replica], self.settings, self.now(replica)).await.expect("swept");
            }
            Action::SignOut => {
                let session = self.session.borrow().expect("a session");
                // It may have ended at this moment.
                let _ = end(db, id, session, &origin).await;
            }
            Action::SignOutEverywhere => {
                log_out_everywhere(db, id, &origin).await.expect("signed out");
            }
            Action::Disable => {
                let disable = move |conn: &mut DbConn| {
                    users::set_disabled(conn, id, true, BEGINNING)?;
                    sessions::delete_all_of(conn, id).map(drop)
                };
                write(db, disable).await;
            }
            Action::Enable => {
                write(db, move |conn| users::set_disabled(conn, id, false, BEGINNING).map(drop)).await;
            }
            Action::Delete => {
                write(db, move |conn| users::delete(conn, id, BEGINNING).map(drop)).await;
            }
        }
        Outcome::Done
    }

    async fn compare(&self, state: &State) -> Result<(), String> {
        let (db, code) = (&self.replicas[1], self.code.id);
        let found = write(db, move |conn| spent_codes::find(conn, code)).await;
        same("used", found.map(|used| used.session_id.is_some()), state.used)?;
        let user = find(db, self.user_id).await;
        same("deleted", user.is_none(), state.deleted)?;
        let Some(user) = user else { return Ok(()) };
        same("disabled", user.disabled, state.disabled)?;
        same("revoked", user.token_version > 0, state.revoked)?;
        let key = BearerKey { user_id: self.user_id, session_id: *self.session.borrow() };
        let bearer = db.bearer(key).await.expect("a database").expect("a user");
        same("session", bearer.session_alive, state.session)
    }
}

on_both_databases! {
    async fn the_code_does_what_the_model_does(database: TestDatabase) {
        let (model, settings) = (Codes { mistake: None }, settings());
        let replicas = [replica(&database), replica(&database)];
        let traces = holds("codes", &model).traces(&model, 400);
        agree(&model, &traces, async || Played::begin(&replicas, &settings).await).await;
    }

    async fn two_replicas_at_the_same_moment_do_what_one_after_the_other_does(database: TestDatabase) {
        let (model, settings) = (Codes { mistake: None }, settings());
        let replicas = [replica(&database), replica(&database)];
        let is_change =
            |action: &Action| !matches!(action, Action::Advance { .. } | Action::Sweep { .. });
        let replica_of = |action: &Action| match action {
            Action::Redeem { replica, .. } => Some(*replica),
            _ => None,
        };
        let at_once = |one: &Action, other: &Action| {
            is_change(other) && replica_of(one).is_some() && replica_of(one) != replica_of(other)
        };
        let races = holds("codes", &model).races(&model, 150, at_once);
        agree_at_once(&model, &races, async || Played::begin(&replicas, &settings).await).await;
    }
}
