//! Out, and what works without JavaScript.

use serde_json::json;

use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

#[actix_web::test]
async fn who_signs_out_is_out() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    browser.click("#sign-out").await;
    browser.until_at("/").await;
    browser.until_text("#go-sign-in", "Sign in").await;
    browser.until_text("main", "You are not signed in").await;
    assert_eq!((browser.cookies().await, app.db.count("sessions")), (vec![], 0));
    // Neither the back button shows the account again.
    browser.back().await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    browser.assert_quiet().await;
}

#[actix_web::test]
async fn who_signs_out_after_the_access_token_s_end_ends_the_session_all_the_same() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    browser.settled().await;
    // As after a night in a bag, where no timer runs.
    let cookie = json!({ "name": "__Host-tokenbooth_session", "domain": "127.0.0.1", "path": "/" });
    browser.devtools("Network.deleteCookies", cookie).await;
    let left = ["__Host-tokenbooth_csrf", "__Host-tokenbooth_device", "__Secure-tokenbooth_refresh"];
    assert_eq!(browser.cookies().await, left);
    let sleep = "const now = Date.now(); Date.now = () => now + 8 * 3600 * 1000; return null";
    browser.script(sleep).await.expect("run");
    browser.click("#sign-out").await;
    browser.until_at("/").await;
    browser.until_text("#go-sign-in", "Sign in").await;
    assert_eq!((browser.cookies().await, app.db.count("sessions")), (vec![], 0));
}

#[actix_web::test]
async fn signing_in_linking_and_signing_out_need_no_javascript() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser_with(&["--blink-settings=scriptEnabled=false"]).await;
    browser.visit(&format!("{}/account", app.base)).await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    browser.until_text("main", "switch JavaScript on").await;
    assert_eq!(browser.text("#sign-in-password").await, "", "it could not work, and is not shown");
    browser.click_at_once("#sign-in-google").await;
    browser.click_at_once("#as-alice").await;
    browser.until_at("/account").await;
    assert_eq!(browser.text("#go-account .name").await, "Alice Example");
    browser.click_at_once("#link-github").await;
    browser.click_at_once("#as-alice").await;
    browser.until_at("/account").await;
    browser.until_text("#identities", "GitHub").await;
    assert_eq!(app.db.count("identities"), 2);
    browser.click_at_once("#sign-out").await;
    browser.until_at("/").await;
    browser.until_text("#go-sign-in", "Sign in").await;
    assert_eq!((browser.cookies().await, app.db.count("sessions")), (vec![], 0));
}
