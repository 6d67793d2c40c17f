//! `/api/me/identities`: the caller's ways in.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::CurrentUser;
use super::answer;
use super::bearer::RecentUser;
use super::exchange::find_provider;
use super::exchange_request::{ExchangeBody, ExchangeRequest};
use super::limits::{WithinAddressLimit, within_account_limit};
use super::origin::RequestOrigin;
use super::paging::{Page, PageQuery, Wanted};
use super::proofs::{client_of, prove};
use super::refusals::{
    OverLimit, WithoutBody, WithoutProof, WithoutProvider, WithoutRecentSignIn, WithoutUser,
};
use crate::account::AccountError;
use crate::account::identities::{self, Linked};
use crate::clock::Timestamp;
use crate::error::{ApiError, Problem};
use crate::rate_limit::Account;
use crate::state::AppState;
use crate::user::{Identity, UserId};

/// The name of the list, for its cursors.
const LIST: &str = "identities";

/// One way in.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityView {
    /// Its own id.
    #[schema(value_type = String, example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    id: Uuid,
    /// Who proves it.
    #[schema(example = "google")]
    provider: String,
    /// The provider's id of this person.
    #[schema(example = "110169484474386276334")]
    provider_id: String,
    /// The address as the provider last gave it, verified or not.
    #[schema(example = "alice@mail.com")]
    email: Option<String>,
    /// First proved, RFC 3339 in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T05:00:00Z")]
    created_at: Timestamp,
    /// Last proved, to the hour.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T05:00:00Z")]
    last_used_at: Timestamp,
}

impl From<Identity> for IdentityView {
    fn from(identity: Identity) -> Self {
        Self {
            id: identity.id,
            provider: identity.provider,
            provider_id: identity.provider_id,
            email: identity.email,
            created_at: identity.created_at,
            last_used_at: identity.last_used_at,
        }
    }
}

/// The caller's identities, oldest first
#[utoipa::path(
    get,
    path = "/api/me/identities",
    operation_id = "list_identities",
    tag = "account",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "The ways in", body = Page<IdentityView>),
        (status = 400, description = "`invalid_request`: `limit` or `after`", body = Problem, content_type = "application/problem+json"),
        WithoutUser,
    ),
)]
pub(crate) async fn list_identities(
    CurrentUser(user): CurrentUser,
    state: Data<AppState>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let page: Page<IdentityView> = page_of_identities(&state, user.id, &query).await?;
    Ok(answer::ok(page))
}

/// One page of a user's identities, for a program or for a person.
///
/// # Errors
/// 400 for what [`Wanted::read`] refuses; the database's.
pub(super) async fn page_of_identities<T: From<Identity>>(
    state: &AppState,
    user_id: UserId,
    query: &PageQuery,
) -> Result<Page<T>, ApiError> {
    let keys = &state.cursor_keys;
    let wanted = Wanted::read(LIST, query, keys)?;
    let (after, rows) = (wanted.after, wanted.rows());
    let found = state.db.run(move |conn| crate::db::identities::page(conn, user_id, after, rows)).await?;
    Ok(wanted.page(found, |identity| identity.id, keys))
}

/// Link another identity to the caller's account
///
/// Proved by a token of the provider, as at `POST /auth/{provider}`; both must be the caller's, and the caller's sign-in recent
/// (`accounts.fresh_for`).
#[utoipa::path(
    post,
    path = "/api/me/identities/{provider}",
    operation_id = "link_identity",
    tag = "account",
    security(("bearer" = [])),
    params(("provider" = String, Path, description = "`google`, `github`, or the name of a configured provider", example = "google")),
    request_body(
        content(
            (ExchangeBody = "application/json"),
            (ExchangeBody = "application/x-www-form-urlencoded"),
        ),
        description = "Exactly one credential",
    ),
    responses(
        (status = 200, description = "It was the caller's already", body = IdentityView),
        (status = 201, description = "Linked", body = IdentityView),
        (status = 400, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_token` of the caller, or `reauthentication_required`: the sign-in is older than `accounts.fresh_for` (RFC 9470); or the provider's token is rejected: `invalid_token`, `audience_mismatch`, `issuer_mismatch`, `token_expired`, `nonce_mismatch`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`identity_in_use`: it is another account's", body = Problem, content_type = "application/problem+json"),
        OverLimit,
        WithoutBody,
        WithoutProvider,
        WithoutProof,
    ),
)]
pub(crate) async fn link_identity(
    _: WithinAddressLimit,
    RecentUser(caller): RecentUser,
    state: Data<AppState>,
    name: Path<String>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    let credential = ExchangeRequest::read(&request, body).await?.into_credential(provider.as_ref())?;
    within_account_limit(&state, Account::User { id: caller.user.id, from: client_of(&origin) })?;
    let proved = prove(&state, provider.as_ref(), &credential, &origin).await?;
    let Linked { identity, new } = identities::link(&state.db, &caller, &proved, &origin).await?;
    let mut answer = if new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.insert_header((CACHE_CONTROL, "no-store")).json(IdentityView::from(identity)))
}

/// Unlink an identity, and end every token and session of the caller
///
/// Somebody may have signed in by that identity, so the caller's own token ends too. The last sign-in method is not unlinked. Requires
/// a recent sign-in (`accounts.fresh_for`).
#[utoipa::path(
    delete,
    path = "/api/me/identities/{id}",
    operation_id = "unlink_identity",
    tag = "account",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the identity")),
    responses(
        (status = 204, description = "Unlinked; every token and session of the caller has ended"),
        (status = 404, description = "`not_found`: the caller has no such identity", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_identity`", body = Problem, content_type = "application/problem+json"),
        WithoutRecentSignIn,
        WithoutProof,
    ),
)]
pub(crate) async fn unlink_identity(
    RecentUser(caller): RecentUser,
    state: Data<AppState>,
    id: Path<String>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    // An id that cannot be one is nobody's, like any other that is not the caller's.
    let id = id.parse().map_err(|_| AccountError::NoSuchIdentity)?;
    identities::unlink(&state.db, &caller, id, state.settings.password.enabled, &origin).await?;
    Ok(answer::done())
}
