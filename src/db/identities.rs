//! Queries on `identities`.

use std::collections::HashMap;

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::{any_of, on_either};
use super::guard::TakesChanges;
use super::schema::{identities, users};
use super::users::{UserRow, parse_id};
use super::{DbConn, DbError, transaction};
use crate::clock::Timestamp;
use crate::recent_sign_ins::RecentSignIns;
use crate::user::{Identity, IdentityKey, User, UserId};

#[derive(Queryable, Selectable)]
#[diesel(table_name = identities)]
struct IdentityRow {
    id: String,
    user_id: String,
    provider: String,
    provider_id: String,
    email: Option<String>,
    gives_email: bool,
    created_at: i64,
    last_used_at: i64,
    verified_email: Option<String>,
    recent_sign_ins: Option<String>,
}

impl TryFrom<IdentityRow> for Identity {
    type Error = DbError;

    fn try_from(row: IdentityRow) -> Result<Self, DbError> {
        Ok(Self {
            id: Uuid::parse_str(&row.id)
                .map_err(|_| DbError::Inconsistent("identities.id is not a UUID".to_owned()))?,
            user_id: parse_id(&row.user_id)?,
            provider: row.provider,
            provider_id: row.provider_id,
            // A replica of an earlier version writes another `email` and leaves this one behind.
            verified_email: row.verified_email.filter(|verified| row.email.as_ref() == Some(verified)),
            email: row.email,
            gives_email: row.gives_email,
            created_at: Timestamp(row.created_at),
            last_used_at: Timestamp(row.last_used_at),
            recent_sign_ins: RecentSignIns::from_stored(row.recent_sign_ins),
        })
    }
}

/// Writes a new identity.
///
/// # Errors
/// [`DbError::Conflict`] when this person of this provider is known already.
pub fn insert(conn: &mut DbConn, identity: &Identity) -> Result<(), DbError> {
    let statement = diesel::insert_into(identities::table).values((
        identities::id.eq(identity.id.to_string()),
        identities::user_id.eq(identity.user_id.to_string()),
        identities::provider.eq(&identity.provider),
        identities::provider_id.eq(&identity.provider_id),
        identities::email.eq(identity.email.as_deref()),
        identities::gives_email.eq(identity.gives_email),
        identities::created_at.eq(identity.created_at.0),
        identities::last_used_at.eq(identity.last_used_at.0),
        identities::verified_email.eq(identity.verified_email.as_deref()),
        identities::recent_sign_ins.eq(identity.recent_sign_ins.as_stored()),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// The identity of this person at this provider, and its user, in one query.
///
/// # Errors
/// [`DbError`].
pub fn find_with_user(conn: &mut DbConn, key: &IdentityKey) -> Result<Option<(Identity, User)>, DbError> {
    let IdentityKey { provider, provider_id } = key;
    let row: Option<(IdentityRow, UserRow)> = on_either!(conn, |conn| {
        identities::table
            .inner_join(users::table)
            .filter(identities::provider.eq(provider).and(identities::provider_id.eq(provider_id)))
            .select((IdentityRow::as_select(), UserRow::as_select()))
            .get_result(conn)
            .optional()
    })?;
    row.map(|(identity, user)| Ok((identity.try_into()?, user.try_into()?))).transpose()
}

/// An identity and its user, by the key that was asked for.
type Found = (IdentityKey, (Identity, User));

/// All of these that exist, each with its user. As [`super::users::find_bearers`]; PostgreSQL is asked once for each provider.
///
/// # Errors
/// [`DbError`].
pub fn find_all_with_users(conn: &mut DbConn, keys: &[IdentityKey]) -> Result<Vec<Found>, DbError> {
    let found: Vec<(Identity, User)> = match conn {
        DbConn::Postgres(conn) => {
            let mut rows: Vec<(IdentityRow, UserRow)> = Vec::new();
            for of_one_provider in keys.chunk_by(|one, next| one.provider == next.provider) {
                let ids: Vec<&str> = of_one_provider.iter().map(|key| key.provider_id.as_str()).collect();
                let same_provider = identities::provider.eq(&of_one_provider[0].provider);
                rows.extend(
                    identities::table
                        .inner_join(users::table)
                        .filter(same_provider.and(identities::provider_id.eq(any_of(ids))).and(TakesChanges))
                        .select((IdentityRow::as_select(), UserRow::as_select()))
                        .load::<(IdentityRow, UserRow)>(conn)?,
                );
            }
            let typed =
                |(identity, user): (IdentityRow, UserRow)| Ok((identity.try_into()?, user.try_into()?));
            rows.into_iter().map(typed).collect::<Result<_, DbError>>()?
        }
        DbConn::Sqlite(_) if keys.len() == 1 => find_with_user(conn, &keys[0])?.into_iter().collect(),
        DbConn::Sqlite(_) => transaction(conn, |conn| {
            keys.iter().filter_map(|key| find_with_user(conn, key).transpose()).collect()
        })?,
    };
    Ok(found.into_iter().map(|(identity, user)| (identity.key(), (identity, user))).collect())
}

/// A user's identities, oldest first.
///
/// # Errors
/// [`DbError`].
pub fn list(conn: &mut DbConn, user_id: UserId) -> Result<Vec<Identity>, DbError> {
    let user_id = user_id.to_string();
    let rows: Vec<IdentityRow> = on_either!(conn, |conn| {
        identities::table
            .filter(identities::user_id.eq(user_id))
            .order(identities::id.asc())
            .select(IdentityRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(Identity::try_from).collect()
}

/// The identities of all these users, each user's oldest first.
///
/// # Errors
/// [`DbError`].
pub fn list_of_all(
    conn: &mut DbConn,
    users: impl Iterator<Item = UserId>,
) -> Result<HashMap<UserId, Vec<Identity>>, DbError> {
    let ids: Vec<String> = users.map(|id| id.to_string()).collect();
    let rows: Vec<IdentityRow> = on_either!(conn, |conn| {
        identities::table
            .filter(identities::user_id.eq_any(ids))
            .order(identities::id.asc())
            .select(IdentityRow::as_select())
            .load(conn)
    })?;
    let mut by_user: HashMap<UserId, Vec<Identity>> = HashMap::new();
    for row in rows {
        let identity = Identity::try_from(row)?;
        by_user.entry(identity.user_id).or_default().push(identity);
    }
    Ok(by_user)
}

/// A page of a user's identities: at most `limit`, after the identity `after`, oldest first.
///
/// # Errors
/// [`DbError`].
pub fn page(
    conn: &mut DbConn,
    user_id: UserId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Identity>, DbError> {
    // Every id is greater than the empty text.
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows: Vec<IdentityRow> = on_either!(conn, |conn| {
        identities::table
            .filter(identities::user_id.eq(user_id.to_string()).and(identities::id.gt(after)))
            .order(identities::id.asc())
            .limit(limit)
            .select(IdentityRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(Identity::try_from).collect()
}

/// Removes an identity.
///
/// # Errors
/// [`DbError`].
pub fn delete(conn: &mut DbConn, id: Uuid) -> Result<(), DbError> {
    let statement = diesel::delete(identities::table.filter(identities::id.eq(id.to_string())));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Writes what a sign-in may change.
///
/// # Errors
/// [`DbError`].
pub fn update_at_sign_in(conn: &mut DbConn, identity: &Identity) -> Result<(), DbError> {
    let statement =
        diesel::update(identities::table.filter(identities::id.eq(identity.id.to_string()))).set((
            identities::email.eq(identity.email.as_deref()),
            identities::verified_email.eq(identity.verified_email.as_deref()),
            identities::gives_email.eq(identity.gives_email),
            identities::last_used_at.eq(identity.last_used_at.0),
            identities::recent_sign_ins.eq(identity.recent_sign_ins.as_stored()),
        ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
