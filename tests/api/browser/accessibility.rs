//! Every page, as it looks to those who see it, and as axe-core judges it for those who do not.
//!
//! axe-core is not part of the repository: `TOKENBOOTH_AXE` is the path of its `axe.min.js`, which `.ci/run` fetches.

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use super::chromium::Chromium;
use super::driver::not_tested;
use super::keyboard::APP_LOGIN;
use super::look::{DARK, LIGHT, Look, PHONE};
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

const LOOKS: [Look; 3] = [LIGHT, DARK, PHONE];

/// What is found, in short: rule, impact, and where.
const JUDGE: &str = "return axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => \
    [passes.length, violations.filter(({ impact }) => impact === 'serious' || impact === 'critical') \
        .map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(node => node.html + ' ' + node.failureSummary).join('; ')}`)])";

/// The text of axe-core, or a loud notice.
fn axe() -> Option<String> {
    let Ok(path) = std::env::var("TOKENBOOTH_AXE") else {
        not_tested(
            "NO TOKENBOOTH_AXE: the accessibility of the pages is NOT TESTED. To do it, give it the path of axe.min.js",
        );
        return None;
    };
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("TOKENBOOTH_AXE: {path}: {error}")))
}

async fn assert_accessible(browser: &Chromium, axe: &str, page: &str) {
    browser.script(axe).await.expect("axe-core is a script");
    let judged = browser.script(JUDGE).await.unwrap_or_else(|trouble| panic!("{page}: {trouble}"));
    assert!(judged[0].as_u64().is_some_and(|rules| rules > 5), "{page} was not judged: {judged}");
    assert_eq!(judged[1], json!([]), "{page}");
}

/// Draws the page in each look, judges it, and holds it against the width of a phone.
async fn assert_good(browser: &Chromium, axe: Option<&str>, url: &str, name: &str) {
    for look in LOOKS {
        let page = format!("{name}-{}", look.name);
        browser.look(look).await;
        browser.visit(url).await;
        browser.settled().await;
        browser.screenshot(&page, true).await;
        let width = browser.script("return document.documentElement.scrollWidth").await.expect("a width");
        assert!(width.as_u64().is_some_and(|width| width <= look.width.into()), "{page} is {width} wide");
        if let Some(axe) = axe {
            assert_accessible(browser, axe, &page).await;
        }
    }
}

#[actix_web::test]
async fn every_page_can_be_used_by_everybody_on_every_screen() {
    let Some(turn) = turn().await else { return };
    let axe = axe();
    let (app, ada) = TestApp::start_with_ada(TestDatabase::sqlite()).await;
    app.link_github(&ada.jwt, GithubUser::named("ada")).await;
    for name in ["bob", "carol", "dave"] {
        app.sign_in(Person::named(name)).await;
    }
    app.db.execute("UPDATE users SET disabled = true WHERE email = 'carol@example.com'");
    let browser = turn.browser().await;
    let judge = async |path: &str, name: &str| {
        assert_good(&browser, axe.as_deref(), &format!("{}{path}", app.base), name).await;
    };
    judge("/", "home").await;
    judge("/sign-in?redirect_to=/account", "sign-in").await;
    judge("/auth/google/callback", "refusal").await;
    // The picture of the README: `make screenshots` copies it to docs/.
    browser.look(LIGHT).await;
    browser.visit(&format!("{}/sign-in", app.base)).await;
    browser.settled().await;
    browser.screenshot("sign-in", false).await;

    browser.sign_in(&app, "google", "ada").await;
    judge("/", "home-signed-in").await;
    judge("/account", "account").await;
    judge("/admin", "admin").await;
    judge("/admin/events", "events").await;
    judge("/sign-in?redirect_to=/account&reauthenticate=failed", "confirm").await;
    let password = json!({ "new_password": "correct horse battery" });
    assert_eq!(app.send_as("PUT", "/api/me/password", &ada.jwt, &password).await.status, 204);
    judge("/account", "account-with-password").await;
    app.clock.advance(601);
    judge("/account", "account-with-password-later").await;
    judge("/sign-in?redirect_to=/account&reauthenticate=1", "confirm-with-password").await;

    if let Some(axe) = &axe {
        // That something would have been found.
        let spoil = "document.querySelector('main').insertAdjacentHTML('beforeend', '<input id=\"x\"><img src=\"/\">'); return null";
        assert_eq!(browser.script(spoil).await.expect("run"), Value::Null);
        let judged = browser.script(axe).await.and(browser.script(JUDGE).await).expect("a judgement");
        assert_eq!(judged[1].as_array().map(Vec::len), Some(2), "{judged}");
    }
}

#[actix_web::test]
async fn the_page_that_asks_before_an_app_is_signed_in_can_be_used_by_everybody_on_every_screen() {
    let Some(turn) = turn().await else { return };
    let axe = axe();
    let app = TestApp::start_with_further_providers(TestDatabase::sqlite(), |sources| {
        sources.with("sign_in.redirect_uris", "http://127.0.0.1/callback")
    })
    .await;
    let browser = turn.browser().await;
    let judge = async |login: &str, name: &str| {
        assert_good(&browser, axe.as_deref(), &format!("{}{login}", app.base), name).await;
    };
    judge(&APP_LOGIN.replace("google", "gitlab"), "app-question").await;
    browser.sign_in(&app, "google", "alice").await;
    judge(APP_LOGIN, "app-question-signed-in").await;
    judge(&APP_LOGIN.replace("google", "github"), "app-question-unlinked").await;
}
