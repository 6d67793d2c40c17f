//! `/api/admin/users/{id}/identities` and `/password`: how an administrator takes an account back from a thief. What an administrator
//! removes ends every token and session of the user.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};

use super::AdminUser;
use super::admin::user_id;
use super::answer;
use super::bearer::RecentAdmin;
use super::identities::{IdentityView, page_of_identities};
use super::origin::RequestOrigin;
use super::paging::{Page, PageQuery};
use super::refusals::{WithoutAdministrator, WithoutRecentAdministrator};
use crate::account::acting_user::Authority;
use crate::account::{self, AccountError, administration};
use crate::error::{ApiError, Problem};
use crate::state::AppState;

/// The identities of a user, oldest first
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}/identities",
    operation_id = "list_identities_of_user",
    tag = "administration",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the user"), PageQuery),
    responses(
        (status = 200, description = "The linked identities", body = Page<IdentityView>),
        (status = 400, description = "`invalid_request`: `limit` or `after`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        WithoutAdministrator,
    ),
)]
pub(crate) async fn list_identities_of_user(
    _admin: AdminUser,
    state: Data<AppState>,
    id: Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let id = user_id(&id)?;
    state.db.run(move |conn| administration::show(conn, id)).await??;
    let page: Page<IdentityView> = page_of_identities(&state, id, &query).await?;
    Ok(answer::ok(page))
}

/// Unlink an identity of a user, and end every token and session of the user
///
/// Also the last one: the user then has to be helped back, or the account deleted. Requires a recent sign-in
/// (`accounts.fresh_for`).
#[utoipa::path(
    delete,
    path = "/api/admin/users/{id}/identities/{identity_id}",
    operation_id = "unlink_identity_of_user",
    tag = "administration",
    security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "`id` of the user"),
        ("identity_id" = String, Path, description = "`id` of the identity"),
    ),
    responses(
        (status = 204, description = "Unlinked"),
        (status = 404, description = "`not_found`: there is no such user, or the user has no such identity", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_admin`: the last administrator could not sign in any more", body = Problem, content_type = "application/problem+json"),
        WithoutRecentAdministrator,
    ),
)]
pub(crate) async fn unlink_identity_of_user(
    RecentAdmin(admin): RecentAdmin,
    state: Data<AppState>,
    ids: Path<(String, String)>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let (id, identity_id) = ids.into_inner();
    let id = user_id(&id)?;
    let identity_id = identity_id.parse().map_err(|_| AccountError::NoSuchIdentity)?;
    let authority = Authority::administrator(admin, &origin);
    let password_counts = state.settings.password.enabled;
    account::write(&state.db, move |conn| {
        administration::unlink(conn, id, identity_id, password_counts, &authority)
    })
    .await?;
    Ok(answer::done())
}

/// Remove the password of a user, and end every token and session of the user
///
/// 204 also if none is set: the tokens and sessions end all the same. Requires a recent sign-in (`accounts.fresh_for`).
#[utoipa::path(
    delete,
    path = "/api/admin/users/{id}/password",
    operation_id = "remove_password_of_user",
    tag = "administration",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the user")),
    responses(
        (status = 204, description = "There is no password"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_admin`: the last administrator could not sign in any more", body = Problem, content_type = "application/problem+json"),
        WithoutRecentAdministrator,
    ),
)]
pub(crate) async fn remove_password_of_user(
    RecentAdmin(admin): RecentAdmin,
    state: Data<AppState>,
    id: Path<String>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let (id, authority) = (user_id(&id)?, Authority::administrator(admin, &origin));
    account::write(&state.db, move |conn| administration::remove_password(conn, id, &authority)).await?;
    Ok(answer::done())
}
