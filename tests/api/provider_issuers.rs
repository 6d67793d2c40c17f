//! A provider's name stands for one issuer: another one under the same name is not taken for it (OpenID Connect Core §5.7).

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, MockProviders, Person};
use tokenbooth::settings::Sources;

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// A replica that goes by another mock, on other addresses.
async fn moved(one: &TestApp, mock: &MockProviders, only: &[&str]) -> Result<TestApp, String> {
    let elsewhere = mock.settings().into_iter().chain(mock.oidc_settings("acme"));
    let elsewhere = elsewhere.filter(|(key, _)| only.iter().any(|only| key == only));
    let sources = TestApp::sources(&one.mock, &one.db.url).with("token.issuer", &one.base);
    let sources = elsewhere.fold(sources, |sources, (key, value)| sources.with(&key, value));
    let started = TestApp::try_start(mock.clone(), TestDatabase::sqlite(), sources).await;
    started.map_err(|error| error.to_string())
}

fn command(app: &TestApp, mock: &MockProviders, arguments: &[&str]) -> (Option<i32>, String) {
    let settings = mock.settings().into_iter().chain(mock.oidc_settings("acme"));
    let command = Tokenbooth::new(arguments).set("database.url", &app.db.url).set("token.secret", SECRET);
    let output = settings.fold(command, |command, (key, value)| command.set(&key, &value)).output();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("UTF-8"))
}

fn url_of(mock: &MockProviders, key: &str) -> String {
    let settings = mock.settings().into_iter().chain(mock.oidc_settings("acme"));
    let (_, url) = settings.into_iter().find(|(name, _)| name == key).expect("a setting");
    url.trim_end_matches("/.well-known/openid-configuration").trim_end_matches('/').to_owned()
}

on_both_databases! {
    async fn another_issuer_under_a_known_name_does_not_start_until_it_is_accepted(db: TestDatabase) {
        let one = TestApp::start(db).await;
        let before = one.exchange("acme", &json!({ "id_token": one.mock.oidc().id_token(Person::default().claims()) })).await;
        let before = before.assert_signed_in();
        let other = MockProviders::start().await.expect("the mock starts");
        for (name, key) in [
            ("acme", "providers.acme.discovery_url"),
            ("github", "providers.github.api_url"),
            ("google", "providers.google.discovery_url"),
        ] {
            let refused = moved(&one, &other, &[key]).await.err().expect("it does not start");
            for said in [&format!("providers.{name}:"), &url_of(&one.mock, key), &url_of(&other, key), &format!("provider accept {name}")] {
                assert!(refused.contains(said), "{said} is not in: {refused}");
            }
        }
        // With the settings as they were it starts, and `check` says it, too.
        drop(moved(&one, &other, &[]).await.expect("it starts"));
        let (status, told) = command(&one, &other, &["check"]);
        assert_eq!(status, Some(1));
        for name in ["acme", "github", "google"] {
            let line = told.lines().find(|line| line.starts_with(&format!("error    providers.{name}: its issuer is")));
            assert!(line.is_some_and(|line| line.contains(&format!("provider accept {name}"))), "{told}");
        }
        let (status, told) = command(&one, &other, &["provider", "accept", "nobody"]);
        assert!(status == Some(1) && told.contains("providers.nobody is not configured"), "{told}");
        let (status, told) = command(&one, &other, &["provider", "accept", "acme"]);
        assert!(status == Some(0) && told.contains(&url_of(&other, "providers.acme.discovery_url")), "{told}");
        assert!(command(&one, &other, &["provider", "accept", "acme"]).1.contains("nothing to accept"));
        assert_eq!(one.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'provider.accepted'"), 1);
        // The people are the same now, and only at the provider that was accepted.
        let app = moved(&one, &other, &["providers.acme.discovery_url"]).await.expect("it starts");
        let after = app.exchange("acme", &json!({ "id_token": other.oidc().id_token(Person::default().claims()) })).await;
        assert_eq!(after.assert_signed_in().user_id, before.user_id);
        let refused = moved(&one, &other, &["providers.acme.discovery_url", "providers.github.api_url"]).await;
        assert!(refused.err().expect("it does not start").contains("providers.github"));
    }

    async fn a_database_of_an_earlier_version_learns_the_issuers_at_its_first_start(db: TestDatabase) {
        let one = TestApp::start(db).await;
        one.exchange_github(GithubUser::default()).await.assert_signed_in();
        one.db.execute("DELETE FROM provider_issuers");
        let other = MockProviders::start().await.expect("the mock starts");
        let keys = ["providers.github.api_url", "providers.acme.discovery_url", "providers.google.discovery_url"];
        drop(moved(&one, &other, &keys).await.expect("it starts"));
        assert_eq!(one.db.count("provider_issuers"), 3);
        assert!(moved(&one, &other, &[]).await.is_err());
    }
}

fn problems(settings: &[(&str, &str)]) -> Vec<String> {
    let sources =
        settings.iter().fold(Sources::defaults(), |sources, (key, value)| sources.with(key, *value));
    sources.examine().1.into_iter().map(|problem| problem.to_string()).collect()
}

#[test]
fn two_names_for_one_issuer_and_a_common_client_id_do_not_start() {
    let oidc = |name: &'static str, url: &'static str, ids: &'static str| {
        let keys = [("kind", "oidc"), ("discovery_url", url), ("client_ids", ids)];
        keys.map(|(key, value)| (format!("providers.{name}.{key}"), value))
    };
    let microsoft = |name: &'static str, tenant: &str| {
        let url = format!("https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration");
        [
            (format!("providers.{name}.kind"), "microsoft".to_owned()),
            (format!("providers.{name}.discovery_url"), url),
            (format!("providers.{name}.client_ids"), "app".to_owned()),
        ]
    };
    let told = |settings: Vec<(String, String)>| {
        let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        problems(&settings).into_iter().any(|told| told.contains("a client id in common with providers."))
    };
    let owned = |settings: [(String, &str); 3]| settings.map(|(key, value)| (key, value.to_owned()));
    let url = "https://id.mail.com/.well-known/openid-configuration";
    let one = || owned(oidc("one", url, "app,web")).to_vec();
    assert!(told([one(), owned(oidc("two", url, "ios,web")).to_vec()].concat()));
    assert!(!told([one(), owned(oidc("two", url, "ios")).to_vec()].concat()));
    let other = "https://id.other.com/.well-known/openid-configuration";
    assert!(!told([one(), owned(oidc("two", other, "app")).to_vec()].concat()));
    let google = "https://accounts.google.com/.well-known/openid-configuration";
    let own = ("providers.google.client_ids".to_owned(), "app".to_owned());
    assert!(told([vec![own], owned(oidc("two", google, "app")).to_vec()].concat()));
    // Microsoft: one app, and a provider for each of two tenants; but not one tenant twice.
    let (a, b) = ("72f988bf-86f1-41af-91ab-2d7cd011db47", "72f988bf-86f1-41af-91ab-2d7cd011db48");
    assert!(!told([microsoft("a", a), microsoft("b", b)].concat()));
    assert!(told([microsoft("a", a), microsoft("b", "common")].concat()));
    assert!(told([microsoft("a", "organizations"), microsoft("b", "common")].concat()));
    assert!(!told([microsoft("a", "consumers"), microsoft("b", "organizations")].concat()));
}

#[test]
fn a_microsoft_tenant_and_apples_other_name_change_no_issuer() {
    let issuers = |settings: &[(&str, &str)]| {
        let sources =
            settings.iter().fold(Sources::defaults(), |sources, (key, value)| sources.with(key, *value));
        let issuers = sources.load().expect("good settings").providers.issuers();
        issuers.into_iter().map(|provider| (provider.name, provider.issuer)).collect::<Vec<_>>()
    };
    let microsoft = |tenant: &str| {
        let url = format!("https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration");
        issuers(&[
            ("providers.ms.kind", "microsoft"),
            ("providers.ms.client_ids", "app"),
            ("providers.ms.discovery_url", &url),
        ])
    };
    assert_eq!(microsoft("common"), microsoft("72f988bf-86f1-41af-91ab-2d7cd011db47"));
    let apple = |host: &str| {
        let url = format!("https://{host}/.well-known/openid-configuration");
        issuers(&[
            ("providers.apple.kind", "apple"),
            ("providers.apple.client_ids", "com.mail.app"),
            ("providers.apple.discovery_url", &url),
        ])
    };
    assert_eq!(apple("appleid.apple.com"), apple("account.apple.com"));
    assert_eq!(Value::from(apple("appleid.apple.com")[0].1.clone()), "https://appleid.apple.com");
}
