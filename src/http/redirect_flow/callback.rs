//! The way back from the provider: take, verify, decide, store, answer.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use secrecy::SecretString;
use serde::Deserialize;
use uuid::Uuid;

use super::super::bearer::{CurrentSession, Visitor};
use super::super::browser::{BrowserSession, redirect, tokens_after_sign_in, wants_html, with_cookies};
use super::super::exchange::{find_provider, find_redirect_flow, record};
use super::super::limits::WithinAddressLimit;
use super::super::origin::RequestOrigin;
use super::super::pages;
use super::super::proofs::redeem;
use super::super::refusals::{OverLimit, WithoutProvider};
use super::attempt::{Aim, AppReturn, Attempt, invalid_state, spent_cookie};
use super::target::is_app;
use super::{app, callback_url};
use crate::account::{self, SignIn, identities};
use crate::error::{ApiError, Code, Problem};
use crate::event::Origin;
use crate::provider::{Outage, Provider, ReturnedCode, VerifiedIdentity};
use crate::state::AppState;

/// Longest `code` that is passed on, in bytes; Google's have under 256 (its documentation of the server flow).
pub(super) const MAX_CODE_BYTES: usize = 4096;

/// What a provider sends back (RFC 6749 §4.1.2). Other parameters are ignored.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Returned {
    /// As we sent it.
    state: Option<String>,
    /// For our eyes only.
    #[param(value_type = Option<String>)]
    code: Option<SecretString>,
    /// Instead of a code.
    error: Option<String>,
}

/// The way back from the provider
///
/// Registered there as `{server.public_url}/auth/{provider}/callback`. Refusals are pages, unless JSON is asked for.
#[utoipa::path(
    get,
    path = "/auth/{provider}/callback",
    operation_id = "finish_sign_in",
    tag = "browser",
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "google"), Returned),
    responses(
        (status = 302, description = "To where the sign-in was to end, with the session's cookies or an app's code", headers(("Location" = String, description = "As it was asked for"))),
        (status = 400, description = "`invalid_state`: not begun in this browser, or over; `code_refused`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The provider's own ID token is refused: `nonce_mismatch`, `audience_mismatch`, …", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`access_denied`: called off at the provider; `user_disabled`", body = Problem, content_type = "application/problem+json"),
        (status = 405, description = "`method_not_allowed`: HEAD changes nothing here, and is not answered otherwise", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`identity_in_use`: to be linked, and another account's", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutProvider,
    ),
)]
pub(crate) async fn finish_sign_in(
    _: WithinAddressLimit,
    state: Data<AppState>,
    name: Path<String>,
    RequestOrigin(origin): RequestOrigin,
    returned: Query<Returned>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    let returned = returned.into_inner();
    let spent = spent_cookie(returned.state.as_deref(), &request);
    let response = finish(&state, provider.as_ref(), returned, &request, &origin)
        .await
        .unwrap_or_else(HttpResponse::from_error);
    Ok(with_cookies(response, spent.as_slice()))
}

async fn finish(
    state: &AppState,
    provider: &dyn Provider,
    returned: Returned,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<HttpResponse, ApiError> {
    let attempt = Attempt::find(returned.state.as_deref(), provider.name(), request, state)?;
    match &attempt.aim {
        Aim::SignIn { redirect_to, confirms, .. } => {
            let signed_in = match sign_in(state, provider, &attempt, returned, origin).await {
                Err(error) if confirms.is_some() && is_not_confirmed(&error) && wants_html(request) => {
                    let mut back = redirect(StatusCode::FOUND, &pages::url_not_confirmed(state, redirect_to));
                    error.note(&mut back);
                    return Ok(back);
                }
                result => result?,
            };
            let tokens = tokens_after_sign_in(state, signed_in, request, origin).await?;
            Ok(BrowserSession::new(state, tokens)?.into_redirect(StatusCode::FOUND, redirect_to))
        }
        // The settings may have changed since, and a replica of an earlier version may have begun this.
        Aim::App(back) if !is_app(&back.redirect_uri, &state.settings.sign_in) => {
            Err(invalid_state("the app's redirect_to is no longer an entry that gets a code", state))
        }
        Aim::App(back) => match sign_in(state, provider, &attempt, returned, origin).await {
            Ok(signed_in) => app::hand_over_code(back, &signed_in, state),
            Err(error) => app::refuse(back, &error, state),
        },
        Aim::Link { user_id, session_id } => {
            let Visitor(visitor) = Visitor::extract(request).await?;
            let caller = the_same(visitor, *user_id, *session_id).ok_or_else(|| {
                invalid_state("the link was begun by somebody else, or that session is over", state)
            })?;
            let proved = prove(state, provider, &attempt, returned, origin).await?;
            identities::link(&state.db, &caller.caller, &proved, origin).await?;
            let account = format!("{}/account", state.public_url.path());
            Ok(redirect(StatusCode::FOUND, &account))
        }
    }
}

async fn sign_in(
    state: &AppState,
    provider: &dyn Provider,
    attempt: &Attempt,
    returned: Returned,
    origin: &Origin,
) -> Result<SignIn, ApiError> {
    let proved = match prove(state, provider, attempt, returned, origin).await {
        Ok(mut identity) => {
            // A sign-in for which nothing of the kind was asked is recent, whatever session the provider had.
            if !attempt.reauthenticate() {
                identity.authenticated_at = None;
            }
            expected(state, &attempt.aim, identity).await
        }
        Err(error) => Err(error),
    };
    let result = match proved {
        Ok(identity) => account::sign_in(&state.db, &state.rules, identity, origin).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    record(state, provider.name(), result.as_ref().map(|signed_in| signed_in.created), origin).await;
    result
}

/// Returns the identity, unless the sign-in has to belong to an account that it does not belong to. That is found out before anything
/// is stored: a person who chooses the wrong account at the provider must not find a new, empty account here.
async fn expected(
    state: &AppState,
    aim: &Aim,
    identity: VerifiedIdentity,
) -> Result<VerifiedIdentity, ApiError> {
    let (agreed, detail) = match aim {
        Aim::SignIn { confirms: Some(account), .. } => (
            account,
            "the account chosen at the provider does not belong to the account that was to be confirmed",
        ),
        Aim::App(AppReturn { account: Some(account), .. }) => (
            account,
            "the account chosen at the provider does not belong to the account that was to be signed in: begin again, and \
             choose \"Use another account\"",
        ),
        _ => return Ok(identity),
    };
    match state.db.identity(identity.key()).await? {
        Some((_, user)) if Uuid::from(user.id) == *agreed => Ok(identity),
        _ => Err(ApiError::new(Code::AccessDenied, detail)),
    }
}

/// Returns whether the person called the sign-in off at the provider, or chose an account there that [`expected`] does not accept.
fn is_not_confirmed(error: &ApiError) -> bool {
    error.code() == Code::AccessDenied
}

/// The code is exchanged for the provider's token, which is proved and forgotten.
async fn prove(
    state: &AppState,
    provider: &dyn Provider,
    attempt: &Attempt,
    returned: Returned,
    origin: &Origin,
) -> Result<VerifiedIdentity, ApiError> {
    let code = code(provider.name(), returned)?;
    let flow = find_redirect_flow(provider)?;
    let returned = ReturnedCode {
        code: &code,
        redirect_uri: &callback_url(state, provider.name()),
        code_verifier: &attempt.code_verifier.clone().into(),
        nonce: &attempt.nonce,
    };
    redeem(state, provider, flow, &returned, origin).await
}

/// RFC 6749 §4.1.2.1: `access_denied` is the person's word; of the others only trouble is not ours to mend.
fn code(provider: &str, returned: Returned) -> Result<SecretString, ApiError> {
    use secrecy::ExposeSecret as _;
    match returned.error.as_deref() {
        None => {}
        // The second is Apple's word for it.
        Some("access_denied" | "user_cancelled_authorize") => {
            let detail =
                format!("the sign-in was called off at {provider}: begin again if that was a mistake");
            return Err(ApiError::new(Code::AccessDenied, detail));
        }
        Some(error) => {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            let shown = if error.len() <= 64 && error.bytes().all(plain) { error } else { "an error" };
            return Err(Outage::bad_answer(provider, format!("it sent the browser back with {shown}")).into());
        }
    }
    returned.code.filter(|code| (1..=MAX_CODE_BYTES).contains(&code.expose_secret().len())).ok_or_else(|| {
        let detail = format!("{provider} sent the browser back without a code: begin again");
        ApiError::new(Code::CodeRefused, detail)
    })
}

/// A link is finished by whom it was begun: in the meantime somebody else may have signed in here, or lured this browser here.
fn the_same(
    visitor: Option<CurrentSession>,
    user_id: Uuid,
    session_id: Option<Uuid>,
) -> Option<CurrentSession> {
    visitor.filter(|visitor| {
        Uuid::from(visitor.caller.user.id) == user_id && visitor.caller.session_id == session_id
    })
}
