//! Locks on what has no row yet. They belong to the transaction, so a transaction pooler respects them.

use aws_lc_rs::digest;
use diesel::RunQueryDsl;
use diesel::sql_types::BigInt;

use super::{DbConn, DbError};
use crate::email;

/// What at most one transaction at a time decides, on all replicas together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock<'a> {
    /// Whose account an address is.
    Email(&'a str),
    /// Who is the first administrator.
    FirstAdministrator,
}

/// Waits until no other transaction has this lock, and keeps it until this one ends. A transaction that has locked a row may
/// take [`Lock::FirstAdministrator`], and no row after it; [`Lock::Email`] comes before every row. SQLite needs neither: a
/// transaction that writes has the file to itself.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn take(conn: &mut DbConn, lock: Lock<'_>) -> Result<(), DbError> {
    let DbConn::Postgres(conn) = conn else { return Ok(()) };
    let name = match lock {
        Lock::Email(address) => format!("tokenbooth email {}", email::folded(address)),
        Lock::FirstAdministrator => "tokenbooth first administrator".to_owned(),
    };
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let key = hash.as_ref().iter().take(8).fold(0_i64, |key, byte| key << 8 | i64::from(*byte));
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(key).execute(conn)?;
    Ok(())
}
