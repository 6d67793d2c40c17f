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
/// The refresh token. Not `__Host-`, which would be sent everywhere; so it counts only together with [`DEVICE`].
pub(super) const REFRESH: &str = "__Secure-tokenbooth_refresh";
/// Names the session of [`REFRESH`] (`device.rs`). A sibling domain can set a cookie called [`REFRESH`], but not this one.
pub(super) const DEVICE: &str = "__Host-tokenbooth_device";
/// One for each sign-in under way; the rest of the name is of its `state`.
pub(super) const ATTEMPT_PREFIX: &str = "__Host-tokenbooth_login_";
/// Google's, set by its script for its button's form.
pub(super) const GOOGLE_CSRF: &str = "g_csrf_token";

/// What a request has under the name of one cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// There is no such cookie.
    Nothing,
    /// There is one, with this value.
    One(&'a str),
    /// There are several. A browser sends a second one when somebody else has set it, for a parent domain or another path, and
    /// nothing tells which is ours.
    Several,
}

impl<'a> Found<'a> {
    /// The value, when there is exactly one.
    pub(super) fn only(self) -> Option<&'a str> {
        match self {
            Self::One(value) => Some(value),
            Self::Nothing | Self::Several => None,
        }
    }

    /// Whether there is any cookie of this name.
    pub(super) fn is_any(self) -> bool {
        self != Self::Nothing
    }
}

/// Finds the cookie of this name.
pub(super) fn find<'a>(request: &'a HttpRequest, name: &str) -> Found<'a> {
    let mut values = all(request).filter(|(found, _)| *found == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Found::Nothing,
        (Some(value), None) => Found::One(value),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// Returns the value of the cookie of this name, and `None` when there is no such cookie or more than one.
pub(super) fn read<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    find(request, name).only()
}

/// Iterates over every cookie of the request whose name and value are text.
///
/// The header is read as bytes and pair by pair: other apps of the same host, and of its parent domains, may have set cookies
/// that are not ASCII or not even `name=value`, and those must not hide ours.
pub(super) fn all(request: &HttpRequest) -> impl Iterator<Item = (&str, &str)> {
    request
        .headers()
        .get_all(COOKIE)
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            Some((name.trim_ascii(), value.trim_ascii()))
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
    strict(REFRESH, path, value, life)
}

/// [`DEVICE`], sent from our own pages only.
pub(super) fn device(value: String, life: Duration) -> Cookie<'static> {
    strict(DEVICE, "/".to_owned(), value, life)
}

fn strict(name: &'static str, path: String, value: String, life: Duration) -> Cookie<'static> {
    Cookie::build((name, value))
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

#[cfg(test)]
mod fuzzed;
