//! No app gets a code without a page that the person sees: the provider's, or ours.

use reqwest::header::ORIGIN;
use serde_json::json;
use tokenbooth::mock::MockProviders;

use super::{APP, SCHEME, VERIFIER, login, parameters, redeem, with_apps};
use crate::databases::TestDatabase;
use crate::support::browser::{Browser, HTML};
use crate::support::{Answer, TestApp};

const PAGE: &str = "https://app.mail.com/welcome";

/// What the mock's authorization endpoints were asked with, in order.
fn prompts(app: &TestApp) -> Vec<Option<String>> {
    let authorize = |path: &str| path.ends_with("/authorize") || path.ends_with("/auth");
    let seen = app.mock.seen().into_iter().filter(|request| authorize(&request.path));
    seen.map(|request| request.prompt).collect()
}

/// The fields of the page's form, and what each of its buttons adds.
fn fields<'a>(page: &'a Answer, button: &str) -> Vec<(&'a str, String)> {
    let unescaped = |text: &str| {
        text.replace("&#38;", "&")
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#60;", "<")
            .replace("&#62;", ">")
    };
    let attribute = |line: &'a str, name: &str| {
        let value = line.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{name} in {line}")).1;
        value.split_once('"').expect("a quote").0
    };
    let (form, _) = page.text.split_once("id=\"cancel\"").expect("a form");
    let wanted = |line: &&str| line.contains("type=\"hidden\"") || line.contains(&format!("id=\"{button}\""));
    let fields: Vec<_> = form
        .lines()
        .filter(wanted)
        .map(|line| (attribute(line, "name"), unescaped(attribute(line, "value"))))
        .collect();
    assert!(fields.iter().any(|(name, _)| *name == "account"), "no {button} in {}", page.text);
    fields
}

/// Presses a button of the page, as its own form does it.
async fn press(browser: &mut Browser, provider: &str, page: &Answer, button: &str) -> Answer {
    let request = browser.as_our_page("POST", &format!("/auth/{provider}/login")).header("accept", HTML);
    browser.send(request.form(&fields(page, button))).await
}

/// From the provider's page back to the app.
async fn choose(app: &TestApp, browser: &mut Browser, there: &Answer, person: &str) -> String {
    let chosen = format!("{}&mock_person={person}", there.header("location"));
    let back = Answer::of(app.http.get(chosen).send().await.expect("an answer")).await;
    let answer = browser.visit(back.header("location")).await;
    assert_eq!(answer.status, 302, "{}", answer.text);
    answer.header("location").to_owned()
}

#[track_caller]
fn assert_asks(page: &Answer, heading: &str) {
    assert_eq!((page.status, page.header("location")), (200, ""), "{}", page.text);
    assert!(page.text.contains(&format!("<h1>{heading}</h1>")), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
}

on_both_databases! {
    async fn the_entry_decides_and_no_parameter_makes_a_code_of_a_cookie(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("sign_in.redirect_uris", PAGE)).await;
        let challenge = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        for query in [
            "",
            challenge,
            "code_challenge_method=S256",
            &format!("{challenge}&code_challenge_method=S256&state=mallory"),
            &format!("{challenge}&code_challenge_method=plain"),
            &format!("{challenge}&code_challenge_method=S256&client_id=app&response_type=code&response_mode=query"),
            &format!("{challenge}&code_challenge_method=S256&client_id=mallory&redirect_uri=https://evil.com/"),
            &format!("{challenge}&code_challenge_method=S256&mode=code&scope=offline_access"),
        ] {
            for provider in ["google", "github", "acme"] {
                let mut browser = Browser::at(&app);
                let login = format!("/auth/{provider}/login?redirect_to={PAGE}&{query}");
                let back = browser.authorize(&login, "alice").await;
                let answer = browser.visit(&back).await;
                assert_eq!((answer.status, answer.header("location")), (302, PAGE), "{query}");
                assert!(browser.cookie("__Host-tokenbooth_session").is_some(), "{query}");
                // Once more in a browser that is signed in: nothing asks, because nothing is handed over.
                let back = browser.authorize(&login, "alice").await;
                assert_eq!(browser.visit(&back).await.header("location"), PAGE, "{query}");
            }
        }
        assert_eq!(app.db.count("spent_codes"), 0);
    }

    async fn a_browser_that_is_signed_in_is_asked_first(db: TestDatabase) {
        let app = TestApp::start_with(db, with_apps).await;
        let mut browser = Browser::at(&app);
        browser.sign_in("google", "alice").await;
        app.mock.forget_requests();
        let state = "a \"state\" & <more>'s";
        let login = login("google", APP, state);
        let page = browser.visit(&login).await;
        assert_asks(&page, "An app asks to sign in as Alice Example");
        assert!(page.text.contains("a program on this computer"), "{}", page.text);
        // So far nothing was begun.
        assert_eq!((browser.attempts(), prompts(&app)), (vec![], vec![]));

        // The person agrees, and is who the page said.
        let there = press(&mut browser, "google", &page, "continue").await;
        assert_eq!(there.status, 303, "{}", there.text);
        let location = choose(&app, &mut browser, &there, "alice").await;
        let (uri, got) = parameters(&location);
        assert_eq!((uri.as_str(), got["state"].as_str(), &got["iss"]), (APP, state, &app.base));
        let signed_in = redeem(&app, &got["code"], APP, VERIFIER).await.assert_signed_in();
        assert_eq!(app.me(&signed_in.jwt).await.json["email"], "alice@example.com");
        assert_eq!(prompts(&app), [Some("select_account".to_owned())]);
        // The browser keeps its own session.
        assert_eq!(browser.call("GET", "/api/me").await.status, 200);

        // The person agrees, and then chooses another account: the app gets neither, and nothing is stored.
        let page = browser.visit(&login).await;
        let there = press(&mut browser, "google", &page, "continue").await;
        let (_, got) = parameters(&choose(&app, &mut browser, &there, "bob").await);
        assert_eq!((got["error"].as_str(), got["state"].as_str(), &got["iss"]), ("access_denied", state, &app.base));
        assert_eq!((got.get("code"), app.db.count("users")), (None, 1));

        let page = browser.visit(&login).await;
        let there = press(&mut browser, "google", &page, "use-another-account").await;
        let (_, got) = parameters(&choose(&app, &mut browser, &there, "bob").await);
        let bob = redeem(&app, &got["code"], APP, VERIFIER).await.assert_signed_in();
        assert_eq!(app.me(&bob.jwt).await.json["email"], "bob@example.com");
    }

    async fn an_account_without_this_provider_is_not_offered(db: TestDatabase) {
        let app = TestApp::start_with(db, with_apps).await;
        let mut browser = Browser::at(&app);
        browser.sign_in("google", "alice").await;
        let page = browser.visit(&login("github", SCHEME, "s")).await;
        assert_asks(&page, "An app asks you to sign in with GitHub");
        assert!(page.text.contains("You are signed in here as Alice Example."), "{}", page.text);
        assert!(!page.text.contains("id=\"continue\""), "{}", page.text);
        assert!(page.text.contains("the app that opens addresses beginning with com.mail.app:"), "{}", page.text);
        let there = press(&mut browser, "github", &page, "use-another-account").await;
        let (uri, got) = parameters(&choose(&app, &mut browser, &there, "carol").await);
        assert_eq!((uri.as_str(), got["state"].as_str()), (SCHEME, "s"));
        assert_eq!(redeem(&app, &got["code"], SCHEME, VERIFIER).await.status, 200);
        // Whoever is signed out, or disabled, is asked by the provider alone.
        app.db.execute("UPDATE users SET disabled = true");
        assert_eq!(browser.visit(&login("google", APP, "s")).await.status, 302);
        app.db.execute("UPDATE users SET disabled = false");
        assert_eq!(browser.visit(&login("google", APP, "s")).await.status, 200);
        browser.call("POST", "/auth/logout").await;
        assert_eq!(browser.visit(&login("google", APP, "s")).await.status, 302);
    }

    async fn another_site_cannot_agree_in_the_name_of_the_person(db: TestDatabase) {
        let app = TestApp::start_with(db, with_apps).await;
        let mut browser = Browser::at(&app);
        browser.sign_in("google", "alice").await;
        let page = browser.visit(&login("google", APP, "mallory")).await;
        let mut nobody = Browser::at(&app);
        for browser in [&mut browser, &mut nobody] {
            for button in ["continue", "use-another-account"] {
                for (name, value) in [
                    ("origin", "https://evil.com"),
                    ("origin", "null"),
                    ("origin", "http://127.0.0.1"),
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-site", "same-site"),
                    ("sec-fetch-site", "none"),
                    ("x-csrf-token", "guessed"),
                ] {
                    let request = browser.request("POST", "/auth/google/login").header(name, value);
                    let answer = browser.send(request.form(&fields(&page, button))).await;
                    answer.assert_problem(403, "csrf_failed");
                    assert_eq!((answer.header("location"), browser.attempts()), ("", vec![]), "{name}: {value}");
                }
            }
        }
    }
}

#[tokio::test]
async fn whoever_calls_it_off_goes_back_to_the_app() {
    let app = TestApp::start_with(TestDatabase::sqlite(), with_apps).await;
    let mut browser = Browser::at(&app);
    browser.sign_in("google", "alice").await;
    for (redirect_to, state) in
        [(APP, "a state & <more>"), (SCHEME, "s"), ("https://app.mail.com/claimed", "s")]
    {
        let page = browser.visit(&login("google", redirect_to, state)).await;
        let link = page
            .text
            .split_once("id=\"cancel\" href=\"")
            .expect("a link")
            .1
            .split_once('"')
            .expect("a quote")
            .0;
        let (uri, got) = parameters(&link.replace("&#38;", "&"));
        assert_eq!(uri, redirect_to);
        assert_eq!(
            (got["error"].as_str(), got["state"].as_str(), &got["iss"]),
            ("access_denied", state, &app.base)
        );
        assert_eq!(got.len(), 3);
    }
}

#[tokio::test]
async fn the_form_of_the_page_is_judged_as_the_request_of_the_app_was() {
    let app = TestApp::start_with(TestDatabase::sqlite(), with_apps).await;
    let mut browser = Browser::at(&app);
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let good = [("redirect_to", APP), ("code_challenge", challenge), ("account", "")];
    for (name, value, status, code) in [
        ("redirect_to", "https://evil.com/", 400, "redirect_not_allowed"),
        ("redirect_to", "http://127.0.0.1.evil.com/callback", 400, "redirect_not_allowed"),
        ("redirect_to", "/account", 400, "redirect_not_allowed"),
        ("code_challenge", "short", 400, "invalid_request"),
        ("account", "alice", 400, "invalid_request"),
        ("state", &"s".repeat(513), 400, "invalid_request"),
        ("", "", 303, ""),
    ] {
        let form = good.into_iter().filter(|(known, _)| *known != name).chain([(name, value)]);
        let form: Vec<_> = form.filter(|(name, _)| !name.is_empty()).collect();
        let request = browser.as_our_page("POST", "/auth/google/login").form(&form);
        let answer = browser.send(request).await;
        if status == 303 {
            assert_eq!(answer.status, 303, "{}", answer.text);
        } else {
            answer.assert_problem(status, code);
        }
    }
    let request = browser.as_our_page("POST", "/auth/google/login").form(&[&good[..], &good[..1]].concat());
    browser.send(request).await.assert_problem(400, "invalid_request");
    let request = browser.as_our_page("POST", "/auth/google/login").json(&json!({}));
    browser.send(request).await.assert_problem(415, "unsupported_media_type");
    let request = browser.as_our_page("POST", "/auth/google/login").form(&[("state", "a".repeat(70_000))]);
    browser.send(request).await.assert_problem(413, "payload_too_large");
    let request = browser.as_our_page("POST", "/auth/nobody/login").form(&good);
    browser.send(request).await.assert_problem(404, "unknown_provider");
    let request = browser.request("DELETE", "/auth/google/login").header(ORIGIN, "https://evil.com");
    assert_eq!(browser.send(request).await.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn each_provider_is_asked_as_it_can_be() {
    let app = TestApp::start_with_further_providers(TestDatabase::sqlite(), with_apps).await;
    for provider in ["google", "github", "acme", "microsoft"] {
        app.mock.forget_requests();
        let mut browser = Browser::at(&app);
        browser.authorize(&login(provider, APP, "s"), "alice").await;
        assert_eq!(prompts(&app), [Some("select_account".to_owned())], "{provider}");
        // A browser that keeps the session for itself is not bothered.
        app.mock.forget_requests();
        browser.authorize(&format!("/auth/{provider}/login"), "alice").await;
        assert_eq!(prompts(&app), [None], "{provider}");
    }
    // These have no such parameter: a page of ours asks everybody.
    for (provider, name) in [("gitlab", "GitLab"), ("apple", "Apple")] {
        let mut browser = Browser::at(&app);
        let page = browser.visit(&login(provider, APP, "s")).await;
        assert_asks(&page, &format!("An app asks you to sign in with {name}"));
        assert_eq!(browser.cookie_names(), [""; 0]);
        let there = press(&mut browser, provider, &page, "continue").await;
        assert_eq!(there.status, 303, "{}", there.text);
        assert!(!there.header("location").contains("prompt="), "{}", there.header("location"));
    }
}

#[tokio::test]
async fn an_issuer_says_what_it_supports_and_the_settings_have_the_last_word() {
    for (supported, setting, expected) in [
        (json!(["none", "login", "consent", "select_account"]), "", Some("select_account")),
        (json!(["none", "login", "consent"]), "", Some("login")),
        (json!(["consent"]), "", Some("consent")),
        (json!(["none", "create"]), "", None),
        (json!([]), "", None),
        (json!(null), "login", Some("login")),
        (json!(null), "consent", Some("consent")),
        (json!(["select_account"]), "unsupported", None),
        (json!([]), "select_account", Some("select_account")),
    ] {
        let mock = MockProviders::start().await.expect("the mock starts");
        mock.oidc().set_discovery(json!({ "prompt_values_supported": supported }));
        let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| {
            if setting.is_empty() {
                with_apps(sources)
            } else {
                with_apps(sources).with("providers.acme.prompt", setting)
            }
        })
        .await;
        let answer = Browser::at(&app).visit(&login("acme", APP, "s")).await;
        match expected {
            None => assert_asks(&answer, "An app asks you to sign in with acme"),
            Some(prompt) => {
                assert_eq!(answer.status, 302, "{supported} {setting}");
                assert!(
                    answer.header("location").contains(&format!("&prompt={prompt}")),
                    "{supported} {setting}"
                );
            }
        }
    }
}
