//! `/api/admin/users`: what administrators see of users, and do to them.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AdminUser;
use super::answer;
use super::bearer::{AdminSession, RecentAdmin};
use super::identities::IdentityView;
use super::json_body::{not_null, read_json};
use super::me::{Me, checked_name};
use super::origin::RequestOrigin;
use super::paging::{Page, PageQuery, Wanted};
use super::refusals::{WithoutAdministrator, WithoutBody, WithoutRecentAdministrator};
use crate::account::acting_user::Authority;
use crate::account::administration::{self, Account, UserChange};
use crate::account::profile::Change;
use crate::account::{self, AccountError};
use crate::error::{ApiError, Code, Problem};
use crate::state::AppState;
use crate::user::UserId;

const MAX_SEARCH_CHARACTERS: usize = 200;

/// A user as administrators see one.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    #[serde(flatten)]
    me: Me,
    /// May not sign in, and is refused with every token already out.
    disabled: bool,
    /// The ways in, oldest first.
    identities: Vec<IdentityView>,
}

impl From<Account> for UserView {
    fn from(Account { user, identities }: Account) -> Self {
        let disabled = user.disabled;
        let identities = identities.into_iter().map(IdentityView::from).collect();
        Self { me: Me::from(user), disabled, identities }
    }
}

/// Whom to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// How the e-mail or the name begins (ASCII letters compared without case), or a provider's id of a person, exactly. All
    /// users when it is empty or absent.
    #[param(max_length = 200, example = "alice@")]
    pub(super) q: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    pub(super) page: PageQuery,
}

impl SearchQuery {
    fn checked(&self) -> Result<String, ApiError> {
        let text = self.q.clone().unwrap_or_default();
        if text.chars().count() > MAX_SEARCH_CHARACTERS {
            let detail = format!("q must have at most {MAX_SEARCH_CHARACTERS} characters");
            return Err(ApiError::new(Code::InvalidRequest, detail));
        }
        Ok(text)
    }
}

/// Users, in order of creation
#[utoipa::path(
    get,
    path = "/api/admin/users",
    operation_id = "list_users",
    tag = "administration",
    security(("bearer" = [])),
    params(SearchQuery, PageQuery),
    responses(
        (status = 200, description = "The users", body = Page<UserView>),
        (status = 400, description = "`invalid_request`: `q`, `limit` or `after`", body = Problem, content_type = "application/problem+json"),
        WithoutAdministrator,
    ),
)]
pub(crate) async fn list_users(
    _admin: AdminUser,
    state: Data<AppState>,
    query: Query<SearchQuery>,
) -> Result<HttpResponse, ApiError> {
    let page: Page<UserView> = page_of_users(&state, &query).await?;
    Ok(answer::ok(page))
}

/// One page of the users that are searched for, for a program or for a person.
///
/// # Errors
/// 400 for a search that is too long and for what [`Wanted::read`] refuses; the database's.
pub(super) async fn page_of_users<T: From<Account>>(
    state: &AppState,
    query: &SearchQuery,
) -> Result<Page<T>, ApiError> {
    let keys = &state.cursor_keys;
    let text = query.checked()?;
    let wanted = Wanted::read("users", &query.page, keys)?;
    let (after, rows) = (wanted.after.map(UserId::from), wanted.rows());
    let found = state.db.run(move |conn| administration::list(conn, &text, after, rows)).await?;
    Ok(wanted.page(found, |account| account.user.id.into(), keys))
}

/// One user
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}",
    operation_id = "show_user",
    tag = "administration",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the user")),
    responses(
        (status = 200, description = "The user", body = UserView),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        WithoutAdministrator,
    ),
)]
pub(crate) async fn show_user(
    _admin: AdminUser,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = user_id(&id)?;
    let account = state.db.run(move |conn| administration::show(conn, id)).await??;
    Ok(shown(account))
}

/// A change of a user. A member left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// True ends every token and every session at once, and the user cannot sign in; false revives none of them.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Option<bool>, nullable = false)]
    disabled: Option<bool>,
    /// Make the user an administrator, or no longer one.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Option<bool>, nullable = false)]
    admin: Option<bool>,
    /// Display name, 1 to 200 characters; `null` hands it back to the provider at the next login.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Alice")]
    name: Change<String>,
}

impl UserBody {
    fn checked(self) -> Result<UserChange, ApiError> {
        Ok(UserChange { disabled: self.disabled, admin: self.admin, name: checked_name(self.name)? })
    }
}

/// Disable or enable a user, make one an administrator or no longer one, change a name
///
/// What is already so is left alone and makes no event. A change of `admin` requires a recent sign-in (`accounts.fresh_for`).
#[utoipa::path(
    patch,
    path = "/api/admin/users/{id}",
    operation_id = "update_user",
    tag = "administration",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the user")),
    request_body(content = UserBody),
    responses(
        (status = 200, description = "The user as it is now", body = UserView),
        (status = 400, description = "`invalid_request`: an unknown member, or a value that is not allowed", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_admin`: there would be no administrator who can sign in", body = Problem, content_type = "application/problem+json"),
        WithoutBody,
        WithoutRecentAdministrator,
    ),
)]
pub(crate) async fn update_user(
    AdminSession(admin): AdminSession,
    state: Data<AppState>,
    id: Path<String>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let id = user_id(&id)?;
    let change = read_json::<UserBody>(&request, body).await?.checked()?;
    if change.admin.is_some() {
        admin.recency(&state).check()?;
    }
    let authority = Authority::administrator(admin.caller, &origin);
    let account = account::write(&state.db, move |conn| {
        match administration::change(conn, id, change.clone(), &authority)? {
            Ok(user) => Ok(Ok(administration::with_identities(conn, user)?)),
            Err(refused) => Ok(Err(refused)),
        }
    });
    Ok(shown(account.await?))
}

/// Delete a user with all identities and sessions
///
/// The same identity then signs in as a new user. The audit trail keeps the id. Requires a recent sign-in (`accounts.fresh_for`).
#[utoipa::path(
    delete,
    path = "/api/admin/users/{id}",
    operation_id = "delete_user",
    tag = "administration",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the user")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_admin`: there would be no administrator who can sign in", body = Problem, content_type = "application/problem+json"),
        WithoutRecentAdministrator,
    ),
)]
pub(crate) async fn delete_user(
    RecentAdmin(admin): RecentAdmin,
    state: Data<AppState>,
    id: Path<String>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let id = user_id(&id)?;
    let authority = Authority::administrator(admin, &origin);
    account::write(&state.db, move |conn| administration::delete(conn, id, &authority)).await?;
    Ok(answer::done())
}

/// End every token and every session of a user
///
/// The user can sign in again.
#[utoipa::path(
    post,
    path = "/api/admin/users/{id}/revoke-tokens",
    operation_id = "revoke_tokens",
    tag = "administration",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "`id` of the user")),
    responses(
        (status = 204, description = "Nothing issued before is good any more"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        WithoutAdministrator,
    ),
)]
pub(crate) async fn revoke_tokens(
    AdminSession(admin): AdminSession,
    state: Data<AppState>,
    id: Path<String>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let id = user_id(&id)?;
    let authority = Authority::administrator(admin.caller, &origin);
    account::write(&state.db, move |conn| administration::revoke_tokens(conn, id, &authority)).await?;
    Ok(answer::done())
}

/// The id in a path. One that cannot be one is nobody's.
pub(super) fn user_id(text: &str) -> Result<UserId, AccountError> {
    text.parse().map_err(|_| AccountError::UnknownUser)
}

fn shown(account: Account) -> HttpResponse {
    answer::ok(UserView::from(account))
}
