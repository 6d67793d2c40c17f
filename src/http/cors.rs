//! Browser apps of other origins (`[cors]`).

use actix_cors::Cors;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use actix_web::middleware::Next;

use crate::settings::CorsSettings;

/// No cookies are involved, so credentials are not allowed and any origin may be named without danger.
pub(crate) fn cors(settings: &CorsSettings) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers(["authorization", "content-type", "x-request-id"])
        .expose_headers(["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "www-authenticate"])
        .max_age(usize::try_from(settings.max_age.as_secs()).unwrap_or(usize::MAX));
    settings.allowed_origins.iter().fold(cors, |cors, origin| match origin.as_str() {
        "*" => cors.allow_any_origin().send_wildcard(),
        origin => cors.allowed_origin(origin),
    })
}

/// Middleware around [`cors`]: Envoy asks `/auth/verify/…` with the visitor's own method. A preflight there is not one to us, and a
/// 200 would let a request of nobody pass to the service behind the proxy.
pub(crate) async fn leave_preflights_of_others(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.method() == Method::OPTIONS && request.path().starts_with("/auth/verify") {
        request.headers_mut().remove(ACCESS_CONTROL_REQUEST_METHOD);
    }
    next.call(request).await
}
