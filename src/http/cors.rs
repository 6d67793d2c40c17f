//! Browser apps of other origins (`[cors]`).

use actix_cors::Cors;

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
