//! `POST /oauth/token`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::exchange::record;
use super::super::limits::WithinAddressLimit;
use super::super::origin::RequestOrigin;
use super::super::token_answer::{TokenAnswer, wants_refresh_token};
use super::error::{OAuthError, OAuthProblem};
use super::parameters::Parameters;
use crate::account::{AccountError, SignIn, codes};
use crate::error::ApiError;
use crate::event::Origin;
use crate::state::AppState;
use crate::token::OneTimeCode;

/// A code for tokens.
// For OpenAPI only: the form is read by `Parameters`.
#[derive(Serialize, ToSchema)]
pub struct TokenRequestBody {
    /// `authorization_code`.
    #[schema(example = "authorization_code")]
    grant_type: String,
    /// As it came in the redirect.
    code: String,
    /// The one that the code was sent to, exactly.
    #[schema(example = "http://127.0.0.1:51004/callback")]
    redirect_uri: String,
    /// What the challenge was made of (RFC 7636 §4.1).
    #[schema(min_length = 43, max_length = 128)]
    code_verifier: String,
    /// `offline_access` asks for a refresh token.
    scope: Option<String>,
}

/// Exchange an app's one-time code for tokens
///
/// The code of `/auth/{provider}/login` with an app's `redirect_to` (RFC 6749 §4.1.3, RFC 7636 §4.5). It is good once, for
/// `sign_in.code_ttl`; `client_id` is ignored.
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "issue_token",
    tag = "sign-in",
    request_body(content = TokenRequestBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Signed in", body = TokenAnswer),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `unsupported_grant_type`", body = OAuthProblem),
        (status = 413, description = "`invalid_request`: over 64 KiB", body = OAuthProblem),
        (status = 429, description = "`temporarily_unavailable`, with `Retry-After`, `RateLimit` and `RateLimit-Policy`", body = OAuthProblem),
        (status = 503, description = "`temporarily_unavailable`, with `Retry-After`", body = OAuthProblem),
    ),
)]
pub(crate) async fn issue_token(
    within_limit: Result<WithinAddressLimit, ApiError>,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, OAuthError> {
    within_limit?;
    let mut parameters = Parameters::read(&request, body).await?;
    let grant_type = parameters.want("grant_type")?;
    let answer = match grant_type.expose_secret() {
        "authorization_code" => authorization_code(&state, parameters, &request, &origin).await?,
        _ => return Err(OAuthError::unsupported_grant_type("grant_type must be authorization_code")),
    };
    Ok(answer.into_response())
}

async fn authorization_code(
    state: &AppState,
    mut parameters: Parameters,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<TokenAnswer, ApiError> {
    let (code, redirect_uri) = (parameters.want("code")?, parameters.want("redirect_uri")?);
    let verifier = parameters.want("code_verifier")?;
    let scope = parameters.take("scope");
    let result =
        redeem(state, code.expose_secret(), redirect_uri.expose_secret(), verifier.expose_secret()).await;
    record(state, codes::METHOD, result.as_ref().map(|signed_in| signed_in.created), origin).await;
    let offline_access = wants_refresh_token(scope.as_ref().map(ExposeSecret::expose_secret));
    TokenAnswer::after_sign_in(state, result?, offline_access, request, origin).await
}

async fn redeem(
    state: &AppState,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
) -> Result<SignIn, ApiError> {
    let code =
        OneTimeCode::unseal(code, &state.code_keys, state.clock.now()).map_err(AccountError::InvalidCode)?;
    if code.redirect_uri != redirect_uri {
        return Err(AccountError::InvalidCode("redirect_uri is not the one that the code was sent to").into());
    }
    if !code.code_challenge.is_of(verifier) {
        return Err(AccountError::InvalidCode("code_verifier does not belong to the code_challenge").into());
    }
    let user = codes::redeem(&state.db, &code).await?;
    Ok(SignIn { user, created: code.created })
}
