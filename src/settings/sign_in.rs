//! `[sign_in]`: signing in by way of a browser, and where it may end.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::{check_provider_url, values};

/// `[sign_in]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInSettings {
    /// Where a sign-in may end besides our own pages, each compared exactly.
    #[serde(deserialize_with = "values::list")]
    pub redirect_uris: Vec<String>,
    /// How long somebody may take at the provider, to the second.
    #[serde(deserialize_with = "values::duration")]
    pub state_ttl: Duration,
    /// How long a one-time code is good, to the second.
    #[serde(deserialize_with = "values::duration")]
    pub code_ttl: Duration,
}

/// Schemes that a browser acts upon itself: a redirect there would be a script, or a file, of somebody's choice.
const SCHEMES_OF_BROWSERS: [&str; 10] =
    ["about", "blob", "data", "file", "filesystem", "ftp", "javascript", "vbscript", "ws", "wss"];

/// An absolute URI without a fragment (RFC 6749 §3.1.2): `https`, `http` to this machine, or an app's own scheme (RFC 8252 §7).
pub(super) fn check_redirect_uri(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "an entry is no absolute URI")?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("an entry has characters that no URI has");
    }
    if text.contains('#') {
        return Err("an entry has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an entry has a user name or a password");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" => check_provider_url(text)
            .map(drop)
            .map_err(|_| "an entry is http:// to another machine, which anybody on the way could read"),
        scheme if SCHEMES_OF_BROWSERS.contains(&scheme) => Err("an entry has a scheme that is no app's"),
        _ => Ok(()),
    }
}
