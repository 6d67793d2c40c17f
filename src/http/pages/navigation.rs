//! `/fragments/navigation`: the bar of every page once more, for when somebody has signed in or out meanwhile.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use url::Url;

use super::html;
use super::layout::{Layout, Viewer};
use crate::error::ApiError;
use crate::http::bearer::Visitor;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "navigation.html")]
struct Navigation {
    layout: Layout,
}

/// `GET /fragments/navigation`.
///
/// # Errors
/// The database's.
pub(in crate::http) async fn navigation(
    Visitor(session): Visitor,
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let user = session.map(|session| session.caller.user);
    let mut layout = Layout::new(&state, &request, user.as_ref());
    layout.here = page_of(&request, &layout.base).unwrap_or_default();
    html::answer(StatusCode::OK, &Navigation { layout })
}

/// The page that the bar is for: htmx says so.
fn page_of(request: &HttpRequest, base: &str) -> Option<String> {
    let url = Url::parse(request.headers().get("hx-current-url")?.to_str().ok()?).ok()?;
    url.path().strip_prefix(base).map(str::to_owned)
}
