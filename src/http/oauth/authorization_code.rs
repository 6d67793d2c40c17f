//! An app's one-time code for tokens (RFC 6749 §4.1.3).

use actix_web::HttpRequest;
use secrecy::ExposeSecret;

use super::super::exchange::record;
use super::super::token_answer::{TokenAnswer, wants_refresh_token};
use super::client_authentication::authenticate_if_sent;
use super::error::OAuthError;
use super::parameters::Parameters;
use crate::account::{AccountError, SignIn, codes};
use crate::error::ApiError;
use crate::event::Origin;
use crate::state::AppState;
use crate::token::OneTimeCode;

/// The token answer, for a code and its verifier.
///
/// # Errors
/// What is missing; `invalid_grant`; the database's.
pub(super) async fn grant(
    state: &AppState,
    mut parameters: Parameters,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<TokenAnswer, OAuthError> {
    authenticate_if_sent(state, request, &mut parameters).await?;
    let (code, redirect_uri) = (parameters.want("code")?, parameters.want("redirect_uri")?);
    let verifier = parameters.want("code_verifier")?;
    let scope = parameters.take("scope");
    let result =
        redeem(state, code.expose_secret(), redirect_uri.expose_secret(), verifier.expose_secret()).await;
    record(state, codes::METHOD, result.as_ref().map(|signed_in| signed_in.created), origin).await;
    let offline_access = wants_refresh_token(scope.as_ref().map(ExposeSecret::expose_secret));
    Ok(TokenAnswer::after_sign_in(state, result?, offline_access, request, origin).await?)
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
    Ok(SignIn { user, created: code.created, authentication: code.authentication })
}
