//! Ending everything that is out: access tokens by the user's `token_version`, which every bearer request compares, and
//! sessions by their rows. Effective at the next request on every replica of the database.

use serde_json::json;

use super::AccountError;
use crate::clock::Timestamp;
use crate::db::{Db, DbConn, DbError, events, sessions, users};
use crate::event::{EventKind, Origin};
use crate::user::UserId;

/// Ends every access token and every session of a user, inside a transaction that has locked the user's row.
///
/// # Errors
/// [`DbError`].
pub(super) fn end_everything(conn: &mut DbConn, id: UserId, now: Timestamp) -> Result<(), DbError> {
    users::revoke_tokens(conn, id, now)?;
    sessions::delete_all_of(conn, id)?;
    Ok(())
}

/// Ends everything that is out, with its event, inside a transaction.
///
/// # Errors
/// [`AccountError::NoSuchUser`], or the database's.
pub fn revoke_tokens(
    conn: &mut DbConn,
    id: UserId,
    origin: &Origin,
) -> Result<Result<(), AccountError>, DbError> {
    if users::lock(conn, id)?.is_none() {
        return Ok(Err(AccountError::NoSuchUser));
    }
    end_everything(conn, id, origin.at)?;
    events::insert(conn, &origin.event(EventKind::TokensRevoked, id, json!({})))?;
    Ok(Ok(()))
}

/// `POST /auth/logout-all`.
///
/// # Errors
/// As [`revoke_tokens`].
pub async fn log_out_everywhere(db: &Db, id: UserId, origin: &Origin) -> Result<(), AccountError> {
    let origin = origin.by(id);
    db.write(move |conn| revoke_tokens(conn, id, &origin)).await?
}
