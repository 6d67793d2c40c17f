use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::settings::Sources;

static SETTINGS: LazyLock<(PublicUrl, SignInSettings)> = LazyLock::new(|| {
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
    (PublicUrl::of(&settings), sign_in)
});

pub(super) fn parse(text: &str) -> Option<RedirectTarget> {
    RedirectTarget::parse(text, &SETTINGS.0, &SETTINGS.1)
}

#[test]
fn our_own_paths_and_the_list_are_allowed() {
    for page in ["/", "/account", "/a?b=c&d=%2F#e", "/search?q=https://mail.com", "/a%2Fb", "/a?b=//c%09"] {
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
        "/%2fevil.com",
        "/%2F%2Fevil.com",
        "/%09/evil.com",
        "/%09%2fevil.com",
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
