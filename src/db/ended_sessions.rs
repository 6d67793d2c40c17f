//! Queries on `ended_sessions`: sessions that were ended one by one, for services that verify access tokens by themselves.

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::{on_either, unlocked_on_either};
use super::schema::ended_sessions;
use super::{DbConn, DbError};
use crate::clock::Timestamp;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// The `sid` of its access tokens.
    pub id: Uuid,
    /// When it ended; the row may become visible to others a while later.
    pub ended_at: Timestamp,
}

/// Records that a session has ended, in the transaction that deletes it. A session that is recorded already stays as it is.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn record(conn: &mut DbConn, id: Uuid, now: Timestamp) -> Result<(), DbError> {
    let values = (ended_sessions::id.eq(id.to_string()), ended_sessions::ended_at.eq(now.0));
    let statement = diesel::insert_into(ended_sessions::table).values(values).on_conflict_do_nothing();
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Returns the sessions that ended at `moment` or later, oldest first.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn list_since(conn: &mut DbConn, moment: Timestamp) -> Result<Vec<EndedSession>, DbError> {
    let rows: Vec<(String, i64)> = on_either!(conn, |conn| {
        ended_sessions::table
            .filter(ended_sessions::ended_at.ge(moment.0))
            .order((ended_sessions::ended_at.asc(), ended_sessions::id.asc()))
            .load(conn)
    })?;
    let read = |(id, ended_at): (String, i64)| {
        let id = Uuid::parse_str(&id)
            .map_err(|_| DbError::Inconsistent("ended_sessions.id is not a UUID".to_owned()))?;
        Ok(EndedSession { id, ended_at: Timestamp(ended_at) })
    };
    rows.into_iter().map(read).collect()
}

/// Deletes at most `limit` rows of sessions that ended before `moment`, and returns how many.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn delete_before(conn: &mut DbConn, moment: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old = ended_sessions::table
        .filter(ended_sessions::ended_at.lt(moment.0))
        .select(ended_sessions::id)
        .limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    let statement = diesel::delete(ended_sessions::table.filter(ended_sessions::id.eq_any(old)));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}
