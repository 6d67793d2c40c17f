//! Without a mouse.

use serde_json::json;

use super::chromium::Chromium;
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';

/// What an app has the browser open.
pub(super) const APP_LOGIN: &str = "/auth/google/login?redirect_to=http://127.0.0.1/callback&state=mine\
    &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

/// More than any page has controls.
const MANY: usize = 60;

impl Chromium {
    async fn press(&self, key: char) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.post("/actions", body).await.expect("a key is pressed");
    }

    /// What has the focus: its id, else its class, else its element.
    async fn focused(&self) -> String {
        let script = "const it = document.activeElement; return it.id || it.className || it.localName";
        self.script(script).await.expect("an element").as_str().expect("text").to_owned()
    }

    /// Goes on to this control; each on the way shows that it has the focus.
    async fn tab_to(&self, name: &str) {
        self.settled().await;
        let mut passed = Vec::new();
        for _ in 0..MANY {
            self.press(TAB).await;
            let focused = self.focused().await;
            if focused != "body" {
                self.assert_focus_is_seen(&focused).await;
            }
            if focused == name {
                return;
            }
            passed.push(focused);
        }
        panic!("{name} is not reached at {}: {passed:?}", self.url().await);
    }

    async fn assert_focus_is_seen(&self, name: &str) {
        let seen = "const it = document.activeElement, style = getComputedStyle(it), at = it.getBoundingClientRect(); \
            return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1 \
                && at.width > 0 && at.bottom > 0 && at.top < innerHeight && at.right > 0 && at.left < innerWidth";
        assert_eq!(self.script(seen).await.expect("a truth"), true, "{name} at {}", self.url().await);
    }
}

#[actix_web::test]
async fn a_keyboard_is_enough_to_sign_in_and_out() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.visit(&format!("{}/sign-in?redirect_to=/account", app.base)).await;
    browser.tab_to("sign-in-google").await;
    browser.press(ENTER).await;
    browser.tab_to("as-alice").await;
    browser.press(ENTER).await;
    browser.until_at("/account").await;
    browser.tab_to("go-home").await;
    browser.press(ENTER).await;
    browser.until_at("/").await;
    browser.tab_to("sign-out").await;
    browser.press(ENTER).await;
    browser.until_text("#go-sign-in", "Sign in").await;
    assert_eq!(browser.cookies().await, [""; 0]);
}

#[actix_web::test]
async fn a_keyboard_is_enough_to_agree_to_an_app_or_to_call_it_off() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("sign_in.redirect_uris", "http://127.0.0.1/callback")
    })
    .await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    let login = format!("{}{}", app.base, APP_LOGIN);
    browser.visit(&login).await;
    for control in ["continue", "use-another-account", "cancel"] {
        browser.tab_to(control).await;
    }
    browser.visit(&login).await;
    browser.tab_to("continue").await;
    browser.press(ENTER).await;
    browser.tab_to("as-alice").await;
}

#[actix_web::test]
async fn a_keyboard_is_enough_to_confirm_who_one_is_and_go_on() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "alice").await;
    app.clock.advance(601);
    browser.tab_to("link-google").await;
    browser.press(ENTER).await;
    browser.until_at("/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=1").await;
    browser.tab_to("sign-in-github").await;
    browser.press(ENTER).await;
    browser.tab_to("as-alice").await;
    browser.press(ENTER).await;
    browser.until_at("/account#identities").await;
    browser.until("return document.activeElement.id === 'link-google'").await;
    browser.press(ENTER).await;
    browser.until_text("h1", "Mock Google").await;
    browser.tab_to("as-alice").await;
    browser.press(ENTER).await;
    browser.until_at("/account").await;
    assert_eq!(app.db.count("identities"), 2);
}

#[actix_web::test]
async fn the_first_stop_skips_to_the_content() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.visit(&format!("{}/sign-in", app.base)).await;
    browser.settled().await;
    browser.press(TAB).await;
    assert_eq!(browser.focused().await, "skip");
    browser.until("return document.activeElement.getBoundingClientRect().top >= 0").await;
    browser.press(ENTER).await;
    browser.until("return document.activeElement.id === 'main'").await;
    browser.press(TAB).await;
    assert!(browser.focused().await.starts_with("sign-in-"), "the bar was not skipped");
}

#[actix_web::test]
async fn every_control_of_the_account_page_is_reached_and_a_question_keeps_the_focus() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    for control in [
        "skip",
        "go-home",
        "go-account",
        "sign-out",
        "account-name",
        "save-name",
        "link-github",
        "sign-out-everywhere",
        "new-password",
        "set-password",
        "delete-word",
        "delete-account",
    ] {
        browser.tab_to(control).await;
    }
    browser.tab_to("sign-out-everywhere").await;
    browser.press(ENTER).await;
    browser.until("return document.getElementById('confirm').open").await;
    for _ in 0..6 {
        let inside =
            "return document.activeElement === document.body || !!document.activeElement.closest('#confirm')";
        assert_eq!(browser.script(inside).await.expect("a truth"), true, "{}", browser.focused().await);
        browser.press(TAB).await;
    }
    browser.press(ESCAPE).await;
    browser.until("return !document.getElementById('confirm').open").await;
    assert_eq!((browser.focused().await.as_str(), app.db.count("sessions")), ("sign-out-everywhere", 1));
    browser.press(ENTER).await;
    browser.tab_to("confirm-yes").await;
    browser.press(ENTER).await;
    browser.until_at("/sign-in").await;
    browser.until_text("#message", "You are signed out everywhere.").await;
    assert_eq!(app.db.count("sessions"), 0);
}
