//! Queries on who has an e-mail address: `users.email` and the identity that gives it.

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::on_either;
use super::schema::{identities, users};
use super::users::UserRow;
use super::{DbConn, DbError};
use crate::email;
use crate::user::{User, UserId};

/// Returns the users whose proved address this is, ASCII letters compared without case, at most `limit`, oldest first.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn find_proved(conn: &mut DbConn, address: &str, limit: i64) -> Result<Vec<User>, DbError> {
    let rows: Vec<UserRow> = on_either!(conn, |conn| {
        users::table
            .filter(users::email_lower.eq(email::folded(address)))
            .filter(users::email_unproved.eq(false))
            .order(users::id.asc())
            .limit(limit)
            .select(UserRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(User::try_from).collect()
}

/// Writes whether an identity, or an import, stands behind the user's address.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn set_unproved(conn: &mut DbConn, id: UserId, unproved: bool) -> Result<(), DbError> {
    let statement = diesel::update(users::table.filter(users::id.eq(id.to_string())))
        .set(users::email_unproved.eq(unproved));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Makes one identity of the user the one that the address follows; without one, none.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn set_giver(conn: &mut DbConn, id: UserId, identity: Option<Uuid>) -> Result<(), DbError> {
    let giver = identity.map(|id| id.to_string()).unwrap_or_default();
    let statement = diesel::update(identities::table.filter(identities::user_id.eq(id.to_string())))
        .set(identities::gives_email.eq(identities::id.eq(giver)));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
