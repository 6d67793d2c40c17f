//! Queries on `events`: append, list, and forget what is older than we keep.

use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::connection::{locked_on_either, on_either, unlocked_on_either};
use super::schema::events;
use super::users::parse_id;
use super::{DbConn, DbError};
use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::user::UserId;

/// Rejected sign-ins.
macro_rules! refused {
    () => {
        events::table.filter(events::kind.eq(EventKind::SignInRefused.as_str()))
    };
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = events)]
struct EventRow {
    id: String,
    at: i64,
    kind: String,
    actor_id: Option<String>,
    user_id: Option<String>,
    ip: Option<String>,
    request_id: Option<String>,
    detail: String,
}

impl TryFrom<EventRow> for Event {
    type Error = DbError;

    fn try_from(row: EventRow) -> Result<Self, DbError> {
        let inconsistent = |what: &str| DbError::Inconsistent(format!("events.{what}"));
        Ok(Self {
            id: Uuid::parse_str(&row.id).map_err(|_| inconsistent("id is not a UUID"))?,
            at: Timestamp(row.at),
            kind: row.kind.parse().map_err(|_| inconsistent("kind is not known to this version"))?,
            actor_id: row.actor_id.as_deref().map(parse_id).transpose()?,
            user_id: row.user_id.as_deref().map(parse_id).transpose()?,
            ip: row.ip.map(|ip| ip.parse()).transpose().map_err(|_| inconsistent("ip is not an address"))?,
            request_id: row.request_id,
            detail: serde_json::from_str(&row.detail).map_err(|_| inconsistent("detail is not JSON"))?,
        })
    }
}

/// Which events to list; all without a condition.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// About this user.
    pub user_id: Option<UserId>,
}

/// Appends an event. In the transaction of the change it tells of, so that neither is there without the other.
///
/// # Errors
/// [`DbError`].
pub fn insert(conn: &mut DbConn, event: &Event) -> Result<(), DbError> {
    let statement = diesel::insert_into(events::table).values((
        events::id.eq(event.id.to_string()),
        events::at.eq(event.at.0),
        events::kind.eq(event.kind.as_str()),
        events::actor_id.eq(event.actor_id.map(|id| id.to_string())),
        events::user_id.eq(event.user_id.map(|id| id.to_string())),
        events::ip.eq(event.ip.map(|ip| ip.to_string())),
        events::request_id.eq(event.request_id.as_deref()),
        events::detail.eq(event.detail.to_string()),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Rejected sign-ins that are counted together.
#[derive(Debug, Clone)]
pub struct RefusedSignIn {
    /// What they have in common.
    pub key: String,
    /// The first of them.
    pub event: Event,
    /// How many there are.
    pub count: u32,
}

/// Adds rejected sign-ins to the row of their key, and returns whether the row is new. `detail.count` is how many there were.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn add_refused(conn: &mut DbConn, refused: &RefusedSignIn) -> Result<bool, DbError> {
    let RefusedSignIn { key, event, count } = refused;
    let mut detail = event.detail.clone();
    detail["count"] = json!(count);
    let statement = diesel::insert_into(events::table)
        .values((
            events::id.eq(event.id.to_string()),
            events::at.eq(event.at.0),
            events::kind.eq(event.kind.as_str()),
            events::user_id.eq(event.user_id.map(|id| id.to_string())),
            events::ip.eq(event.ip.map(|ip| ip.to_string())),
            events::request_id.eq(event.request_id.as_deref()),
            events::detail.eq(detail.to_string()),
            events::refused_key.eq(key),
        ))
        .on_conflict_do_nothing();
    if on_either!(conn, |conn| statement.execute(conn))? > 0 {
        return Ok(true);
    }
    // Locked, so that another replica adds to what is written here.
    let of_key = events::table.filter(events::refused_key.eq(key)).select((events::id, events::detail));
    let row: Option<(String, String)> = locked_on_either!(conn, of_key, get_result).optional()?;
    // Deleted in between: there are more rows than are kept.
    let Some((id, detail)) = row else { return Ok(false) };
    let mut detail: Value = serde_json::from_str(&detail)
        .map_err(|_| DbError::Inconsistent("events.detail is not JSON".to_owned()))?;
    detail["count"] = json!(detail["count"].as_u64().unwrap_or(1).saturating_add(u64::from(*count)));
    let statement = diesel::update(events::table.find(id)).set(events::detail.eq(detail.to_string()));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(false)
}

/// Events newest first, at most `limit`, older than the event `before`.
///
/// # Errors
/// [`DbError`].
pub fn list(
    conn: &mut DbConn,
    filter: EventFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Event>, DbError> {
    let rows: Vec<EventRow> = on_either!(conn, |conn| {
        let mut query = events::table.select(EventRow::as_select()).into_boxed();
        if let Some(kind) = filter.kind {
            query = query.filter(events::kind.eq(kind.as_str()));
        }
        if let Some(user_id) = filter.user_id {
            query = query.filter(events::user_id.eq(user_id.to_string()));
        }
        if let Some(before) = before {
            query = query.filter(events::id.lt(before.to_string()));
        }
        query.order(events::id.desc()).limit(limit).load(conn)
    })?;
    rows.into_iter().map(Event::try_from).collect()
}

/// Forgets events older than `moment`, at most `limit` of them, and answers how many.
///
/// # Errors
/// [`DbError`].
pub fn delete_before(conn: &mut DbConn, moment: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old = events::table.filter(events::at.lt(moment.0)).select(events::id).limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    delete(conn, old)
}

/// Deletes rejected sign-ins of before `moment`, at most `limit` rows, and returns how many.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn delete_refused_before(conn: &mut DbConn, moment: Timestamp, limit: i64) -> Result<usize, DbError> {
    let old = refused!().filter(events::at.lt(moment.0)).select(events::id).limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    delete(conn, old)
}

/// Returns the newest rejected sign-in of which `kept` are newer.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn newest_refused_beyond(conn: &mut DbConn, kept: u32) -> Result<Option<String>, DbError> {
    let ids = refused!().select(events::id).order(events::id.desc()).offset(kept.into());
    Ok(on_either!(conn, |conn| ids.first(conn).optional())?)
}

/// Deletes this rejected sign-in and older ones, at most `limit` rows, and returns how many.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn delete_refused_up_to(conn: &mut DbConn, id: &str, limit: i64) -> Result<usize, DbError> {
    let old = refused!().filter(events::id.le(id)).select(events::id).limit(limit);
    let old: Vec<String> = unlocked_on_either!(conn, old);
    delete(conn, old)
}

fn delete(conn: &mut DbConn, ids: Vec<String>) -> Result<usize, DbError> {
    let statement = diesel::delete(events::table.filter(events::id.eq_any(ids)));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}
