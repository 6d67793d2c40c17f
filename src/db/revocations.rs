//! Queries on `revocations`: whose tokens were ended before their time, for those who cannot ask `users` or `clients`.

use diesel::prelude::*;

use super::connection::{on_either, unlocked_on_either};
use super::schema::revocations;
use super::{DbConn, DbError};
use crate::clock::Timestamp;
use crate::token::Subject;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub subject: Subject,
    /// Tokens issued under a lower number are ended.
    pub token_version: i64,
    /// When; it may be seen by others a while after.
    pub revoked_at: Timestamp,
}

/// Notes that tokens issued under a number lower than `token_version` are ended. In the transaction of what ends them, so that
/// neither is there without the other.
///
/// # Errors
/// [`DbError`].
pub fn record(
    conn: &mut DbConn,
    subject: &Subject,
    token_version: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    let changing = (revocations::token_version.eq(token_version), revocations::revoked_at.eq(now.0));
    let statement = diesel::insert_into(revocations::table)
        .values((revocations::subject.eq(subject.to_string()), changing))
        .on_conflict(revocations::subject)
        .do_update()
        .set(changing);
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Those noted at `moment` or later, oldest first.
///
/// # Errors
/// [`DbError`].
pub fn list_since(conn: &mut DbConn, moment: Timestamp) -> Result<Vec<Revocation>, DbError> {
    let rows: Vec<(String, i64, i64)> = on_either!(conn, |conn| {
        revocations::table
            .filter(revocations::revoked_at.ge(moment.0))
            .order((revocations::revoked_at.asc(), revocations::subject.asc()))
            .load(conn)
    })?;
    let read = |(subject, token_version, revoked_at): (String, i64, i64)| {
        let subject = subject.parse();
        let subject =
            subject.map_err(|_| DbError::Inconsistent("revocations.subject is nobody's sub".to_owned()))?;
        Ok(Revocation { subject, token_version, revoked_at: Timestamp(revoked_at) })
    };
    rows.into_iter().map(read).collect()
}

/// Forgets those noted before `moment`, at most `limit` of them, and answers how many.
///
/// # Errors
/// [`DbError`].
pub fn delete_before(conn: &mut DbConn, moment: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old = revocations::table
        .filter(revocations::revoked_at.lt(moment.0))
        .select(revocations::subject)
        .limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    let statement = diesel::delete(revocations::table.filter(revocations::subject.eq_any(old)));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}
