//! Queries on `removed_identities`: identities that were unlinked, or deleted with their user, a while ago.

use aws_lc_rs::digest;
use diesel::prelude::*;

use super::connection::{on_either, unlocked_on_either};
use super::schema::removed_identities;
use super::{DbConn, DbError};
use crate::clock::Timestamp;
use crate::user::IdentityKey;

/// Records that an identity was removed, in the transaction that removes it.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn record(conn: &mut DbConn, key: &IdentityKey, now: Timestamp) -> Result<(), DbError> {
    let removed_at = removed_identities::removed_at.eq(now.0);
    let statement = diesel::insert_into(removed_identities::table)
        .values((removed_identities::identity_hash.eq(hash(key)), removed_at))
        .on_conflict(removed_identities::identity_hash)
        .do_update()
        .set(removed_at);
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Returns when an identity was last removed, if that is still known.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn find(conn: &mut DbConn, key: &IdentityKey) -> Result<Option<Timestamp>, DbError> {
    let query = removed_identities::table
        .filter(removed_identities::identity_hash.eq(hash(key)))
        .select(removed_identities::removed_at);
    let removed_at: Option<i64> = on_either!(conn, |conn| query.get_result(conn).optional())?;
    Ok(removed_at.map(Timestamp))
}

/// Deletes at most `limit` rows of identities that were removed before `moment`, and returns how many.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn delete_before(conn: &mut DbConn, moment: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old = removed_identities::table
        .filter(removed_identities::removed_at.lt(moment.0))
        .select(removed_identities::identity_hash)
        .limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    let statement =
        diesel::delete(removed_identities::table.filter(removed_identities::identity_hash.eq_any(old)));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}

/// Returns SHA-256 in hex. A provider's name has no NUL.
fn hash(IdentityKey { provider, provider_id }: &IdentityKey) -> String {
    let text = [provider.as_bytes(), b"\0", provider_id.as_bytes()].concat();
    hex::encode(digest::digest(&digest::SHA256, &text))
}
