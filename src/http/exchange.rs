//! `POST /auth/{provider}`: a provider's token in, ours out.

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::exchange_request::{ExchangeBody, ExchangeRequest};
use crate::account::{self, SignIn};
use crate::error::{ApiError, Code, Problem};
use crate::provider::Provider;
use crate::state::AppState;
use crate::token::IssuedToken;
use crate::user::User;

/// Our token and whom it is for (RFC 6749 §5.1, with the user beside it).
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    /// The JWT, to be sent as `Authorization: Bearer`.
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds the token lives.
    #[schema(example = 1800)]
    expires_in: i64,
    /// This was the user's first sign-in.
    created: bool,
    /// The user.
    user: TokenUser,
}

/// The user beside a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenUser {
    /// Internal id, the token's `sub`.
    #[schema(example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: String,
    /// Verified by a provider, or null.
    #[schema(example = "alice@mail.com")]
    email: Option<String>,
    /// Display name.
    #[schema(example = "Alice")]
    name: Option<String>,
    /// Picture.
    avatar_url: Option<String>,
}

/// Exchange a Google, GitHub or OpenID Connect token for an access token
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
        (status = 200, description = "Signed in", body = TokenAnswer),
        (status = 400, description = "`invalid_request`: no credential, two, or one of a kind this provider does not take", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_token`, `audience_mismatch`, `issuer_mismatch`, `token_expired`, `nonce_mismatch`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`user_disabled`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_provider`: not configured", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`payload_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "`provider_unavailable`: a bad answer, with `Retry-After`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`provider_unavailable`, `database_unavailable`, `overloaded`, with `Retry-After`", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "`provider_unavailable`: no answer in time, with `Retry-After`", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn exchange_token(
    state: Data<AppState>,
    name: Path<String>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    let result = exchange(&state, provider.as_ref(), &request, body).await;
    state.metrics.exchange(
        provider.name(),
        match &result {
            Ok(answer) if answer.created => "created",
            Ok(_) => "ok",
            Err(error) => error.code().as_str(),
        },
    );
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(result?))
}

async fn exchange(
    state: &AppState,
    provider: &dyn Provider,
    request: &HttpRequest,
    body: Payload,
) -> Result<TokenAnswer, ApiError> {
    let credential = ExchangeRequest::read(request, body).await?.into_credential(provider)?;
    let identity = state.providers.verify(provider, &credential).await?;
    let now = state.clock.now();
    let SignIn { user, created } =
        account::sign_in(&state.db, state.settings.accounts, identity, now).await?;
    let token = state.tokens.issue(&user, now).map_err(ApiError::internal)?;
    Ok(TokenAnswer::new(token, user, created))
}

fn find_provider(state: &AppState, name: &str) -> Result<Arc<dyn Provider>, ApiError> {
    state.providers.get(name).cloned().ok_or_else(|| {
        // The name itself is not repeated: it would be in the log, and people paste tokens in odd places.
        let detail = match name {
            "google" => "google is not configured: set providers.google.client_ids",
            "github" => "github is not configured: set providers.github.client_id and providers.github.client_secret",
            _ => "no provider of this name is configured: it would be providers.<name> with kind = \"oidc\" and client_ids",
        };
        ApiError::new(Code::UnknownProvider, detail)
    })
}

impl TokenAnswer {
    fn new(token: IssuedToken, user: User, created: bool) -> Self {
        Self {
            access_token: token.jwt,
            token_type: "bearer",
            expires_in: token.expires_in,
            created,
            user: TokenUser {
                id: user.id.to_string(),
                email: user.email,
                name: user.name,
                avatar_url: user.avatar_url,
            },
        }
    }
}
