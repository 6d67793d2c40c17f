//! Staying signed in: over a restart of the server, over the end of the access token, and no longer than that.

use std::time::Duration;

use tokenbooth::mock::MockProviders;

use super::chromium::Chromium;
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

const SESSION: &str = "__Host-tokenbooth_session";

#[actix_web::test]
async fn a_restart_of_the_server_signs_nobody_out() {
    let Some(turn) = turn().await else { return };
    let mut app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    let port = app.base.rsplit(':').next().expect("a port").to_owned();
    let database = std::mem::replace(&mut app.db, TestDatabase::sqlite());
    // Of the same providers: another issuer under the same name would be other people.
    let sources = TestApp::sources(&app.mock, &database.url).with("server.port", &port);
    drop(app);
    let mock = MockProviders::start().await.expect("the mock starts");
    let app = TestApp::try_start(mock, database, sources).await.expect("the service starts");
    browser.click("#go-home").await;
    browser.until_at("/").await;
    browser.until_text("main", "You are signed in").await;
    browser.click("#go-account").await;
    browser.until_at("/account").await;
    browser.until_text("#profile", "alice@example.com").await;
    browser.fill("#account-name", "Alice B.").await;
    browser.click("#save-name").await;
    browser.until_text("#message", "Your name is saved.").await;
    browser.until_text("#go-account", "Alice B.").await;
    assert_eq!(app.db.count("sessions"), 1);
    browser.assert_quiet().await;
}

/// Long enough for a page to load on a busy machine.
async fn start_with_tokens_of(life: &str) -> TestApp {
    TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("token.access_ttl", life)).await
}

/// How often a session has been renewed, as the service counts.
async fn renewals(app: &TestApp) -> u64 {
    let metrics = app.get("/metrics").await.text;
    let lines = metrics.lines().filter(|line| line.contains("exchanges") && line.contains("\"refresh\""));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Waits until the access cookie has run out, at a page that does not renew it.
async fn outlive_the_access_token(browser: &Chromium, app: &TestApp) {
    browser.visit(&format!("{}/no-such-page", app.mock.base_url())).await;
    for _ in 0..600 {
        if !browser.cookies().await.iter().any(|name| name == SESSION) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the access cookie does not run out");
}

#[actix_web::test]
async fn a_page_left_open_renews_its_session_until_that_is_over() {
    let Some(turn) = turn().await else { return };
    let app = start_with_tokens_of("4s").await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    for _ in 0..600 {
        if renewals(&app).await >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(renewals(&app).await >= 2, "the page does not renew the session");
    assert_eq!(app.db.count("sessions"), 1);
    browser.fill("#account-name", "Alice B.").await;
    browser.click("#save-name").await;
    browser.until_text("#message", "Your name is saved.").await;

    // Ended elsewhere: the bar says so by itself, and the next click leads to the sign-in page.
    app.db.execute("UPDATE users SET token_version = token_version + 1");
    browser.until_text("#go-sign-in", "Sign in").await;
    browser.fill("#account-name", "Mallory").await;
    browser.click("#save-name").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM users WHERE name = 'Alice B.'"), 1);
}

#[actix_web::test]
async fn who_comes_back_after_the_access_token_s_end_need_not_click() {
    let Some(turn) = turn().await else { return };
    let app = start_with_tokens_of("6s").await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    outlive_the_access_token(&browser, &app).await;
    let before = renewals(&app).await;
    browser.visit(&format!("{}/account?a=b", app.base)).await;
    browser.until_at("/account?a=b").await;
    browser.until_text("#go-account", "Alice Example").await;
    assert!(renewals(&app).await > before);
    assert_eq!(app.db.count("sessions"), 1);

    // A session that is over stays at the sign-in page, without a cookie of it.
    outlive_the_access_token(&browser, &app).await;
    app.db.execute("DELETE FROM sessions");
    let other_tab = browser.new_tab().await;
    browser.switch_to(&other_tab).await;
    browser.visit(&format!("{}/account?a=b", app.base)).await;
    browser.until_at("/sign-in?redirect_to=%2Faccount%3Fa%3Db").await;
    browser.until("return !document.cookie").await;
    assert_eq!(browser.cookies().await, [""; 0]);
    assert_eq!(browser.url().await, format!("{}/sign-in?redirect_to=%2Faccount%3Fa%3Db", app.base));
}
