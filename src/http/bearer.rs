//! Who is calling: the extractors for protected routes, ours and an embedding app's.
//!
//! Bearer token, or a browser's cookie → verified claims → the user's row, read now → `token_version` and `disabled` checked. There is no
//! session: the row is what makes a disabled user go at the next request.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::credential::{by_method, verified_claims};
use crate::account::acting_user::ActingUser;
use crate::authentication::{AuthenticationClaims, Recency};
use crate::error::{ApiError, Code};
use crate::state::AppState;
use crate::user::User;

/// The user who sent this request. Taking it as an argument *is* the login check: without a good token the handler is
/// not called, and the answer is 401 (RFC 6750).
#[derive(Debug, Clone)]
pub struct CurrentUser(pub User);

/// As [`CurrentUser`], and an administrator; any other user is answered 403 `admin_required`.
#[derive(Debug, Clone)]
pub struct AdminUser(pub User);

/// As [`CurrentUser`], with the session that the token belongs to and the sign-in behind it.
pub(super) struct CurrentSession {
    pub(super) caller: ActingUser,
    authentication: Option<AuthenticationClaims>,
}

/// As [`CurrentUser`], for a sensitive operation: the sign-in behind the token is at most `accounts.fresh_for` old. Otherwise the
/// response is 401 `reauthentication_required` (RFC 9470), so that a stolen token does not take the account over.
pub(super) struct RecentUser(pub(super) ActingUser);

/// As [`AdminUser`], with the session.
pub(super) struct AdminSession(pub(super) CurrentSession);

/// [`AdminUser`] and [`RecentUser`] in one.
pub(super) struct RecentAdmin(pub(super) ActingUser);

impl CurrentSession {
    /// Returns how recent the sign-in behind the token is.
    pub(super) fn recency(&self, state: &AppState) -> Recency {
        Recency::new(self.authentication, state.settings.accounts.fresh_for, state.clock.now())
    }

    /// Returns the user, if the sign-in is recent enough for a sensitive operation.
    ///
    /// # Errors
    /// Returns 401 `reauthentication_required`.
    pub(super) fn recent_user(self, state: &AppState) -> Result<ActingUser, ApiError> {
        self.recency(state).check()?;
        Ok(self.caller)
    }
}

/// Who looks at a page: a user, or a stranger. That the database cannot be asked is an error all the same.
pub(super) struct Visitor(pub(super) Option<CurrentSession>);

impl FromRequest for CurrentUser {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = current_session(request);
        Box::pin(async move { Ok(Self(session.await?.caller.user)) })
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
        let session = AdminSession::from_request(request, payload);
        Box::pin(async move { Ok(Self(session.await?.0.caller.user)) })
    }
}

impl FromRequest for RecentUser {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (state, session) = (AppState::of(request), current_session(request));
        Box::pin(async move {
            let (session, state) = (session.await?, state?);
            Ok(Self(session.recent_user(&state)?))
        })
    }
}

impl FromRequest for AdminSession {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = current_session(request);
        Box::pin(async move {
            let session = session.await?;
            if session.caller.user.admin { Ok(Self(session)) } else { Err(ApiError::admin_required()) }
        })
    }
}

impl FromRequest for RecentAdmin {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (state, session) = (AppState::of(request), AdminSession::from_request(request, payload));
        Box::pin(async move {
            let (AdminSession(session), state) = (session.await?, state?);
            Ok(Self(session.recent_user(&state)?))
        })
    }
}

fn current_session(request: &HttpRequest) -> impl Future<Output = Result<CurrentSession, ApiError>> + use<> {
    let verified = verified_claims(request, by_method);
    async move {
        let (state, claims) = verified.await?;
        let claims = claims.of_user()?;
        let user = claims.admit(state.db.bearer(claims.bearer_key()).await?)?;
        let (session_id, authentication) = (claims.session_id, claims.authentication);
        Ok(CurrentSession { caller: ActingUser { user, session_id }, authentication })
    }
}
