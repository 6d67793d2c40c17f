//! How clients reach us, taken apart once.

use url::Url;

use super::Settings;

/// `server.public_url`, or what is made of host and port. Never anything of a request: its `Host` is the client's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    whole: String,
    origin: String,
    path: String,
}

impl PublicUrl {
    /// The one of these settings, which were checked.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let whole = settings.public_url();
        let (origin, path) = match Url::parse(&whole) {
            Ok(url) => (url.origin().ascii_serialization(), url.path().trim_end_matches('/').to_owned()),
            // `server.host` may be something that is listened on and that no URL has; nobody is let in by it.
            Err(_) => (whole.clone(), String::new()),
        };
        Self { whole, origin, path }
    }

    /// The absolute URL of one of our paths (`/auth/google/callback`).
    #[must_use]
    pub fn to(&self, path: &str) -> String {
        format!("{}{path}", self.whole)
    }

    /// As a browser sends it in `Origin` (RFC 6454 §6.2): scheme, host, and port unless it is the scheme's own.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What stands before each of our paths in a browser's address line: empty, or `/auth` for `https://mail.com/auth`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}
