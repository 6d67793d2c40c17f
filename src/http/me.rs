//! `/api/me`: the caller's own account.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::CurrentUser;
use super::answer;
use super::bearer::{CurrentSession, RecentUser};
use super::json_body::read_json;
use super::origin::RequestOrigin;
use super::refusals::{WithoutBody, WithoutProof, WithoutRecentSignIn, WithoutUser};
use crate::account::administration;
use crate::account::profile::{self, Change, ProfileChange};
use crate::clock::Timestamp;
use crate::error::{ApiError, Code, Problem};
use crate::state::AppState;
use crate::text::is_invisible;
use crate::user::{MAX_NAME_CHARACTERS, User, is_avatar_url};

/// A user as the user sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Internal id.
    #[schema(value_type = String, example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: Uuid,
    /// Verified by a provider, or null.
    #[schema(example = "alice@mail.com")]
    email: Option<String>,
    /// Display name.
    #[schema(example = "Alice")]
    name: Option<String>,
    /// Picture, an `https://` URL.
    avatar_url: Option<String>,
    /// May use the administrators' routes.
    admin: bool,
    /// A password is set.
    has_password: bool,
    /// First sign-in, RFC 3339 in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T05:00:00Z")]
    created_at: Timestamp,
    /// Last sign-in, to the hour.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-21T05:00:00Z")]
    last_login_at: Option<Timestamp>,
}

impl From<User> for Me {
    fn from(user: User) -> Self {
        Self {
            id: user.id.into(),
            email: user.email,
            name: user.name,
            avatar_url: user.avatar_url,
            admin: user.admin,
            has_password: user.has_password,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// The caller's account
#[utoipa::path(
    get,
    path = "/api/me",
    operation_id = "show_me",
    tag = "account",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The account", body = Me),
        WithoutUser,
    ),
)]
pub(crate) async fn show_me(CurrentUser(user): CurrentUser) -> HttpResponse {
    answer::ok(Me::from(user))
}

/// A change of a profile. A member left out stays; `null` clears it and hands it back to the provider at the next login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileBody {
    /// Display name, 1 to 200 characters. Kept when the provider says otherwise.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Alice")]
    name: Change<String>,
    /// Picture, an `https://` URL of at most 2048 bytes.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "https://example.com/alice.png")]
    avatar_url: Change<String>,
}

impl ProfileBody {
    fn checked(self) -> Result<ProfileChange, ApiError> {
        let name = checked_name(self.name)?;
        if let Change::Set(url) = &self.avatar_url
            && !is_avatar_url(url)
        {
            let detail = "avatar_url must be an absolute https:// URL of at most 2048 bytes";
            return Err(ApiError::new(Code::InvalidRequest, detail));
        }
        Ok(ProfileChange { name, avatar_url: self.avatar_url })
    }
}

/// Checks a name that somebody typed. Invisible characters are removed, as they are from a provider's name: nobody could tell
/// which character a rejection is about. For everything else a rejection tells what to correct.
pub(super) fn checked_name(name: Change<String>) -> Result<Change<String>, ApiError> {
    let Change::Set(mut name) = name else { return Ok(name) };
    name.retain(|c| !is_invisible(c));
    let length = name.chars().count();
    if (1..=MAX_NAME_CHARACTERS).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(Change::Set(name));
    }
    let detail = format!(
        "name must have 1 to {MAX_NAME_CHARACTERS} characters, not counting invisible ones, and no control characters"
    );
    Err(ApiError::new(Code::InvalidRequest, detail))
}

/// Change the caller's name or picture
#[utoipa::path(
    patch,
    path = "/api/me",
    operation_id = "update_me",
    tag = "account",
    security(("bearer" = [])),
    request_body(content = ProfileBody),
    responses(
        (status = 200, description = "The account as it is now", body = Me),
        (status = 400, description = "`invalid_request`: an unknown member, or a value that is not allowed", body = Problem, content_type = "application/problem+json"),
        WithoutBody,
        WithoutUser,
        WithoutProof,
    ),
)]
pub(crate) async fn update_me(
    CurrentSession { caller, .. }: CurrentSession,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let change = read_json::<ProfileBody>(&request, body).await?.checked()?;
    let user = profile::update(&state.db, &caller, change, &origin).await?;
    Ok(answer::ok(Me::from(user)))
}

/// Delete the caller's account with all identities and sessions
///
/// The same identity then signs in as a new user. Requires a recent sign-in (`accounts.fresh_for`).
#[utoipa::path(
    delete,
    path = "/api/me",
    operation_id = "delete_me",
    tag = "account",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "`last_admin`: there would be no administrator who can sign in", body = Problem, content_type = "application/problem+json"),
        WithoutRecentSignIn,
        WithoutProof,
    ),
)]
pub(crate) async fn delete_me(
    RecentUser(caller): RecentUser,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    administration::delete_own(&state.db, &caller, &origin).await?;
    Ok(answer::done())
}
