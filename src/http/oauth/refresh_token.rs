//! The next tokens for a refresh token (RFC 6749 §6), as `POST /auth/refresh` gives them.

use actix_web::HttpRequest;
use secrecy::ExposeSecret;

use super::super::origin::place;
use super::super::refresh::refresh_now;
use super::super::token_answer::TokenAnswer;
use super::client_authentication::authenticate_if_sent;
use super::error::OAuthError;
use super::parameters::Parameters;
use crate::event::Origin;
use crate::state::AppState;

/// The token answer with the next refresh token.
///
/// # Errors
/// What is missing; `invalid_grant`; 429; the database's.
pub(super) async fn grant(
    state: &AppState,
    mut parameters: Parameters,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<TokenAnswer, OAuthError> {
    authenticate_if_sent(state, request, &mut parameters).await?;
    let token = parameters.want("refresh_token")?;
    Ok(refresh_now(state, token.expose_secret(), place(request, origin), origin).await?)
}
