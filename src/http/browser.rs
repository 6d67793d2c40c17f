//! Browser mode: the tokens in cookies that no script can read, and none in a body or a URL.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse};
use cookie::Cookie;
use std::time::Duration;

use super::token_answer::{BrowserAnswer, TokenAnswer};
use super::{answer, cookies, device};
use crate::account::{AccountError, SignIn, sessions};
use crate::error::ApiError;
use crate::event::Origin;
use crate::state::AppState;
use crate::token::{RefreshToken, unguessable};

/// As many session cookies are looked at when a session is to end: a browser has one, and verifying costs time.
const MAX_SESSION_COOKIES: usize = 4;

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
            let parsed = RefreshToken::parse(&token)
                .ok_or_else(|| ApiError::internal("a refresh token that was just made cannot be parsed"))?;
            let device = device::name_session(&state.device_keys, &parsed);
            cookies.push(cookies::refresh(refresh_path(state), token, refresh_life));
            cookies.push(cookies::device(device, refresh_life));
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
pub(super) fn cleared(state: &AppState) -> [Cookie<'static>; 4] {
    [
        cookies::hidden(cookies::SESSION, String::new(), Duration::ZERO),
        cookies::csrf(String::new(), Duration::ZERO),
        cookies::refresh(refresh_path(state), String::new(), Duration::ZERO),
        cookies::device(String::new(), Duration::ZERO),
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

/// Ends the session that this browser has, if it has one: the one that its device cookie names, which outlives the session cookie. Of
/// several session cookies each ends its session: whose they are is not known, and who presents a token may end its session anyway.
///
/// # Errors
/// Returns 503 if the database fails.
pub(super) async fn end_session_before(
    state: &AppState,
    request: &HttpRequest,
    origin: &Origin,
) -> Result<(), ApiError> {
    if let Some(handle) = device::session(request, state) {
        sessions::log_out(&state.db, handle, origin).await?;
    }
    let now = state.clock.now();
    let sessions: Vec<_> = cookies::all(request)
        .filter(|(name, _)| *name == cookies::SESSION)
        .take(MAX_SESSION_COOKIES)
        .filter_map(|(_, token)| state.tokens.verify(token, now).ok()?.of_user().ok())
        .filter_map(|claims| Some((claims.user_id, claims.session_id?)))
        .collect();
    for (user_id, session_id) in sessions {
        match sessions::end(&state.db, user_id, session_id, origin).await {
            Ok(()) | Err(AccountError::NoSuchSession) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether the client names HTML among what it takes, as a browser does that goes to a page.
pub(super) fn wants_html(request: &HttpRequest) -> bool {
    accepts(request, "text/html")
}

/// Whether `Accept` contains this text. Read as bytes: one odd byte in it must not make a browser look like a program.
pub(super) fn accepts(request: &HttpRequest, text: &str) -> bool {
    let accept = request.headers().get(ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
    accept.windows(text.len()).any(|part| part == text.as_bytes())
}

/// As browsers see it.
fn refresh_path(state: &AppState) -> String {
    format!("{}/auth/refresh", state.public_url.path())
}
