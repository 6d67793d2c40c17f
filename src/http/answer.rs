//! What handlers answer when all is well.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;

/// 200 with JSON that nobody on the way keeps: it is about one user, or has a token in it (RFC 6749 §5.1).
pub(super) fn ok(body: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body)
}

/// 204.
pub(super) fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
