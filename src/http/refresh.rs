//! `POST /auth/refresh`: staying signed in.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::browser::{BrowserSession, cleared, with_cookies};
use super::json_body::{has_body, read_json};
use super::limits::{WithinAddressLimit, within_account_limit};
use super::origin::{RequestOrigin, place};
use super::refusals::{OverLimit, WithoutBody, WithoutDatabase};
use super::token_answer::TokenAnswer;
use super::{cookies, csrf, device};
use crate::account::AccountError;
use crate::account::sessions::{self, Limit, Refreshed, Times};
use crate::error::{ApiError, Code, Problem};
use crate::event::Origin;
use crate::rate_limit::Account;
use crate::session::Place;
use crate::state::AppState;
use crate::token::RefreshToken;

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    /// `refresh_token` of the last token answer.
    #[schema(value_type = String, example = "tbr_…")]
    pub(super) refresh_token: SecretString,
}

/// The next access token, for a refresh token
///
/// The refresh token is valid once: the response has the next one. Presented again while its successor is unused, it gets the same
/// successor: within `refresh.grace` from anywhere, later only from the address of its first use. Any other reuse ends the session.
/// A browser sends no body: its token is in a cookie, which counts only beside the device cookie of the same session, and so is the
/// next one.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    operation_id = "refresh",
    tag = "sign-in",
    request_body(content = RefreshBody),
    responses(
        (status = 200, description = "The next tokens; to a browser, cookies and `expires_in`, `created`, `user`", body = TokenAnswer),
        (status = 400, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`csrf_failed`, by cookie only", body = Problem, content_type = "application/problem+json"),
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
    if !has_body(&request) {
        // A page of ours may ask without knowing whether it has the cookie.
        match csrf::check(&request, &state) {
            Ok(()) => return renew(&state, &request, &origin).await,
            Err(foreign) if cookies::find(&request, cookies::REFRESH).is_any() => return Err(foreign),
            Err(_) => {}
        }
    }
    let body: RefreshBody = read_json(&request, body).await?;
    let place = place(&request, &origin);
    Ok(refresh_now(&state, body.refresh_token.expose_secret(), place, &origin).await?.into_response())
}

/// Renews a browser's session by its cookies. Cookies that are not accepted are cleared, all of them: with the session cookie
/// left, the page would go on in a session that it cannot renew.
async fn renew(state: &AppState, request: &HttpRequest, origin: &Origin) -> Result<HttpResponse, ApiError> {
    let renewed = match device::refresh_token(request, state) {
        Ok(token) => refresh_now(state, token.expose_secret(), place(request, origin), origin).await,
        Err(refused) => counted(state, Err(refused.into())),
    };
    match renewed {
        Ok(tokens) => Ok(BrowserSession::new(state, tokens)?.into_json()),
        Err(error) if error.code() == Code::InvalidRefreshToken => {
            Ok(with_cookies(HttpResponse::from_error(error), &cleared(state)))
        }
        Err(error) => Err(error),
    }
}

/// The next tokens for a refresh token, counted.
///
/// # Errors
/// 401 `invalid_refresh_token`, 429; the database's.
pub(super) async fn refresh_now(
    state: &AppState,
    token: &str,
    place: Place,
    origin: &Origin,
) -> Result<TokenAnswer, ApiError> {
    counted(state, exchange(state, token, place, origin).await)
}

fn counted(state: &AppState, result: Result<TokenAnswer, ApiError>) -> Result<TokenAnswer, ApiError> {
    state.metrics.exchange("refresh", result.as_ref().map_or_else(|error| error.code().as_str(), |_| "ok"));
    result
}

async fn exchange(
    state: &AppState,
    token: &str,
    place: Place,
    origin: &Origin,
) -> Result<TokenAnswer, ApiError> {
    if !state.settings.refresh.enabled {
        return Err(AccountError::InvalidRefreshToken("refresh.enabled is false").into());
    }
    let presented = RefreshToken::parse(token)
        .ok_or(AccountError::InvalidRefreshToken("it is no refresh token of ours"))?;
    // By the handle, which needs no query. That there is no such session shows later, and costs a caller who invents handles no
    // less.
    within_account_limit(state, Account::Session(&presented.handle_hash()))?;
    let keys = &state.successor_keys();
    let Refreshed { user, session_id, authentication, token } =
        sessions::refresh(&state.db, keys, presented, place, times(state), origin).await?;
    TokenAnswer::new(state, user, false, authentication.as_ref(), Some((session_id, token)))
}

/// What refresh tokens are judged by, now.
pub(super) fn times(state: &AppState) -> Times {
    Times {
        settings: state.settings.refresh,
        now: state.clock.now(),
        now_ms: state.clock.now_in_milliseconds(),
    }
}

/// How many sessions a user may have, now.
pub(super) fn session_limit(state: &AppState) -> Limit {
    Limit { times: times(state), per_user: state.settings.sessions.per_user }
}
