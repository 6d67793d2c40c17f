//! The answer that all ways to sign in have in common (RFC 6749 §5.1, with the user beside it).

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer;
use super::origin::place;
use super::refresh::session_limit;
use crate::account::{SignIn, sessions};
use crate::authentication::Authentication;
use crate::error::ApiError;
use crate::event::Origin;
use crate::state::AppState;
use crate::token::RefreshToken;
use crate::user::User;

/// Our token and whom it is for.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    /// The JWT, to be sent as `Authorization: Bearer`.
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds the token lives.
    #[schema(example = 1800)]
    expires_in: i64,
    /// For `POST /auth/refresh`; only when it was asked for with `"scope": "offline_access"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// This was the user's first sign-in.
    created: bool,
    /// The user.
    user: TokenUser,
}

/// Who is signed in, to a page's script. The tokens are in cookies.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrowserAnswer {
    /// Seconds until the session is to be renewed at `POST /auth/refresh`.
    #[schema(example = 1800)]
    expires_in: i64,
    /// This was the user's first sign-in.
    created: bool,
    /// The user.
    user: TokenUser,
}

/// The user beside a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenUser {
    /// Internal id, the token's `sub`.
    #[schema(value_type = String, example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: Uuid,
    /// Verified by a provider, or null.
    #[schema(example = "alice@mail.com")]
    email: Option<String>,
    /// Display name.
    #[schema(example = "Alice")]
    name: Option<String>,
    /// Picture.
    avatar_url: Option<String>,
}

/// Whether a `scope` (RFC 6749 §3.3, a list with spaces) asks for a refresh token (OpenID Connect Core §11). What else is in it
/// is ignored.
pub(super) fn wants_refresh_token(scope: Option<&str>) -> bool {
    scope.is_some_and(|scope| scope.split(' ').any(|value| value == "offline_access"))
}

impl TokenAnswer {
    /// Tokens for somebody who has just signed in. Without `offline_access` nothing is stored.
    ///
    /// # Errors
    /// The database's, and the user's end in between.
    pub(super) async fn after_sign_in(
        state: &AppState,
        SignIn { user, created, authentication }: SignIn,
        offline_access: bool,
        request: &HttpRequest,
        origin: &Origin,
    ) -> Result<Self, ApiError> {
        if !offline_access || !state.settings.refresh.enabled {
            return Self::new(state, user, created, authentication.as_ref(), None);
        }
        let (place, limit) = (place(request, origin), session_limit(state));
        let begun = sessions::begin(&state.db, &user, authentication.clone(), place, limit, origin).await?;
        Self::new(state, user, created, authentication.as_ref(), Some((begun.session_id, begun.token)))
    }

    /// Tokens for this user, of this session.
    ///
    /// # Errors
    /// 500 when the token cannot be signed.
    pub(super) fn new(
        state: &AppState,
        user: User,
        created: bool,
        authentication: Option<&Authentication>,
        session: Option<(Uuid, RefreshToken)>,
    ) -> Result<Self, ApiError> {
        let (session_id, refresh_token) = session.unzip();
        let token = state.tokens.issue(&user, session_id, authentication, state.clock.now());
        let token = token.map_err(ApiError::internal)?;
        Ok(Self {
            access_token: token.jwt,
            token_type: "bearer",
            expires_in: token.expires_in,
            refresh_token: refresh_token.map(|token| token.expose()),
            created,
            user: TokenUser {
                id: user.id.into(),
                email: user.email,
                name: user.name,
                avatar_url: user.avatar_url,
            },
        })
    }

    /// Access token, refresh token, and what a page's script may know.
    pub(super) fn into_parts(self) -> (String, Option<String>, BrowserAnswer) {
        let answer = BrowserAnswer { expires_in: self.expires_in, created: self.created, user: self.user };
        (self.access_token, self.refresh_token, answer)
    }

    pub(super) fn expires_in(&self) -> i64 {
        self.expires_in
    }

    pub(super) fn created(&self) -> bool {
        self.created
    }

    /// RFC 6749 §5.1: not to be stored by anyone on the way.
    pub(super) fn into_response(self) -> HttpResponse {
        answer::ok(self)
    }
}
