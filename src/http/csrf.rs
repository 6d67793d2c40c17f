//! Whether a request that a browser authenticated by cookie comes from one of our own pages.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};
use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::cookies;
use crate::error::{ApiError, Code};
use crate::state::AppState;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// Proves that the request comes from our own origin: by `Origin`, which every browser of today sends with an unsafe method
/// (Fetch, "append a request `Origin` header"); without it by `Sec-Fetch-Site`; without both by a cookie that only our own
/// pages could read.
///
/// # Errors
/// 403 `csrf_failed`.
pub(super) fn check(request: &HttpRequest, state: &AppState) -> Result<(), ApiError> {
    let headers = request.headers();
    let expected = state.public_url.origin();
    if headers.contains_key(&ORIGIN) {
        return match the_only(headers, &ORIGIN) {
            Some(origin) if origin == expected => Ok(()),
            _ => Err(refused(&format!(
                "its Origin is not {expected}, which is where this service is by server.public_url"
            ))),
        };
    }
    if headers.contains_key(&SEC_FETCH_SITE) {
        return match the_only(headers, &SEC_FETCH_SITE) {
            Some(site) if site == "same-origin" => Ok(()),
            _ => Err(refused("its Sec-Fetch-Site is not same-origin")),
        };
    }
    let sent = the_only(headers, &CSRF_TOKEN).map(HeaderValue::as_bytes).unwrap_or_default();
    let known = cookies::read(request, cookies::CSRF).unwrap_or_default().as_bytes();
    if !known.is_empty() && verify_slices_are_equal(sent, known).is_ok() {
        return Ok(());
    }
    let cookie = cookies::CSRF;
    Err(refused(&format!(
        "it has neither Origin nor Sec-Fetch-Site, and no X-CSRF-Token that repeats the cookie {cookie}"
    )))
}

fn the_only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

fn refused(problem: &str) -> ApiError {
    let advice = "another site may have sent it in your name, so nothing was done; \
                  a program sends \"Authorization: Bearer\" instead of the cookie";
    ApiError::new(Code::CsrfFailed, format!("{problem}: {advice}"))
}
