//! `/api/me`: the caller's own account.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use super::CurrentUser;
use crate::clock::Timestamp;
use crate::error::Problem;
use crate::user::User;

/// A user as the user sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Internal id.
    #[schema(example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: String,
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
            id: user.id.to_string(),
            email: user.email,
            name: user.name,
            avatar_url: user.avatar_url,
            admin: user.admin,
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
        (status = 401, description = "`invalid_token`: missing, expired, revoked, or the user is disabled or deleted", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`database_unavailable`, `overloaded`, with `Retry-After`", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show_me(CurrentUser(user): CurrentUser) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Me::from(user))
}
