//! In, at each provider.

use super::chromium::Chromium;
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

impl Chromium {
    /// From a page that wants somebody signed in, by way of a provider, and back to it.
    pub async fn sign_in(&self, app: &TestApp, provider: &str, person: &str) {
        self.visit(&format!("{}/account", app.base)).await;
        self.until_at("/sign-in?redirect_to=%2Faccount").await;
        self.click(&format!("#sign-in-{provider}")).await;
        self.consent(person).await;
        self.until_at("/account").await;
    }

    /// The mock's page: who to be.
    pub async fn consent(&self, person: &str) {
        if matches!(person, "alice" | "bob" | "carol") {
            self.click(&format!("#as-{person}")).await;
        } else {
            self.fill("#name", person).await;
            self.click("#as-name").await;
        }
    }
}

on_both_databases! {
    async fn a_person_signs_in_at_each_provider_and_comes_back_to_the_page_asked_for(db: TestDatabase) {
        let Some(turn) = turn().await else { return };
        let app = TestApp::start(db).await;
        let browser = turn.browser().await;
        for provider in ["google", "github", "acme"] {
            browser.visit(&format!("{}/account?a=b", app.base)).await;
            browser.until_at("/sign-in?redirect_to=%2Faccount%3Fa%3Db").await;
            browser.until_text("#go-sign-in", "Sign in").await;
            assert!(!browser.has("#sign-out").await);
            browser.click(&format!("#sign-in-{provider}")).await;
            browser.consent("alice").await;
            browser.until_at("/account?a=b").await;
            browser.until_text("nav#navigation #go-account", "Alice Example").await;
            assert!(!browser.has("#go-sign-in").await);
            assert_eq!(app.db.count("sessions"), 1);
            browser.click("#sign-out").await;
            browser.until_at("/").await;
            assert_eq!((browser.cookies().await, app.db.count("sessions")), (vec![], 0));
        }
        assert_eq!(app.db.count("users"), 3);
        browser.assert_quiet().await;
    }
}

#[actix_web::test]
async fn who_calls_the_sign_in_off_is_told_so() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.visit(&format!("{}/sign-in", app.base)).await;
    browser.click("#sign-in-github").await;
    browser.click("#deny").await;
    browser.until_text("main", "access_denied").await;
    assert_eq!((browser.cookies().await, app.db.count("users")), (vec![], 0));
}

#[actix_web::test]
async fn two_tabs_sign_in_at_once_and_both_finish() {
    let Some(turn) = turn().await else { return };
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    for (tab, provider) in [(&first, "google"), (&second, "github")] {
        browser.switch_to(tab).await;
        browser.visit(&format!("{}/sign-in?redirect_to=/account", app.base)).await;
        browser.click(&format!("#sign-in-{provider}")).await;
        browser.until_text("h1", "Mock").await;
    }
    for (tab, provider) in [(&first, "Google"), (&second, "GitHub")] {
        browser.switch_to(tab).await;
        browser.consent("alice").await;
        browser.until_at("/account").await;
        browser.until_text("#identities", provider).await;
    }
    // The second was the last word of this browser.
    assert_eq!((app.db.count("users"), app.db.count("sessions")), (2, 1));
    browser.assert_quiet().await;
}
