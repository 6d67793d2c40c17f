//! What a sibling domain can do to a visitor: it can set cookies for the parent domain, with any name that does not begin with
//! `__Host-`.

use serde_json::{Value, json};
use tokenbooth::mock::Person;

use super::chromium::Chromium;
use super::site::Site;
use super::turn;
use crate::databases::TestDatabase;
use crate::postgres::free_port;
use crate::support::TestApp;

const OURS: &str = "auth.mail.localhost";
const SIBLING: &str = "evil.mail.localhost";

/// The service, as browsers know it.
async fn start() -> (TestApp, String) {
    let port = free_port();
    let public_url = format!("http://{OURS}:{port}");
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("server.port", port.to_string()).with("server.public_url", &public_url)
    })
    .await;
    (app, public_url)
}

/// Status and body of a request by our own page.
async fn ask(browser: &Chromium, method: &str, path: &str, body: &Value) -> (u64, Value) {
    let body = if body.is_null() { Value::Null } else { json!(body.to_string()) };
    let headers = json!({ "content-type": "application/json" });
    let init = if body.is_null() {
        json!({ "method": method })
    } else {
        json!({ "method": method, "headers": headers, "body": body })
    };
    let script = format!(
        "return fetch('{path}', {init}).then(async r => [r.status, await r.json().catch(() => null)])"
    );
    let answer = browser.script(&script).await.expect("an answer");
    (answer[0].as_u64().expect("a status"), answer[1].clone())
}

/// Has the sibling set its cookie in this browser, for this path, and comes back to our page.
async fn fall_for(browser: &Chromium, site: &Site, base: &str, token: &str, path: &str) {
    let cookie = format!(
        "__Secure-tokenbooth_refresh={token}; Domain=mail.localhost; Path={path}; Secure; Max-Age=600"
    );
    site.put(&format!("<script>document.cookie = '{cookie}'; window.outcome = document.cookie</script>"));
    browser.visit(&site.url(SIBLING)).await;
    browser.until("return window.outcome !== undefined").await;
    browser.visit(&format!("{base}/healthz")).await;
    // The browser has it, and sends it there.
    let cookies = browser.devtools("Network.getCookies", json!({ "urls": [format!("{base}{path}")] })).await;
    let sent = cookies["cookies"].as_array().expect("a list").iter();
    assert!(sent.clone().any(|cookie| cookie["value"] == token), "{cookies}");
}

#[actix_web::test]
async fn a_sibling_s_refresh_cookie_signs_nobody_in() {
    let Some(turn) = turn().await else { return };
    let (app, base) = start().await;
    let (site, mallory) = (Site::start(), app.sign_in_offline(Person::named("mallory")).await);
    for path in ["/auth/refresh", "/auth", "/"] {
        // A visitor who is not signed in.
        let browser = turn.browser().await;
        fall_for(&browser, &site, &base, mallory.refresh_token(), path).await;
        let (status, body) = ask(&browser, "POST", "/auth/refresh", &Value::Null).await;
        assert_eq!((status, &body["code"]), (401, &json!("invalid_refresh_token")), "{path}");
        assert_eq!(ask(&browser, "GET", "/api/me", &Value::Null).await.0, 401, "{path}");

        // One who is: the page renews itself before its time, and stays who it was or nobody.
        let browser = turn.browser().await;
        browser.visit(&format!("{base}/healthz")).await;
        let credential = app.mock.google().id_token(Person::named("alice").claims());
        let body = json!({ "credential": credential, "mode": "cookie" });
        let (status, answer) = ask(&browser, "POST", "/auth/google", &body).await;
        assert_eq!(status, 200, "{answer}");
        let (status, answer) = ask(&browser, "POST", "/auth/refresh", &Value::Null).await;
        assert_eq!((status, &answer["user"]["name"]), (200, &json!("Alice Example")), "{answer}");
        fall_for(&browser, &site, &base, mallory.refresh_token(), path).await;
        assert_eq!(ask(&browser, "POST", "/auth/refresh", &Value::Null).await.0, 401, "{path}");
        assert_eq!(ask(&browser, "GET", "/api/me", &Value::Null).await.0, 401, "{path}");
    }
    // Mallory's token was not used up by any of it.
    assert_eq!(app.refresh(mallory.refresh_token()).await.status, 200);
}
