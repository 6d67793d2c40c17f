//! A service's own token (RFC 6749 §4.4).

use actix_web::HttpResponse;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer;
use super::error::OAuthError;
use super::parameters::Parameters;
use crate::client::{Client, Scopes};
use crate::error::ApiError;
use crate::state::AppState;

/// A client's token. There is no refresh token beside it: the client has its secret (RFC 6749 §4.4.3).
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientTokenAnswer {
    /// The JWT, to be sent as `Authorization: Bearer`. Its `sub` is `client:` and the client's id.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds the token lives.
    #[schema(example = 1800)]
    expires_in: i64,
    /// What it may do, separated by spaces.
    #[schema(example = "reports.read")]
    scope: String,
}

/// A token for this client: for what it asks, or for all that it may do.
///
/// # Errors
/// 400 `invalid_scope`.
pub(super) fn grant(
    state: &AppState,
    client: &Client,
    mut parameters: Parameters,
) -> Result<HttpResponse, OAuthError> {
    let scopes = match parameters.take("scope") {
        None => client.scopes.clone(),
        Some(wanted) => wanted_scopes(wanted.expose_secret(), client)?,
    };
    let scope = scopes.to_string();
    let token = state
        .tokens
        .issue_to_client(&client.id, scope.clone(), state.clock.now())
        .map_err(|error| OAuthError::from(ApiError::internal(error)))?;
    Ok(answer::ok(ClientTokenAnswer {
        access_token: token.jwt,
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope,
    }))
}

fn wanted_scopes(text: &str, client: &Client) -> Result<Scopes, OAuthError> {
    let wanted: Scopes =
        text.parse().map_err(|error| OAuthError::invalid_scope(format!("scope: {error}")))?;
    if wanted.are_within(&client.scopes) {
        return Ok(wanted);
    }
    let detail =
        "scope has one that this client was not made with: `tokenbooth client list` shows which it was";
    Err(OAuthError::invalid_scope(detail.to_owned()))
}
