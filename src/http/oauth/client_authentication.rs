//! Who the client of a request at `/oauth/*` is (RFC 6749 §2.3.1): `Authorization: Basic`, or `client_id` and `client_secret` in
//! the form.
//!
//! Guesses are counted by address alone. A bucket for each client would stop nobody, who has 256 bits to guess, and let
//! everybody who knows a public id keep its client out.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;

use super::error::OAuthError;
use super::parameters::Parameters;
use crate::account::{AccountError, clients};
use crate::client::Client;
use crate::error::{ApiError, Code};
use crate::state::AppState;
use crate::token::ClientSecret;

/// How a client proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
}

/// The credentials of a request, not judged yet.
struct Credentials {
    id: String,
    secret: ClientSecret,
    method: Method,
}

/// The client that sent this request, whose parameters of authentication are taken out of the form. Any client that is not
/// disabled will do.
///
/// # Errors
/// 401 `invalid_client` without credentials, and for those that are not good; 400 `invalid_request` for two methods at once;
/// the database's.
pub(super) async fn authenticate(
    state: &AppState,
    request: &HttpRequest,
    parameters: &mut Parameters,
) -> Result<Client, OAuthError> {
    let client = authenticate_if_sent(state, request, parameters).await?;
    client.ok_or_else(|| {
        let error = AccountError::InvalidClient("it sent no credentials");
        // Whoever has chosen no method is told of one (RFC 9110 §15.5.2).
        OAuthError::invalid_client(error.into(), Some(Method::Basic))
    })
}

/// The client that sent this request; `None` when it does not say. Credentials that are sent must be good, wanted or not.
///
/// # Errors
/// As [`authenticate`].
pub(super) async fn authenticate_if_sent(
    state: &AppState,
    request: &HttpRequest,
    parameters: &mut Parameters,
) -> Result<Option<Client>, OAuthError> {
    let Some(sent) = Credentials::read(request, parameters)? else { return Ok(None) };
    let ttl = state.settings.clients.previous_secret_ttl;
    match clients::authenticate(&state.db, &sent.id, &sent.secret, ttl, state.clock.now()).await {
        Ok(client) => Ok(Some(client)),
        Err(error @ AccountError::InvalidClient(_)) => {
            Err(OAuthError::invalid_client(error.into(), Some(sent.method)))
        }
        Err(error) => Err(ApiError::from(error).into()),
    }
}

impl Credentials {
    fn read(request: &HttpRequest, parameters: &mut Parameters) -> Result<Option<Self>, OAuthError> {
        let (id, secret) = (parameters.take("client_id"), parameters.take("client_secret"));
        let mut headers = request.headers().get_all(AUTHORIZATION);
        match (headers.next(), secret) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                Err(invalid("the client is in the Authorization header and in the form: send one of them")
                    .into())
            }
            (None, Some(secret)) => {
                let id = id.ok_or_else(|| invalid("the parameter client_id is missing"))?;
                let (id, secret) = (id.expose_secret().to_owned(), ClientSecret::presented(secret));
                Ok(Some(Self { id, secret, method: Method::Post }))
            }
            (Some(header), None) => {
                let basic = if headers.next().is_none() { from_basic(header) } else { None };
                let credentials = basic.ok_or_else(|| {
                    let error =
                        AccountError::InvalidClient("the Authorization header has no Basic credentials");
                    OAuthError::invalid_client(error.into(), Some(Method::Basic))
                })?;
                // RFC 6749 §3.2.1: it may say who it is in the form as well, and then not somebody else.
                if id.is_some_and(|id| id.expose_secret() != credentials.id) {
                    return Err(invalid("client_id is not the client of the Authorization header").into());
                }
                Ok(Some(credentials))
            }
        }
    }
}

/// `Basic`, base64, and in it two form-encoded texts with a colon between them, so that either may have one itself. A secret
/// with a colon that was not encoded is taken as it is meant.
fn from_basic(header: &HeaderValue) -> Option<Credentials> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim_matches(' ')).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let secret = ClientSecret::presented(form_decoded(secret)?.into());
    Some(Credentials { id: form_decoded(id)?, secret, method: Method::Basic })
}

fn form_decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn invalid(detail: &str) -> ApiError {
    ApiError::new(Code::InvalidRequest, detail)
}

#[cfg(test)]
mod fuzzed;
