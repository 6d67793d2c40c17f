//! The way to the provider.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::super::bearer::CurrentSession;
use super::super::browser::{redirect, with_cookies};
use super::super::exchange::{find_provider, find_redirect_flow};
use super::super::limits::{WithinAddressLimit, within_account_limit};
use super::super::refusals::{OverLimit, WithoutProvider, WithoutRecentSignIn};
use super::app;
use super::attempt::{Aim, AppReturn, Attempt};
use super::{RedirectTarget, callback_url};
use crate::error::{ApiError, Code, Problem};
use crate::provider::{AuthorizationRequest, Provider};
use crate::rate_limit::Account;
use crate::state::AppState;
use crate::token::CodeChallenge;

/// Longest `state` of an app, in bytes. It is sealed into a cookie and comes back in a URL.
const MAX_STATE_BYTES: usize = 512;

/// What a sign-in is begun with.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LoginQuery {
    /// Where it ends: a path of our own, or an entry of `sign_in.redirect_uris`. Our home page when absent.
    #[param(example = "/account")]
    redirect_to: Option<String>,
    /// An app's own, at most 512 bytes; comes back with the code.
    state: Option<String>,
    /// Wanted of an app: SHA-256 of its verifier in base64url (RFC 7636 §4.2).
    code_challenge: Option<String>,
    /// Wanted of an app: `S256`.
    code_challenge_method: Option<String>,
}

/// Sign in by way of a browser
///
/// Sends the browser to the provider, which sends it back to `/auth/{provider}/callback`. With a path of our own or an `https`
/// URL as `redirect_to`, the browser ends there, signed in by cookie. With an app's (a loopback address, a scheme of its own, an
/// `https` URL with a `code_challenge`), the app gets `?code=…&state=…` there, for `POST /oauth/token`.
#[utoipa::path(
    get,
    path = "/auth/{provider}/login",
    operation_id = "begin_sign_in",
    tag = "browser",
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "google"), LoginQuery),
    responses(
        (status = 302, description = "To the provider, with a cookie for this sign-in", headers(("Location" = String, description = "The provider's page"))),
        (status = 400, description = "`redirect_not_allowed`; `invalid_request`: an app's parameters", body = Problem, content_type = "application/problem+json"),
        WithoutProvider,
    ),
)]
pub(crate) async fn begin_sign_in(
    state: Data<AppState>,
    name: Path<String>,
    query: Query<LoginQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    let query = query.into_inner();
    let aim = match RedirectTarget::read(query.redirect_to.as_deref(), &state)? {
        RedirectTarget::Site(redirect_uri) if query.code_challenge.is_some() => {
            Aim::App(read_app(redirect_uri, query)?)
        }
        RedirectTarget::Page(redirect_to) | RedirectTarget::Site(redirect_to) => Aim::SignIn { redirect_to },
        RedirectTarget::App(redirect_uri) => Aim::App(read_app(redirect_uri, query)?),
    };
    send_to_provider(&state, provider.as_ref(), aim, &request, StatusCode::FOUND).await
}

/// Link another identity to the account that this browser is signed in to
///
/// From a page's form. Sends the browser to the provider, and back to `/account`.
#[utoipa::path(
    post,
    path = "/auth/{provider}/link",
    operation_id = "begin_link",
    tag = "browser",
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "github")),
    responses(
        (status = 303, description = "To the provider, with a cookie for this link", headers(("Location" = String, description = "The provider's page"))),
        (status = 403, description = "`csrf_failed`", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutRecentSignIn,
        WithoutProvider,
    ),
)]
pub(crate) async fn begin_link(
    _: WithinAddressLimit,
    caller: CurrentSession,
    state: Data<AppState>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    caller.recency(&state).check()?;
    within_account_limit(&state, Account::User(caller.user.id))?;
    let aim = Aim::Link { user_id: caller.user.id.into(), session_id: caller.session_id };
    send_to_provider(&state, provider.as_ref(), aim, &request, StatusCode::SEE_OTHER).await
}

fn read_app(redirect_uri: String, query: LoginQuery) -> Result<AppReturn, ApiError> {
    let refused = |problem: &str| Err(ApiError::new(Code::InvalidRequest, problem));
    // RFC 7636 §4.4.1. `plain` would show the verifier to whoever sees this request.
    if query.code_challenge_method.as_deref() != Some("S256") {
        return refused("an app must send code_challenge_method=S256 with its code_challenge");
    }
    let Some(code_challenge) = query.code_challenge.as_deref().and_then(CodeChallenge::parse) else {
        return refused(
            "an app must send a code_challenge: SHA-256 of its verifier as 43 characters of base64url",
        );
    };
    if query.state.as_ref().is_some_and(|state| state.len() > MAX_STATE_BYTES) {
        return refused("state has more than 512 bytes");
    }
    Ok(AppReturn { redirect_uri, state: query.state, code_challenge })
}

async fn send_to_provider(
    state: &AppState,
    provider: &dyn Provider,
    aim: Aim,
    request: &HttpRequest,
    status: StatusCode,
) -> Result<HttpResponse, ApiError> {
    let flow = find_redirect_flow(provider)?;
    let attempt = Attempt::begin(provider.name(), aim, state)?;
    let url = flow
        .authorization_url(&AuthorizationRequest {
            redirect_uri: &callback_url(state, provider.name()),
            state: &attempt.state,
            nonce: &attempt.nonce,
            code_challenge: CodeChallenge::of(&attempt.code_verifier).as_str(),
        })
        .await;
    match (url, &attempt.aim) {
        (Ok(url), _) => {
            let cookies = attempt.into_cookies(request, state)?;
            Ok(with_cookies(redirect(status, url.as_str()), &cookies))
        }
        (Err(outage), Aim::App(back)) => app::refuse(back, &ApiError::from(outage)),
        (Err(outage), _) => Err(outage.into()),
    }
}
