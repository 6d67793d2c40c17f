//! Staying signed in: a session is a family of refresh tokens of which one is good at a time.
//!
//! A refresh token is valid once. While its successor is unused, a repeat gets the same successor, because a response may have been
//! lost, or two tabs may have refreshed at once: within `refresh.grace` from anywhere, later only from the address of the first
//! use. Anything else is reuse, and the session ends, because only a thief or a broken client does that.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::AccountError;
use crate::authentication::Authentication;
use crate::clock::Timestamp;
use crate::db::sessions::Alive;
use crate::db::{Db, DbConn, DbError, events, sessions, users};
use crate::event::{EventKind, Origin};
use crate::session::{HashedToken, Place, Session};
use crate::settings::RefreshSettings;
use crate::token::{NoRandomness, RefreshToken, SuccessorKeys};
use crate::user::{User, UserId};

/// A third repeat of one token from another address than that of its first use is reuse: a person who moves between networks has
/// one or two.
const MAX_REPEATS_FROM_ELSEWHERE: i64 = 2;

/// A session just begun, and its first token.
pub struct Begun {
    /// For the `sid` claim.
    pub session_id: Uuid,
    /// For the client.
    pub token: RefreshToken,
}

/// A token exchanged for the next one.
pub struct Refreshed {
    /// Whose session it is, read now.
    pub user: User,
    /// For the `sid` claim.
    pub session_id: Uuid,
    /// How and when the user signed in, which a refresh does not change.
    pub authentication: Option<Authentication>,
    /// For the client.
    pub token: RefreshToken,
}

/// What [`refresh`] goes by besides the token.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long tokens live.
    pub settings: RefreshSettings,
    /// Now.
    pub now: Timestamp,
    /// Now, in Unix milliseconds.
    pub now_ms: i64,
}

impl Times {
    /// Sessions begun or used later than these are alive.
    #[must_use]
    pub fn alive(&self, token_version: i64) -> Alive {
        Alive {
            token_version,
            created_after: self.now.before(self.settings.absolute_ttl),
            used_after: self.now.before(self.settings.idle_ttl),
        }
    }

    /// When the session ends unless it is used before.
    fn end_of(&self, session: &Session) -> Timestamp {
        let seconds = |life: Duration| i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let unused = session.last_used_at.plus(seconds(self.settings.idle_ttl));
        unused.min(session.created_at.plus(seconds(self.settings.absolute_ttl)))
    }

    fn has_ended(&self, session: &Session) -> bool {
        let Alive { created_after, used_after, .. } = self.alive(session.token_version);
        session.created_at <= created_after || session.last_used_at <= used_after
    }

    /// Returns what this secret is to its session when it is presented from `place`, if that is known.
    fn standing(&self, secret: &HashedToken, session: &Session, place: Option<&Place>) -> Standing {
        if *secret == session.secret {
            return Standing::Current;
        }
        match &session.previous {
            Some((previous, rotated_at_ms))
                if secret == previous && self.may_repeat(*rotated_at_ms, session, place) =>
            {
                Standing::Repeated
            }
            _ => Standing::Used,
        }
    }

    /// The successor of the previous token is unused, or that token would not be the previous one. A lost response has its client
    /// come back from the same address, perhaps after a longer outage than the grace; a request from another address *and* another
    /// program, or a third one from another address, is no retry.
    fn may_repeat(&self, rotated_at_ms: i64, session: &Session, place: Option<&Place>) -> bool {
        let grace = i64::try_from(self.settings.grace.as_millis()).unwrap_or(i64::MAX);
        let within_grace = self.now_ms.saturating_sub(rotated_at_ms) <= grace;
        grace > 0
            && match place {
                None => within_grace,
                Some(place) if place.ip == session.place.ip => true,
                Some(place) => {
                    within_grace
                        && place.device == session.place.device
                        && session.repeats < MAX_REPEATS_FROM_ELSEWHERE
                }
            }
    }
}

/// How many sessions a user may have.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Which sessions count.
    pub times: Times,
    /// `sessions.per_user`
    pub per_user: u32,
}

/// What a refresh token is to the session it belongs to.
enum Standing {
    /// The one that is good.
    Current,
    /// The one before, presented again while its successor is unused, as [`Times::may_repeat`] allows.
    Repeated,
    /// An earlier one, or none of its.
    Used,
}

/// A refresh token that would be exchanged now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Living {
    /// Whose session it is.
    pub user_id: UserId,
    /// When it ends unless it is used before.
    pub ends_at: Timestamp,
}

/// Begins a session for a user who has just signed in, and is still as then. The oldest ends when there are more than `per_user`.
///
/// # Errors
/// [`AccountError::NoSuchUser`], [`AccountError::Disabled`] when that has changed meanwhile.
pub async fn begin(
    db: &Db,
    user: &User,
    authentication: Option<Authentication>,
    place: Place,
    limit: Limit,
    origin: &Origin,
) -> Result<Begun, AccountError> {
    let (session, token) = new_session(user.id, user.token_version, authentication, place, origin)?;
    let (session_id, origin) = (session.id, origin.clone());
    db.write(move |conn| match users::lock(conn, session.user_id)? {
        None => Ok(Err(AccountError::NoSuchUser)),
        Some(locked) if locked.user.disabled => Ok(Err(AccountError::Disabled(session.user_id))),
        // Under an older `token_version` it is born dead, like the access token beside it.
        Some(_) => Ok(Ok(begin_now(conn, &session, limit, &origin)?)),
    })
    .await??;
    Ok(Begun { session_id, token })
}

/// Stores a new session, inside a transaction that has locked the user's row, and ends the oldest ones beyond the limit.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) fn begin_now(
    conn: &mut DbConn,
    session: &Session,
    limit: Limit,
    origin: &Origin,
) -> Result<(), DbError> {
    sessions::insert(conn, session)?;
    let alive = limit.times.alive(session.token_version);
    end_oldest(conn, session.user_id, alive, limit.per_user, &origin.by_setting("sessions.per_user"))
}

/// A session that is not stored yet, and its first refresh token.
///
/// # Errors
/// [`DbError::Unavailable`] without a source of randomness.
pub(super) fn new_session(
    user_id: UserId,
    token_version: i64,
    authentication: Option<Authentication>,
    place: Place,
    origin: &Origin,
) -> Result<(Session, RefreshToken), DbError> {
    let token =
        RefreshToken::generate().map_err(|error: NoRandomness| DbError::Unavailable(error.to_string()))?;
    let session = Session {
        id: Uuid::now_v7(),
        user_id,
        token_version,
        handle: token.handle_hash(),
        secret: token.secret_hash(),
        previous: None,
        place,
        created_at: origin.at,
        last_used_at: origin.at,
        authentication,
        repeats: 0,
    };
    Ok((session, token))
}

/// Ends the user's oldest sessions as long as there are more than `per_user`. The user's row is locked, so that two sessions that
/// begin at the same moment see each other.
fn end_oldest(
    conn: &mut DbConn,
    user_id: UserId,
    alive: Alive,
    per_user: u32,
    origin: &Origin,
) -> Result<(), DbError> {
    for id in sessions::beyond_newest(conn, user_id, alive, per_user)? {
        end_now(conn, id, Some(user_id), origin)?;
    }
    Ok(())
}

/// Exchanges a refresh token for the next one.
///
/// # Errors
/// [`AccountError::InvalidRefreshToken`], or the database's.
pub async fn refresh(
    db: &Db,
    keys: &Arc<SuccessorKeys>,
    presented: RefreshToken,
    place: Place,
    times: Times,
    origin: &Origin,
) -> Result<Refreshed, AccountError> {
    let (keys, origin) = (Arc::clone(keys), origin.clone());
    db.write(move |conn| refresh_now(conn, &keys, &presented, &place, times, &origin)).await?
}

fn refresh_now(
    conn: &mut DbConn,
    keys: &SuccessorKeys,
    presented: &RefreshToken,
    place: &Place,
    times: Times,
    origin: &Origin,
) -> Result<Result<Refreshed, AccountError>, DbError> {
    let refused = |why| Ok(Err(AccountError::InvalidRefreshToken(why)));
    let Some(session) = sessions::lock_by_handle(conn, &presented.handle_hash())? else {
        return refused("its session has ended, or never was");
    };
    let user = users::find(conn, session.user_id)?;
    let Some(user) = user.filter(|user| !user.disabled && user.token_version == session.token_version) else {
        sessions::delete(conn, session.id, None, times.now)?;
        return refused("its user was disabled or revoked");
    };
    if times.has_ended(&session) {
        sessions::delete(conn, session.id, None, times.now)?;
        return refused("its session is past refresh.idle_ttl or refresh.absolute_ttl");
    }
    let is_first = session.previous.is_none();
    let token = match times.standing(&presented.secret_hash(), &session, Some(place)) {
        // Whoever has that key and an earlier token of this session can compute this one.
        Standing::Current if presented.is_of_retired_key(!is_first, keys) => {
            sessions::delete(conn, session.id, None, times.now)?;
            return refused("it was made with a key that is retired: its session has been ended");
        }
        Standing::Current => {
            let Some(next) = presented.successor(keys) else { return refused("no key is left to sign with") };
            sessions::rotate(conn, &session, &next.secret_hash(), place, times.now, times.now_ms)?;
            if *place != session.place {
                append(conn, EventKind::SessionMoved, &session, place, &origin.by(user.id))?;
            }
            next
        }
        Standing::Repeated => {
            // Made by a replica whose `token.secret` is not known here: no proof of theft.
            let successor = presented.successor_stored_as(&session.secret, keys);
            let Some(successor) = successor.filter(|_| !presented.is_of_retired_key(false, keys)) else {
                return refused("it was made with a key that is retired, or that this replica does not have");
            };
            if place.ip != session.place.ip {
                sessions::count_repeat(conn, session.id)?;
            }
            append(conn, EventKind::SessionRepeated, &session, place, origin)?;
            successor
        }
        Standing::Used => {
            sessions::delete(conn, session.id, None, times.now)?;
            append(conn, EventKind::RefreshReused, &session, place, origin)?;
            return refused("it was used before: its session has been ended");
        }
    };
    Ok(Ok(Refreshed { user, session_id: session.id, authentication: session.authentication, token }))
}

/// Appends an event of a session, with the client that presented the token.
fn append(
    conn: &mut DbConn,
    kind: EventKind,
    session: &Session,
    place: &Place,
    origin: &Origin,
) -> Result<(), DbError> {
    let detail = json!({ "session_id": session.id, "device": place.device });
    events::insert(conn, &origin.event(kind, session.user_id, detail))
}

/// Looks at a refresh token and changes nothing, whatever it is: one that was used before ends its session when somebody
/// exchanges it, not when somebody asks.
///
/// # Errors
/// The database's.
pub async fn look_at(
    db: &Db,
    presented: &RefreshToken,
    keys: &Arc<SuccessorKeys>,
    times: Times,
) -> Result<Option<Living>, AccountError> {
    let (handle, secret) = (presented.handle_hash(), presented.secret_hash());
    let (presented, keys) = (presented.clone(), Arc::clone(keys));
    let living = db.run(move |conn| {
        let Some(session) = sessions::find_by_handle(conn, &handle)? else { return Ok(None) };
        let user = users::find(conn, session.user_id)?;
        let stands = user.is_some_and(|user| !user.disabled && user.token_version == session.token_version)
            && !times.has_ended(&session)
            && !presented.is_of_retired_key(session.previous.is_some(), &keys)
            && !matches!(times.standing(&secret, &session, None), Standing::Used);
        Ok(stands.then(|| Living { user_id: session.user_id, ends_at: times.end_of(&session) }))
    });
    Ok(living.await?)
}

/// Ends the session with this handle, which all its refresh tokens have in common. It is no error if there is none.
///
/// # Errors
/// Returns [`AccountError::Db`] if the database fails.
pub async fn log_out(db: &Db, handle: HashedToken, origin: &Origin) -> Result<(), AccountError> {
    let origin = origin.clone();
    db.write(move |conn| {
        if let Some(session) = sessions::lock_by_handle(conn, &handle)? {
            end_now(conn, session.id, None, &origin.by(session.user_id))?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// Ends a session of this user, by its id.
///
/// # Errors
/// [`AccountError::NoSuchSession`], or the database's.
pub async fn end(db: &Db, user_id: UserId, session_id: Uuid, origin: &Origin) -> Result<(), AccountError> {
    let origin = origin.by(user_id);
    let ended = db.write(move |conn| end_now(conn, session_id, Some(user_id), &origin)).await?;
    if ended { Ok(()) } else { Err(AccountError::NoSuchSession) }
}

/// Ends a session inside a transaction, and answers whether there was one. `of`: only when it is this user's.
///
/// # Errors
/// [`DbError`].
pub fn end_now(
    conn: &mut DbConn,
    session_id: Uuid,
    of: Option<UserId>,
    origin: &Origin,
) -> Result<bool, DbError> {
    let Some(owner) = sessions::delete(conn, session_id, of, origin.at)? else { return Ok(false) };
    let detail = json!({ "session_id": session_id });
    events::insert(conn, &origin.event(EventKind::SessionEnded, owner, detail))?;
    Ok(true)
}

/// A user's sessions that are alive, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: &Db,
    user: &User,
    times: Times,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Session>, AccountError> {
    let (id, alive) = (user.id, times.alive(user.token_version));
    Ok(db.run(move |conn| sessions::list(conn, id, alive, after, limit)).await?)
}
