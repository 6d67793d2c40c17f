//! The cookies of browser mode, by name and attribute. `__Host-` has browsers refuse one that another host, or plain http,
//! tries to set (RFC 6265bis §4.1.3).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::COOKIE;
use cookie::{Cookie, SameSite};

/// Our JWT.
pub(super) const SESSION: &str = "__Host-tokenbooth_session";
/// Repeated by script in `X-CSRF-Token`, by clients that send no `Origin`.
pub(super) const CSRF: &str = "__Host-tokenbooth_csrf";
/// The refresh token. Not `__Host-`, which would be sent everywhere.
pub(super) const REFRESH: &str = "__Secure-tokenbooth_refresh";
/// One for each sign-in under way; the rest of the name is of its `state`.
pub(super) const ATTEMPT_PREFIX: &str = "__Host-tokenbooth_login_";
/// Google's, set by its script for its button's form.
pub(super) const GOOGLE_CSRF: &str = "g_csrf_token";

/// The value of a cookie of this name.
pub(super) fn read<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    all(request).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Every cookie of the request. One that cannot be read is passed over: it is another app's of the same host.
pub(super) fn all(request: &HttpRequest) -> impl Iterator<Item = (&str, &str)> {
    request
        .headers()
        .get_all(COOKIE)
        .filter_map(|header| header.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(|cookie| {
            let cookie = cookie.ok()?;
            // Both are parts of the header, which outlives the cookie.
            Some((cookie.name_raw()?, cookie.value_raw()?))
        })
}

/// A cookie of the whole host that no script reads.
pub(super) fn hidden(name: impl Into<String>, value: String, life: Duration) -> Cookie<'static> {
    Cookie::build((name.into(), value))
        .path("/")
        .max_age(seconds(life))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Lax)
        .build()
}

/// [`CSRF`], which scripts of our own origin read.
pub(super) fn csrf(value: String, life: Duration) -> Cookie<'static> {
    Cookie::build((CSRF, value))
        .path("/")
        .max_age(seconds(life))
        .secure(true)
        .same_site(SameSite::Lax)
        .build()
}

/// [`REFRESH`], sent to the one path that takes it (`path`, as browsers see it) and only from our own pages.
pub(super) fn refresh(path: String, value: String, life: Duration) -> Cookie<'static> {
    Cookie::build((REFRESH, value))
        .path(path)
        .max_age(seconds(life))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Strict)
        .build()
}

fn seconds(life: Duration) -> cookie::time::Duration {
    cookie::time::Duration::seconds(i64::try_from(life.as_secs()).unwrap_or(i64::MAX))
}
