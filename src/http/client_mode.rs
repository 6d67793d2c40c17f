//! Who asks for tokens: a program, which keeps them itself, or a browser, which gets them in cookies.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::browser::{BrowserSession, tokens_after_sign_in, wants_html};
use super::exchange_request::{ExchangeRequest, Mode};
use super::redirect_flow::RedirectTarget;
use super::token_answer::{TokenAnswer, wants_refresh_token};
use super::{cookies, csrf};
use crate::account::SignIn;
use crate::error::{ApiError, Code};
use crate::event::Origin;
use crate::state::AppState;

/// Who the answer is for.
pub(super) enum ClientMode {
    /// The tokens in the body.
    Program,
    /// A page's script: cookies, and JSON without a token.
    Script,
    /// A page's form: cookies, and on to this place.
    Form { redirect_to: String },
}

impl ClientMode {
    /// Who sent an exchange. A browser proves that our own page asks: otherwise any other page could sign its visitor in to
    /// the account of somebody else, who then reads what the visitor enters.
    ///
    /// # Errors
    /// 403 `csrf_failed`, 400 `redirect_not_allowed`.
    pub(super) fn of_exchange(
        taken: &ExchangeRequest,
        request: &HttpRequest,
        state: &AppState,
    ) -> Result<Self, ApiError> {
        let proved = google_repeated_its_cookie(taken.google_csrf_token(), request)?;
        let form = request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let mode = if form && wants_html(request) {
            Self::Form { redirect_to: RedirectTarget::read_page(taken.redirect_to(), state)? }
        } else if taken.mode() == Some(Mode::Cookie) {
            Self::Script
        } else {
            return Ok(Self::Program);
        };
        // The form of Google's button is posted from Google's origin, which is why Google has a proof of its own.
        if !proved {
            csrf::check(request, state)?;
        }
        Ok(mode)
    }

    /// Who sent a body that says so itself.
    ///
    /// # Errors
    /// 403 `csrf_failed`.
    pub(super) fn of_body(
        mode: Option<Mode>,
        request: &HttpRequest,
        state: &AppState,
    ) -> Result<Self, ApiError> {
        match mode {
            None => Ok(Self::Program),
            Some(Mode::Cookie) => csrf::check(request, state).map(|()| Self::Script),
        }
    }

    /// Tokens for somebody who has just signed in. A browser stays so by itself, a program asks for it with `scope`.
    ///
    /// # Errors
    /// The database's, and the user's end in between.
    pub(super) async fn tokens(
        &self,
        state: &AppState,
        signed_in: SignIn,
        scope: Option<&str>,
        request: &HttpRequest,
        origin: &Origin,
    ) -> Result<TokenAnswer, ApiError> {
        match self {
            Self::Program => {
                let offline_access = wants_refresh_token(scope);
                TokenAnswer::after_sign_in(state, signed_in, offline_access, request, origin).await
            }
            Self::Script | Self::Form { .. } => tokens_after_sign_in(state, signed_in, request, origin).await,
        }
    }

    /// The tokens, as this client takes them.
    ///
    /// # Errors
    /// 500 without a source of randomness.
    pub(super) fn answer(self, tokens: TokenAnswer, state: &AppState) -> Result<HttpResponse, ApiError> {
        Ok(match self {
            Self::Program => tokens.into_response(),
            Self::Script => BrowserSession::new(state, tokens)?.into_json(),
            Self::Form { redirect_to } => {
                BrowserSession::new(state, tokens)?.into_redirect(StatusCode::SEE_OTHER, &redirect_to)
            }
        })
    }
}

/// Google's double-submit (<https://developers.google.com/identity/gsi/web/guides/verify-google-id-token>), which counts
/// against the request whenever it is there.
fn google_repeated_its_cookie(sent: Option<&str>, request: &HttpRequest) -> Result<bool, ApiError> {
    let Some(sent) = sent else { return Ok(false) };
    let cookie = cookies::read(request, cookies::GOOGLE_CSRF).unwrap_or_default();
    if cookie.is_empty() || verify_slices_are_equal(sent.as_bytes(), cookie.as_bytes()).is_err() {
        let detail =
            "g_csrf_token in the body is not the cookie of that name: another site may have sent this form";
        return Err(ApiError::new(Code::CsrfFailed, detail));
    }
    Ok(true)
}
