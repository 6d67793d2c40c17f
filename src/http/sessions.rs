//! The caller's `/api/me/sessions`: devices that stay signed in.

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::CurrentUser;
use super::answer;
use super::bearer::CurrentSession;
use super::origin::RequestOrigin;
use super::paging::{Page, PageQuery, Wanted};
use super::refresh::times;
use super::refusals::{WithoutProof, WithoutUser};
use crate::account::AccountError;
use crate::account::sessions;
use crate::clock::Timestamp;
use crate::error::{ApiError, Problem};
use crate::session::Session;
use crate::state::AppState;
use crate::user::User;

/// The name of the list, for its cursors.
const LIST: &str = "sessions";

/// A device that stays signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Its own id.
    #[schema(value_type = String, example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: Uuid,
    /// What the client called itself when it was last used (`User-Agent`).
    device: Option<String>,
    /// The client's address when it was last used.
    #[schema(value_type = Option<String>, example = "192.0.2.1")]
    ip: Option<IpAddr>,
    /// The sign-in, RFC 3339 in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T05:00:00Z")]
    created_at: Timestamp,
    /// The last refresh.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T05:00:00Z")]
    last_used_at: Timestamp,
    /// The access token of this request belongs to it.
    current: bool,
}

impl From<(Session, bool)> for SessionView {
    fn from((session, current): (Session, bool)) -> Self {
        Self {
            id: session.id,
            device: session.place.device,
            ip: session.place.ip,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            current,
        }
    }
}

/// The caller's sessions, oldest first
#[utoipa::path(
    get,
    path = "/api/me/sessions",
    operation_id = "list_sessions",
    tag = "account",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "Devices that stay signed in", body = Page<SessionView>),
        (status = 400, description = "`invalid_request`: `limit` or `after`", body = Problem, content_type = "application/problem+json"),
        WithoutUser,
    ),
)]
pub(crate) async fn list_sessions(
    CurrentSession { caller, .. }: CurrentSession,
    state: Data<AppState>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let page: Page<SessionView> = page_of_sessions(&state, &caller.user, caller.session_id, &query).await?;
    Ok(answer::ok(page))
}

/// One page of a user's sessions, each with whether it is `current`, for a program or for a person.
///
/// # Errors
/// 400 for what [`Wanted::read`] refuses; the database's.
pub(super) async fn page_of_sessions<T: From<(Session, bool)>>(
    state: &AppState,
    user: &User,
    current: Option<Uuid>,
    query: &PageQuery,
) -> Result<Page<T>, ApiError> {
    let keys = &state.cursor_keys;
    let wanted = Wanted::read(LIST, query, keys)?;
    let found = sessions::list(&state.db, user, times(state), wanted.after, wanted.rows()).await?;
    let found = found.into_iter().map(|session| {
        let current = current == Some(session.id);
        (session, current)
    });
    Ok(wanted.page(found.collect(), |(session, _)| session.id, keys))
}

/// End one session of the caller
///
/// Its refresh token and its access tokens are rejected from the next request on, on every replica.
#[utoipa::path(
    delete,
    path = "/api/me/sessions/{id}",
    operation_id = "end_session",
    tag = "account",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the session")),
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "`not_found`: the caller has no such session", body = Problem, content_type = "application/problem+json"),
        WithoutUser,
        WithoutProof,
    ),
)]
pub(crate) async fn end_session(
    CurrentUser(user): CurrentUser,
    state: Data<AppState>,
    id: Path<String>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let id = id.parse().map_err(|_| AccountError::NoSuchSession)?;
    sessions::end(&state.db, user.id, id, &origin).await?;
    Ok(answer::done())
}
