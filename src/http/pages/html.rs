//! A page as an answer.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use askama::Template;

use crate::error::ApiError;

/// Only what is in the binary is run and drawn; pictures of people come from their providers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https:; \
                      font-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page, which nobody on the way keeps and no other page frames.
///
/// # Errors
/// 500 when it cannot be written.
pub(super) fn answer(status: StatusCode, page: &impl Template) -> Result<HttpResponse, ApiError> {
    let page = page.render().map_err(ApiError::internal)?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(page))
}
