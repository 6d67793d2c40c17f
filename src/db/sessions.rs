//! Queries on `sessions`.

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::{locked_on_either, on_either, unlocked_on_either};
use super::schema::sessions;
use super::users::parse_id;
use super::{DbConn, DbError, ended_sessions};
use crate::authentication::Authentication;
use crate::clock::Timestamp;
use crate::session::{HashedToken, Place, Session};
use crate::user::UserId;

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    id: String,
    user_id: String,
    token_version: i64,
    handle_hash: String,
    secret_hash: String,
    previous_secret_hash: Option<String>,
    rotated_at_ms: Option<i64>,
    device: Option<String>,
    ip: Option<String>,
    created_at: i64,
    last_used_at: i64,
    auth_time: Option<i64>,
    idp: Option<String>,
    repeats: i64,
}

impl TryFrom<SessionRow> for Session {
    type Error = DbError;

    fn try_from(row: SessionRow) -> Result<Self, DbError> {
        let inconsistent = |what: &str| DbError::Inconsistent(format!("sessions.{what}"));
        Ok(Self {
            id: Uuid::parse_str(&row.id).map_err(|_| inconsistent("id is not a UUID"))?,
            user_id: parse_id(&row.user_id)?,
            token_version: row.token_version,
            handle: HashedToken(row.handle_hash),
            secret: HashedToken(row.secret_hash),
            previous: row.previous_secret_hash.map(HashedToken).zip(row.rotated_at_ms),
            place: Place {
                ip: row
                    .ip
                    .map(|ip| ip.parse())
                    .transpose()
                    .map_err(|_| inconsistent("ip is not an address"))?,
                device: row.device,
            },
            created_at: Timestamp(row.created_at),
            last_used_at: Timestamp(row.last_used_at),
            authentication: row
                .auth_time
                .zip(row.idp)
                .map(|(auth_time, idp)| Authentication { auth_time, idp }),
            repeats: row.repeats,
        })
    }
}

/// Writes a new session.
///
/// # Errors
/// [`DbError`].
pub fn insert(conn: &mut DbConn, session: &Session) -> Result<(), DbError> {
    let (previous, rotated_at) = session.previous.clone().unzip();
    let authentication = session.authentication.as_ref();
    let statement = diesel::insert_into(sessions::table).values((
        sessions::id.eq(session.id.to_string()),
        sessions::user_id.eq(session.user_id.to_string()),
        sessions::token_version.eq(session.token_version),
        sessions::handle_hash.eq(&session.handle.0),
        sessions::secret_hash.eq(&session.secret.0),
        sessions::previous_secret_hash.eq(previous.map(|hash| hash.0)),
        sessions::rotated_at_ms.eq(rotated_at),
        sessions::device.eq(session.place.device.as_deref()),
        sessions::ip.eq(session.place.ip.map(|ip| ip.to_string())),
        sessions::created_at.eq(session.created_at.0),
        sessions::last_used_at.eq(session.last_used_at.0),
        sessions::auth_time.eq(authentication.map(|authentication| authentication.auth_time)),
        sessions::idp.eq(authentication.map(|authentication| authentication.idp.as_str())),
        sessions::repeats.eq(session.repeats),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// The session whose tokens have this handle, kept from others until the transaction ends.
///
/// # Errors
/// [`DbError`].
pub fn lock_by_handle(conn: &mut DbConn, handle: &HashedToken) -> Result<Option<Session>, DbError> {
    let row: QueryResult<SessionRow> = locked_on_either!(
        conn,
        sessions::table.filter(sessions::handle_hash.eq(&handle.0)).select(SessionRow::as_select()),
        get_result
    );
    row.optional()?.map(Session::try_from).transpose()
}

/// Locks a session of this user until the transaction ends, and returns whether there is one with this id.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn lock(conn: &mut DbConn, id: Uuid, user_id: UserId) -> Result<bool, DbError> {
    let row: QueryResult<String> = locked_on_either!(
        conn,
        sessions::table
            .filter(sessions::id.eq(id.to_string()))
            .filter(sessions::user_id.eq(user_id.to_string()))
            .select(sessions::id),
        get_result
    );
    Ok(row.optional()?.is_some())
}

/// The session whose tokens have this handle, to be looked at only.
///
/// # Errors
/// [`DbError`].
pub fn find_by_handle(conn: &mut DbConn, handle: &HashedToken) -> Result<Option<Session>, DbError> {
    let row: Option<SessionRow> = on_either!(conn, |conn| {
        sessions::table
            .filter(sessions::handle_hash.eq(&handle.0))
            .select(SessionRow::as_select())
            .get_result(conn)
            .optional()
    })?;
    row.map(Session::try_from).transpose()
}

/// Makes `next` the current token, and the one that was current the previous one. The session was last used by the client at
/// `place`.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn rotate(
    conn: &mut DbConn,
    session: &Session,
    next: &HashedToken,
    place: &Place,
    now: Timestamp,
    now_ms: i64,
) -> Result<(), DbError> {
    let statement = diesel::update(sessions::table.filter(sessions::id.eq(session.id.to_string()))).set((
        sessions::secret_hash.eq(&next.0),
        sessions::previous_secret_hash.eq(&session.secret.0),
        sessions::rotated_at_ms.eq(now_ms),
        sessions::last_used_at.eq(now.0),
        sessions::device.eq(place.device.as_deref()),
        sessions::ip.eq(place.ip.map(|ip| ip.to_string())),
        sessions::repeats.eq(0),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Counts another repeat of the previous token from an address that is not the rotation's.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn count_repeat(conn: &mut DbConn, id: Uuid) -> Result<(), DbError> {
    let statement = diesel::update(sessions::table.filter(sessions::id.eq(id.to_string())))
        .set(sessions::repeats.eq(sessions::repeats + 1));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Which sessions of a user count as alive.
#[derive(Debug, Clone, Copy)]
pub struct Alive {
    /// Begun under this `token_version`.
    pub token_version: i64,
    /// Begun after this.
    pub created_after: Timestamp,
    /// Used after this.
    pub used_after: Timestamp,
}

/// A user's sessions that are alive, oldest first, at most `limit`, after the session `after`.
///
/// # Errors
/// [`DbError`].
pub fn list(
    conn: &mut DbConn,
    user_id: UserId,
    alive: Alive,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Session>, DbError> {
    // Every id is greater than the empty text.
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows: Vec<SessionRow> = on_either!(conn, |conn| {
        sessions::table
            .filter(sessions::user_id.eq(user_id.to_string()))
            .filter(sessions::token_version.eq(alive.token_version))
            .filter(sessions::created_at.gt(alive.created_after.0))
            .filter(sessions::last_used_at.gt(alive.used_after.0))
            .filter(sessions::id.gt(after))
            .order(sessions::id.asc())
            .limit(limit)
            .select(SessionRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(Session::try_from).collect()
}

/// The ids of a user's sessions that are alive, without the `newest` that began last.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn beyond_newest(
    conn: &mut DbConn,
    user_id: UserId,
    alive: Alive,
    newest: u32,
) -> Result<Vec<Uuid>, DbError> {
    let ids: Vec<String> = on_either!(conn, |conn| {
        sessions::table
            .filter(sessions::user_id.eq(user_id.to_string()))
            .filter(sessions::token_version.eq(alive.token_version))
            .filter(sessions::created_at.gt(alive.created_after.0))
            .filter(sessions::last_used_at.gt(alive.used_after.0))
            // One sign-in does not end more than this, whatever an earlier version has let grow.
            .order(sessions::id.desc())
            .limit(100)
            .offset(newest.into())
            .select(sessions::id)
            .load(conn)
    })?;
    let read = |id: &String| Uuid::parse_str(id);
    let inconsistent = |_| DbError::Inconsistent("sessions.id is not a UUID".to_owned());
    ids.iter().map(read).collect::<Result<_, _>>().map_err(inconsistent)
}

/// Ends one session, records that for services that verify access tokens by themselves, and returns whose it was. `of`: only if it
/// is this user's.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn delete(
    conn: &mut DbConn,
    id: Uuid,
    of: Option<UserId>,
    now: Timestamp,
) -> Result<Option<UserId>, DbError> {
    let owner: Option<String> = on_either!(conn, |conn| {
        sessions::table
            .filter(sessions::id.eq(id.to_string()))
            .select(sessions::user_id)
            .get_result(conn)
            .optional()
    })?;
    let Some(owner) = owner.as_deref().map(parse_id).transpose()? else { return Ok(None) };
    if of.is_some_and(|user| user != owner) {
        return Ok(None);
    }
    let statement = diesel::delete(sessions::table.filter(sessions::id.eq(id.to_string())));
    // Somebody else may have ended it meanwhile.
    if on_either!(conn, |conn| statement.execute(conn))? == 0 {
        return Ok(None);
    }
    ended_sessions::record(conn, id, now)?;
    Ok(Some(owner))
}

/// Ends every session of a user.
///
/// # Errors
/// [`DbError`].
pub fn delete_all_of(conn: &mut DbConn, user_id: UserId) -> Result<usize, DbError> {
    let statement = diesel::delete(sessions::table.filter(sessions::user_id.eq(user_id.to_string())));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}

/// Throws away sessions last used before `moment`, at most `limit` of them, and answers how many.
///
/// # Errors
/// [`DbError`].
pub fn delete_unused_since(conn: &mut DbConn, moment: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old = sessions::table.filter(sessions::last_used_at.lt(moment.0)).select(sessions::id).limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    let statement = diesel::delete(sessions::table.filter(sessions::id.eq_any(old)));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}
