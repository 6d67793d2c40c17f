//! An app's one-time code for tokens (RFC 6749 §4.1.3).

use actix_web::HttpRequest;
use secrecy::ExposeSecret;

use super::super::exchange::record;
use super::super::origin::place;
use super::super::redirect_flow::is_app;
use super::super::refresh::session_limit;
use super::super::token_answer::{TokenAnswer, wants_refresh_token};
use super::client_authentication::authenticate_if_sent;
use super::error::OAuthError;
use super::parameters::Parameters;
use crate::account::codes;
use crate::account::sessions::Begun;
use crate::account::{AccountError, SignIn};
use crate::error::ApiError;
use crate::event::Origin;
use crate::session::Place;
use crate::state::AppState;
use crate::token::OneTimeCode;

/// What a client proves that the code is its own with.
struct Proof {
    /// As the request says, or `sign_in.client_id`.
    client_id: String,
    redirect_uri: String,
    code_verifier: String,
}

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
    let named = parameters.get("client_id").map(|id| id.expose_secret().to_owned());
    let authenticated = authenticate_if_sent(state, request, &mut parameters).await?;
    let client_id = authenticated.map(|client| client.id.to_string()).or(named);
    let (code, redirect_uri) = (parameters.want("code")?, parameters.want("redirect_uri")?);
    let verifier = parameters.want("code_verifier")?;
    let proof = Proof {
        client_id: client_id.unwrap_or_else(|| state.settings.sign_in.client_id.clone()),
        redirect_uri: redirect_uri.expose_secret().to_owned(),
        code_verifier: verifier.expose_secret().to_owned(),
    };
    let scope = parameters.take("scope");
    let offline_access = wants_refresh_token(scope.as_ref().map(ExposeSecret::expose_secret));
    let wanted = (offline_access && state.settings.refresh.enabled).then(|| place(request, origin));
    let result = redeem(state, code.expose_secret(), &proof, wanted, origin).await;
    record(state, codes::METHOD, result.as_ref().map(|(signed_in, _)| signed_in.created), origin).await;
    let (SignIn { user, created, authentication }, session) = result?;
    let session = session.map(|begun| (begun.session_id, begun.token));
    Ok(TokenAnswer::new(state, user, created, authentication.as_ref(), session)?)
}

/// Who has signed in, and the session that was begun if one was wanted.
async fn redeem(
    state: &AppState,
    code: &str,
    proof: &Proof,
    wanted: Option<Place>,
    origin: &Origin,
) -> Result<(SignIn, Option<Begun>), ApiError> {
    let invalid = AccountError::InvalidCode;
    let code: OneTimeCode = state.code_keys.unseal(code).ok_or(invalid("it is no code of ours"))?;
    code.check_expiry(state.clock.now(), state.settings.sign_in.code_ttl).map_err(invalid)?;
    let rejected = |problem| Err(AccountError::InvalidCode(problem).into());
    // Also a code of ours, when the redirect URI was taken out of the settings since.
    if !is_app(&code.redirect_uri, &state.settings.sign_in) {
        return rejected("it was sent to a redirect_uri that sign_in.redirect_uris does not allow");
    }
    if proof.client_id != state.settings.sign_in.client_id {
        return rejected("client_id is not the client that the code was issued to");
    }
    if code.redirect_uri != proof.redirect_uri {
        return rejected("redirect_uri is not the one that the code was sent to");
    }
    if !code.code_challenge.is_of(&proof.code_verifier) {
        return rejected("code_verifier does not belong to the code_challenge");
    }
    // From here on the client has proved that it is the app, or a thief who has everything that the app has.
    let (user, session) = codes::redeem(&state.db, &code, wanted, session_limit(state), origin).await?;
    Ok((SignIn { user, created: code.created, authentication: code.authentication }, session))
}
