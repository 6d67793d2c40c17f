//! `[sign_in]`: the authorization code flow, and the redirect URIs at which it may end.

use std::time::Duration;

use serde::Deserialize;
use url::{Host, Url};

use super::{SettingsError, values};

/// `[sign_in]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInSettings {
    /// The client id of the apps that exchange codes. They are one public client.
    pub client_id: String,
    /// Where a sign-in may end besides our own pages, each compared exactly. The entry decides what arrives there: a page
    /// (`https`) is signed in by cookie, an app (loopback, or a scheme of its own) gets a code.
    #[serde(deserialize_with = "values::list")]
    pub redirect_uris: Vec<String>,
    /// The `https` addresses that get a code instead of a cookie.
    #[serde(deserialize_with = "values::list")]
    pub code_redirect_uris: Vec<String>,
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

/// Longest `sign_in.client_id`, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 128;

impl SignInSettings {
    /// Everything that is wrong with the redirect URIs and the client id.
    pub(super) fn problems(&self) -> Vec<SettingsError> {
        let mut problems = Vec::new();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !(1..=MAX_CLIENT_ID_BYTES).contains(&self.client_id.len()) || !self.client_id.bytes().all(plain) {
            problems.push(SettingsError::new(
                "sign_in.client_id",
                "it is not 1 to 128 characters of A-Z, a-z, 0-9, \"-\", \".\", \"_\" and \"~\"",
                "Write it like app",
            ));
        }
        for uri in &self.redirect_uris {
            if let Err(problem) = check_redirect_uri(uri) {
                let remedy = "Write them like https://app.mail.com/welcome, http://127.0.0.1/callback (any port) or com.mail.app:/callback";
                problems.push(SettingsError::new("sign_in.redirect_uris", problem, remedy));
            }
        }
        for uri in &self.code_redirect_uris {
            if let Err(problem) = self.check_code_redirect_uri(uri) {
                let remedy = "Write addresses like https://app.mail.com/callback, and only those of apps and servers that \
                              exchange codes";
                problems.push(SettingsError::new("sign_in.code_redirect_uris", problem, remedy));
            }
        }
        problems
    }

    fn check_code_redirect_uri(&self, text: &str) -> Result<(), &'static str> {
        check_redirect_uri(text)?;
        if !text.starts_with("https://") {
            return Err("an entry is not https://: an app's other addresses belong in sign_in.redirect_uris");
        }
        if self.redirect_uris.iter().any(|entry| entry == text) {
            return Err(
                "an entry is in sign_in.redirect_uris as well, where it gets a cookie and never a code",
            );
        }
        Ok(())
    }
}

/// Checks that an entry is an absolute URI without a fragment (RFC 6749 §3.1.2): `https`, `http` at a loopback address, or an
/// app's own scheme (RFC 8252 §7).
fn check_redirect_uri(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "an entry is not an absolute URI")?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("an entry has characters that no URI has");
    }
    if text.contains('*') {
        return Err(
            "an entry has a wildcard: entries are compared exactly, so that nobody can choose the address",
        );
    }
    if text.contains('#') {
        return Err("an entry has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an entry has a user name or a password");
    }
    match url.scheme() {
        // The parser repairs "https:host" and "HTTPS://host". What is compared exactly must be written as it is meant.
        "https" if text.starts_with("https://") => Ok(()),
        "https" => Err("an entry does not begin with https://"),
        "http" if is_loopback_literal(&url, text) => Ok(()),
        "http" => Err("an entry is http:// and not a loopback address (127.0.0.1 or [::1], not a name)"),
        scheme if SCHEMES_OF_BROWSERS.contains(&scheme) => Err("an entry has a scheme that is not an app's"),
        _ => Ok(()),
    }
}

/// RFC 8252 §8.3: `localhost` may be another machine, by a hosts file or a resolver. Nor is a number that only some parsers
/// read as a loopback address (`http://2130706433/`) accepted.
fn is_loopback_literal(url: &Url, text: &str) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    };
    loopback && url.host_str().is_some_and(|host| text.starts_with(&format!("http://{host}")))
}

#[cfg(test)]
mod tests {
    use super::check_redirect_uri;

    #[test]
    fn an_entry_is_written_as_it_is_meant() {
        for good in [
            "https://app.mail.com/welcome",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:8080/callback?a=b",
            "http://[::1]/callback",
            "http://127.0.0.2/callback",
            "com.mail.app:/callback",
            "com.mail.app://callback",
        ] {
            assert_eq!(check_redirect_uri(good), Ok(()), "{good}");
        }
        for bad in [
            "/welcome",
            "https:app.mail.com/welcome",
            "https:/app.mail.com/welcome",
            "HTTPS://app.mail.com/welcome",
            "https://*.mail.com/welcome",
            "https://app.mail.com/*",
            "com.mail.app:/*",
            "http://127.0.0.1:*/callback",
            "http://localhost/callback",
            "http://localhost.localdomain/callback",
            "http://2130706433/callback",
            "http://0x7f.0.0.1/callback",
            "http://127.1/callback",
            "http://[0:0:0:0:0:0:0:1]/callback",
            "http://0.0.0.0/callback",
            "http://192.168.0.1/callback",
            "http://app.mail.com/welcome",
            "http:127.0.0.1/callback",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,hi",
            "https://a:b@app.mail.com/",
            "https://app.mail.com/#a",
            "https://app.mail.com\\@evil.com/",
        ] {
            assert!(check_redirect_uri(bad).is_err(), "{bad}");
        }
    }
}
