//! Where a sign-in may end. A redirect to a place of somebody's choice would make our address vouch for it, or hand it a code.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::{ApiError, Code};
use crate::settings::{PublicUrl, SignInSettings};
use crate::state::AppState;

/// Longest `redirect_to`, in bytes: sealed, it must still fit into a cookie.
const MAX_BYTES: usize = 2048;

/// A place that a sign-in may end at. Which of the two it is, the settings say and never the request: otherwise a link of an
/// attacker's could put a code into the URL of a page that has not asked for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum RedirectTarget {
    /// A path of our own origin, or an `https://` entry of `sign_in.redirect_uris`: the browser arrives there signed in by cookie.
    Page(String),
    /// A loopback address or an app's own scheme of `sign_in.redirect_uris` (RFC 8252 §7), or an entry of
    /// `sign_in.code_redirect_uris`: an app gets a one-time code.
    App(String),
}

impl RedirectTarget {
    /// What `redirect_to` asks for; our home page when there is none.
    ///
    /// # Errors
    /// 400 `redirect_not_allowed`. It is not repeated, so that no page of ours shows a link of a stranger's.
    pub(in crate::http) fn read(redirect_to: Option<&str>, state: &AppState) -> Result<Self, ApiError> {
        let Some(text) = redirect_to else {
            return Ok(Self::Page(format!("{}/", state.public_url.path())));
        };
        Self::parse(text, &state.public_url, &state.settings.sign_in).ok_or_else(|| {
            let detail = "redirect_to is neither a path of our own (\"/account\") nor, exactly, an entry of \
                          sign_in.redirect_uris or sign_in.code_redirect_uris";
            ApiError::new(Code::RedirectNotAllowed, detail)
        })
    }

    /// As [`RedirectTarget::read`], where a browser is signed in.
    ///
    /// # Errors
    /// 400 `redirect_not_allowed`, for an app's target too.
    pub(in crate::http) fn read_page(
        redirect_to: Option<&str>,
        state: &AppState,
    ) -> Result<String, ApiError> {
        match Self::read(redirect_to, state)? {
            Self::Page(page) => Ok(page),
            Self::App(_) => {
                let detail = "redirect_to is an app's, which is sent there from /auth/{provider}/login only";
                Err(ApiError::new(Code::RedirectNotAllowed, detail))
            }
        }
    }

    fn parse(text: &str, public_url: &PublicUrl, settings: &SignInSettings) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        if is_own_path(text, public_url) {
            return Some(Self::Page(text.to_owned()));
        }
        if is_app(text, settings) {
            return Some(Self::App(text.to_owned()));
        }
        settings.redirect_uris.iter().any(|entry| entry == text).then(|| Self::Page(text.to_owned()))
    }
}

/// Whether a code may be sent to this address: it matches an entry of the settings that is an app's.
pub(in crate::http) fn is_app(text: &str, settings: &SignInSettings) -> bool {
    let of_apps = settings.redirect_uris.iter().filter(|entry| !entry.starts_with("https:"));
    of_apps.chain(&settings.code_redirect_uris).any(|entry| is_entry(text, entry))
}

/// A path that every browser resolves to our own origin. What one may read as another host (`//`, `/\`) or as a second header
/// line is refused, percent-encoded too: somebody on the way may decode it.
fn is_own_path(text: &str, public_url: &PublicUrl) -> bool {
    let lower = text.to_ascii_lowercase();
    text.starts_with('/')
        && !text.contains(|c: char| c == '\\' || c.is_control())
        && !["%0d", "%0a", "%5c"].iter().any(|odd| lower.contains(odd))
        && is_at_our_origin(text, public_url)
        && is_at_our_origin(&percent_decode_str(text).decode_utf8_lossy(), public_url)
}

/// Returns whether a browser resolves a path to our own origin. It ignores tabs and line ends, wherever they are.
fn is_at_our_origin(path: &str, public_url: &PublicUrl) -> bool {
    !path.starts_with("//")
        && Url::parse(&public_url.to(""))
            .and_then(|base| base.join(path))
            .is_ok_and(|url| url.origin().ascii_serialization() == public_url.origin())
}

/// Byte for byte, but for the port of a loopback address, which an app gets from its system (RFC 8252 §7.3).
fn is_entry(text: &str, entry: &str) -> bool {
    text == entry
        || without_loopback_port(text).is_some_and(|parts| Some(parts) == without_loopback_port(entry))
}

/// Host, and what stands after the port.
fn without_loopback_port(text: &str) -> Option<(&'static str, &str)> {
    ["http://127.0.0.1", "http://[::1]"].into_iter().find_map(|host| {
        let rest = text.strip_prefix(host)?;
        let Some(port_and_rest) = rest.strip_prefix(':') else {
            return (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest));
        };
        let end = port_and_rest.find(['/', '?']).unwrap_or(port_and_rest.len());
        let (port, rest) = port_and_rest.split_at(end);
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        (digits && port.parse::<u16>().is_ok()).then_some((host, rest))
    })
}

#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod tests;
