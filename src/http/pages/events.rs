//! `/admin/events`: the audit trail, for administrators.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde_json::Value;

use super::html;
use super::layout::{Layout, Viewer};
use super::when::When;
use crate::error::ApiError;
use crate::event::{Event, EventKind};
use crate::http::AdminUser;
use crate::http::events::{EventQuery, page_of_events};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    layout: Layout,
    kinds: [EventKind; EventKind::ALL.len()],
    kind: String,
    user_id: String,
    /// Not the first page.
    further: bool,
    events: Vec<EventRow>,
    next: Option<String>,
}

struct EventRow {
    at: When,
    kind: &'static str,
    user_id: String,
    /// Who did it, when it was somebody else.
    actor_id: String,
    ip: String,
    request_id: String,
    /// Member by member, as text.
    detail: Vec<(String, String)>,
}

impl From<Event> for EventRow {
    fn from(event: Event) -> Self {
        let actor = event.actor_id.filter(|actor| event.user_id != Some(*actor));
        Self {
            at: When(event.at),
            kind: event.kind.as_str(),
            user_id: event.user_id.map(|id| id.to_string()).unwrap_or_default(),
            actor_id: actor.map(|id| id.to_string()).unwrap_or_default(),
            ip: event.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            request_id: event.request_id.unwrap_or_default(),
            detail: members(event.detail),
        }
    }
}

fn members(detail: Value) -> Vec<(String, String)> {
    let Value::Object(members) = detail else { return Vec::new() };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// `GET /admin/events?kind=…&user_id=…&after=…`.
///
/// # Errors
/// 400 as `GET /api/admin/events`; the database's.
pub(in crate::http) async fn events(
    AdminUser(admin): AdminUser,
    state: Data<AppState>,
    query: Query<EventQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let EventQuery { kind, user_id, page } = query.into_inner();
    // A form sends what was left empty, too.
    let filled =
        |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let query = EventQuery { kind: filled(kind), user_id: filled(user_id), page };
    let found = page_of_events(&state, &query).await?;
    let page = EventsPage {
        layout: Layout::new(&state, &request, Some(&admin)),
        kinds: EventKind::ALL,
        kind: query.kind.unwrap_or_default(),
        user_id: query.user_id.unwrap_or_default(),
        further: query.page.after.is_some(),
        events: found.items,
        next: found.next,
    };
    html::answer(StatusCode::OK, &page)
}
