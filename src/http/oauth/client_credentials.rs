//! A service's own token (RFC 6749 §4.4).

use actix_web::HttpRequest;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::exchange::record;
use super::client_authentication::authenticate;
use super::error::OAuthError;
use super::parameters::Parameters;
use crate::account::clients;
use crate::client::{Client, Scopes};
use crate::error::ApiError;
use crate::event::Origin;
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

/// A token for the client that asks: for the scopes it names, or for all that it has.
///
/// # Errors
/// 401 `invalid_client`, 400 `invalid_scope`; the database's.
pub(super) async fn grant(
    state: &AppState,
    parameters: Parameters,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<ClientTokenAnswer, OAuthError> {
    let result = issue(state, parameters, request).await;
    record(state, clients::METHOD, result.as_ref().map(|_| false).map_err(OAuthError::refusal), origin).await;
    result
}

async fn issue(
    state: &AppState,
    mut parameters: Parameters,
    request: &HttpRequest,
) -> Result<ClientTokenAnswer, OAuthError> {
    let client = authenticate(state, request, &mut parameters).await?;
    let scopes = match parameters.take("scope") {
        None => client.scopes.clone(),
        Some(wanted) => wanted_scopes(wanted.expose_secret(), &client)?,
    };
    let scope = scopes.to_string();
    let issued = state.tokens.issue_to_client(&client.id, &scope, state.clock.now());
    let token = issued.map_err(ApiError::internal)?;
    Ok(ClientTokenAnswer {
        access_token: token.jwt,
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope,
    })
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
