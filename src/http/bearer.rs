//! Who is calling: the extractors for protected routes, ours and an embedding app's.
//!
//! Bearer token, or a browser's cookie → verified claims → the user's row, read now → `token_version` and `disabled` checked. There is no
//! session: the row is what makes a disabled user go at the next request.

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use super::{cookies, csrf};
use crate::error::{ApiError, Code};
use crate::state::AppState;
use crate::token::UserClaims;
use crate::user::User;

/// The user who sent this request. Taking it as an argument *is* the login check: without a good token the handler is
/// not called, and the answer is 401 (RFC 6750).
#[derive(Debug, Clone)]
pub struct CurrentUser(pub User);

/// As [`CurrentUser`], and an administrator; any other user is answered 403 `admin_required`.
#[derive(Debug, Clone)]
pub struct AdminUser(pub User);

/// As [`CurrentUser`], with the session that the token belongs to.
pub(super) struct CurrentSession {
    pub(super) user: User,
    pub(super) session_id: Option<Uuid>,
}

/// Who looks at a page: a user, or a stranger. That the database cannot be asked is an error all the same.
pub(super) struct Visitor(pub(super) Option<CurrentSession>);

impl FromRequest for CurrentUser {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = current_session(request);
        Box::pin(async move { Ok(Self(session.await?.user)) })
    }
}

impl FromRequest for CurrentSession {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(current_session(request))
    }
}

impl FromRequest for Visitor {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = current_session(request);
        Box::pin(async move {
            match session.await {
                Ok(session) => Ok(Self(Some(session))),
                Err(error) if error.code() == Code::InvalidToken => Ok(Self(None)),
                Err(error) => Err(error),
            }
        })
    }
}

impl FromRequest for AdminUser {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let user = CurrentUser::from_request(request, payload);
        Box::pin(async move {
            let CurrentUser(user) = user.await?;
            if !user.admin {
                return Err(ApiError::new(Code::AdminRequired, "this route is for administrators"));
            }
            Ok(Self(user))
        })
    }
}

/// The token is verified at once and not in the future, so that it is not copied.
fn current_session(request: &HttpRequest) -> impl Future<Output = Result<CurrentSession, ApiError>> + use<> {
    let verified =
        AppState::of(request).and_then(|state| Ok((state.clone(), verified_claims(request, &state)?)));
    async move {
        let (state, claims) = verified?;
        let claims = match claims {
            Ok(claims) => claims,
            Err(UnseenKey(request)) => claims_by_an_unseen_key(&request, &state).await?,
        };
        let user = state.db.user(claims.user_id).await?;
        Ok(CurrentSession { user: claims.admit(user)?, session_id: claims.session_id })
    }
}

/// The request's token may be signed with a key that another replica has seen, and this one not yet.
struct UnseenKey(HttpRequest);

fn verified_claims(
    request: &HttpRequest,
    state: &AppState,
) -> Result<Result<UserClaims, UnseenKey>, ApiError> {
    let presented = presented(request)?;
    let claims = match state.tokens.verify(presented.token, state.clock.now()) {
        Err(error) if state.may_be_by_an_unseen_key(presented.token, &error) => {
            return Ok(Err(UnseenKey(request.clone())));
        }
        claims => claims?.of_user()?,
    };
    presented.check_origin(request, state)?;
    Ok(Ok(claims))
}

async fn claims_by_an_unseen_key(request: &HttpRequest, state: &AppState) -> Result<UserClaims, ApiError> {
    state.key_watch.look_again().await?;
    let presented = presented(request)?;
    let claims = state.tokens.verify(presented.token, state.clock.now())?.of_user()?;
    presented.check_origin(request, state)?;
    Ok(claims)
}

/// The credential of a request.
struct Presented<'a> {
    token: &'a str,
    by_cookie: bool,
}

/// A request with `Authorization` is judged by that alone; the cookie counts only without it.
fn presented(request: &HttpRequest) -> Result<Presented<'_>, ApiError> {
    if request.headers().contains_key(AUTHORIZATION) {
        return Ok(Presented { token: bearer_token(request)?, by_cookie: false });
    }
    let token = cookies::read(request, cookies::SESSION).ok_or_else(ApiError::missing_bearer)?;
    Ok(Presented { token, by_cookie: true })
}

impl Presented<'_> {
    /// A browser adds the cookie to what any page has it send.
    fn check_origin(&self, request: &HttpRequest, state: &AppState) -> Result<(), ApiError> {
        if self.by_cookie && !request.method().is_safe() { csrf::check(request, state) } else { Ok(()) }
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
