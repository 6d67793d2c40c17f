//! Back to an app: its redirect URI with a code, or with an error (RFC 6749 §4.1.2), and with our issuer (RFC 9207), by which an
//! app that knows several servers sees whose response it is.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use super::super::browser::redirect;
use super::super::oauth::description;
use super::attempt::AppReturn;
use crate::account::SignIn;
use crate::error::{ApiError, Code};
use crate::state::AppState;
use crate::token::OneTimeCode;

/// With the code of somebody who has just signed in.
///
/// # Errors
/// 500 when it cannot be sealed.
pub(super) fn hand_over_code(
    back: &AppReturn,
    SignIn { user, created, authentication }: &SignIn,
    state: &AppState,
) -> Result<HttpResponse, ApiError> {
    let code = OneTimeCode {
        id: Uuid::new_v4(),
        user_id: user.id.into(),
        token_version: user.token_version,
        created: *created,
        authentication: authentication.clone(),
        redirect_uri: back.redirect_uri.clone(),
        code_challenge: back.code_challenge.clone(),
        expires_at: state.clock.now().after(state.settings.sign_in.code_ttl).0,
    };
    let code = SecretString::from(state.code_keys.seal(&code).map_err(ApiError::internal)?);
    let url = url_back(back, state.tokens.issuer(), &[("code", code.expose_secret())])?;
    Ok(redirect(StatusCode::FOUND, url.as_str()))
}

/// With an error of RFC 6749 §4.1.2.1, whose description begins with our own code.
///
/// # Errors
/// 500 when the redirect URI is none; the settings were checked.
pub(super) fn refuse(back: &AppReturn, error: &ApiError, state: &AppState) -> Result<HttpResponse, ApiError> {
    let code = match error.code() {
        Code::Internal => "server_error",
        Code::ProviderBadAnswer
        | Code::ProviderUnavailable
        | Code::ProviderTimeout
        | Code::DatabaseUnavailable
        | Code::Overloaded
        | Code::RateLimited => "temporarily_unavailable",
        _ => "access_denied",
    };
    let text = description(error);
    let url = url_back(back, state.tokens.issuer(), &[("error", code), ("error_description", &text)])?;
    let mut response = redirect(StatusCode::FOUND, url.as_str());
    error.note(&mut response);
    Ok(response)
}

/// Where a person who calls the sign-in off goes to.
///
/// # Errors
/// 500 when the redirect URI is none; the settings were checked.
pub(super) fn url_of_cancel(back: &AppReturn, state: &AppState) -> Result<Url, ApiError> {
    url_back(back, state.tokens.issuer(), &[("error", "access_denied")])
}

fn url_back(back: &AppReturn, issuer: &str, parameters: &[(&str, &str)]) -> Result<Url, ApiError> {
    let mut url = Url::parse(&back.redirect_uri).map_err(ApiError::internal)?;
    url.query_pairs_mut()
        .extend_pairs(parameters)
        .extend_pairs(back.state.as_deref().map(|state| ("state", state)))
        .append_pair("iss", issuer);
    Ok(url)
}
