use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use url::Url;

use super::RedirectTarget;
use super::tests::parse;
use crate::fuzzed::{config, text};

const WORDS: [&str; 34] = [
    "/",
    "/",
    "/",
    "//",
    "\\",
    ".",
    "..",
    "?",
    "#",
    "@",
    ":",
    "%",
    "%2f",
    "%2F",
    "%5c",
    "%09",
    "%0a",
    "%25",
    "%2e",
    "\t",
    "\n",
    "\r",
    "\0",
    " ",
    "\u{2215}",
    "\u{ff0f}",
    "https:",
    "http://127.0.0.1",
    ":80",
    "/callback",
    "evil.com",
    "account",
    "https://app.mail.com",
    "com.mail.app:",
];

/// Resolves a redirect as a browser does that is on a page of ours.
fn lands_at(location: &str) -> Url {
    let page = Url::parse("https://auth.mail.com/auth/acme/callback").expect("a URL");
    page.join(location).unwrap_or_else(|error| panic!("{location:?}: {error}"))
}

proptest! {
    #![proptest_config(config())]

    /// A path of ours stays one, also when somebody on the way decodes it; anything else is an entry of the settings.
    #[test]
    fn nobody_is_led_to_another_host(text in text(&WORDS)) {
        match parse(&text) {
            None => {}
            Some(RedirectTarget::Page(page)) if page.starts_with('/') => {
                let decoded = percent_decode_str(&page).decode_utf8_lossy();
                for location in [&*page, &*decoded] {
                    prop_assert_eq!(lands_at(location).origin().ascii_serialization(), "https://auth.mail.com");
                }
                prop_assert!(!page.chars().any(char::is_control));
            }
            Some(RedirectTarget::Page(page)) => prop_assert_eq!(page, "https://app.mail.com/welcome"),
            Some(RedirectTarget::App(app)) => {
                let mut url = lands_at(&app);
                prop_assert!(url.username().is_empty() && url.password().is_none());
                let _ = url.set_port(None);
                let known = ["http://127.0.0.1/callback", "http://[::1]/callback", "https://app.mail.com/claimed", "com.mail.app:/callback"];
                prop_assert!(known.contains(&url.as_str()), "{}", url);
            }
        }
    }
}
