//! Refusals as pages, for those who look at them; programs get the same as JSON.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::html;
use super::layout::{Layout, Viewer, has_docs, url_of};
use crate::error::{ApiError, Code};
use crate::http::browser::{accepts, redirect, wants_html};
use crate::http::observe::request_id;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    layout: Layout,
    title: &'a str,
    detail: &'a str,
    advice: &'static str,
    code: &'a str,
    request_id: Option<&'a str>,
}

/// Middleware for the routes of pages, ours and an embedding app's: who is not signed in is sent to the sign-in page and
/// comes back, and any other refusal is a page. A client that accepts JSON and no HTML is answered as everywhere else.
///
/// # Errors
/// Those of the service it wraps.
pub async fn errors_as_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    Ok(shown(next.call(request).await?.map_into_boxed_body(), true))
}

/// As [`errors_as_pages`], for routes of programs that a page's form may post to: only who names HTML gets it.
///
/// # Errors
/// Those of the service it wraps.
pub(in crate::http) async fn errors_as_pages_if_asked(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    Ok(shown(next.call(request).await?.map_into_boxed_body(), false))
}

/// Whether the client asks for HTML, or for nothing in particular (`*/*`) where that is `usual`.
fn takes_html(request: &HttpRequest, usual: bool) -> bool {
    wants_html(request) || (usual && !accepts(request, "json"))
}

fn shown(response: ServiceResponse<BoxBody>, usual: bool) -> ServiceResponse<BoxBody> {
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>().cloned());
    let request = response.request();
    let (Some(error), true) = (error, takes_html(request, usual)) else { return response };
    let page = match request.app_data::<Data<AppState>>() {
        Some(state) if error.wants_sign_in() => to_sign_in(request, state),
        Some(state) => page(&error, request, Layout::of_nobody(state.public_url.path(), has_docs(state))),
        None => page(&error, request, Layout::of_nobody("", false)),
    };
    let (request, original) = response.into_parts();
    // What the JSON answer said beside its body goes on: when to come back, which cookies are over, what is logged.
    let mut page = page;
    let own: Vec<HeaderName> =
        page.headers().keys().chain([&CONTENT_LENGTH, &CONTENT_TYPE]).cloned().collect();
    for (name, value) in original.headers().iter().filter(|(name, _)| !own.contains(name)) {
        page.headers_mut().append(name.clone(), value.clone());
    }
    error.note(&mut page);
    ServiceResponse::new(request, page)
}

/// 303, and back to what was asked for when that can be asked for again.
fn to_sign_in(request: &HttpRequest, state: &AppState) -> HttpResponse {
    let base = state.public_url.path();
    let mut location = format!("{base}/sign-in");
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        let wanted = url_of(request, base);
        location = format!("{location}?redirect_to={}", utf8_percent_encode(&wanted, NON_ALPHANUMERIC));
    }
    redirect(StatusCode::SEE_OTHER, &location)
}

fn page(error: &ApiError, request: &HttpRequest, layout: Layout) -> HttpResponse {
    let (status, code, title) = error.code().row();
    let page = RefusalPage {
        layout,
        title,
        detail: error.detail(),
        advice: advice(error.code()),
        code,
        request_id: request_id(request.headers()),
    };
    html::answer(status, &page).unwrap_or_else(|error| error.error_response())
}

/// What somebody can do about it.
fn advice(code: Code) -> &'static str {
    match code {
        Code::AdminRequired => "Sign in with another account, or ask an administrator to make you one.",
        Code::UserDisabled => "Ask an administrator. Signing in again does not help.",
        Code::NotFound | Code::UnknownProvider => "The address may be wrong, or what was there may be gone.",
        Code::InvalidState | Code::CodeRefused | Code::AccessDenied | Code::TokenExpired => {
            "Sign in once more, in one go and in one browser."
        }
        Code::IdentityInUse => "Sign in with it to see whose it is, and unlink it there first.",
        Code::CsrfFailed => "Go back, load the page again and try once more.",
        Code::RateLimited => "Wait a little before you try again.",
        Code::ProviderBadAnswer | Code::ProviderUnavailable | Code::ProviderTimeout => {
            "The provider has trouble, not you. Try again soon, or sign in another way."
        }
        Code::DatabaseUnavailable | Code::Overloaded => {
            "The trouble is ours, and may be over soon. Try again."
        }
        Code::Internal => "The mistake is ours. If it stays, tell us the number below.",
        _ => "Go back and try again.",
    }
}
