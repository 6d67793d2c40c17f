//! The page that asks before an app gets a code, and what another site can do about it.

use serde_json::json;
use tokenbooth::mock::MockProviders;
use url::Url;

use super::attacks::{ATTACKERS, arrived, fall_for, form};
use super::chromium::Chromium;
use super::site::Site;
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const LOGIN: &str = "/auth/{provider}/login";
const CALLBACK: &str = "/auth/{provider}/callback";

/// An app that listens at this site, whose page is headed "The app".
struct LoopbackApp(Site);

impl LoopbackApp {
    fn start() -> Self {
        let site = Site::start();
        site.put("<!DOCTYPE html><html lang=en><title>The app</title><h1>The app</h1>");
        Self(site)
    }

    fn redirect_uri(&self) -> String {
        format!("{}callback", self.0.url("127.0.0.1"))
    }

    /// What the app has the browser open.
    fn login(&self, provider: &str) -> String {
        let redirect_to: String =
            url::form_urlencoded::byte_serialize(self.redirect_uri().as_bytes()).collect();
        format!(
            "/auth/{provider}/login?redirect_to={redirect_to}&state=mine&code_challenge={CHALLENGE}&code_challenge_method=S256"
        )
    }

    /// Waits until the browser brings a response, and returns this parameter of it.
    async fn returned(&self, browser: &Chromium, name: &str) -> Option<String> {
        browser.until_text("h1", "The app").await;
        let url = Url::parse(&browser.url().await).expect("a URL");
        assert!(url.as_str().starts_with(&self.redirect_uri()), "{url}");
        let value = |name: &str| {
            url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
        };
        assert_eq!(value("state").as_deref(), Some("mine"), "{url}");
        assert!(value("iss").is_some(), "{url}");
        value(name)
    }
}

async fn start(db: TestDatabase) -> TestApp {
    TestApp::start_with(db, |sources| sources.with("sign_in.redirect_uris", "http://127.0.0.1/callback"))
        .await
}

on_both_databases! {
    async fn a_person_who_is_signed_in_agrees_before_an_app_is(db: TestDatabase) {
        let Some(turn) = turn().await else { return };
        let (app, desktop, browser) = (start(db).await, LoopbackApp::start(), turn.browser().await);
        browser.sign_in(&app, "google", "alice").await;
        browser.visit(&format!("{}{}", app.base, desktop.login("google"))).await;
        browser.until_text("h1", "An app asks to sign in as Alice Example").await;
        browser.until_text("main", "a program on this computer").await;
        browser.settled().await;
        browser.assert_quiet().await;
        browser.click("#continue").await;
        browser.consent("alice").await;
        let code = desktop.returned(&browser, "code").await.expect("a code");
        let members = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &desktop.redirect_uri()),
            ("code_verifier", VERIFIER),
            ("client_id", "app"),
        ];
        let signed_in = app.post_form("/oauth/token", &members).await.assert_signed_in();
        assert_eq!(app.me(&signed_in.jwt).await.json["email"], "alice@example.com");

        // Somebody else is chosen although Alice was agreed to.
        browser.visit(&format!("{}{}", app.base, desktop.login("google"))).await;
        browser.click("#continue").await;
        browser.consent("bob").await;
        assert_eq!(desktop.returned(&browser, "error").await.as_deref(), Some("access_denied"));
        assert_eq!(app.db.count("users"), 1);

        browser.visit(&format!("{}{}", app.base, desktop.login("google"))).await;
        browser.click("#cancel").await;
        assert_eq!(desktop.returned(&browser, "error").await.as_deref(), Some("access_denied"));
        browser.assert_quiet().await;
    }
}

#[actix_web::test]
async fn the_page_needs_no_script() {
    let Some(turn) = turn().await else { return };
    let (app, desktop) = (start(TestDatabase::sqlite()).await, LoopbackApp::start());
    let browser = turn.browser_with(&["--blink-settings=scriptEnabled=false"]).await;
    browser.visit(&format!("{}/auth/google/login?redirect_to=/account", app.base)).await;
    browser.click_at_once("#as-alice").await;
    browser.until_at("/account").await;
    browser.visit(&format!("{}{}", app.base, desktop.login("google"))).await;
    browser.click_at_once("#use-another-account").await;
    browser.click_at_once("#as-bob").await;
    assert!(desktop.returned(&browser, "code").await.is_some());
}

/// The provider knows the person and shows nothing, so that the whole flow is one chain of redirects.
#[actix_web::test]
async fn a_provider_that_shows_nothing_leaves_the_question_to_us() {
    let Some(turn) = turn().await else { return };
    let mock = MockProviders::start().await.expect("the mock starts");
    let silent = format!("{}/gitlab/oauth/authorize?mock_person=alice", mock.base_url());
    mock.gitlab().set_discovery(json!({ "authorization_endpoint": silent }));
    let app = TestApp::start_further_beside(mock, TestDatabase::sqlite(), |sources| {
        sources.with("sign_in.redirect_uris", "http://127.0.0.1/callback")
    })
    .await;
    let (desktop, evil, browser) = (LoopbackApp::start(), Site::start(), turn.browser().await);
    for attacker in ATTACKERS {
        evil.put(&format!("<script>location = '{}{}'</script>", app.base, desktop.login("gitlab")));
        fall_for(&browser, &app, &evil.url(attacker), ("GET", LOGIN)).await;
        browser.until_text("h1", "An app asks you to sign in with GitLab").await;
        assert_eq!((arrived(&app, "GET", CALLBACK).await, app.db.count("users")), (0, 0), "{attacker}");
    }
    // The page's policy lets the form lead to the app.
    browser.click("#continue").await;
    assert!(desktop.returned(&browser, "code").await.is_some());
    browser.assert_quiet().await;
}

#[actix_web::test]
async fn another_site_can_neither_frame_the_page_nor_send_its_form() {
    let Some(turn) = turn().await else { return };
    let (app, desktop) = (start(TestDatabase::sqlite()).await, LoopbackApp::start());
    let (evil, browser) = (Site::start(), turn.browser().await);
    browser.sign_in(&app, "google", "alice").await;
    let begun = arrived(&app, "GET", CALLBACK).await;
    let redirect_uri = desktop.redirect_uri();
    for attacker in ATTACKERS {
        evil.put(&format!(
            "<h1>Win a prize</h1><iframe src=\"{}{}\"></iframe>",
            app.base,
            desktop.login("google")
        ));
        fall_for(&browser, &app, &evil.url(attacker), ("GET", LOGIN)).await;
        browser.enter_frame("iframe").await;
        assert!(!browser.has("#continue").await && !browser.has("main").await, "framed at {attacker}");
        browser.leave_frame().await;
        let fields = [
            ("redirect_to", redirect_uri.as_str()),
            ("state", "mine"),
            ("code_challenge", CHALLENGE),
            ("account", ""),
        ];
        evil.put(&form(&format!("{}/auth/google/login", app.base), &fields));
        fall_for(&browser, &app, &evil.url(attacker), ("POST", LOGIN)).await;
        browser.until_text("main", "csrf_failed").await;
        let begun_there =
            browser.jar().await.iter().any(|cookie| cookie.name.starts_with("__Host-tokenbooth_login_"));
        assert_eq!((begun_there, arrived(&app, "GET", CALLBACK).await), (false, begun), "{attacker}");
    }
    assert_eq!((app.db.count("sessions"), app.db.count("spent_codes")), (1, 0));
}
