//! `POST /oauth/token`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::exchange::record;
use super::super::limits::WithinAddressLimit;
use super::super::origin::RequestOrigin;
use super::super::token_answer::TokenAnswer;
use super::client_authentication::{authenticate, authenticate_if_sent};
use super::error::{OAuthError, OAuthProblem};
use super::parameters::Parameters;
use super::{authorization_code, client_credentials};
use crate::account::clients;
use crate::error::ApiError;
use crate::state::AppState;

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
    match grant_type.expose_secret() {
        "client_credentials" => {
            let client = authenticate(&state, &request, &mut parameters).await;
            let result = client.and_then(|client| client_credentials::grant(&state, &client, parameters));
            record(
                &state,
                clients::METHOD,
                result.as_ref().map(|_| false).map_err(OAuthError::refusal),
                &origin,
            )
            .await;
            result
        }
        "authorization_code" => {
            authenticate_if_sent(&state, &request, &mut parameters).await?;
            Ok(authorization_code::grant(&state, parameters, &request, &origin).await?)
        }
        _ => Err(OAuthError::unsupported_grant_type(
            "grant_type must be authorization_code or client_credentials",
        )),
    }
}
