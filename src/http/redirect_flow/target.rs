//! Where a sign-in may end. A redirect to a place of somebody's choice would make our address vouch for it, or hand it a code.

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
        && !text.starts_with("//")
        && !text.contains(|c: char| c == '\\' || c.is_control())
        && !["%0d", "%0a", "%5c"].iter().any(|odd| lower.contains(odd))
        && Url::parse(&public_url.to(""))
            .and_then(|base| base.join(text))
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::Sources;

    fn parse(text: &str) -> Option<RedirectTarget> {
        let mut settings = Sources::default().load().expect("settings");
        settings.server.public_url = Some("https://auth.mail.com".to_owned());
        let sign_in = SignInSettings {
            client_id: "app".to_owned(),
            redirect_uris: [
                "https://app.mail.com/welcome",
                "http://127.0.0.1/callback",
                "http://[::1]:7777/callback",
                "com.mail.app:/callback",
            ]
            .map(str::to_owned)
            .to_vec(),
            code_redirect_uris: vec!["https://app.mail.com/claimed".to_owned()],
            state_ttl: Duration::from_mins(10),
            code_ttl: Duration::from_mins(1),
        };
        RedirectTarget::parse(text, &PublicUrl::of(&settings), &sign_in)
    }

    #[test]
    fn our_own_paths_and_the_list_are_allowed() {
        for page in ["/", "/account", "/a?b=c&d=%2F#e", "/search?q=https://mail.com"] {
            assert_eq!(parse(page), Some(RedirectTarget::Page(page.to_owned())), "{page}");
        }
        let site = "https://app.mail.com/welcome";
        assert_eq!(parse(site), Some(RedirectTarget::Page(site.to_owned())));
        for app in [
            "https://app.mail.com/claimed",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:1/callback",
            "http://127.0.0.1:65535/callback",
            "http://[::1]/callback",
            "http://[::1]:8080/callback",
            "com.mail.app:/callback",
        ] {
            assert_eq!(parse(app), Some(RedirectTarget::App(app.to_owned())), "{app}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            "account",
            "//evil.com",
            "///evil.com",
            "/\\evil.com",
            "\\/evil.com",
            "/\t/evil.com",
            "/\n/evil.com",
            " /account",
            "/%0d%0aSet-Cookie:a=b",
            "/%0D",
            "/%0A",
            "/a%5Cb",
            "https:evil.com",
            "https:/evil.com",
            "https://evil.com",
            "https://auth.mail.com/account",
            "https://auth.mail.com@evil.com/",
            "https://app.mail.com@evil.com/welcome",
            "https://app.mail.com.evil.com/welcome",
            "https://app.mail.com/welcome/",
            "https://app.mail.com/claimed/",
            "https://app.mail.com/claimed?a=b",
            "https://app.mail.com/Claimed",
            "https://app.mail.com/*",
            "https://app.mail.com/welcome?a=b",
            "https://app.mail.com/welcome#a",
            "https://APP.mail.com/welcome",
            "https://app.mail.com:443/welcome",
            "http://app.mail.com/welcome",
            "javascript:alert(1)",
            "data:text/html,hi",
            "com.mail.app:/callback/more",
            "com.mail.app.evil:/callback",
            "http://127.0.0.1:80:80/callback",
            "http://127.0.0.1:/callback/",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:80@evil.com/callback",
            "http://127.0.0.1@evil.com/callback",
            "http://127.0.0.1.evil.com/callback",
            "http://127.0.0.1:+80/callback",
            "http://127.0.0.1/callback?a=b",
            "http://localhost/callback",
            "https://127.0.0.1/callback",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&format!("/{}", "a".repeat(MAX_BYTES))), None);
    }
}
