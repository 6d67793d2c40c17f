//! `POST /auth/{provider}`: a provider's token in, ours out.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::client_mode::ClientMode;
use super::exchange_request::{ExchangeBody, ExchangeRequest};
use super::limits::WithinAddressLimit;
use super::origin::RequestOrigin;
use super::proofs::prove;
use super::refusals::{OverLimit, WithoutBody, WithoutProvider};
use super::token_answer::TokenAnswer;
use crate::account::{self, SignIn};
use crate::error::{ApiError, Code, Problem};
use crate::event::Origin;
use crate::provider::{Credential, Provider, RedirectFlow};
use crate::state::AppState;

/// Exchange a Google, GitHub, Microsoft, Apple, GitLab or OpenID Connect token for an access token
///
/// The provider's token is proved with the provider, the user is found or created, and an access token of our own is
/// issued. Nothing of the request is believed but the token.
#[utoipa::path(
    post,
    path = "/auth/{provider}",
    operation_id = "exchange_token",
    tag = "sign-in",
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "google")),
    request_body(
        content(
            (ExchangeBody = "application/json"),
            (ExchangeBody = "application/x-www-form-urlencoded"),
        ),
        description = "Exactly one credential",
    ),
    responses(
        (status = 200, description = "Signed in; with `mode=cookie` cookies, and `expires_in`, `created`, `user`", body = TokenAnswer),
        (status = 400, description = "`invalid_request`: no credential, two, or one of a kind this provider does not take", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_token`, `audience_mismatch`, `issuer_mismatch`, `token_expired`, `nonce_mismatch`", body = Problem, content_type = "application/problem+json"),
        (status = 303, description = "A page's form with `Accept: text/html`: signed in by cookie, and on to `redirect_to`", headers(("Location" = String, description = "`redirect_to`"))),
        (status = 403, description = "`user_disabled`; `csrf_failed`: a browser's request that does not come from our own pages", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutBody,
        WithoutProvider,
    ),
)]
pub(crate) async fn exchange_token(
    _: WithinAddressLimit,
    state: Data<AppState>,
    name: Path<String>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    let result = exchange(&state, provider.as_ref(), &request, body, &origin).await;
    record(&state, provider.name(), result.as_ref().map(|(tokens, _)| tokens.created()), &origin).await;
    let (tokens, mode) = result?;
    mode.answer(tokens, &state)
}

async fn exchange(
    state: &AppState,
    provider: &dyn Provider,
    request: &HttpRequest,
    body: Payload,
    origin: &Origin,
) -> Result<(TokenAnswer, ClientMode), ApiError> {
    let taken = ExchangeRequest::read(request, body).await?;
    let mode = ClientMode::of_exchange(&taken, request, state)?;
    let scope = taken.scope().map(str::to_owned);
    let signed_in = sign_in(state, provider, &taken.into_credential(provider)?, origin).await?;
    Ok((mode.tokens(state, signed_in, scope.as_deref(), request, origin).await?, mode))
}

/// Proves a credential with its provider, and signs in whom it proves.
///
/// # Errors
/// The provider's refusal or trouble; 429; 403 `user_disabled`; the database's.
pub(super) async fn sign_in(
    state: &AppState,
    provider: &dyn Provider,
    credential: &Credential,
    origin: &Origin,
) -> Result<SignIn, ApiError> {
    let identity = prove(state, provider, credential, origin).await?;
    Ok(account::sign_in(&state.db, &state.rules, identity, origin).await?)
}

/// How a sign-in ended: for the metrics always, for the audit trail when a credential was judged and refused. A request that
/// could not be read, and a provider in trouble, refuse nobody.
pub(super) async fn record(
    state: &AppState,
    method: &str,
    created: Result<bool, &ApiError>,
    origin: &Origin,
) {
    let outcome = match created {
        Ok(true) => "created",
        Ok(false) => "ok",
        Err(error) => error.code().as_str(),
    };
    state.metrics.exchange(method, outcome);
    if let Err(error) = created
        && is_refusal(error)
    {
        state.refused_sign_ins.record(method, outcome, error.user_id(), origin).await;
    }
}

/// A credential was judged: not a malformed request, and not trouble.
fn is_refusal(error: &ApiError) -> bool {
    match error.code() {
        // Another page asked, or the person thought better of it.
        Code::CsrfFailed | Code::AccessDenied => false,
        Code::CodeRefused => true,
        _ => matches!(error.status_code(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
    }
}

/// The provider's redirect flow.
///
/// # Errors
/// 404 when it is not configured for that.
pub(super) fn find_redirect_flow(provider: &dyn Provider) -> Result<&dyn RedirectFlow, ApiError> {
    provider.redirect_flow().ok_or_else(|| {
        let name = provider.name();
        let detail = format!(
            "{name} takes tokens only: a sign-in by way of a browser needs {}",
            match provider.kind() {
                "apple" => format!("providers.{name}.team_id, key_id and private_key"),
                _ => format!("providers.{name}.client_secret"),
            }
        );
        ApiError::new(Code::UnknownProvider, detail)
    })
}

pub(super) fn find_provider(state: &AppState, name: &str) -> Result<Arc<dyn Provider>, ApiError> {
    state.providers.get(name).cloned().ok_or_else(|| {
        // The name itself is not repeated: it would be in the log, and people paste tokens in odd places.
        let detail = match name {
            "google" => "google is not configured: set providers.google.client_ids",
            "github" => "github is not configured: set providers.github.client_id and providers.github.client_secret",
            _ => "no provider of this name is configured: it would be providers.<name> with a kind and client_ids",
        };
        ApiError::new(Code::UnknownProvider, detail)
    })
}
