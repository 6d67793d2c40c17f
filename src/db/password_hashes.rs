//! Queries on `users.password_hash`, which nothing else reads.

use diesel::prelude::*;

use super::connection::on_either;
use super::schema::users;
use super::users::{UserRow, UserWithHash};
use super::{DbConn, DbError};
use crate::clock::Timestamp;
use crate::user::UserId;

/// A user with the password as it is stored, only to be looked at: hashing takes too long to keep a row locked.
///
/// # Errors
/// [`DbError`].
pub fn find(conn: &mut DbConn, id: UserId) -> Result<Option<UserWithHash>, DbError> {
    let id = id.to_string();
    let row: Option<(UserRow, Option<String>)> = on_either!(conn, |conn| {
        users::table
            .filter(users::id.eq(id))
            .select((UserRow::as_select(), users::password_hash))
            .get_result(conn)
            .optional()
    })?;
    row.map(UserWithHash::try_from).transpose()
}

/// The user who may sign in with this e-mail (ASCII letters compared without case) and a password, and its hash.
///
/// # Errors
/// [`DbError`].
pub fn find_by_email(conn: &mut DbConn, email: &str) -> Result<Option<UserWithHash>, DbError> {
    // PostgreSQL refuses to compare with what it cannot store.
    if email.contains('\0') {
        return Ok(None);
    }
    let email = email.to_ascii_lowercase();
    let row: Option<(UserRow, Option<String>)> = on_either!(conn, |conn| {
        users::table
            .filter(users::email_lower.eq(email))
            .filter(users::password_hash.is_not_null())
            .select((UserRow::as_select(), users::password_hash))
            .get_result(conn)
            .optional()
    })?;
    row.map(UserWithHash::try_from).transpose()
}

/// Writes the password's hash, or none. It ends no token.
///
/// # Errors
/// [`DbError::Conflict`] when another user of the same e-mail has a password.
pub fn set(conn: &mut DbConn, id: UserId, hash: Option<&str>, now: Timestamp) -> Result<(), DbError> {
    let statement = diesel::update(users::table.filter(users::id.eq(id.to_string())))
        .set((users::password_hash.eq(hash), users::updated_at.eq(now.0)));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
