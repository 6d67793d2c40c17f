//! `/auth/{provider}/login` and `/callback`: a browser is sent to the provider and comes back signed in, with nothing stored in
//! between.

use futures_util::future::join_all;
use reqwest::header::ORIGIN;
use serde_json::json;
use tokenbooth::mock::{Endpoint, Fault, MockProviders};
use url::Url;

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::browser::{Browser, HTML};

const SESSION: &str = "__Host-tokenbooth_session";
const CSRF: &str = "__Host-tokenbooth_csrf";
const REFRESH: &str = "__Secure-tokenbooth_refresh";

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A page that says what happened, and signs nobody in.
#[track_caller]
fn assert_refusal_page(answer: &crate::support::Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.text.contains(code), "{}", answer.text);
    assert_eq!(answer.header("location"), "");
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert!(
        cookies.iter().all(|cookie| cookie.to_str().is_ok_and(|text| text.contains("Max-Age=0"))),
        "{cookies:?}"
    );
}

on_both_databases! {
    async fn a_browser_signs_in_at_each_provider(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (provider, name) in [("google", "Alice Example"), ("github", "Alice Example"), ("acme", "Alice Example")] {
            let mut browser = Browser::at(&app);
            let there = browser.visit(&format!("/auth/{provider}/login?redirect_to=/account%3Fa=b")).await;
            assert_eq!((there.status, there.header("cache-control")), (302, "no-store"));
            let url = there.header("location");
            assert_eq!(parameter(url, "redirect_uri"), Some(format!("{}/auth/{provider}/callback", app.base)));
            assert_eq!(parameter(url, "code_challenge_method").as_deref(), Some("S256"));
            assert!(parameter(url, "state").is_some_and(|state| state.len() >= 43));
            let scope = if provider == "github" { "read:user user:email" } else { "openid email profile" };
            assert_eq!(parameter(url, "scope").as_deref(), Some(scope));
            assert_eq!(parameter(url, "nonce").is_some(), provider != "github");
            let [attempt] = &browser.attempts()[..] else { panic!("{:?}", browser.attempts()) };
            let cookie = there.header("set-cookie");
            assert_eq!(
                cookie.split_once(';').expect("attributes").1,
                " HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600",
                "{cookie}"
            );
            let attempt = attempt.clone();

            let back = browser.authorize(&format!("/auth/{provider}/login?redirect_to=/account%3Fa=b"), "alice").await;
            let home = browser.visit(&back).await;
            assert_eq!((home.status, home.header("location")), (302, "/account?a=b"), "{}", home.text);
            // Its own cookie is gone, that of the other tab is not.
            assert_eq!(browser.attempts(), [attempt]);
            let me = browser.call("GET", "/api/me").await;
            assert_eq!((me.status, me.json["name"].as_str()), (200, Some(name)), "{}", me.text);
            // No token in a URL, no token to a script.
            let cookies: Vec<&str> =
                home.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("text")).collect();
            let of = |name: &str| *cookies.iter().find(|cookie| cookie.starts_with(name)).expect("a cookie");
            let attributes = |name| of(name).split_once("; ").expect("attributes").1;
            assert_eq!(attributes(SESSION), "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=1800");
            assert_eq!(attributes(CSRF), "SameSite=Lax; Secure; Path=/; Max-Age=2592000");
            assert_eq!(attributes(REFRESH), "HttpOnly; SameSite=Strict; Secure; Path=/auth/refresh; Max-Age=2592000");
            let token = browser.cookie(SESSION).expect("a session").to_owned();
            assert!(!home.header("location").contains(&token));
        }
        // Each provider is asked as its documentation has it.
        let seen = app.mock.seen();
        for (path, scheme) in [
            ("/google/token", None),
            ("/github/login/oauth/access_token", None),
            ("/oidc/token", Some("basic")),
        ] {
            let asked = seen.iter().find(|request| request.path == path).expect("a request");
            assert_eq!((asked.method.as_str(), asked.authorization, asked.has_query), ("POST", scheme, false));
        }
        // Nobody linked anything: one person at three providers is three users.
        assert_eq!((app.db.count("users"), app.db.count("sessions")), (3, 3));
        // A second time: the same user, and of this browser one session.
        let mut browser = Browser::at(&app);
        browser.sign_in("google", "alice").await;
        browser.sign_in("google", "alice").await;
        assert_eq!((app.db.count("users"), app.db.count("sessions")), (3, 4));
    }

    async fn a_state_is_good_in_its_own_browser_at_its_own_provider_in_its_own_time(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = Browser::at(&app);
        let back = browser.authorize("/auth/google/login", "alice").await;
        let [attempt] = &browser.attempts()[..] else { panic!("one attempt") };
        let (attempt, sealed) = (attempt.clone(), browser.cookie(attempt).expect("a value").to_owned());
        let state = parameter(&back, "state").expect("a state");
        let code = parameter(&back, "code").expect("a code");
        let callback = |state: &str| format!("/auth/google/callback?code={}&state={state}", urlencode(&code));

        // Missing, empty, made up, cut.
        for path in [
            format!("/auth/google/callback?code={}", urlencode(&code)),
            callback(""),
            callback(&"A".repeat(43)),
            callback(&state[..42]),
            callback(&format!("{}x", &state[..42])),
            callback("%00%0d%0a"),
            callback("ääääääääääääääääääääää"),
        ] {
            assert_refusal_page(&browser.visit(&path).await, 400, "invalid_state");
        }
        // Another browser, to which the attacker sent his own link; and as JSON.
        let mut other = Browser::at(&app);
        assert_refusal_page(&other.visit(&back).await, 400, "invalid_state");
        let request = other.request("GET", &back).header("accept", "application/json");
        other.send(request).await.assert_problem(400, "invalid_state");
        // Another browser that has a sign-in of its own under way, and has it renamed.
        other.visit("/auth/google/login").await;
        assert_refusal_page(&other.visit(&back).await, 400, "invalid_state");
        let own = other.attempts().pop().expect("an attempt");
        let value = other.cookie(&own).expect("a value").to_owned();
        other.set_cookie(&attempt, &value);
        assert_refusal_page(&other.visit(&back).await, 400, "invalid_state");
        // Another provider.
        let elsewhere = back.replace("/auth/google/", "/auth/acme/");
        browser.set_cookie(&attempt, &sealed);
        assert_refusal_page(&browser.visit(&elsewhere).await, 400, "invalid_state");
        // Changed.
        for at in [0, sealed.len() / 2, sealed.len() - 1] {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            browser.set_cookie(&attempt, &String::from_utf8(bytes).expect("text"));
            assert_refusal_page(&browser.visit(&back).await, 400, "invalid_state");
        }
        // Too late.
        browser.set_cookie(&attempt, &sealed);
        app.clock.advance(600);
        assert_refusal_page(&browser.visit(&back).await, 400, "invalid_state");
        app.clock.advance(-600);
        assert_eq!((app.db.count("users"), app.mock.requests(Endpoint::GoogleToken)), (0, 0));

        // All that while the code was not touched.
        browser.set_cookie(&attempt, &sealed);
        assert_eq!(browser.visit(&back).await.status, 302);
        assert_eq!(app.db.count("users"), 1);
        // Once more: the browser has let go of the cookie; and who has kept it has a code that was used.
        assert_refusal_page(&browser.visit(&back).await, 400, "invalid_state");
        browser.set_cookie(&attempt, &sealed);
        assert_refusal_page(&browser.visit(&back).await, 400, "code_refused");
        // Who is signed in stays so.
        assert_eq!(browser.call("GET", "/api/me").await.status, 200);
        let events = app.db.count("events");
        assert_eq!(events, 2, "the first sign-in, and the code that was refused");
    }

    async fn of_fifty_callbacks_with_one_code_one_signs_in(db: TestDatabase) {
        // On a busy machine the one that gets the token must not be told that its provider took too long.
        let app = TestApp::start_with(db, |sources| sources.with("http_client.timeout", "60s")).await;
        for provider in ["google", "github"] {
            let mut browser = Browser::at(&app);
            let back = browser.authorize(&format!("/auth/{provider}/login"), "alice").await;
            let answers = join_all((0..50).map(|_| browser.request("GET", &back).header("accept", HTML).send())).await;
            let statuses: Vec<u16> =
                answers.into_iter().map(|answer| answer.expect("an answer").status().as_u16()).collect();
            assert_eq!(statuses.iter().filter(|status| **status == 302).count(), 1, "{statuses:?}");
            assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 49, "{statuses:?}");
        }
        assert_eq!((app.db.count("users"), app.db.count("sessions")), (2, 2));
    }

    async fn a_disabled_user_and_a_change_of_mind_are_told_so(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = Browser::at(&app);
        browser.sign_in("google", "alice").await;
        app.db.execute("UPDATE users SET disabled = true");
        assert_eq!(browser.call("GET", "/api/me").await.status, 401);
        assert_refusal_page(&browser.sign_in("google", "alice").await, 403, "user_disabled");

        let there = browser.visit("/auth/github/login").await;
        let denied = app.http.get(format!("{}&mock_deny=1", there.header("location"))).send().await.expect("an answer");
        let back = denied.headers()["location"].to_str().expect("text").to_owned();
        assert_refusal_page(&browser.visit(&back).await, 403, "access_denied");
        assert_eq!(browser.attempts(), [""; 0]);
        let refused = |of: &str| {
            app.db.number(&format!(
                "SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.refused' AND detail LIKE '%{of}%'"
            ))
        };
        // Who called it off was not refused.
        assert_eq!((refused("user_disabled"), refused("")), (1, 1));
    }

    async fn a_link_is_made_only_in_the_session_that_asked_for_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = Browser::at(&app);
        // Nobody is signed in: a program is told, a person goes to the sign-in page.
        browser.call("POST", "/auth/github/link").await.assert_problem(401, "invalid_token");
        let request = browser.as_our_page("POST", "/auth/github/link").header("accept", HTML);
        let answer = browser.send(request).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/sign-in"));

        browser.sign_in("google", "alice").await;
        // Another site cannot begin it.
        let request = browser.request("POST", "/auth/github/link").header(ORIGIN, "https://evil.com");
        browser.send(request).await.assert_problem(403, "csrf_failed");

        let begin = async |browser: &mut Browser, person: &str| {
            let there = browser.call("POST", "/auth/github/link").await;
            assert_eq!(there.status, 303, "{}", there.text);
            let chosen = format!("{}&mock_person={person}", there.header("location"));
            let back = app.http.get(chosen).send().await.expect("an answer");
            back.headers()["location"].to_str().expect("text").to_owned()
        };
        // Signed out meanwhile; signed in as somebody else meanwhile; signed in anew.
        for person in [None, Some("bob"), Some("alice")] {
            let back = begin(&mut browser, "greta").await;
            browser.call("POST", "/auth/logout").await;
            if let Some(person) = person {
                browser.sign_in("google", person).await;
            }
            assert_refusal_page(&browser.visit(&back).await, 400, "invalid_state");
            browser.sign_in("google", "alice").await;
        }
        assert_eq!((app.db.count("users"), app.db.count("identities")), (2, 2));

        let back = begin(&mut browser, "greta").await;
        let linked = browser.visit(&back).await;
        assert_eq!((linked.status, linked.header("location")), (302, "/account"), "{}", linked.text);
        let identities = browser.call("GET", "/api/me/identities").await.json;
        assert_eq!(identities["items"][1]["provider"], "github", "{identities}");
        // Another's identity.
        let mut bobs = Browser::at(&app);
        bobs.sign_in("google", "bob").await;
        let back = begin(&mut bobs, "greta").await;
        assert_refusal_page(&bobs.visit(&back).await, 409, "identity_in_use");
        assert_eq!((app.db.count("users"), app.db.count("identities")), (2, 3));
    }

    async fn a_restart_and_another_replica_change_nothing_for_a_browser(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock");
        let start = async || {
            let sources = TestApp::sources(&mock, &db.url).with("server.public_url", "http://booth.test");
            TestApp::try_start(mock.clone(), TestDatabase::sqlite(), sources).await.expect("the service starts")
        };
        let first = start().await;
        let mut browser = Browser::at(&first);
        let there = browser.visit("/auth/google/login").await;
        let chosen = format!("{}&mock_person=alice", there.header("location"));
        let back = first.http.get(chosen).send().await.expect("an answer");
        let back = back.headers()["location"].to_str().expect("text").replace("http://booth.test", "");
        drop(first);
        // Whoever finishes the sign-in need not be who began it.
        let second = start().await;
        browser.base = second.base.clone();
        assert_eq!(browser.visit(&back).await.status, 302);
        drop(second);
        let third = start().await;
        browser.base = third.base.clone();
        assert_eq!(browser.call("GET", "/api/me").await.status, 200);
        let request = browser.request("POST", "/auth/refresh").header(ORIGIN, "http://booth.test");
        assert_eq!(browser.send(request).await.status, 200);
    }
}

fn urlencode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn no_more_than_ten_sign_ins_are_under_way() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let mut browser = Browser::at(&app);
    let mut begun = Vec::new();
    for _ in 0..12 {
        app.clock.advance(1);
        let before = browser.attempts();
        browser.visit("/auth/google/login").await;
        begun.extend(browser.attempts().into_iter().filter(|name| !before.contains(name)));
    }
    let mut left = begun.split_off(2);
    left.sort();
    assert_eq!(browser.attempts(), left);
}

#[tokio::test]
async fn a_sign_in_ends_nowhere_else_than_allowed() {
    let change = |sources: tokenbooth::settings::Sources| {
        sources.with("sign_in.redirect_uris", "https://app.mail.com/welcome")
    };
    let app = TestApp::start_with(TestDatabase::sqlite(), change).await;
    let mut browser = Browser::at(&app);
    for target in [
        "//evil.com",
        "/\\evil.com",
        "\\\\evil.com",
        "https:evil.com",
        "https://evil.com",
        "https://app.mail.com.evil.com/welcome",
        "https://app.mail.com@evil.com/welcome",
        "javascript:alert(1)",
        "/%0d%0aLocation:%20https://evil.com",
        "/a%5C%5Cevil.com",
        "/\r\nSet-Cookie: a=b",
        "/\tevil",
        "account",
        "",
    ] {
        let path = format!("/auth/google/login?redirect_to={}", urlencode(target));
        assert_refusal_page(&browser.visit(&path).await, 400, "redirect_not_allowed");
        let request = browser.request("GET", &path).header("accept", "application/json");
        let answer = browser.send(request).await;
        assert!(!answer.assert_problem(400, "redirect_not_allowed").contains("evil"), "{}", answer.text);
    }
    // What a client says of our own address counts for nothing.
    for (name, value) in [
        ("host", "evil.com"),
        ("x-forwarded-host", "evil.com"),
        ("forwarded", "host=evil.com"),
        ("x-forwarded-proto", "https"),
    ] {
        let answer = browser.send(browser.request("GET", "/auth/google/login").header(name, value)).await;
        let callback = parameter(answer.header("location"), "redirect_uri");
        assert_eq!(callback, Some(format!("{}/auth/google/callback", app.base)), "{name}");
    }
    let back =
        browser.authorize("/auth/google/login?redirect_to=https://app.mail.com/welcome", "alice").await;
    let home = browser.visit(&back).await;
    assert_eq!((home.status, home.header("location")), (302, "https://app.mail.com/welcome"));
    assert!(browser.cookie(SESSION).is_some());
}

#[tokio::test]
async fn trouble_at_the_provider_is_a_page_and_no_login() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("http_client.timeout", "300ms"))
            .await;
    app.warm().await;
    for (provider, endpoint, fault, status) in [
        ("google", Endpoint::GoogleToken, Fault::Hang, 504),
        ("google", Endpoint::GoogleToken, Fault::Status(500), 502),
        ("github", Endpoint::GithubToken, Fault::Empty, 502),
        ("github", Endpoint::GithubUser, Fault::CloseAtOnce, 502),
        ("acme", Endpoint::OidcToken, Fault::RateLimited429 { retry_after: Some(7) }, 503),
    ] {
        app.mock.set_fault(endpoint, fault.clone());
        let mut browser = Browser::at(&app);
        let answer = browser.sign_in(provider, "alice").await;
        app.mock.clear_faults();
        // A connection that breaks off is 502 or 503, by where it breaks.
        let expected = if fault == Fault::CloseAtOnce { answer.status } else { status };
        assert_refusal_page(&answer, expected, "provider_unavailable");
        assert!(
            (502..=504).contains(&answer.status) && !answer.header("retry-after").is_empty(),
            "{}",
            answer.text
        );
        assert_eq!(browser.cookie_names(), [""; 0]);
    }
    assert_eq!((app.db.count("users"), app.db.count("events")), (0, 0));
}

#[tokio::test]
async fn the_provider_s_own_token_is_proved_as_everywhere() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for (claims, status, code) in [
        (json!({ "nonce": "another" }), 401, "nonce_mismatch"),
        (json!({ "nonce": null }), 401, "nonce_mismatch"),
        (json!({ "aud": "another-app", "azp": null }), 401, "audience_mismatch"),
        (json!({ "iss": "https://evil.com" }), 401, "issuer_mismatch"),
    ] {
        app.mock.google().set_token_claims(claims);
        assert_refusal_page(&Browser::at(&app).sign_in("google", "alice").await, status, code);
    }
    assert_eq!(app.db.count("users"), 0);
}

#[tokio::test]
async fn a_provider_that_has_no_redirect_flow_says_so() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("providers.google.client_secret", "")
    })
    .await;
    let mut browser = Browser::at(&app);
    let answer = browser.visit("/auth/google/login").await;
    assert_refusal_page(&answer, 404, "unknown_provider");
    assert!(answer.text.contains("providers.google.client_secret"), "{}", answer.text);
    assert_refusal_page(&browser.visit("/auth/nobody/login").await, 404, "unknown_provider");
}
