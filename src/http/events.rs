//! `/api/admin/events`: the audit trail.

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::AdminUser;
use super::answer;
use super::paging::{Page, PageQuery, Wanted};
use super::refusals::WithoutAdministrator;
use crate::clock::Timestamp;
use crate::db::events::{self, EventFilter};
use crate::error::{ApiError, Code, Problem};
use crate::event::Event;
use crate::state::AppState;

/// Something that happened to an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// Its own id.
    #[schema(value_type = String, example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: Uuid,
    /// RFC 3339 in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T05:00:00Z")]
    at: Timestamp,
    /// What happened, dotted.
    #[schema(example = "user.disabled")]
    kind: &'static str,
    /// The user who did it; null for the command line, for `admin.emails` and for strangers.
    actor_id: Option<String>,
    /// The user to whom it happened, who may not be there any more; null when nobody was proved.
    user_id: Option<String>,
    /// The client's address.
    #[schema(value_type = Option<String>, example = "192.0.2.1")]
    ip: Option<IpAddr>,
    /// `X-Request-Id` of the request.
    request_id: Option<String>,
    /// More of it, by kind. Never a token, an e-mail or a name. `count` of `sign_in.refused` is how many there were of one address,
    /// method and error code in one minute.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            at: event.at,
            kind: event.kind.as_str(),
            actor_id: event.actor_id.map(|id| id.to_string()),
            user_id: event.user_id.map(|id| id.to_string()),
            ip: event.ip,
            request_id: event.request_id,
            detail: event.detail,
        }
    }
}

/// Which events to list; all without a condition.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Of this kind, exactly.
    #[param(example = "user.disabled")]
    pub(super) kind: Option<String>,
    /// About this user, who need not be there any more.
    #[param(example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    pub(super) user_id: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    pub(super) page: PageQuery,
}

impl EventQuery {
    /// A kind that is not known or an id that cannot be one is a mistake, which an empty page would hide.
    fn checked(&self) -> Result<EventFilter, ApiError> {
        let kind = self.kind.as_deref().map(str::parse).transpose();
        let kind = kind.map_err(|_| ApiError::new(Code::InvalidRequest, "kind is no kind of event"))?;
        let user_id = self.user_id.as_deref().map(str::parse).transpose();
        let user_id = user_id.map_err(|_| ApiError::new(Code::InvalidRequest, "user_id is not a UUID"))?;
        Ok(EventFilter { kind, user_id })
    }
}

/// The audit trail, newest first
#[utoipa::path(
    get,
    path = "/api/admin/events",
    operation_id = "list_events",
    tag = "administration",
    security(("bearer" = [])),
    params(EventQuery, PageQuery),
    responses(
        (status = 200, description = "What happened", body = Page<EventView>),
        (status = 400, description = "`invalid_request`: a `kind` that does not exist, a `user_id` that is no UUID, `limit` or `after`", body = Problem, content_type = "application/problem+json"),
        WithoutAdministrator,
    ),
)]
pub(crate) async fn list_events(
    _admin: AdminUser,
    state: Data<AppState>,
    query: Query<EventQuery>,
) -> Result<HttpResponse, ApiError> {
    let page: Page<EventView> = page_of_events(&state, &query).await?;
    Ok(answer::ok(page))
}

/// One page of the events that are asked for, for a program or for a person.
///
/// # Errors
/// 400 for what [`EventQuery::checked`] and [`Wanted::read`] refuse; the database's.
pub(super) async fn page_of_events<T: From<Event>>(
    state: &AppState,
    query: &EventQuery,
) -> Result<Page<T>, ApiError> {
    let keys = &state.cursor_keys;
    let filter = query.checked()?;
    let wanted = Wanted::read("events", &query.page, keys)?;
    let (before, rows) = (wanted.after, wanted.rows());
    let found = state.db.run(move |conn| events::list(conn, filter, before, rows)).await?;
    Ok(wanted.page(found, |event| event.id, keys))
}
