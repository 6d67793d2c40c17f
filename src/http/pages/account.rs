//! `/account`: what users see of themselves, and may change.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::account_lists::{DeviceRow, IdentityRow};
use super::html;
use super::layout::{Layout, Viewer};
use super::person::Person;
use super::sign_in::url_to_confirm;
use super::way_in::{WayIn, linked_ways_in, names, ways_in};
use super::when::When;
use crate::account::acting_user::ActingUser;
use crate::db::identities;
use crate::error::ApiError;
use crate::http::bearer::CurrentSession;
use crate::http::identities::page_of_identities;
use crate::http::paging::{Page, PageQuery};
use crate::http::sessions::page_of_sessions;
use crate::state::AppState;
use crate::user::{Identity, MAX_NAME_CHARACTERS, User, UserId};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    layout: Layout,
    person: Person,
    name: String,
    max_name: usize,
    email: Option<String>,
    since: When,
    identities: Vec<IdentityRow>,
    more_identities: Option<String>,
    keys: Keys,
    links: Vec<WayIn>,
    devices: Vec<DeviceRow>,
    more_devices: Option<String>,
    passwords: bool,
    min_length: u32,
    /// A provider has just authenticated the person, which replaces the current password.
    proved_by_provider: bool,
    /// The names of the providers that can do so, for a sentence.
    confirmers: String,
    /// The URL at which they do so.
    confirm_for_password: String,
}

/// What the account can be opened with.
struct Keys {
    password: bool,
    /// Identities; of more than two nothing hangs.
    identities: usize,
    /// Taking the one identity would lock its owner out.
    last: bool,
}

/// Where the lists go on.
#[derive(Deserialize)]
pub(in crate::http) struct AccountQuery {
    identities_after: Option<String>,
    devices_after: Option<String>,
}

/// `GET /account`.
///
/// # Errors
/// 400 for a cursor that is not ours; the database's.
pub(in crate::http) async fn account(
    session: CurrentSession,
    state: Data<AppState>,
    query: Query<AccountQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let layout = Layout::of_session(&state, &request, &session);
    let recency = session.recency(&state);
    let ActingUser { user, session_id } = session.caller;
    let AccountQuery { identities_after, devices_after } = query.into_inner();
    let identities: Page<Identity> = page_of_identities(&state, user.id, &starting(identities_after)).await?;
    let devices = page_of_sessions(&state, &user, session_id, &starting(devices_after)).await?;
    let page = AccountPage {
        layout,
        person: Person::of(&user),
        max_name: MAX_NAME_CHARACTERS,
        since: When(user.created_at),
        keys: keys(&state, &user).await?,
        proved_by_provider: recency.replaces_password(),
        confirmers: names(&linked_ways_in(&state, user.id).await?),
        confirm_for_password: url_to_confirm(&state, "/account#password-section"),
        name: user.name.unwrap_or_default(),
        email: user.email,
        identities: identities
            .items
            .into_iter()
            .map(|identity| IdentityRow::new(identity, &state.providers))
            .collect(),
        more_identities: identities.next,
        links: ways_in(&state.providers),
        devices: devices.items,
        more_devices: devices.next,
        passwords: state.settings.password.enabled,
        min_length: state.settings.password.min_length,
    };
    if page.links.is_empty() {
        return html::answer(StatusCode::OK, &page);
    }
    html::answer_linking(StatusCode::OK, &page, &state.public_url)
}

fn starting(after: Option<String>) -> PageQuery {
    PageQuery { limit: None, after }
}

/// As [`crate::account::identities::unlink`] counts; it has the last word.
async fn keys(state: &AppState, user: &User) -> Result<Keys, ApiError> {
    let id: UserId = user.id;
    let identities = state.db.run(move |conn| Ok(identities::page(conn, id, None, 2)?.len())).await?;
    let password = user.has_password;
    let usable = password && state.settings.password.enabled && user.email.is_some();
    Ok(Keys { password, identities, last: identities == 1 && !usable })
}
