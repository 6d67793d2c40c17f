//! Queries on `users`.

use std::collections::HashMap;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use uuid::Uuid;

use super::connection::{any_of, locked_on_either, on_either};
use super::guard::TakesChanges;
use super::schema::{sessions, users};
use super::{DbConn, DbError, revocations, transaction};
use crate::clock::Timestamp;
use crate::email;
use crate::recent_sign_ins::RecentSignIns;
use crate::token::Subject;
use crate::user::{Bearer, BearerKey, User, UserId};

/// A row as it is stored. The columns named here are the ones read, so `password_hash` never leaves the database by
/// accident.
#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
#[expect(clippy::struct_excessive_bools, reason = "columns, and no state in four parts")]
pub(super) struct UserRow {
    id: String,
    email: Option<String>,
    name: Option<String>,
    avatar_url: Option<String>,
    admin: bool,
    disabled: bool,
    token_version: i64,
    created_at: i64,
    last_login_at: Option<i64>,
    own_name: bool,
    own_avatar: bool,
    revoked_at: Option<i64>,
    #[diesel(select_expression = users::password_hash.is_not_null())]
    has_password: bool,
}

impl TryFrom<UserRow> for User {
    type Error = DbError;

    fn try_from(row: UserRow) -> Result<Self, DbError> {
        Ok(Self {
            id: parse_id(&row.id)?,
            email: row.email,
            name: row.name,
            avatar_url: row.avatar_url,
            admin: row.admin,
            disabled: row.disabled,
            token_version: row.token_version,
            created_at: Timestamp(row.created_at),
            last_login_at: row.last_login_at.map(Timestamp),
            own_name: row.own_name,
            own_avatar: row.own_avatar,
            has_password: row.has_password,
            revoked_at: row.revoked_at.map(Timestamp),
        })
    }
}

pub(super) fn parse_id(text: &str) -> Result<UserId, DbError> {
    text.parse().map_err(|_| DbError::Inconsistent("users.id is not a UUID".to_owned()))
}

/// ASCII letters in lower case and nothing cleverer: folding more would make two mailboxes one.
fn lower(text: Option<&str>) -> Option<String> {
    text.map(str::to_ascii_lowercase)
}

/// Writes a new user as given.
///
/// # Errors
/// [`DbError`].
pub fn insert(conn: &mut DbConn, user: &User) -> Result<(), DbError> {
    let statement = diesel::insert_into(users::table).values((
        users::id.eq(user.id.to_string()),
        users::email.eq(user.email.as_deref()),
        users::email_lower.eq(user.email.as_deref().map(email::folded)),
        users::name.eq(user.name.as_deref()),
        users::name_lower.eq(lower(user.name.as_deref())),
        users::avatar_url.eq(user.avatar_url.as_deref()),
        users::own_name.eq(user.own_name),
        users::own_avatar.eq(user.own_avatar),
        users::admin.eq(user.admin),
        users::disabled.eq(user.disabled),
        users::token_version.eq(user.token_version),
        users::created_at.eq(user.created_at.0),
        users::updated_at.eq(user.created_at.0),
        users::last_login_at.eq(user.last_login_at.map(|at| at.0)),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// The user of this id. `filter` and not `find().first()`: the `LIMIT` of the latter keeps Diesel from caching the
/// prepared statement on SQLite.
///
/// # Errors
/// [`DbError`].
pub fn find(conn: &mut DbConn, id: UserId) -> Result<Option<User>, DbError> {
    let id = id.to_string();
    let row: Option<UserRow> = on_either!(conn, |conn| {
        users::table.filter(users::id.eq(id)).select(UserRow::as_select()).get_result(conn).optional()
    })?;
    row.map(User::try_from).transpose()
}

/// A user with the password as it is stored. Not to be printed.
pub struct UserWithHash {
    /// The row.
    pub user: User,
    /// The hash of the password, when one is set.
    pub password_hash: Option<String>,
    /// From where the password was used within the last hour.
    pub password_sign_ins: RecentSignIns,
    /// Only the password keeps the e-mail: the identity that gave it was unlinked.
    pub email_unproved: bool,
}

/// The columns of [`UserWithHash`].
pub(super) type UserWithHashRow = (UserRow, Option<String>, Option<String>, bool);

impl TryFrom<UserWithHashRow> for UserWithHash {
    type Error = DbError;

    fn try_from(row: UserWithHashRow) -> Result<Self, DbError> {
        let (user, password_hash, password_sign_ins, email_unproved) = row;
        let password_sign_ins = RecentSignIns::from_stored(password_sign_ins);
        Ok(Self { user: user.try_into()?, password_hash, password_sign_ins, email_unproved })
    }
}

/// Reads a user for a change: until the transaction ends nobody else changes the row. Every rule that looks before it
/// writes begins with this.
///
/// # Errors
/// [`DbError`].
pub fn lock(conn: &mut DbConn, id: UserId) -> Result<Option<UserWithHash>, DbError> {
    let id = id.to_string();
    let row: QueryResult<UserWithHashRow> = locked_on_either!(
        conn,
        users::table.filter(users::id.eq(id)).select((
            UserRow::as_select(),
            users::password_hash,
            users::password_sign_ins,
            users::email_unproved
        )),
        get_result
    );
    row.optional()?.map(UserWithHash::try_from).transpose()
}

/// Locks every administrator who is not disabled, in the order of ids so that two of these do not wait for each other,
/// and answers who they are.
///
/// # Errors
/// [`DbError`].
pub fn lock_administrators(conn: &mut DbConn) -> Result<Vec<UserId>, DbError> {
    // `filter(users::admin)` and not `eq(true)`: the index of administrators is found by the same words only.
    let ids: QueryResult<Vec<String>> = locked_on_either!(
        conn,
        users::table
            .filter(users::admin)
            .filter(users::disabled.eq(false))
            .order(users::id.asc())
            .select(users::id),
        load
    );
    ids?.iter().map(|id| parse_id(id)).collect()
}

/// Whether anybody is an administrator and not disabled.
///
/// # Errors
/// [`DbError`].
pub fn has_administrator(conn: &mut DbConn) -> Result<bool, DbError> {
    let query =
        users::table.filter(users::admin).filter(users::disabled.eq(false)).select(users::id).limit(1);
    let found: Option<String> = on_either!(conn, |conn| query.get_result(conn).optional())?;
    Ok(found.is_some())
}

/// Returns the bearers of these keys whose users exist. PostgreSQL is asked once for all of them; SQLite has no round trip to
/// save, so it is asked for one after the other, each time by the same prepared statement, in one transaction.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn find_bearers(conn: &mut DbConn, keys: &[BearerKey]) -> Result<Vec<(BearerKey, Bearer)>, DbError> {
    let find = |conn: &mut DbConn, key: &BearerKey| Ok(find_bearer(conn, *key)?.map(|bearer| (*key, bearer)));
    match (&mut *conn, keys) {
        (DbConn::Postgres(conn), keys) => find_bearers_at_once(conn, keys),
        (DbConn::Sqlite(_), [key]) => Ok(find(conn, key)?.into_iter().collect()),
        (DbConn::Sqlite(_), keys) => {
            transaction(conn, |conn| keys.iter().filter_map(|key| find(conn, key).transpose()).collect())
        }
    }
}

/// Returns the bearer of this key, if the user exists.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn find_bearer(conn: &mut DbConn, key: BearerKey) -> Result<Option<Bearer>, DbError> {
    let Some(session_id) = key.session_id else {
        return Ok(find(conn, key.user_id)?.map(|user| Bearer { user, session_alive: false }));
    };
    let (user_id, session_id) = (key.user_id.to_string(), session_id.to_string());
    // A number tells as well as the id whether there is a row, and costs less to read.
    let row: Option<(UserRow, Option<i64>)> = on_either!(conn, |conn| {
        users::table
            .left_join(sessions::table.on(sessions::user_id.eq(users::id).and(sessions::id.eq(session_id))))
            .filter(users::id.eq(user_id))
            .select((UserRow::as_select(), sessions::created_at.nullable()))
            .get_result(conn)
            .optional()
    })?;
    let Some((row, session)) = row else { return Ok(None) };
    Ok(Some(Bearer { user: row.try_into()?, session_alive: session.is_some() }))
}

/// One statement, whatever the keys are; the sessions are joined only when one of the tokens has a session.
fn find_bearers_at_once(
    conn: &mut PgConnection,
    keys: &[BearerKey],
) -> Result<Vec<(BearerKey, Bearer)>, DbError> {
    let user_ids: Vec<String> = keys.iter().map(|key| key.user_id.to_string()).collect();
    let session_ids: Vec<String> =
        keys.iter().filter_map(|key| key.session_id).map(|id| id.to_string()).collect();
    let rows: Vec<(UserRow, Option<String>)> = if session_ids.is_empty() {
        let rows: Vec<UserRow> = users::table
            .filter(users::id.eq(any_of(user_ids)).and(TakesChanges))
            .select(UserRow::as_select())
            .load(conn)?;
        rows.into_iter().map(|row| (row, None)).collect()
    } else {
        users::table
            .left_join(
                sessions::table.on(sessions::user_id.eq(users::id).and(sessions::id.eq(any_of(session_ids)))),
            )
            .filter(users::id.eq(any_of(user_ids)).and(TakesChanges))
            .select((UserRow::as_select(), sessions::id.nullable()))
            .load(conn)?
    };
    let mut found: HashMap<UserId, (User, Vec<Uuid>)> = HashMap::with_capacity(keys.len());
    for (row, session) in rows {
        let user = User::try_from(row)?;
        let sessions = &mut found.entry(user.id).or_insert_with(|| (user, Vec::new())).1;
        sessions.extend(session.as_deref().and_then(|id| Uuid::parse_str(id).ok()));
    }
    Ok(keys
        .iter()
        .filter_map(|key| {
            let (user, sessions) = found.get(&key.user_id)?;
            let session_alive = key.session_id.is_some_and(|id| sessions.contains(&id));
            Some((*key, Bearer { user: user.clone(), session_alive }))
        })
        .collect())
}

/// Users with this e-mail, ASCII letters compared without case, at most `limit`, oldest first.
///
/// # Errors
/// [`DbError`].
pub fn find_by_email(conn: &mut DbConn, email: &str, limit: i64) -> Result<Vec<User>, DbError> {
    let email = email::folded(email);
    let rows: Vec<UserRow> = on_either!(conn, |conn| {
        users::table
            .filter(users::email_lower.eq(email))
            .order(users::id.asc())
            .limit(limit)
            .select(UserRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(User::try_from).collect()
}

/// Users in order of creation, at most `limit`, after `after`.
///
/// # Errors
/// [`DbError`].
pub fn list(conn: &mut DbConn, after: Option<UserId>, limit: i64) -> Result<Vec<User>, DbError> {
    // Every id is greater than the empty text.
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows: Vec<UserRow> = on_either!(conn, |conn| {
        users::table
            .filter(users::id.gt(after))
            .order(users::id.asc())
            .limit(limit)
            .select(UserRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(User::try_from).collect()
}

/// Writes the profile. `admin`, `disabled` and `token_version` are left as they are in the row, which another request
/// may have changed meanwhile.
///
/// # Errors
/// [`DbError`].
pub fn update_profile(conn: &mut DbConn, user: &User, now: Timestamp) -> Result<(), DbError> {
    let statement = diesel::update(users::table.filter(users::id.eq(user.id.to_string()))).set((
        users::email.eq(user.email.as_deref()),
        users::email_lower.eq(user.email.as_deref().map(email::folded)),
        users::name.eq(user.name.as_deref()),
        users::name_lower.eq(lower(user.name.as_deref())),
        users::avatar_url.eq(user.avatar_url.as_deref()),
        users::own_name.eq(user.own_name),
        users::own_avatar.eq(user.own_avatar),
        users::updated_at.eq(now.0),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Writes the time of the last login, and nothing else: nobody changed anything.
///
/// # Errors
/// [`DbError`].
pub fn update_last_login(conn: &mut DbConn, id: UserId, now: Timestamp) -> Result<(), DbError> {
    let statement =
        diesel::update(users::table.filter(users::id.eq(id.to_string()))).set(users::last_login_at.eq(now.0));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Disables a user and ends every token already out, or lets the user in again (no old token comes back to life), inside a
/// transaction. Answers whether there is such a user.
///
/// # Errors
/// [`DbError`].
pub fn set_disabled(conn: &mut DbConn, id: UserId, disabled: bool, now: Timestamp) -> Result<bool, DbError> {
    let statement = diesel::update(users::table.filter(users::id.eq(id.to_string())))
        .set((users::disabled.eq(disabled), users::updated_at.eq(now.0)));
    let rows = on_either!(conn, |conn| statement.execute(conn))?;
    if disabled { revoke_tokens(conn, id, now) } else { Ok(rows > 0) }
}

/// Ends every token of a user, and notes it for those who verify tokens by themselves, inside a transaction. Nothing else
/// raises `token_version`. Answers whether there is such a user.
///
/// # Errors
/// [`DbError`].
pub fn revoke_tokens(conn: &mut DbConn, id: UserId, now: Timestamp) -> Result<bool, DbError> {
    revoke_tokens_up_to(conn, id, 0, now)
}

/// As [`revoke_tokens`], and raises the `token_version` to `least` at least.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn revoke_tokens_up_to(
    conn: &mut DbConn,
    id: UserId,
    least: i64,
    now: Timestamp,
) -> Result<bool, DbError> {
    let raised: Option<i64> = on_either!(conn, |conn| {
        diesel::update(users::table.filter(users::id.eq(id.to_string())))
            .set((
                users::token_version.eq(case_when(
                    users::token_version.lt(least),
                    least.into_sql::<BigInt>(),
                )
                .otherwise(users::token_version + 1)),
                users::revoked_at.eq(now.0),
                users::updated_at.eq(now.0),
            ))
            .returning(users::token_version)
            .get_result(conn)
            .optional()
    })?;
    let Some(token_version) = raised else { return Ok(false) };
    revocations::record(conn, &Subject::User(id), token_version, now)?;
    Ok(true)
}

/// Makes a user an administrator, or no longer one. Answers whether there is such a user.
///
/// # Errors
/// [`DbError`].
pub fn set_admin(conn: &mut DbConn, id: UserId, admin: bool, now: Timestamp) -> Result<bool, DbError> {
    let statement = diesel::update(users::table.filter(users::id.eq(id.to_string())))
        .set((users::admin.eq(admin), users::updated_at.eq(now.0)));
    let rows = on_either!(conn, |conn| statement.execute(conn))?;
    Ok(rows > 0)
}

/// Removes a user; identities go with it, and its tokens are noted as ended, inside a transaction. Answers whether there was
/// one.
///
/// # Errors
/// [`DbError`].
pub fn delete(conn: &mut DbConn, id: UserId, now: Timestamp) -> Result<bool, DbError> {
    let last: Option<i64> = on_either!(conn, |conn| {
        diesel::delete(users::table.filter(users::id.eq(id.to_string())))
            .returning(users::token_version)
            .get_result(conn)
            .optional()
    })?;
    let Some(token_version) = last else { return Ok(false) };
    revocations::record(conn, &Subject::User(id), token_version.saturating_add(1), now)?;
    Ok(true)
}
