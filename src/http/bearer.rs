//! Who is calling: the extractors for protected routes, ours and an embedding app's.
//!
//! Bearer token, or a browser's cookie → verified claims → the user's row, read now → `token_version` and `disabled` checked. There is no
//! session: the row is what makes a disabled user go at the next request.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use super::credential::{by_method, verified_claims};
use crate::error::{ApiError, Code};
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
                return Err(ApiError::admin_required());
            }
            Ok(Self(user))
        })
    }
}

fn current_session(request: &HttpRequest) -> impl Future<Output = Result<CurrentSession, ApiError>> + use<> {
    let verified = verified_claims(request, by_method);
    async move {
        let (state, claims) = verified.await?;
        let claims = claims.of_user()?;
        let user = state.db.user(claims.user_id).await?;
        Ok(CurrentSession { user: claims.admit(user)?, session_id: claims.session_id })
    }
}
