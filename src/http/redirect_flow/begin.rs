//! The way to the provider.

use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path, Query};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Deserialize;
use url::Url;

use super::super::bearer::{CurrentSession, Visitor};
use super::super::browser::{redirect, wants_html, with_cookies};
use super::super::exchange::{find_provider, find_redirect_flow};
use super::super::limits::{WithinAddressLimit, within_account_limit};
use super::super::origin::RequestOrigin;
use super::super::pages;
use super::super::proofs::client_of;
use super::super::refusals::{OverLimit, WithoutProvider, WithoutRecentSignIn};
use super::app;
use super::ask::ask_or_send;
use super::attempt::{Aim, AppReturn, Attempt};
use super::{RedirectTarget, callback_url};
use crate::error::{ApiError, Code, Problem};
use crate::provider::{AuthorizationRequest, Outage, Provider, RedirectFlow};
use crate::rate_limit::Account;
use crate::state::AppState;
use crate::token::CodeChallenge;

/// Longest `state` of an app, in bytes. It is sealed into a cookie and comes back in a URL.
const MAX_STATE_BYTES: usize = 512;

/// The one `code_challenge_method`.
const S256: &str = "S256";

/// Where the form is that begins a link.
const LINKS_OF_ACCOUNT: &str = "/account#identities";

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
    /// An app's: `sign_in.client_id`, which it is when absent, too.
    client_id: Option<String>,
    /// `1`: the provider is asked to authenticate the person again (`prompt`, `max_age`), and a browser that is signed in stays so
    /// unless the same account comes back. Not for apps.
    #[param(example = "1")]
    reauthenticate: Option<String>,
}

/// Sign in by way of a browser
///
/// Sends the browser to the provider, which sends it back to `/auth/{provider}/callback`. With a path of our own or an `https`
/// entry of `sign_in.redirect_uris` as `redirect_to`, the browser ends there, signed in by cookie, whatever other parameters
/// there are. With an app's (a loopback address, a scheme of its own, an entry of `sign_in.code_redirect_uris`), the app gets
/// `?code=…&state=…&iss=…` or `?error=…&state=…&iss=…` there, and exchanges the code at `POST /oauth/token`.
///
/// No app gets a code without a page that the person sees: the provider is asked to have an account chosen, and a browser that is
/// signed in here, or whose provider cannot be asked so, gets a page of ours first.
#[utoipa::path(
    get,
    path = "/auth/{provider}/login",
    operation_id = "begin_sign_in",
    tag = "browser",
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "google"), LoginQuery),
    responses(
        (status = 200, description = "A page that asks whether an app may be signed in", body = String, content_type = "text/html"),
        (status = 302, description = "To the provider, with a cookie for this sign-in; without it to HEAD", headers(("Location" = String, description = "The provider's page"))),
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
    match RedirectTarget::read(query.redirect_to.as_deref(), &state)? {
        RedirectTarget::Page(redirect_to) => {
            let aim = sign_in_to(redirect_to, query.reauthenticate.is_some(), &request).await?;
            send_to_provider(&state, provider.as_ref(), aim, &request, StatusCode::FOUND).await
        }
        RedirectTarget::App(redirect_uri) => {
            let back = query.read_app(redirect_uri, &state)?;
            ask_or_send(&state, provider.as_ref(), back, &request).await
        }
    }
}

/// The purpose of a sign-in that ends at a page. One that confirms who is signed in has to belong to the same account.
async fn sign_in_to(
    redirect_to: String,
    reauthenticate: bool,
    request: &HttpRequest,
) -> Result<Aim, ApiError> {
    let confirms = if reauthenticate {
        let Visitor(session) = Visitor::extract(request).await?;
        session.map(|session| session.caller.user.id.into())
    } else {
        None
    };
    Ok(Aim::SignIn { redirect_to, reauthenticate, confirms })
}

/// Link another identity to the account that this browser is signed in to
///
/// From a page's form. Sends the browser to the provider, and back to `/account`. If the sign-in is older than
/// `accounts.fresh_for`, a client that accepts HTML is sent to the sign-in page first.
#[utoipa::path(
    post,
    path = "/auth/{provider}/link",
    operation_id = "begin_link",
    tag = "browser",
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "github")),
    responses(
        (status = 303, description = "To the provider, with a cookie for this link; or to the sign-in page, where a person whose sign-in is not recent signs in again", headers(("Location" = String, description = "The provider's page, or `/sign-in`"))),
        (status = 403, description = "`csrf_failed`", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutRecentSignIn,
        WithoutProvider,
    ),
)]
pub(crate) async fn begin_link(
    _: WithinAddressLimit,
    session: CurrentSession,
    state: Data<AppState>,
    name: Path<String>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    if let Err(not_recent) = session.recency(&state).check() {
        if !wants_html(&request) {
            return Err(not_recent.into());
        }
        return Ok(redirect(StatusCode::SEE_OTHER, &pages::url_to_confirm(&state, LINKS_OF_ACCOUNT)));
    }
    within_account_limit(&state, Account::User { id: session.caller.user.id, from: client_of(&origin) })?;
    let aim = Aim::Link { user_id: session.caller.user.id.into(), session_id: session.caller.session_id };
    send_to_provider(&state, provider.as_ref(), aim, &request, StatusCode::SEE_OTHER).await
}

impl LoginQuery {
    /// What the form of our own page repeats; an app has sent the rest already.
    pub(super) fn of_app(state: Option<String>, code_challenge: Option<String>) -> Self {
        let code_challenge_method = Some(S256.to_owned());
        Self {
            redirect_to: None,
            state,
            code_challenge,
            code_challenge_method,
            client_id: None,
            reauthenticate: None,
        }
    }

    /// What an app sends (RFC 6749 §4.1.1, RFC 7636 §4.3).
    ///
    /// # Errors
    /// 400 `invalid_request`.
    pub(super) fn read_app(self, redirect_uri: String, state: &AppState) -> Result<AppReturn, ApiError> {
        let rejected = |problem: &str| Err(ApiError::new(Code::InvalidRequest, problem));
        if self.client_id.is_some_and(|id| id != state.settings.sign_in.client_id) {
            return rejected("client_id is not sign_in.client_id");
        }
        // RFC 7636 §4.4.1. `plain` would show the verifier to whoever sees this request.
        if self.code_challenge_method.as_deref() != Some(S256) {
            return rejected("an app must send code_challenge_method=S256 with its code_challenge");
        }
        let Some(code_challenge) = self.code_challenge.as_deref().and_then(CodeChallenge::parse) else {
            return rejected(
                "an app must send a code_challenge: SHA-256 of its verifier as 43 characters of base64url",
            );
        };
        if self.state.as_ref().is_some_and(|state| state.len() > MAX_STATE_BYTES) {
            return rejected("state has more than 512 bytes");
        }
        Ok(AppReturn { redirect_uri, state: self.state, code_challenge, account: None })
    }
}

pub(super) async fn send_to_provider(
    state: &AppState,
    provider: &dyn Provider,
    aim: Aim,
    request: &HttpRequest,
    status: StatusCode,
) -> Result<HttpResponse, ApiError> {
    let flow = find_redirect_flow(provider)?;
    let attempt = Attempt::begin(provider.name(), aim, state)?;
    let url = authorization_url(state, provider.name(), flow, &attempt).await;
    match (url, &attempt.aim) {
        // A link checker or a preview, which will not come back: nothing is begun.
        (Ok(url), _) if request.method() == Method::HEAD => Ok(redirect(status, url.as_str())),
        (Ok(url), _) => {
            let cookies = attempt.into_cookies(request, state)?;
            Ok(with_cookies(redirect(status, url.as_str()), &cookies))
        }
        (Err(outage), Aim::App(back)) => app::refuse(back, &ApiError::from(outage), state),
        (Err(outage), _) => Err(outage.into()),
    }
}

async fn authorization_url(
    state: &AppState,
    provider: &str,
    flow: &dyn RedirectFlow,
    attempt: &Attempt,
) -> Result<Url, Outage> {
    // A browser that is signed in by cookie stays with us, and whoever began that in it can see so. A code goes elsewhere.
    let prompt = match attempt.aim {
        Aim::App(_) => Some(flow.prompt().await?),
        Aim::SignIn { .. } | Aim::Link { .. } => None,
    };
    flow.authorization_url(&AuthorizationRequest {
        redirect_uri: &callback_url(state, provider),
        state: &attempt.state,
        nonce: &attempt.nonce,
        code_challenge: CodeChallenge::of(&attempt.code_verifier).as_str(),
        prompt,
        reauthenticate_within: attempt
            .reauthenticate()
            .then_some(state.settings.accounts.fresh_for.as_secs()),
    })
    .await
}
