//! Queries on `signing_keys`: the ring, which is read as a whole and is small.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::connection::on_either;
use super::schema::signing_keys;
use super::{DbConn, DbError};
use crate::clock::Timestamp;
use crate::stored_key::StoredKey;

#[derive(Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
struct KeyRow {
    id: String,
    algorithm: String,
    sealed: Option<String>,
    created_at: i64,
    signs_from: Option<i64>,
    retired_at: Option<i64>,
}

impl TryFrom<KeyRow> for StoredKey {
    type Error = DbError;

    fn try_from(row: KeyRow) -> Result<Self, DbError> {
        let inconsistent =
            |_| DbError::Inconsistent("signing_keys.algorithm is not known to this version".to_owned());
        Ok(Self {
            id: row.id,
            algorithm: row.algorithm.parse().map_err(inconsistent)?,
            material: row.sealed,
            created_at: Timestamp(row.created_at),
            signs_from: row.signs_from.map(Timestamp),
            retired_at: row.retired_at.map(Timestamp),
        })
    }
}

/// All of them, oldest first.
///
/// # Errors
/// [`DbError`].
pub fn list(conn: &mut DbConn) -> Result<Vec<StoredKey>, DbError> {
    let rows: Vec<KeyRow> = on_either!(conn, |conn| {
        signing_keys::table
            .order((signing_keys::created_at.asc(), signing_keys::id.asc()))
            .select(KeyRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(StoredKey::try_from).collect()
}

/// Keeps every other change of the ring out until the transaction ends: each of them looks at all keys before it writes one.
/// Readers go on. On SQLite a transaction that writes has the file to itself.
///
/// # Errors
/// [`DbError`].
pub fn lock(conn: &mut DbConn) -> Result<(), DbError> {
    if let DbConn::Postgres(conn) = conn {
        conn.batch_execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")?;
    }
    Ok(())
}

/// Writes a key as given, new or not.
///
/// # Errors
/// [`DbError`].
pub fn write(conn: &mut DbConn, key: &StoredKey) -> Result<(), DbError> {
    let changing = (
        signing_keys::sealed.eq(key.material.as_deref()),
        signing_keys::signs_from.eq(key.signs_from.map(|at| at.0)),
        signing_keys::retired_at.eq(key.retired_at.map(|at| at.0)),
    );
    let statement = diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::id.eq(&key.id),
            signing_keys::algorithm.eq(key.algorithm.as_str()),
            signing_keys::created_at.eq(key.created_at.0),
            changing,
        ))
        .on_conflict(signing_keys::id)
        .do_update()
        .set(changing);
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
