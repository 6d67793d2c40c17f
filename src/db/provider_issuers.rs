//! Queries on `provider_issuers`: whose people each provider's name stands for.

use diesel::prelude::*;

use super::connection::on_either;
use super::schema::provider_issuers;
use super::{DbConn, DbError};
use crate::clock::Timestamp;

/// Returns the issuer that is stored under this provider's name.
///
/// # Errors
/// [`DbError`].
pub fn find(conn: &mut DbConn, name: &str) -> Result<Option<String>, DbError> {
    let query = provider_issuers::table.find(name).select(provider_issuers::issuer);
    Ok(on_either!(conn, |conn| query.first(conn).optional())?)
}

/// Stores the issuer of a provider, in place of the one before.
///
/// # Errors
/// [`DbError`].
pub fn write(conn: &mut DbConn, name: &str, issuer: &str, at: Timestamp) -> Result<(), DbError> {
    let changing = (provider_issuers::issuer.eq(issuer), provider_issuers::accepted_at.eq(at.0));
    let statement = diesel::insert_into(provider_issuers::table)
        .values((provider_issuers::name.eq(name), changing))
        .on_conflict(provider_issuers::name)
        .do_update()
        .set(changing);
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
