//! `/sign-in?reauthenticate=…`: a signed-in person confirms who they are, and returns to what was begun.

use std::collections::BTreeSet;

use reqwest::header::ORIGIN;
use serde_json::json;
use tokenbooth::mock::{GithubUser, Person};
use url::Url;

use super::{assert_nothing_inline, values};
use crate::databases::TestDatabase;
use crate::support::browser::{Browser, HTML};
use crate::support::{Answer, TestApp};

/// Older than `accounts.fresh_for`. The clock does not move the `iat` of the mock Google's ID tokens, so people confirm with GitHub.
const LONG_AGO: i64 = 601;
const CONFIRM: &str = "/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=1";
const NOT_CONFIRMED: &str = "/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=failed";

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The form of the account page that begins a link to Google.
async fn begin_link(browser: &mut Browser, accept: &str) -> Answer {
    let request = browser.as_our_page("POST", "/auth/google/link").header("accept", accept);
    browser.send(request).await
}

/// Confirms with a provider as this person, or calls it off there, and returns the response to the callback.
async fn confirm(browser: &mut Browser, provider: &str, person: Option<&str>, accept: &str) -> Answer {
    let login = format!("/auth/{provider}/login?redirect_to=%2Faccount%23identities&reauthenticate=1");
    let back = if let Some(person) = person {
        browser.authorize(&login, person).await
    } else {
        let there = browser.visit(&login).await;
        let denied = format!("{}&mock_deny=1", there.header("location"));
        let back = Browser::at_base(&browser.base).visit(&denied).await;
        back.header("location").to_owned()
    };
    let request = browser.request("GET", &back).header("accept", accept);
    browser.send(request).await
}

async fn name_of(browser: &mut Browser) -> String {
    browser.call("GET", "/api/me").await.json["name"].as_str().expect("a name").to_owned()
}

on_both_databases! {
    async fn the_form_that_links_leads_through_a_sign_in_and_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = Browser::at(&app);
        browser.sign_in("github", "alice").await;
        app.clock.advance(LONG_AGO);
        let sent = begin_link(&mut browser, HTML).await;
        assert_eq!((sent.status, sent.header("location"), sent.header("cache-control")), (303, CONFIRM, "no-store"));
        assert!(browser.attempts().is_empty());
        // A program gets the challenge, and another site nothing at all.
        let refused = begin_link(&mut browser, "application/json").await;
        refused.assert_problem(401, "reauthentication_required");
        assert!(refused.header("www-authenticate").contains("max_age=\"600\""), "{:?}", refused.headers);
        let forged = browser.request("POST", "/auth/google/link").header(ORIGIN, "https://evil.example");
        let forged = forged.header("accept", HTML);
        assert_eq!(browser.send(forged).await.status, 403);

        let back = confirm(&mut browser, "github", Some("alice"), HTML).await;
        assert_eq!((back.status, back.header("location")), (302, "/account#identities"), "{}", back.text);
        assert_eq!(app.db.count("sessions"), 1, "the session before has ended");
        let sent = begin_link(&mut browser, HTML).await;
        assert_eq!((sent.status, sent.header("location").contains("/google/o/oauth2/v2/auth?")), (303, true));
        assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 1));
    }

    async fn another_account_confirms_nothing_and_changes_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.sign_in(Person::named("bob")).await;
        let mut browser = Browser::at(&app);
        browser.sign_in("google", "alice").await;
        app.clock.advance(LONG_AGO);
        // Another account, one that does not exist here yet, an unlinked one of the same person; and she calls it off.
        for (provider, person) in
            [("google", Some("bob")), ("google", Some("carol")), ("github", Some("alice")), ("google", None)]
        {
            let back = confirm(&mut browser, provider, person, HTML).await;
            assert_eq!((back.status, back.header("location")), (302, NOT_CONFIRMED), "{person:?}: {}", back.text);
            assert!(browser.attempts().is_empty());
            let page = browser.visit(NOT_CONFIRMED).await.text;
            assert!(page.contains("id=\"not-confirmed\"") && page.contains("Alice Example"), "{page}");
            assert_eq!(name_of(&mut browser).await, "Alice Example");
            begin_link(&mut browser, "application/json").await.assert_problem(401, "reauthentication_required");
        }
        let refused = confirm(&mut browser, "google", Some("bob"), "application/json").await;
        refused.assert_problem(403, "access_denied");
        assert_eq!((app.db.count("users"), app.db.count("identities"), app.db.count("sessions")), (2, 2, 1));
        // Somebody who signs in without being signed in already may be anybody.
        let mut other = Browser::at(&app);
        let back = confirm(&mut other, "google", Some("carol"), HTML).await;
        assert_eq!((back.status, back.header("location")), (302, "/account#identities"));
    }

    async fn a_person_who_is_signed_in_confirms_with_the_methods_of_the_account(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let path = "/sign-in?redirect_to=%2Faccount%23identities&reauthenticate=1";
        let page = app.get_as(path, &alice.jwt).await.text;
        assert!(page.contains("Confirm that it is you</h1>") && page.contains("alice@example.com"), "{page}");
        assert!(page.contains("href=\"/auth/google/login?redirect_to=%2Faccount%23identities&amp;reauthenticate=1\""), "{page}");
        // Any other method would lead to another account; and the password is not set.
        assert!(!page.contains("/auth/github/login") && !page.contains("type=\"password\""), "{page}");
        assert!(!page.contains("data-sign-in") && !page.contains("id=\"not-confirmed\""), "{page}");
        assert_nothing_inline(&page);

        app.link_github(&alice.jwt, GithubUser::named("alice-on-github")).await;
        let new = json!({ "new_password": "a horse and a battery" });
        assert_eq!(app.send_as("PUT", "/api/me/password", &alice.jwt, &new).await.status, 204);
        let page = app.get_as(path, &alice.jwt).await.text;
        assert!(page.contains("/auth/github/login") && !page.contains("/auth/acme/login"), "{page}");
        assert!(page.contains("value=\"alice@example.com\" readonly"), "{page}");
        assert!(page.contains("Sign in with Google or GitHub, and set a new one"), "{page}");

        // Without a session any sign-in is recent.
        let page = app.get(path).await.text;
        assert!(page.contains("<h1>Sign in</h1>") && page.contains("/auth/acme/login"), "{page}");
        assert!(!page.contains("data-sign-in") && !page.contains("readonly"), "{page}");
        // Elsewhere it does not lead either.
        for wanted in ["%2F%2Fevil.example", "https%3A%2F%2Fevil.example", "javascript%3Aalert(1)"] {
            let page = app.get_as(&format!("/sign-in?reauthenticate=1&redirect_to={wanted}"), &alice.jwt).await.text;
            assert_eq!(values(&page, "data-then").into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["/"]), "{wanted}");
        }
    }
}

#[actix_web::test]
async fn a_provider_is_asked_to_authenticate_the_person_again_as_far_as_it_can() {
    let app = TestApp::start_with_further_providers(TestDatabase::sqlite(), |sources| sources).await;
    let mut browser = Browser::at(&app);
    for (provider, prompt, max_age) in [
        ("google", Some("select_account"), None),
        ("github", Some("select_account"), None),
        ("acme", Some("login"), Some("600")),
        ("microsoft", Some("login"), Some("600")),
        ("apple", None, None),
        ("gitlab", None, None),
    ] {
        let login = format!("/auth/{provider}/login?redirect_to=/account");
        let usual = browser.visit(&login).await;
        let again = browser.visit(&format!("{login}&reauthenticate=1")).await;
        let asked = |answer: &Answer| {
            assert_eq!(answer.status, 302, "{provider}: {}", answer.text);
            let url = answer.header("location");
            (parameter(url, "prompt"), parameter(url, "max_age"))
        };
        assert_eq!(asked(&usual), (None, None), "{provider}");
        assert_eq!(asked(&again), (prompt.map(str::to_owned), max_age.map(str::to_owned)), "{provider}");
    }
}
