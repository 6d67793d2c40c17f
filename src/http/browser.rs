//! Browser mode: the tokens in cookies that no script can read, and none in a body or a URL.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse};
use cookie::Cookie;
use std::time::Duration;

use super::token_answer::{BrowserAnswer, TokenAnswer};
use super::{answer, cookies};
use crate::account::{AccountError, SignIn, sessions};
use crate::error::ApiError;
use crate::event::Origin;
use crate::state::AppState;
use crate::token::unguessable;

/// A sign-in on its way to a browser.
pub(super) struct BrowserSession {
    answer: BrowserAnswer,
    cookies: Vec<Cookie<'static>>,
}

impl BrowserSession {
    /// The tokens as cookies.
    ///
    /// # Errors
    /// 500 without a source of randomness.
    pub(super) fn new(state: &AppState, tokens: TokenAnswer) -> Result<Self, ApiError> {
        let (access_token, refresh_token, answer) = tokens.into_parts();
        let access_life = state.settings.token.access_ttl;
        let refresh = state.settings.refresh;
        let refresh_life = refresh.idle_ttl.min(refresh.absolute_ttl);
        // As long as the session can be renewed, the page may know so.
        let csrf_life = if refresh_token.is_some() { refresh_life } else { access_life };
        let csrf = unguessable().map_err(ApiError::internal)?;
        let mut cookies = vec![
            cookies::hidden(cookies::SESSION, access_token, access_life),
            cookies::csrf(csrf, csrf_life),
        ];
        if let Some(token) = refresh_token {
            cookies.push(cookies::refresh(refresh_path(state), token, refresh_life));
        }
        Ok(Self { answer, cookies })
    }

    /// 200, for a page's script.
    pub(super) fn into_json(self) -> HttpResponse {
        with_cookies(answer::ok(self.answer), &self.cookies)
    }

    /// The browser goes on to `location`.
    pub(super) fn into_redirect(self, status: StatusCode, location: &str) -> HttpResponse {
        with_cookies(redirect(status, location), &self.cookies)
    }
}

/// A redirect that nobody on the way keeps.
pub(super) fn redirect(status: StatusCode, location: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((LOCATION, location))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

/// The cookies of a session that is over.
pub(super) fn cleared(state: &AppState) -> [Cookie<'static>; 3] {
    [
        cookies::hidden(cookies::SESSION, String::new(), Duration::ZERO),
        cookies::csrf(String::new(), Duration::ZERO),
        cookies::refresh(refresh_path(state), String::new(), Duration::ZERO),
    ]
}

pub(super) fn with_cookies(mut response: HttpResponse, cookies: &[Cookie<'static>]) -> HttpResponse {
    for cookie in cookies {
        // No cookie of ours has a character that a header cannot have.
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

/// Tokens for a browser, which stays signed in as far as the settings let it. The session that it had until now ends: with its
/// refresh cookie overwritten nobody could renew it, and it would stay among the user's devices for weeks.
///
/// # Errors
/// The database's, and the user's end in between.
pub(super) async fn tokens_after_sign_in(
    state: &AppState,
    signed_in: SignIn,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<TokenAnswer, ApiError> {
    end_session_before(state, request, origin).await?;
    TokenAnswer::after_sign_in(state, signed_in, true, request, origin).await
}

/// Ends the session that this browser has, when it has one.
///
/// # Errors
/// The database's.
pub(super) async fn end_session_before(
    state: &AppState,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<(), ApiError> {
    let token = cookies::read(request, cookies::SESSION);
    let claims = token.and_then(|token| state.tokens.verify(token, state.clock.now()).ok()?.of_user().ok());
    let Some((user_id, session_id)) = claims.and_then(|claims| Some((claims.user_id, claims.session_id?)))
    else {
        return Ok(());
    };
    match sessions::end(&state.db, user_id, session_id, origin).await {
        Ok(()) | Err(AccountError::NoSuchSession) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the client names HTML among what it takes, as a browser does that goes to a page.
pub(super) fn wants_html(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// As browsers see it.
fn refresh_path(state: &AppState) -> String {
    format!("{}/auth/refresh", state.public_url.path())
}
