//! Staying signed in: `/auth/refresh`, `/auth/logout`, `/auth/logout-all`, and the caller's `/api/me/sessions`.

use std::net::IpAddr;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::CurrentUser;
use super::answer;
use super::bearer::CurrentSession;
use super::json_body::{read_json, read_json_or_nothing};
use super::limits::{WithinAddressLimit, within_account_limit};
use super::origin::RequestOrigin;
use super::paging::{Page, PageQuery, Wanted};
use super::refusals::{OverLimit, WithoutBody, WithoutDatabase, WithoutUser};
use super::token_answer::TokenAnswer;
use crate::account::sessions::{self, Refreshed, Times};
use crate::account::{AccountError, revocation};
use crate::clock::Timestamp;
use crate::error::{ApiError, Problem};
use crate::event::Origin;
use crate::rate_limit::Account;
use crate::session::Session;
use crate::state::AppState;
use crate::token::RefreshToken;

/// The name of the list, for its cursors.
const LIST: &str = "sessions";

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    /// `refresh_token` of the last token answer.
    #[schema(value_type = String, example = "tbr_…")]
    refresh_token: SecretString,
}

/// A device that stays signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Its own id.
    #[schema(value_type = String, example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: Uuid,
    /// What the client called itself at sign-in (`User-Agent`).
    device: Option<String>,
    /// The client's address at sign-in.
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
            device: session.device,
            ip: session.ip,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            current,
        }
    }
}

/// The next access token, for a refresh token
///
/// The refresh token is good once: the answer has the next one. Sent again within `refresh.grace`, while its successor is
/// unused, it gets the same successor. Any other reuse ends the session.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    operation_id = "refresh",
    tag = "sign-in",
    request_body(content = RefreshBody),
    responses(
        (status = 200, description = "The next tokens", body = TokenAnswer),
        (status = 400, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_refresh_token`", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutBody,
        WithoutDatabase,
    ),
)]
pub(crate) async fn refresh(
    _: WithinAddressLimit,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let body: RefreshBody = read_json(&request, body).await?;
    let result = refresh_now(&state, &body, &origin).await;
    state.metrics.exchange("refresh", result.as_ref().map_or_else(|error| error.code().as_str(), |_| "ok"));
    Ok(result?.into_response())
}

async fn refresh_now(state: &AppState, body: &RefreshBody, origin: &Origin) -> Result<TokenAnswer, ApiError> {
    if !state.settings.refresh.enabled {
        return Err(AccountError::InvalidRefreshToken("refresh.enabled is false").into());
    }
    let presented = RefreshToken::parse(body.refresh_token.expose_secret())
        .ok_or(AccountError::InvalidRefreshToken("it is no refresh token of ours"))?;
    if let Some(user_id) = sessions::owner(&state.db, &presented).await? {
        within_account_limit(state, Account::User(user_id))?;
    }
    let Refreshed { user, session_id, token } =
        sessions::refresh(&state.db, &state.refresh_keys, presented, times(state), origin).await?;
    TokenAnswer::new(state, user, false, Some((session_id, token)))
}

/// End the session of a refresh token
///
/// An access token already out runs to its end. 204 also when the session has ended already.
#[utoipa::path(
    post,
    path = "/auth/logout",
    operation_id = "log_out",
    tag = "sign-in",
    request_body(content = RefreshBody),
    responses(
        (status = 204, description = "The session has ended, or never was"),
        (status = 400, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
        WithoutBody,
        WithoutDatabase,
    ),
)]
pub(crate) async fn log_out(
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let body: RefreshBody = read_json_or_nothing(&request, body).await?;
    if let Some(presented) = RefreshToken::parse(body.refresh_token.expose_secret()) {
        sessions::log_out(&state.db, &presented, &origin).await?;
    }
    Ok(answer::done())
}

/// End every token and every session of the caller
#[utoipa::path(
    post,
    path = "/auth/logout-all",
    operation_id = "log_out_everywhere",
    tag = "sign-in",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Nothing issued before is good any more"),
        WithoutUser,
    ),
)]
pub(crate) async fn log_out_everywhere(
    CurrentUser(user): CurrentUser,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    revocation::log_out_everywhere(&state.db, user.id, &origin).await?;
    Ok(answer::done())
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
    CurrentSession { user, session_id }: CurrentSession,
    state: Data<AppState>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let keys = &state.cursor_keys;
    let wanted = Wanted::read(LIST, &query, keys)?;
    let found = sessions::list(&state.db, &user, times(&state), wanted.after, wanted.rows()).await?;
    let found = found.into_iter().map(|session| {
        let current = session_id == Some(session.id);
        (session, current)
    });
    let page: Page<SessionView> = wanted.page(found.collect(), |(session, _)| session.id, keys);
    Ok(answer::ok(page))
}

/// End one session of the caller
///
/// Its refresh token is refused from now on; an access token already out runs to its end.
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

fn times(state: &AppState) -> Times {
    Times {
        settings: state.settings.refresh,
        now: state.clock.now(),
        now_ms: state.clock.now_in_milliseconds(),
    }
}
