//! `/admin`: the users, for administrators.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::account_lists::IdentityRow;
use super::html;
use super::layout::{Layout, Viewer};
use super::person::Person;
use super::when::When;
use crate::account::administration::Account;
use crate::error::ApiError;
use crate::http::admin::{SearchQuery, page_of_users};
use crate::http::bearer::AdminSession;
use crate::http::paging::Page;
use crate::provider::Providers;
use crate::state::AppState;
use crate::user::UserId;

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    layout: Layout,
    q: String,
    /// Not the first page.
    further: bool,
    users: Vec<UserRow>,
    next: Option<String>,
}

struct UserRow {
    id: UserId,
    person: Person,
    email: Option<String>,
    identities: Vec<IdentityRow>,
    has_password: bool,
    created: When,
    last_login: Option<When>,
    admin: bool,
    disabled: bool,
}

impl UserRow {
    fn new(Account { user, identities }: Account, providers: &Providers) -> Self {
        Self {
            id: user.id,
            person: Person::of(&user),
            identities: identities.into_iter().map(|one| IdentityRow::new(one, providers)).collect(),
            has_password: user.has_password,
            created: When(user.created_at),
            last_login: user.last_login_at.map(When),
            admin: user.admin,
            disabled: user.disabled,
            email: user.email,
        }
    }
}

/// `GET /admin?q=…&after=…`.
///
/// # Errors
/// 400 as `GET /api/admin/users`; the database's.
pub(in crate::http) async fn users(
    AdminSession(session): AdminSession,
    state: Data<AppState>,
    query: Query<SearchQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let found: Page<Account> = page_of_users(&state, &query).await?;
    let page = UsersPage {
        layout: Layout::of_session(&state, &request, &session),
        q: query.q.clone().unwrap_or_default(),
        further: query.page.after.is_some(),
        users: found.items.into_iter().map(|account| UserRow::new(account, &state.providers)).collect(),
        next: found.next,
    };
    html::answer(StatusCode::OK, &page)
}
