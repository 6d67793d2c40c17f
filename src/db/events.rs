//! Queries on `events`: append, list, and forget what is older than we keep.

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::{on_either, unlocked_on_either};
use super::schema::events;
use super::users::parse_id;
use super::{DbConn, DbError};
use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::user::UserId;

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
    let statement = diesel::delete(events::table.filter(events::id.eq_any(old)));
    Ok(on_either!(conn, |conn| statement.execute(conn))?)
}
