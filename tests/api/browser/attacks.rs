//! What another site can do with the browser of a visitor: nothing in the visitor's name, and not sign him in as somebody else.
//!
//! That each attack reached the service, its metrics say: one that the browser did not even send would prove nothing.

use serde_json::{Value, json};
use tokenbooth::mock::Person;

use super::chromium::Chromium;
use super::page::Cookie;
use super::site::Site;
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::browser::Browser;

/// To the service at 127.0.0.1: the same site on another port, whose requests have the `SameSite` cookies; another site; one
/// more, by a name.
pub(super) const ATTACKERS: [&str; 3] = ["127.0.0.1", "localhost", "evil.test"];

/// How many requests of this kind were answered.
pub(super) async fn arrived(app: &TestApp, method: &str, route: &str) -> u64 {
    let metrics = app.get("/metrics").await.text;
    let (method, route) = (format!("method=\"{method}\""), format!("route=\"{route}\""));
    let counts = metrics.lines().filter(|line| line.starts_with("tokenbooth_http_request_seconds_count"));
    let counts = counts.filter(|line| line.contains(&method) && line.contains(&route));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// A form that sends itself.
pub(super) fn form(action: &str, fields: &[(&str, &str)]) -> String {
    let inputs = fields.iter().map(|(name, value)| format!("<input name=\"{name}\" value=\"{value}\">"));
    let inputs = inputs.collect::<Vec<_>>().concat();
    format!(
        "<form method=post action=\"{action}\">{inputs}</form><script>document.forms[0].submit()</script>"
    )
}

/// A request by script, whose outcome the page then has in `outcome`.
fn fetch(url: &str, init: &Value) -> String {
    format!(
        "<script>fetch('{url}', {init}).then(async r => {{ window.outcome = r.type + ' ' + await r.text() }})\
         .catch(() => {{ window.outcome = 'refused' }})</script>"
    )
}

/// Opens the attacker's page and waits until its request has been answered.
pub(super) async fn fall_for(browser: &Chromium, app: &TestApp, url: &str, (method, route): (&str, &str)) {
    let before = arrived(app, method, route).await;
    browser.visit(url).await;
    for _ in 0..600 {
        if arrived(app, method, route).await > before {
            return browser.until("return document.readyState === 'complete'").await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{method} {route} does not arrive from {url}; the browser is at {}", browser.url().await);
}

/// The attacker's own credentials: Mallory's.
async fn attempts_to_sign_in_as_mallory(app: &TestApp) -> Vec<(String, (&'static str, &'static str))> {
    let base = &app.base;
    let credential = app.mock.google().id_token(Person::named("mallory").claims());
    let callback = Browser::at(app).authorize("/auth/google/login", "mallory").await;
    let google: [&[(&str, &str)]; 2] =
        [&[("credential", &credential), ("g_csrf_token", "same")], &[("credential", &credential)]];
    let form_of_a_script = json!({
        "method": "POST", "mode": "no-cors", "credentials": "include",
        "headers": { "content-type": "application/x-www-form-urlencoded" },
        "body": format!("credential={credential}&g_csrf_token=same"),
    });
    let mut attempts: Vec<_> = google
        .iter()
        .map(|fields| (form(&format!("{base}/auth/google"), fields), ("POST", "/auth/{provider}")))
        .collect();
    attempts.push((fetch(&format!("{base}/auth/google"), &form_of_a_script), ("POST", "/auth/{provider}")));
    // The login CSRF of the redirect flow: the way back of a sign-in that was begun elsewhere.
    let go = format!("<script>location = '{callback}'</script>");
    attempts.push((go, ("GET", "/auth/{provider}/callback")));
    attempts
}

/// Everything that acts on who is signed in.
fn attempts_to_act_as_the_visitor(base: &str) -> Vec<(String, (&'static str, &'static str))> {
    let no_cors = json!({ "method": "POST", "mode": "no-cors", "credentials": "include" });
    let post = |path: &str| form(&format!("{base}{path}"), &[]);
    let silent = |path: &str| fetch(&format!("{base}{path}"), &no_cors);
    vec![
        (post("/auth/logout"), ("POST", "/auth/logout")),
        (silent("/auth/logout"), ("POST", "/auth/logout")),
        (post("/auth/logout-all"), ("POST", "/auth/logout-all")),
        (silent("/auth/logout-all"), ("POST", "/auth/logout-all")),
        (silent("/auth/refresh"), ("POST", "/auth/refresh")),
        (form(&format!("{base}/api/me"), &[("_method", "PATCH"), ("name", "Mallory")]), ("POST", "/api/me")),
        (post("/auth/github/link"), ("POST", "/auth/{provider}/link")),
    ]
}

/// The visitor is Alice, in the same session, with all that was hers before.
async fn assert_untouched(browser: &Chromium, app: &TestApp, session: &[Cookie], attack: &str) {
    let state = ["sessions", "identities"].map(|table| app.db.count(table));
    let alice = app
        .db
        .number("SELECT COUNT(*) AS number FROM users WHERE name = 'Alice Example' AND token_version = 0");
    assert_eq!((state, alice), ([1, 1], 1), "{attack}");
    assert_eq!(browser.session().await, session, "{attack}");
}

impl Chromium {
    /// The cookies that say who is signed in.
    async fn session(&self) -> Vec<Cookie> {
        let mut cookies = self.jar().await;
        cookies.retain(|cookie| !cookie.name.starts_with("__Host-tokenbooth_login_"));
        cookies.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        cookies
    }

    /// Who this browser is to the service, asked from a page of the service.
    async fn me(&self, app: &TestApp) -> Value {
        self.visit(&format!("{}/healthz", app.base)).await;
        let ask = "return fetch('/api/me').then(answer => answer.json())";
        self.script(ask).await.expect("an answer")
    }
}

#[actix_web::test]
async fn another_site_does_nothing_in_the_name_of_who_is_signed_in() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let (site, browser) = (Site::start(), turn.browser().await);
    browser.sign_in(&app, "google", "alice").await;
    let session = browser.session().await;
    assert_eq!(session.len(), 4);
    for attacker in ATTACKERS {
        let mut attempts = attempts_to_act_as_the_visitor(&app.base);
        attempts.extend(attempts_to_sign_in_as_mallory(&app).await);
        for (page, request) in attempts {
            site.put(&page);
            fall_for(&browser, &app, &site.url(attacker), request).await;
            assert_untouched(&browser, &app, &session, &format!("{page} at {attacker}")).await;
        }
        assert_eq!(browser.me(&app).await["name"], "Alice Example");
    }
}

#[actix_web::test]
async fn another_site_reads_and_frames_nothing_of_ours() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let (site, browser) = (Site::start(), turn.browser().await);
    browser.sign_in(&app, "google", "alice").await;
    let session = browser.session().await;
    assert_eq!(session.len(), 4);
    for attacker in ATTACKERS {
        for (path, method) in
            [("/api/me", "GET"), ("/account", "GET"), ("/api/me", "PATCH"), ("/api/me", "DELETE")]
        {
            let init = if method == "PATCH" {
                let headers = json!({ "content-type": "application/json" });
                json!({ "method": method, "credentials": "include", "headers": headers, "body": "{\"name\":\"Mallory\"}" })
            } else {
                json!({ "method": method, "credentials": "include" })
            };
            site.put(&fetch(&format!("{}{path}", app.base), &init));
            // Before what needs asking for there is a preflight.
            let sent = if method == "GET" { "GET" } else { "OPTIONS" };
            fall_for(&browser, &app, &site.url(attacker), (sent, path)).await;
            browser.until("return window.outcome !== undefined").await;
            assert_eq!(
                browser.script("return window.outcome").await.expect("text"),
                "refused",
                "{method} {path}"
            );
            assert_eq!(arrived(&app, "PATCH", path).await + arrived(&app, "DELETE", path).await, 0);
        }
        site.put(&format!("<h1>Win a prize</h1><iframe src=\"{}/account\"></iframe>", app.base));
        fall_for(&browser, &app, &site.url(attacker), ("GET", "/account")).await;
        browser.enter_frame("iframe").await;
        assert!(!browser.has("main").await, "framed at {attacker}");
        browser.leave_frame().await;
        assert_eq!(browser.text("h1").await, "Win a prize");
        assert_untouched(&browser, &app, &session, attacker).await;
    }
}

#[actix_web::test]
async fn another_site_signs_nobody_in() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let (site, browser) = (Site::start(), turn.browser().await);
    for attacker in ATTACKERS {
        for (page, request) in attempts_to_sign_in_as_mallory(&app).await {
            site.put(&page);
            fall_for(&browser, &app, &site.url(attacker), request).await;
            assert_eq!((browser.cookies().await, app.db.count("users")), (vec![], 0), "{page} at {attacker}");
        }
        assert_eq!(browser.me(&app).await["code"], "invalid_token");
    }
}
