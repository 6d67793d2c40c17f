//! What a request proves itself with: `Authorization: Bearer …`, or a browser's cookie. Never both.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;

use super::cookies::{self, Found};
use super::csrf;
use crate::error::ApiError;
use crate::state::AppState;
use crate::token::VerifiedClaims;

/// The credential of a request.
struct Credential<'a> {
    token: &'a str,
    by_cookie: bool,
}

/// The claims, or the request again: its token may be signed with a key that another replica has seen and this one has not.
enum Judged {
    Now(VerifiedClaims),
    AfterAnotherLook(HttpRequest),
}

/// Whether a request asks for nothing that changes anything, as its own method says (RFC 9110 §9.2.1).
pub(super) fn by_method(request: &HttpRequest) -> bool {
    request.method().is_safe()
}

/// The verified claims of the request's credential. `is_safe` says whether what it asks for is: by cookie, what is
/// not needs the proof that a page of ours asks.
///
/// The token is verified at once and not in the future, so that it is not copied.
///
/// # Errors
/// 401 `invalid_token`, 403 `csrf_failed`; the database's, when the ring of keys cannot be looked at.
pub(super) fn verified_claims(
    request: &HttpRequest,
    is_safe: fn(&HttpRequest) -> bool,
) -> impl Future<Output = Result<(Data<AppState>, VerifiedClaims), ApiError>> + use<> {
    let judged = AppState::of(request).and_then(|state| Ok((judge(request, &state, is_safe)?, state)));
    async move {
        let (judged, state) = judged?;
        let claims = match judged {
            Judged::Now(claims) => claims,
            Judged::AfterAnotherLook(request) => {
                state.key_watch.look_again().await?;
                let credential = Credential::of(&request)?;
                let claims = state.tokens.verify(credential.token, state.clock.now())?;
                credential.admit(claims, &request, &state, is_safe)?
            }
        };
        Ok((state, claims))
    }
}

fn judge(
    request: &HttpRequest,
    state: &AppState,
    is_safe: fn(&HttpRequest) -> bool,
) -> Result<Judged, ApiError> {
    let credential = Credential::of(request)?;
    match state.tokens.verify(credential.token, state.clock.now()) {
        Ok(claims) => credential.admit(claims, request, state, is_safe).map(Judged::Now),
        Err(error) if state.may_be_by_an_unseen_key(credential.token, &error) => {
            Ok(Judged::AfterAnotherLook(request.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

impl<'a> Credential<'a> {
    /// A request with `Authorization` is judged by that alone; the cookie counts only without it.
    fn of(request: &'a HttpRequest) -> Result<Self, ApiError> {
        if request.headers().contains_key(AUTHORIZATION) {
            return Ok(Self { token: bearer_token(request)?, by_cookie: false });
        }
        match cookies::find(request, cookies::SESSION) {
            Found::One(token) => Ok(Self { token, by_cookie: true }),
            Found::Nothing => Err(ApiError::missing_bearer()),
            Found::Several => Err(ApiError::bad_bearer("there is more than one session cookie")),
        }
    }

    /// A browser adds the cookie to what any page has it send; and a service has no browser.
    fn admit(
        &self,
        claims: VerifiedClaims,
        request: &HttpRequest,
        state: &AppState,
        is_safe: fn(&HttpRequest) -> bool,
    ) -> Result<VerifiedClaims, ApiError> {
        if !self.by_cookie {
            return Ok(claims);
        }
        let claims = VerifiedClaims::User(claims.of_user()?);
        if !is_safe(request) {
            csrf::check(request, state)?;
        }
        Ok(claims)
    }
}

/// The credential of `Authorization: Bearer …` (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1).
fn bearer_token(request: &HttpRequest) -> Result<&str, ApiError> {
    let mut values = request.headers().get_all(AUTHORIZATION);
    let value = values.next().ok_or_else(ApiError::missing_bearer)?;
    if values.next().is_some() {
        return Err(ApiError::bad_bearer("there is more than one Authorization header"));
    }
    // Not `HeaderValue::to_str`, which looks at four hundred bytes one by one; what else is no token, the parser refuses.
    let value = std::str::from_utf8(value.as_bytes())
        .map_err(|_| ApiError::bad_bearer("the Authorization header is not text"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_matches(' ')),
        None if value.eq_ignore_ascii_case("bearer") => {
            Err(ApiError::bad_bearer("the bearer token is empty"))
        }
        _ => Err(ApiError::missing_bearer()),
    }
}
