//! What handlers answer when all is well.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::error::ApiError;

/// Bytes that hold nearly every response, tokens included. Serde's own buffer begins with 128 and is copied each time it grows:
/// 1 300 instructions of a read.
const USUAL_LENGTH: usize = 1024;

/// 200 with JSON that nobody on the way keeps: it is about one user, or has a token in it (RFC 6749 §5.1).
pub(super) fn ok(body: impl Serialize) -> HttpResponse {
    let mut json = Vec::with_capacity(USUAL_LENGTH);
    match serde_json::to_writer(&mut json, &body) {
        Ok(()) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header(ContentType::json())
            .body(json),
        Err(error) => ApiError::internal(error).error_response(),
    }
}

/// 204.
pub(super) fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
