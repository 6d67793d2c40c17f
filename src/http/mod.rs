//! Every URL of the product on one screen. A handler reads as the protocol does: take, verify, decide, store, answer.

mod bearer;
mod cors;
mod docs;
mod exchange;
mod exchange_request;
mod health;
mod me;
mod observe;
mod peer;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource, ResponseError, guard};

pub use self::bearer::{AdminUser, CurrentUser};
pub(crate) use self::cors::cors;
pub use self::exchange::TokenAnswer;
pub use self::exchange_request::ExchangeBody;
pub use self::health::{Health, Readiness};
pub use self::me::Me;
use self::observe::RoutePattern;
pub use self::observe::observe;
use crate::error::{ApiError, Code};

/// What `#[utoipa::path]` made of the handlers, for the document.
pub(crate) mod paths {
    pub(crate) use super::docs::__path_openapi_document;
    pub(crate) use super::exchange::__path_exchange_token;
    pub(crate) use super::health::{__path_metrics, __path_process_health, __path_readiness};
    pub(crate) use super::me::__path_show_me;
}

/// The routes, relative to wherever they are mounted. They are tried in turn: the busiest first, and one with a `{name}`,
/// which costs a regular expression, after those without.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(endpoint("/api/me", "GET, HEAD").route(get().to(me::show_me)))
        .service(endpoint("/auth/{provider}", "POST").route(web::post().to(exchange::exchange_token)))
        .service(endpoint("/healthz", "GET, HEAD").route(get().to(health::process_health)))
        .service(endpoint("/readyz", "GET, HEAD").route(get().to(health::readiness)))
        .service(endpoint("/metrics", "GET, HEAD").route(get().to(health::metrics)))
        .service(endpoint("/openapi.json", "GET, HEAD").route(get().to(docs::openapi_document)))
        .service(endpoint("/docs", "GET, HEAD").route(get().to(docs::to_the_page)))
        .service(endpoint("/docs/{file:.*}", "GET, HEAD").route(get().to(docs::page)));
}

/// A path that answers another method with 405 and `Allow` (RFC 9110 §15.5.6).
fn endpoint(path: &'static str, allow: &'static str) -> Resource {
    web::resource(path).app_data(RoutePattern(path)).default_service(web::to(move || async move {
        let error = ApiError::new(Code::MethodNotAllowed, format!("this path takes {allow}"));
        let mut response = error.error_response();
        response
            .headers_mut()
            .insert(actix_web::http::header::ALLOW, actix_web::http::header::HeaderValue::from_static(allow));
        response
    }))
}

/// RFC 9110 §9.1: whatever answers GET answers HEAD.
fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Any other path.
pub(crate) async fn not_found() -> HttpResponse {
    ApiError::new(Code::NotFound, "there is no such path; /docs lists them").error_response()
}
