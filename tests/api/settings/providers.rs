//! The kinds of providers: what each fills in, and what goes together with what.

use tokenbooth::settings::{EmailVerified, OidcKind, OidcSettings, ResponseMode, SettingsError, Sources};

use super::VALUE;

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

fn load(kind: &str, settings: &[(&str, &str)]) -> Result<OidcSettings, SettingsError> {
    let with = |sources: Sources, key: &str, value: &str| sources.with(&format!("providers.it.{key}"), value);
    let sources = with(with(Sources::defaults(), "kind", kind), "client_ids", "app");
    let sources = settings.iter().fold(sources, |sources, (key, value)| with(sources, key, value));
    sources.load().map(|mut settings| settings.providers.oidc.remove("it").expect("the provider"))
}

#[test]
fn a_kind_fills_in_what_is_special_about_its_provider() {
    let microsoft = load("microsoft", &[]).expect("good");
    let url = "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration";
    assert_eq!((microsoft.kind, microsoft.discovery_url.as_str()), (OidcKind::Microsoft, url));
    assert_eq!(
        (microsoft.email_verified, microsoft.scopes.join(" ")),
        (EmailVerified::Never, "openid profile".to_owned())
    );
    let apple = load("apple", &[]).expect("good");
    assert_eq!(apple.discovery_url, "https://appleid.apple.com/.well-known/openid-configuration");
    assert_eq!((apple.email_verified, apple.response_mode), (EmailVerified::Text, ResponseMode::FormPost));
    let gitlab = load("gitlab", &[]).expect("good");
    assert_eq!(gitlab.discovery_url, "https://gitlab.com/.well-known/openid-configuration");
    assert_eq!((gitlab.email_verified, gitlab.response_mode), (EmailVerified::Boolean, ResponseMode::Query));
    let names = [microsoft, apple, gitlab].map(|provider| provider.display_name.expect("a name"));
    assert_eq!(names, ["Microsoft", "Apple", "GitLab"]);
    // What is written wins.
    let own = load("gitlab", &[("display_name", "Forge"), ("discovery_url", "https://git.mail.com/x")])
        .expect("good");
    assert_eq!(
        (own.display_name.as_deref(), own.discovery_url.as_str()),
        (Some("Forge"), "https://git.mail.com/x")
    );
}

#[test]
fn settings_that_do_not_go_together_do_not_start() {
    let of = |tenant: &str| {
        format!("https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration")
    };
    let (by_name, first_version) = (of("contoso.onmicrosoft.com"), of("common").replace("/v2.0", ""));
    let own = [("discovery_url", "https://id.mail.com/x")];
    for (kind, settings, expected) in [
        (
            "microsoft",
            &[("email_verified", "boolean")][..],
            "providers.it.email_verified: whoever administers any tenant can write any address",
        ),
        (
            "microsoft",
            &[("email_verified", "text")],
            "providers.it.email_verified: whoever administers any tenant",
        ),
        (
            "microsoft",
            &[("issuer", "https://sts.windows.net/x/")],
            "providers.it.issuer: it follows from discovery_url. Remove it",
        ),
        (
            "microsoft",
            &[("discovery_url", &by_name)],
            "providers.it.discovery_url: it names no tenant. Write it like ",
        ),
        (
            "microsoft",
            &[("discovery_url", &first_version)],
            "providers.it.discovery_url: it names no tenant. Write it like ",
        ),
        ("microsoft", &[("tenants", VALUE)], "providers.it.tenants: an entry is no tenant's id. "),
        (
            "microsoft",
            &[("tenants", &TENANT.to_uppercase())],
            "providers.it.tenants: an entry is no tenant's id. ",
        ),
        ("gitlab", &[("tenants", TENANT)], "providers.it.tenants: only Microsoft has them. "),
        (
            "oidc",
            &[own[0], ("scopes", "email,profile")],
            "providers.it.scopes: without \"openid\" there is no ID token. ",
        ),
        ("oidc", &[own[0], ("team_id", VALUE)], "providers.it.team_id: it is Apple's. "),
        ("oidc", &[], "providers.it.discovery_url: it is missing. "),
        (
            "apple",
            &[("client_secret", VALUE)],
            "providers.it.client_secret: Apple's is made anew for each use",
        ),
        (
            "apple",
            &[("team_id", VALUE)],
            "providers.it.key_id: it is missing while others of team_id, key_id and private_key are set. ",
        ),
        ("apple", &[("team_id", VALUE), ("key_id", VALUE)], "providers.it.private_key: it is missing while "),
        (
            "apple",
            &[("team_id", VALUE), ("key_id", VALUE), ("private_key", VALUE)],
            "providers.it.private_key: it is not a private key for ES256",
        ),
        (
            "apple",
            &[("private_key_file", VALUE)],
            "providers.it.private_key_file: the file cannot be read: entity not found. ",
        ),
    ] {
        let told = load(kind, settings).expect_err("a refusal").to_string();
        assert!(told.starts_with(expected), "{kind} {settings:?}: {told}");
        assert!(!told.contains(VALUE), "{told}");
    }
    // A key for another algorithm.
    let ed25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";
    let told =
        load("apple", &[("team_id", "t"), ("key_id", "k"), ("private_key", ed25519)]).expect_err("a refusal");
    assert_eq!(told.key, "providers.it.private_key");
}
