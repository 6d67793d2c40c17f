//! Queries on `spent_codes`: one-time codes, and ID tokens that are accepted once, after their use.

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::{on_either, unlocked_on_either};
use super::schema::spent_codes;
use super::{DbConn, DbError};
use crate::clock::Timestamp;

/// A code that was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedCode {
    /// The session that it gave, if it gave one. The session may have ended since.
    pub session_id: Option<Uuid>,
}

/// Returns the code of this id if it was exchanged before.
///
/// # Errors
/// [`DbError`].
pub fn find(conn: &mut DbConn, id: Uuid) -> Result<Option<UsedCode>, DbError> {
    let row: Option<Option<String>> = on_either!(conn, |conn| {
        spent_codes::table
            .filter(spent_codes::id.eq(id.to_string()))
            .select(spent_codes::session_id)
            .get_result(conn)
            .optional()
    })?;
    row.map(|session_id| {
        let session_id = session_id.as_deref().map(Uuid::parse_str).transpose();
        let inconsistent = |_| DbError::Inconsistent("spent_codes.session_id is not a UUID".to_owned());
        Ok(UsedCode { session_id: session_id.map_err(inconsistent)? })
    })
    .transpose()
}

/// Marks the code of this id as exchanged, for this session if it gave one. It may be forgotten after `expires_at`.
///
/// # Errors
/// [`DbError::Conflict`] when it was exchanged before.
pub fn insert(
    conn: &mut DbConn,
    id: Uuid,
    session_id: Option<Uuid>,
    expires_at: Timestamp,
) -> Result<(), DbError> {
    let values = (
        spent_codes::id.eq(id.to_string()),
        spent_codes::session_id.eq(session_id.map(|id| id.to_string())),
        spent_codes::expires_at.eq(expires_at.0),
    );
    let statement = diesel::insert_into(spent_codes::table).values(values);
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Marks the ID token with this hash as used. The row may be deleted after `expires_at`.
///
/// # Errors
/// Returns [`DbError::Conflict`] if it was used before.
pub fn insert_id_token(conn: &mut DbConn, hash: &str, expires_at: Timestamp) -> Result<(), DbError> {
    let values = (spent_codes::id.eq(format!("id_token:{hash}")), spent_codes::expires_at.eq(expires_at.0));
    let statement = diesel::insert_into(spent_codes::table).values(values);
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Forgets codes that ended before `moment`, at most `limit` of them, and answers how many.
///
/// # Errors
/// [`DbError`].
pub fn delete_before(conn: &mut DbConn, moment: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old =
        spent_codes::table.filter(spent_codes::expires_at.lt(moment.0)).select(spent_codes::id).limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    let statement = diesel::delete(spent_codes::table.filter(spent_codes::id.eq_any(old)));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}
