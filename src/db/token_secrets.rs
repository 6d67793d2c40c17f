//! Queries on `token_secrets`: since when each `token.secret` signs.

use diesel::prelude::*;

use super::connection::on_either;
use super::schema::token_secrets;
use super::{DbConn, DbError};
use crate::clock::Timestamp;

/// Returns the `kid` of every secret that a service has started with, and since when it signs.
///
/// # Errors
/// [`DbError`].
pub fn list(conn: &mut DbConn) -> Result<Vec<(String, Timestamp)>, DbError> {
    let rows: Vec<(String, i64)> = on_either!(conn, |conn| {
        token_secrets::table
            .order(token_secrets::id.asc())
            .select((token_secrets::id, token_secrets::signs_from))
            .load(conn)
    })?;
    Ok(rows.into_iter().map(|(id, signs_from)| (id, Timestamp(signs_from))).collect())
}

/// Stores that the secret with this `kid` signs from then on.
///
/// # Errors
/// [`DbError`].
pub fn activate(conn: &mut DbConn, kid: &str, signs_from: Timestamp) -> Result<(), DbError> {
    let begins = token_secrets::signs_from.eq(signs_from.0);
    let statement = diesel::insert_into(token_secrets::table)
        .values((token_secrets::id.eq(kid), begins))
        .on_conflict(token_secrets::id)
        .do_update()
        .set(begins);
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
