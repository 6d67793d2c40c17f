//! `/admin`: one browser's click, and what another browser sees of it.

use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

#[actix_web::test]
async fn who_is_disabled_is_out_at_the_next_click_and_told_so_at_the_next_sign_in() {
    let Some(turn) = turn().await else { return };
    let (app, _) = TestApp::start_with_ada(TestDatabase::sqlite()).await;
    let (alice, ada) = (turn.browser().await, turn.browser().await);
    alice.sign_in(&app, "google", "alice").await;
    ada.sign_in(&app, "google", "ada").await;

    ada.click("#go-users").await;
    ada.until_at("/admin").await;
    ada.until_text("#users", "ada@example.com").await;
    ada.fill("#q", "alice").await;
    ada.click("form[role=search] button").await;
    ada.until_at("/admin?q=alice").await;
    let rows = ada.script("return [...document.querySelectorAll('tbody tr')].map(row => row.id)").await;
    let rows = rows.expect("rows");
    let [row] = &rows.as_array().expect("a list")[..] else { panic!("one is Alice") };
    let id = row.as_str().expect("an id").trim_start_matches("user-").to_owned();
    ada.click(&format!("tr#user-{id} #access-{id}")).await;
    ada.until_text("#message", "Alice Example is disabled.").await;
    ada.until_text(&format!("tr#user-{id}"), "Disabled").await;
    ada.until_text(&format!("#access-{id}"), "Enable").await;

    alice.click("#go-account").await;
    alice.until_at("/sign-in?redirect_to=%2Faccount").await;
    alice.until_text("#go-sign-in", "Sign in").await;
    alice.click("#sign-in-google").await;
    alice.consent("alice").await;
    alice.until_text("main", "user_disabled").await;
    alice.until_text("main", "Ask an administrator").await;
    assert!(!alice.has("#sign-out").await);

    ada.click("#go-events").await;
    ada.until_at("/admin/events").await;
    ada.until_text("#events", "user.disabled").await;
    ada.until_text("#events", &id).await;

    ada.visit(&format!("{}/admin?q=alice", app.base)).await;
    ada.click(&format!("#access-{id}")).await;
    ada.until_text("#message", "Alice Example can sign in again.").await;
    alice.sign_in(&app, "google", "alice").await;
    ada.assert_quiet().await;
}

#[actix_web::test]
async fn the_pages_of_administrators_refuse_everybody_else() {
    let Some(turn) = turn().await else { return };
    let (app, _) = TestApp::start_with_ada(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "github", "alice").await;
    assert!(!browser.has("#go-users").await);
    for path in ["/admin", "/admin/events"] {
        browser.visit(&format!("{}{path}", app.base)).await;
        browser.until_text("main", "admin_required").await;
        // A refusal does not know who looks; the bar finds out.
        browser.until_text("#go-account", "Alice Example").await;
    }
}
