//! `/openapi.json`, and Swagger UI on it, served from the binary: it works without internet.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use utoipa_swagger_ui::Config;

use crate::error::{ApiError, Code};
use crate::state::AppState;

/// Swagger UI sets styles from script, so its page alone may have them inline.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Relative, so that it holds wherever the routes are mounted. The validator badge would ask a server on the internet, and
/// a remembered "Authorize" would keep the token in localStorage, where any script finds it.
static SWAGGER_UI: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["../openapi.json"]).validator_url("none");
    Arc::new(config.try_it_out_enabled(true).display_request_duration(true))
});

/// This document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi_document", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
pub(crate) async fn openapi_document(state: Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(state.openapi.clone())
}

/// The page's files are found relative to it, so its URL must end with a slash.
pub(super) async fn to_the_page(request: HttpRequest) -> HttpResponse {
    let name = request.path().rsplit('/').next().unwrap_or_default();
    HttpResponse::MovedPermanently().insert_header((LOCATION, format!("{name}/"))).finish()
}

pub(super) async fn page(file: Path<String>) -> HttpResponse {
    match utoipa_swagger_ui::serve(&file, Arc::clone(&SWAGGER_UI)) {
        Ok(Some(file)) => HttpResponse::Ok()
            .content_type(file.content_type)
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((REFERRER_POLICY, "same-origin"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(file.bytes.into_owned()),
        Ok(None) => ApiError::new(Code::NotFound, "Swagger UI has no such file").error_response(),
        Err(error) => ApiError::internal(error).error_response(),
    }
}
