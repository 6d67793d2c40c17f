//! A provider that has the browser post a form from its own site: the cookie of the sign-in must find its way, and only to
//! who began.

use serde_json::json;
use tokenbooth::mock::MockProviders;

use super::attacks::{ATTACKERS, arrived, fall_for, form};
use super::site::Site;
use super::turn;
use crate::databases::TestDatabase;
use crate::form_post::Form;
use crate::support::TestApp;
use crate::support::browser::Browser;

const CALLBACK: &str = "/auth/{provider}/callback";

/// With Apple at another site than ours: the same machine by another name.
async fn start() -> TestApp {
    let mock = MockProviders::start().await.expect("the mock starts");
    let elsewhere = mock.base_url().replace("127.0.0.1", "localhost");
    mock.apple()
        .set_discovery(json!({ "authorization_endpoint": format!("{elsewhere}/apple/auth/authorize") }));
    TestApp::start_further_beside(mock, TestDatabase::sqlite(), |sources| sources).await
}

#[actix_web::test]
async fn the_cookie_of_the_sign_in_comes_with_the_redirect_that_answers_the_form() {
    let Some(turn) = turn().await else { return };
    let app = start().await;
    let browser = turn.browser().await;
    browser.visit(&format!("{}/sign-in?redirect_to=/account", app.base)).await;
    browser.click("#sign-in-apple").await;
    browser.until_text("h1", "Mock Apple").await;
    let there = browser.url().await;
    assert!(there.starts_with("http://localhost:") && app.base.starts_with("http://127.0.0.1:"), "{there}");
    browser.consent("alice").await;
    browser.until_at("/account").await;
    assert_eq!((arrived(&app, "POST", CALLBACK).await, arrived(&app, "GET", CALLBACK).await), (1, 1));
    browser.until_text("#identities", "Apple").await;
    assert_eq!((app.db.count("users"), app.db.count("sessions")), (1, 1));
    assert!(browser.jar().await.iter().all(|cookie| !cookie.name.starts_with("__Host-tokenbooth_login_")));
    browser.assert_quiet().await;
}

#[actix_web::test]
async fn who_calls_it_off_there_is_told_so_here() {
    let Some(turn) = turn().await else { return };
    let app = start().await;
    let browser = turn.browser().await;
    browser.visit(&format!("{}/sign-in", app.base)).await;
    browser.click("#sign-in-apple").await;
    browser.click("#deny").await;
    browser.until_text("main", "access_denied").await;
    assert_eq!((browser.cookies().await, app.db.count("users")), (vec![], 0));
}

#[actix_web::test]
async fn a_form_of_another_site_signs_nobody_in() {
    let Some(turn) = turn().await else { return };
    let app = start().await;
    let (site, browser) = (Site::start(), turn.browser().await);
    for attacker in ATTACKERS {
        let mut mallorys = Browser::at(&app);
        let attack = Form::of_sign_in(&app, &mut mallorys, "mallory").await;
        let fields = [("state", attack.get("state")), ("code", attack.get("code"))];
        site.put(&form(&attack.action, &fields));
        fall_for(&browser, &app, &site.url(attacker), ("GET", CALLBACK)).await;
        browser.until_text("main", "invalid_state").await;
        assert_eq!((browser.cookies().await, app.db.count("users")), (vec![], 0), "{attacker}");
        // It is her code still: nobody has tried it.
        let passed = attack.post(&app).await;
        assert_eq!(mallorys.visit(passed.header("location")).await.status, 302);
        app.db.execute("DELETE FROM users");
    }
}
