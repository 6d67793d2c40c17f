//! The account page: ways in, the password, and the end of the account.

use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

const PASSWORD: &str = "correct horse battery";

/// How many users have one.
fn passwords(app: &TestApp) -> i64 {
    app.db.number("SELECT COUNT(*) AS number FROM users WHERE password_hash IS NOT NULL")
}

#[actix_web::test]
async fn another_way_in_is_linked_and_unlinked_but_never_the_last() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    browser.until_text("#identities", "The only way in").await;
    assert!(!browser.has("#identities [data-action=unlink]").await);

    browser.click("#link-github").await;
    browser.consent("alice").await;
    browser.until_at("/account").await;
    let unlink = "#identities button[aria-label^='Unlink GitHub']";
    browser.until_text("#identities", "GitHub").await;
    assert_eq!(browser.text(unlink).await, "Unlink");
    assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 2));

    // Thought better of it; then not.
    browser.click(unlink).await;
    browser.click("#confirm button[value=no]").await;
    browser.until_gone("#confirm[open]").await;
    assert_eq!(app.db.count("identities"), 2);
    browser.click(unlink).await;
    browser.click("#confirm-yes").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    browser.until_text("#message", "Unlinked, and signed out everywhere. Sign in again.").await;
    assert_eq!((app.db.count("identities"), app.db.count("sessions")), (1, 0));
    // The page has tried to renew the session, in vain.
    browser.console().await;
    browser.sign_in(&app, "google", "alice").await;
    browser.until_text("#identities", "The only way in").await;
    browser.assert_quiet().await;
}

#[actix_web::test]
async fn an_account_of_somebody_else_is_not_linked_and_the_page_says_why() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.exchange_github(tokenbooth::mock::GithubUser::named("bob")).await.assert_signed_in();
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    browser.click("#link-github").await;
    browser.consent("bob").await;
    browser.until_text("main", "identity_in_use").await;
    assert_eq!((app.db.count("users"), app.db.count("identities")), (2, 2));
}

#[actix_web::test]
async fn a_password_is_set_used_and_removed_and_the_account_deleted() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "alice").await;
    // A common one is refused, and the page says so.
    browser.fill("#new-password", "password1234").await;
    browser.click("#set-password").await;
    browser.until_text("#message[role=alert]", "password").await;
    assert_eq!(passwords(&app), 0);
    browser.fill("#new-password", PASSWORD).await;
    browser.click("#set-password").await;
    browser.until_text("#message", "Your password is set.").await;
    browser.until_text("#set-password", "Change password").await;

    browser.click("#sign-out").await;
    browser.until_at("/").await;
    browser.console().await;
    browser.visit(&format!("{}/sign-in?redirect_to=/account", app.base)).await;
    browser.fill("#email", "alice@example.com").await;
    browser.fill("#password", "not the password").await;
    browser.click("#sign-in-password").await;
    browser.until_text("#message[role=alert]", "password").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("#sign-in-password").await;
    browser.until_at("/account").await;
    browser.until_text("#go-account", "Alice Example").await;

    browser.click("#password-section summary").await;
    browser.fill("#password-to-remove", PASSWORD).await;
    browser.click("#remove-password").await;
    browser.until_at("/sign-in?redirect_to=%2Faccount").await;
    browser.until_text("#message", "Your password is removed.").await;
    assert_eq!(passwords(&app), 0);

    browser.sign_in(&app, "google", "alice").await;
    // The word is asked for, and nothing else will do.
    browser.click("#delete-account").await;
    assert_eq!((browser.url().await, app.db.count("users")), (format!("{}/account", app.base), 1));
    browser.fill("#delete-word", "delete").await;
    browser.click("#delete-account").await;
    browser.until_at("/").await;
    browser.until_text("#message", "Your account is deleted.").await;
    browser.until_text("#go-sign-in", "Sign in").await;
    assert_eq!(app.db.count("users"), 0);
}
