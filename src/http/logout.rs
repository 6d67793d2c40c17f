//! `/auth/logout` and `/auth/logout-all`: an end to staying signed in.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;

use super::browser::{cleared, end_session_before, redirect, wants_html, with_cookies};
use super::json_body::{has_body, read_json};
use super::limits::WithinAddressLimit;
use super::origin::RequestOrigin;
use super::refresh::RefreshBody;
use super::refusals::{OverLimit, WithoutBody, WithoutDatabase, WithoutProof, WithoutUser};
use super::{CurrentUser, answer, cookies, csrf, device};
use crate::account::{revocation, sessions};
use crate::error::{ApiError, Code, Problem};
use crate::state::AppState;
use crate::token::RefreshToken;

/// End the session of a refresh token
///
/// Its access tokens are rejected from the next request on, too. 204 also when the session has ended already. A browser sends no body:
/// the session is the one that its cookies name, also when the session cookie has expired, and its cookies are cleared.
#[utoipa::path(
    post,
    path = "/auth/logout",
    operation_id = "log_out",
    tag = "sign-in",
    request_body(content = RefreshBody),
    responses(
        (status = 204, description = "The session has ended, or never was"),
        (status = 303, description = "The same, to the home page, for a page's form", headers(("Location" = String, description = "The home page"))),
        (status = 403, description = "`csrf_failed`, by cookie only", body = Problem, content_type = "application/problem+json"),
        (status = 400, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutBody,
        WithoutDatabase,
    ),
)]
pub(crate) async fn log_out(
    _: WithinAddressLimit,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    if has_body(&request) {
        let body: RefreshBody = read_json(&request, body).await?;
        if let Some(presented) = RefreshToken::parse(body.refresh_token.expose_secret()) {
            sessions::log_out(&state.db, presented.handle_hash(), &origin).await?;
        }
        return Ok(answer::done());
    }
    let has_session =
        cookies::find(&request, cookies::SESSION).is_any() || device::session(&request, &state).is_some();
    let no_session = || {
        let detail = "There is neither a refresh_token in the body nor a cookie that names a session.";
        ApiError::new(Code::InvalidRequest, detail)
    };
    let to_page = wants_html(&request);
    csrf::check(&request, &state)
        .map_err(|error| if has_session || to_page { error } else { no_session() })?;
    end_session_before(&state, &request, &origin).await?;
    // The other cookies are cleared even if none of them names a session.
    let response = if to_page {
        redirect(StatusCode::SEE_OTHER, &format!("{}/", state.public_url.path()))
    } else if has_session {
        answer::done()
    } else {
        HttpResponse::from_error(no_session())
    };
    Ok(with_cookies(response, &cleared(&state)))
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
        WithoutProof,
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
