//! `/`: what this is, and where to go.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::html;
use super::layout::{Layout, Viewer};
use crate::error::ApiError;
use crate::http::bearer::Visitor;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    layout: Layout,
}

/// `GET /`.
///
/// # Errors
/// The database's.
pub(in crate::http) async fn home(
    Visitor(session): Visitor,
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let user = session.map(|session| session.caller.user);
    html::answer(StatusCode::OK, &HomePage { layout: Layout::new(&state, &request, user.as_ref()) })
}
