//! A sensitive operation whose sign-in is too old leads through a sign-in, and back to what was begun.
//!
//! People sign in with GitHub here: an ID token of the mock Google is as old as its `iat` says, which the tests' clock does not move.

use serde_json::json;
use tokenbooth::mock::{GithubUser, Person};

use super::chromium::Chromium;
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

const PASSWORD: &str = "correct horse battery";
/// Older than `accounts.fresh_for`.
const LONG_AGO: i64 = 601;

impl Chromium {
    /// Waits for the page that asks for a sign-in, confirms with GitHub, and waits for the page that was left.
    async fn confirm_and_return(&self, person: &str, page: &str) {
        self.until_text("h1", "Confirm that it is you").await;
        self.click("#sign-in-github").await;
        self.consent(person).await;
        self.until_at(page).await;
        self.settled().await;
    }

    /// Waits until the page says what was begun, with the focus on its button.
    async fn until_resumed(&self, control: &str, name: &str) {
        let message = format!("You have confirmed that it is you. Repeat what you began: {name}.");
        self.until_text("#message[role=status]", &message).await;
        self.until(&format!("return document.activeElement.matches(\"{control}\")")).await;
    }
}

fn passwords(app: &TestApp) -> i64 {
    app.db.number("SELECT COUNT(*) AS number FROM users WHERE password_hash IS NOT NULL")
}

#[actix_web::test]
async fn an_unlink_is_repeated_after_a_sign_in_to_the_same_account_and_no_other() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.exchange_github(GithubUser::named("bob")).await.assert_signed_in();
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "alice").await;
    browser.click("#link-google").await;
    browser.consent("alice").await;
    browser.until_at("/account").await;
    app.clock.advance(LONG_AGO);

    let unlink = "#identities button[aria-label^='Unlink Google']";
    browser.click(unlink).await;
    browser.click("#confirm-yes").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=1").await;
    browser.until_text("#account-to-confirm", "alice@example.com").await;
    // The wrong one is chosen: she is told so, and stays who she is.
    browser
        .confirm_and_return("bob", "/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=failed")
        .await;
    browser.until_text("#not-confirmed", "You are still signed in, and nothing has changed.").await;
    browser.until_text("#go-account", "Alice Example").await;
    browser.console().await;

    browser.confirm_and_return("alice", "/account#identities").await;
    browser.until_resumed(unlink, "Unlink Google alice@example.com").await;
    assert_eq!(app.db.count("identities"), 3, "nothing is done without a click");
    browser.click(unlink).await;
    browser.click("#confirm-yes").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    browser.until_text("#message", "Unlinked, and signed out everywhere. Sign in again.").await;
    assert_eq!((app.db.count("users"), app.db.count("identities")), (2, 2));
}

#[actix_web::test]
async fn who_comes_back_without_a_sign_in_or_as_somebody_else_is_not_told_to_go_on() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "alice").await;
    app.clock.advance(LONG_AGO);
    browser.fill("#new-password", PASSWORD).await;
    browser.click("#set-password").await;
    let confirm = "/sign-in?redirect_to=%2Faccount%23password-section&reauthenticate=1";
    browser.until_at(confirm).await;
    browser.click("#go-account").await;
    browser.until_at("/account").await;
    browser.settled().await;
    assert_eq!(browser.text("#message").await, "");

    browser.fill("#new-password", PASSWORD).await;
    browser.click("#set-password").await;
    browser.until_at(confirm).await;
    // The session ends meanwhile, and somebody else signs in here.
    app.db.execute("UPDATE users SET token_version = token_version + 1");
    browser.visit(&format!("{}{confirm}", app.base)).await;
    browser.until_text("h1", "Sign in").await;
    browser.click("#sign-in-github").await;
    browser.consent("bob").await;
    browser.until_at("/account#password-section").await;
    browser.until_text("#message[role=alert]", "You are now signed in to another account than before.").await;
    assert_eq!(passwords(&app), 0);
}

#[actix_web::test]
async fn a_first_password_is_set_after_a_sign_in() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "alice").await;
    browser.until_text("#password-state", "No password is set.").await;
    app.clock.advance(LONG_AGO);
    browser.fill("#new-password", PASSWORD).await;
    browser.click("#set-password").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount%23password-section&reauthenticate=1").await;
    // What was typed is kept nowhere.
    let kept = "return JSON.stringify([{...sessionStorage}, {...localStorage}, location.href])";
    let kept = browser.script(kept).await.expect("a text");
    assert!(!kept.as_str().expect("text").contains(PASSWORD), "{kept}");
    browser.confirm_and_return("alice", "/account#password-section").await;
    browser.until_resumed("#set-password", "Set password").await;
    browser.fill("#new-password", PASSWORD).await;
    browser.click("#set-password").await;
    browser.until_text("#message", "Your password is set.").await;
    browser.until_text("#password-state", "A password is set.").await;
    assert_eq!(passwords(&app), 1);
}

#[actix_web::test]
async fn an_administrator_promotes_after_a_sign_in() {
    let Some(turn) = turn().await else { return };
    let (app, ada) = TestApp::start_with_ada(TestDatabase::sqlite()).await;
    app.link_github(&ada.jwt, GithubUser::named("ada")).await;
    let alice = app.sign_in(Person::named("alice")).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "ada").await;
    app.clock.advance(LONG_AGO);
    browser.visit(&format!("{}/admin?q=alice", app.base)).await;
    let role = format!("#role-{}", alice.user_id);
    browser.click(&role).await;
    browser.until_at("/sign-in?redirect_to=%2Fadmin%3Fq%3Dalice%23users&reauthenticate=1").await;
    browser.confirm_and_return("ada", "/admin?q=alice#users").await;
    browser.until_resumed(&role, "Promote").await;
    let administrators = "SELECT COUNT(*) AS number FROM users WHERE admin";
    assert_eq!(app.db.number(administrators), 1);
    browser.click(&role).await;
    browser.until_text("#message", "Alice Example is an administrator now.").await;
    assert_eq!(app.db.number(administrators), 2);
}

#[actix_web::test]
async fn the_form_that_links_leads_through_a_sign_in_with_script() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "alice").await;
    app.clock.advance(LONG_AGO);
    browser.click("#link-google").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=1").await;
    browser.confirm_and_return("alice", "/account#identities").await;
    browser.until_resumed("#link-google", "Link Google").await;
    browser.click("#link-google").await;
    browser.consent("alice").await;
    browser.until_at("/account").await;
    browser.until_text("#identities", "Google alice@example.com").await;
    assert_eq!(browser.text("#message").await, "", "there is nothing to repeat");
    assert_eq!(app.db.count("identities"), 2);
    browser.assert_quiet().await;
}

#[actix_web::test]
async fn the_form_that_links_leads_through_a_sign_in_without_script() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser_with(&["--blink-settings=scriptEnabled=false"]).await;
    browser.visit(&format!("{}/account", app.base)).await;
    browser.click_at_once("#sign-in-github").await;
    browser.click_at_once("#as-alice").await;
    browser.until_at("/account").await;
    app.clock.advance(LONG_AGO);
    browser.click_at_once("#link-google").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=1").await;
    browser.until_text("h1", "Confirm that it is you").await;
    browser.click_at_once("#sign-in-github").await;
    browser.click_at_once("#as-alice").await;
    browser.until_at("/account#identities").await;
    browser.click_at_once("#link-google").await;
    browser.click_at_once("#as-alice").await;
    browser.until_at("/account").await;
    browser.until_text("#identities", "Google alice@example.com").await;
    assert_eq!(app.db.count("identities"), 2);
}

#[actix_web::test]
async fn a_forgotten_password_is_replaced_after_a_sign_in_with_a_provider() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let alice = app.exchange_github(GithubUser::named("alice")).await.assert_signed_in();
    let forgotten = json!({ "new_password": "nobody remembers this one" });
    assert_eq!(app.send_as("PUT", "/api/me/password", &alice.jwt, &forgotten).await.status, 204);
    let browser = turn.browser().await;
    browser.visit(&format!("{}/sign-in?redirect_to=/account", app.base)).await;
    let hint =
        "Forgot your password? Sign in with Google, GitHub or acme, and set a new one on your account page.";
    browser.until_text("#password-hint", hint).await;
    browser.click("#sign-in-github").await;
    browser.consent("alice").await;
    browser.until_at("/account").await;
    browser.until_text("#proved-by-provider", "you are not asked for the current password").await;
    // She hesitates too long: by then the page asks for a sign-in first, and then again not for the password.
    app.clock.advance(LONG_AGO);
    browser.fill("#new-password", PASSWORD).await;
    browser.click("#set-password").await;
    browser.confirm_and_return("alice", "/account#password-section").await;
    browser.until_resumed("#set-password", "Change password").await;
    assert!(!browser.has("#current-password").await);
    browser.fill("#new-password", PASSWORD).await;
    browser.click("#set-password").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    browser.until_text("#message", "Your password is changed. Sign in with the new one.").await;
    browser.fill("#email", "alice@example.com").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("#sign-in-password").await;
    browser.until_at("/account").await;
    // That was the password, which does not replace itself.
    browser.until_text("#password-section", "Current password").await;
    browser.until_text("#forgot-password", "sign in again with GitHub").await;
}

#[actix_web::test]
async fn an_owner_removes_the_password_that_a_thief_has_set() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "alice").await;
    let stolen = app.exchange_github(GithubUser::named("alice")).await.assert_signed_in();
    let of_thief = json!({ "new_password": PASSWORD });
    assert_eq!(app.send_as("PUT", "/api/me/password", &stolen.jwt, &of_thief).await.status, 204);
    app.sign_in_with_password("alice@example.com", PASSWORD).await.assert_signed_in();
    app.clock.advance(LONG_AGO);

    browser.visit(&format!("{}/account", app.base)).await;
    browser.until_text("#password-state", "A password is set.").await;
    assert!(browser.has("#current-password").await);
    browser.click("#confirm-for-password").await;
    browser.confirm_and_return("alice", "/account#password-section").await;
    browser.until_text("#proved-by-provider", "you are not asked for the current password").await;
    browser.click("#password-section summary").await;
    browser.click("#remove-password").await;
    browser.click("#confirm-yes").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    browser.until_text("#message", "Your password is removed.").await;
    assert_eq!(passwords(&app), 0);
    app.me(&stolen.jwt).await.assert_problem(401, "invalid_token");
    let again = app.sign_in_with_password("alice@example.com", PASSWORD).await;
    again.assert_problem(401, "invalid_credentials");
}

#[actix_web::test]
async fn an_administrator_takes_the_sign_in_methods_of_a_thief_away() {
    let Some(turn) = turn().await else { return };
    let (app, ada) = TestApp::start_with_ada(TestDatabase::sqlite()).await;
    app.link_github(&ada.jwt, GithubUser::named("ada")).await;
    let bob = app.sign_in(Person::named("bob")).await;
    app.link_github(&bob.jwt, GithubUser::named("mallory")).await;
    let of_thief = json!({ "new_password": PASSWORD });
    assert_eq!(app.send_as("PUT", "/api/me/password", &bob.jwt, &of_thief).await.status, 204);
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "ada").await;
    app.clock.advance(LONG_AGO);
    browser.visit(&format!("{}/admin?q=bob", app.base)).await;
    let remove = format!("#remove-password-{}", bob.user_id);
    browser.click(&remove).await;
    browser.until_text("#confirm-question", "All sessions of this user end.").await;
    browser.click("#confirm-yes").await;
    browser.confirm_and_return("ada", "/admin?q=bob#users").await;
    browser.until_resumed(&remove, "Remove the password of Bob Example").await;
    assert_eq!(app.me(&bob.jwt).await.status, 200);
    browser.click(&remove).await;
    browser.click("#confirm-yes").await;
    browser.until_text("#message", "The password is removed. All sessions of Bob Example have ended.").await;
    browser.until_text("#users", "No password").await;
    app.me(&bob.jwt).await.assert_problem(401, "invalid_token");

    browser.click("#users button[aria-label^='Unlink GitHub']").await;
    browser.click("#confirm-yes").await;
    browser.until_text("#message", "Unlinked. All sessions of Bob Example have ended.").await;
    browser.until_gone("#users button[aria-label^='Unlink GitHub']").await;
    assert_eq!((app.db.count("identities"), passwords(&app)), (3, 0));
}
