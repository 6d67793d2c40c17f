//! `POST /oauth/token`: one URL for every grant of RFC 6749 and RFC 8693 that we know, each in a file of its own.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer;
use super::super::limits::WithinAddressLimit;
use super::super::origin::RequestOrigin;
use super::super::refusals::WithoutForm;
use super::super::token_answer::TokenAnswer;
use super::client_credentials::ClientTokenAnswer;
use super::error::{OAuthError, OAuthProblem};
use super::parameters::Parameters;
use super::token_exchange::ExchangeAnswer;
use super::{authorization_code, client_credentials, refresh_token, token_exchange};
use crate::error::ApiError;
use crate::state::AppState;

/// What is exchanged for tokens: `grant_type` says which of these it is. A client may prove itself beside any of them, by
/// `Authorization: Basic` or with `client_id` and `client_secret`.
// For OpenAPI only: the form is read by `Parameters`.
#[derive(Serialize, ToSchema)]
#[serde(tag = "grant_type")]
pub enum TokenRequestBody {
    /// A provider's token (RFC 8693).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange {
        /// The token.
        #[schema(min_length = 1)]
        subject_token: String,
        /// `urn:ietf:params:oauth:token-type:id_token` or `urn:ietf:params:oauth:token-type:access_token`.
        #[schema(example = "urn:ietf:params:oauth:token-type:id_token")]
        subject_token_type: String,
        /// `google`, `github`, or the name of a configured provider.
        #[schema(example = "google")]
        subject_issuer: String,
        /// The nonce the client used, if any.
        #[schema(nullable = false)]
        nonce: Option<String>,
        /// `offline_access` asks for a refresh token.
        #[schema(nullable = false)]
        scope: Option<String>,
    },
    /// A refresh token.
    #[serde(rename = "refresh_token")]
    RefreshToken {
        /// `refresh_token` of the last answer.
        #[schema(example = "tbr_…")]
        refresh_token: String,
    },
    /// The secret of a service, which gets a token of its own.
    #[serde(rename = "client_credentials")]
    ClientCredentials {
        /// Unless it is in the header.
        #[schema(nullable = false)]
        client_id: Option<String>,
        /// Unless it is in the header.
        #[schema(nullable = false)]
        client_secret: Option<String>,
        /// Some of the client's scopes, separated by spaces; all of them when absent.
        #[schema(example = "reports.read")]
        #[schema(nullable = false)]
        scope: Option<String>,
    },
    /// An app's one-time code, of `/auth/{provider}/login` with an app's `redirect_to`.
    #[serde(rename = "authorization_code")]
    AuthorizationCode {
        /// As it came in the redirect.
        code: String,
        /// The one that the code was sent to, exactly.
        #[schema(example = "http://127.0.0.1:51004/callback")]
        redirect_uri: String,
        /// What the challenge was made of (RFC 7636 §4.1).
        #[schema(min_length = 43, max_length = 128)]
        code_verifier: String,
        /// `sign_in.client_id`, which it is when absent, too.
        #[schema(example = "app")]
        #[schema(nullable = false)]
        client_id: Option<String>,
        /// `offline_access` asks for a refresh token.
        #[schema(nullable = false)]
        scope: Option<String>,
    },
}

/// What the grants answer.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum IssuedTokens {
    /// For a provider's token.
    Exchanged(ExchangeAnswer),
    /// For a refresh token or a code.
    SignedIn(TokenAnswer),
    /// For a client's secret.
    Client(ClientTokenAnswer),
}

/// Exchange a provider's token, a refresh token, an app's code or a service's secret for tokens
///
/// RFC 6749 and RFC 8693. The rules are those of `/auth/{provider}` and `/auth/refresh`. A code is good once, for
/// `sign_in.code_ttl` (RFC 7636 §4.5): a second exchange of it, with the right verifier, also ends what the first one gave. No client has to prove itself but for `client_credentials`; one that does must do it well.
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "issue_token",
    tag = "sign-in",
    security((), ("client" = [])),
    request_body(content = TokenRequestBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Tokens", body = IssuedTokens),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `invalid_scope`, `invalid_target`, `unsupported_grant_type`", body = OAuthProblem),
        (status = 401, description = "`invalid_client`; with `WWW-Authenticate` when `Authorization` was used", body = OAuthProblem),
        WithoutForm,
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
    let issued = match parameters.want("grant_type")?.expose_secret() {
        token_exchange::GRANT_TYPE => {
            IssuedTokens::Exchanged(token_exchange::grant(&state, parameters, &request, &origin).await?)
        }
        "refresh_token" => {
            IssuedTokens::SignedIn(refresh_token::grant(&state, parameters, &request, &origin).await?)
        }
        "client_credentials" => {
            IssuedTokens::Client(client_credentials::grant(&state, parameters, &request, &origin).await?)
        }
        "authorization_code" => {
            IssuedTokens::SignedIn(authorization_code::grant(&state, parameters, &request, &origin).await?)
        }
        _ => return Err(OAuthError::unsupported_grant_type()),
    };
    Ok(answer::ok(issued))
}
