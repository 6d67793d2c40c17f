//! `/admin`: the users, for administrators.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::html;
use super::layout::{Layout, Viewer};
use super::person::Person;
use super::when::When;
use crate::account::administration::Account;
use crate::error::ApiError;
use crate::http::AdminUser;
use crate::http::admin::{SearchQuery, page_of_users};
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
    /// Their names, each once, with commas.
    providers: String,
    created: When,
    last_login: Option<When>,
    admin: bool,
    disabled: bool,
}

impl From<Account> for UserRow {
    fn from(Account { user, identities }: Account) -> Self {
        let mut providers: Vec<&str> = identities.iter().map(|identity| identity.provider.as_str()).collect();
        providers.sort_unstable();
        providers.dedup();
        Self {
            id: user.id,
            person: Person::of(&user),
            providers: providers.join(", "),
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
    AdminUser(admin): AdminUser,
    state: Data<AppState>,
    query: Query<SearchQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let found = page_of_users(&state, &query).await?;
    let page = UsersPage {
        layout: Layout::new(&state, &request, Some(&admin)),
        q: query.q.clone().unwrap_or_default(),
        further: query.page.after.is_some(),
        users: found.items,
        next: found.next,
    };
    html::answer(StatusCode::OK, &page)
}
