//! Queries on `users.password_hash`, which nothing else reads.

use diesel::prelude::*;

use super::connection::on_either;
use super::schema::users;
use super::users::{UserRow, UserWithHash, UserWithHashRow};
use super::{DbConn, DbError};
use crate::clock::Timestamp;
use crate::email;
use crate::recent_sign_ins::RecentSignIns;
use crate::user::UserId;

/// A user with the password as it is stored, only to be looked at: hashing takes too long to keep a row locked.
///
/// # Errors
/// [`DbError`].
pub fn find(conn: &mut DbConn, id: UserId) -> Result<Option<UserWithHash>, DbError> {
    let id = id.to_string();
    let row: Option<UserWithHashRow> = on_either!(conn, |conn| {
        users::table
            .filter(users::id.eq(id))
            .select((
                UserRow::as_select(),
                users::password_hash,
                users::password_sign_ins,
                users::email_unproved,
            ))
            .get_result(conn)
            .optional()
    })?;
    row.map(UserWithHash::try_from).transpose()
}

/// Returns the user who may sign in with this e-mail and a password, and the hash. The address is compared in NFC, without
/// the white space around it, and ASCII letters without case.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn find_by_email(conn: &mut DbConn, email: &str) -> Result<Option<UserWithHash>, DbError> {
    // PostgreSQL refuses to compare with what it cannot store.
    if email.contains('\0') {
        return Ok(None);
    }
    let mut found = None;
    // How often the database is asked depends on what was sent alone, and not on who has an account.
    for form in email::stored_forms(email) {
        found = found.or(find_by_stored_email(conn, form)?);
    }
    Ok(found)
}

fn find_by_stored_email(conn: &mut DbConn, email: String) -> Result<Option<UserWithHash>, DbError> {
    let row: Option<UserWithHashRow> = on_either!(conn, |conn| {
        users::table
            .filter(users::email_lower.eq(email))
            .filter(users::password_hash.is_not_null())
            .select((
                UserRow::as_select(),
                users::password_hash,
                users::password_sign_ins,
                users::email_unproved,
            ))
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

/// Writes from where the password was used within the last hour.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn set_sign_ins(conn: &mut DbConn, id: UserId, recent: &RecentSignIns) -> Result<(), DbError> {
    let statement = diesel::update(users::table.filter(users::id.eq(id.to_string())))
        .set(users::password_sign_ins.eq(recent.as_stored()));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
