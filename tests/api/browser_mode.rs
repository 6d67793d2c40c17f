//! Browser mode: the JWT in a cookie, requests that prove to come from our own pages, silent renewal, signing out.

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, COOKIE, ORIGIN};
use serde_json::{Value, json};
use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::support::browser::{Browser, HTML};
use crate::support::{Answer, TestApp};

const SESSION: &str = "__Host-tokenbooth_session";
const CSRF: &str = "__Host-tokenbooth_csrf";
const REFRESH: &str = "__Secure-tokenbooth_refresh";
const DEVICE: &str = "__Host-tokenbooth_device";

async fn signed_in(app: &TestApp) -> Browser {
    let mut browser = Browser::at(app);
    assert_eq!(browser.sign_in("google", "alice").await.status, 302);
    browser
}

/// A form, as Google's button posts it.
fn form(browser: &Browser, provider: &str, members: &[(&str, &str)]) -> RequestBuilder {
    browser.request("POST", &format!("/auth/{provider}")).header("accept", HTML).form(members)
}

#[track_caller]
fn assert_without_tokens(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut members: Vec<&String> = answer.json.as_object().expect("an object").keys().collect();
    members.sort();
    assert_eq!(members, ["created", "expires_in", "user"], "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
}

on_both_databases! {
    async fn a_cookie_counts_only_without_authorization(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = signed_in(&app).await;
        assert_eq!(browser.call("GET", "/api/me").await.status, 200);
        for header in ["Bearer x.y.z", "Basic YTpi", ""] {
            let request = browser.request("GET", "/api/me").header(AUTHORIZATION, header);
            browser.send(request).await.assert_problem(401, "invalid_token");
        }
        // And the header only, wherever else it stands.
        let bob = app.sign_in(Person::named("bob")).await;
        let request = browser.request("GET", "/api/me").bearer_auth(&bob.jwt);
        assert_eq!(browser.send(request).await.json["id"], bob.user_id);
        // Cookies of other apps, malformed ones too, and the same header in two.
        let session = format!("{SESSION}={}", browser.cookie(SESSION).expect("a session"));
        for cookies in [
            format!("a=%E4%; =; b; \"=\"; {session}; c=d"),
            format!("{session};c=d"),
            format!("c=d; c=e; {session}"),
        ] {
            let request = app.http.get(format!("{}/api/me", app.base)).header(COOKIE, &cookies);
            assert_eq!(request.send().await.expect("an answer").status(), 200, "{cookies}");
        }
        let two = app.http.get(format!("{}/api/me", app.base)).header(COOKIE, "a=b").header(COOKIE, &session);
        assert_eq!(two.send().await.expect("an answer").status(), 200);
        // Nothing tells which of two is ours, wherever the second one stands.
        for (one, other) in [(&session, &session), (&session, &format!("{SESSION}=")), (&format!("{SESSION}={}", bob.jwt), &session)] {
            for headers in [vec![format!("{one}; {other}")], vec![one.clone(), other.clone()]] {
                let request = app.http.get(format!("{}/api/me", app.base));
                let request = headers.iter().fold(request, |request, header| request.header(COOKIE, header));
                Answer::of(request.send().await.expect("an answer")).await.assert_problem(401, "invalid_token");
            }
        }
        // Disabled: out at the next request.
        app.db.execute("UPDATE users SET disabled = true");
        browser.call("GET", "/api/me").await.assert_problem(401, "invalid_token");
    }

    async fn an_unsafe_request_by_cookie_must_come_from_our_own_page(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = signed_in(&app).await;
        let csrf = browser.cookie(CSRF).expect("a cookie").to_owned();
        let base = app.base.clone();
        let elsewhere = base.replace("127.0.0.1", "localhost");
        let headers: [(&[(&str, &str)], bool); 18] = [
            (&[("origin", &base)], true),
            (&[("origin", &base), ("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("x-csrf-token", &csrf)], true),
            (&[], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("origin", "https://evil.com")], false),
            (&[("origin", &elsewhere)], false),
            (&[("origin", &format!("{base}.evil.com"))], false),
            (&[("origin", "https://evil.com"), ("origin", &base)], false),
            // A foreign Origin always loses.
            (&[("origin", "https://evil.com"), ("sec-fetch-site", "same-origin"), ("x-csrf-token", &csrf)], false),
            (&[("origin", "null"), ("x-csrf-token", &csrf)], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("x-csrf-token", &csrf)], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("x-csrf-token", &csrf[1..])], false),
            (&[("x-csrf-token", "")], false),
        ];
        for (at, (headers, accepted)) in headers.into_iter().enumerate() {
            let name = format!("Alice {at}");
            let mut request = browser.request("PATCH", "/api/me").json(&json!({ "name": name }));
            for (header, value) in headers {
                request = request.header(*header, *value);
            }
            let answer = browser.send(request).await;
            if accepted {
                assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text);
            } else {
                answer.assert_problem(403, "csrf_failed");
            }
            let now = browser.call("GET", "/api/me").await.json["name"].clone();
            assert_eq!(now == json!(name), accepted, "{headers:?}");
        }
        // Without the cookie to compare with, no token is one.
        browser.forget(CSRF);
        for token in ["", &csrf] {
            let request = browser.request("POST", "/auth/logout-all").header("x-csrf-token", token);
            browser.send(request).await.assert_problem(403, "csrf_failed");
        }
        // A bearer is no browser.
        let jwt = browser.cookie(SESSION).expect("a session").to_owned();
        let request = app.http.post(format!("{base}/auth/logout-all")).bearer_auth(jwt).header(ORIGIN, "https://evil.com");
        assert_eq!(request.send().await.expect("an answer").status(), 204);
    }

    async fn a_browser_renews_its_session_and_signs_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = signed_in(&app).await;
        let before = browser.cookie(REFRESH).expect("a token").to_owned();
        // The session cookie has run out; another site cannot have it renewed.
        browser.forget(SESSION);
        let request = browser.request("POST", "/auth/refresh").header(ORIGIN, "https://evil.com");
        browser.send(request).await.assert_problem(403, "csrf_failed");
        assert_eq!(browser.cookie(REFRESH), Some(before.as_str()));

        let renewed = browser.call("POST", "/auth/refresh").await;
        assert_without_tokens(&renewed);
        assert_eq!((&renewed.json["expires_in"], &renewed.json["created"]), (&json!(1800), &json!(false)));
        assert_ne!(browser.cookie(REFRESH), Some(before.as_str()));
        let sessions = browser.call("GET", "/api/me/sessions").await.json;
        assert_eq!((sessions["items"].as_array().map(Vec::len), &sessions["items"][0]["current"]), (Some(1), &json!(true)));

        // Out: the family ends, the cookies go.
        let kept = browser.cookie(REFRESH).expect("a token").to_owned();
        let request = browser.request("POST", "/auth/logout").header(ORIGIN, "https://evil.com");
        browser.send(request).await.assert_problem(403, "csrf_failed");
        assert_eq!(browser.call("POST", "/auth/logout").await.status, 204);
        assert_eq!((browser.cookie_names(), app.db.count("sessions")), (vec![], 0));
        browser.call("GET", "/api/me").await.assert_problem(401, "invalid_token");
        app.refresh(&kept).await.assert_problem(401, "invalid_refresh_token");
        browser.call("POST", "/auth/logout").await.assert_problem(400, "invalid_request");
        browser.call("POST", "/auth/refresh").await.assert_problem(401, "invalid_refresh_token");
        let request = browser.request("POST", "/auth/refresh");
        browser.send(request).await.assert_problem(415, "unsupported_media_type");

        // With a session cookie that has expired, the device cookie names the session: also whoever copied both has nothing left.
        let mut late = signed_in(&app).await;
        late.forget(SESSION);
        let kept = late.cookie(REFRESH).expect("a token").to_owned();
        assert_eq!(late.call("POST", "/auth/logout").await.status, 204);
        assert_eq!((late.cookie_names(), app.db.count("sessions")), (vec![], 0));
        app.refresh(&kept).await.assert_problem(401, "invalid_refresh_token");
        // As does a sign-in in its place.
        let mut late = signed_in(&app).await;
        late.forget(SESSION);
        assert_eq!(late.sign_in("google", "bob").await.status, 302);
        assert_eq!(app.db.count("sessions"), 1);
        assert_eq!(late.call("POST", "/auth/logout").await.status, 204);
        // With neither nobody knows what to end, but this browser forgets.
        let mut late = signed_in(&app).await;
        late.forget(SESSION);
        late.forget(DEVICE);
        late.call("POST", "/auth/logout").await.assert_problem(400, "invalid_request");
        assert_eq!((late.cookie_names(), app.db.count("sessions")), (vec![], 1));
        app.db.execute("DELETE FROM sessions");

        // By a form, without a script.
        let mut browser = signed_in(&app).await;
        let request = browser.as_our_page("POST", "/auth/logout").header("accept", HTML).form(&[("", ""); 0]);
        let answer = browser.send(request).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"));
        assert_eq!((browser.cookie_names(), app.db.count("sessions")), (vec![], 0));
        // Another site's form arrives without the Lax cookie, and must not clear the others.
        let mut browser = signed_in(&app).await;
        browser.forget(SESSION);
        let request = browser.request("POST", "/auth/logout").header("accept", HTML).header(ORIGIN, "https://evil.com");
        assert_eq!(browser.send(request).await.status, 403);
        assert!(browser.cookie(REFRESH).is_some());
    }

    async fn a_session_that_was_ended_elsewhere_leaves_no_cookie(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = signed_in(&app).await;
        app.db.execute("UPDATE users SET token_version = token_version + 1");
        browser.call("GET", "/api/me").await.assert_problem(401, "invalid_token");
        browser.call("POST", "/auth/refresh").await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(browser.cookie_names(), [""; 0]);
    }

    async fn google_s_button_signs_a_browser_in(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let credential = app.mock.google().id_token(Person::named("alice").claims());
        let google = [("credential", credential.as_str()), ("g_csrf_token", "same"), ("select_by", "btn"), ("clientId", "x")];

        // The form that Google posts from its own origin, with the double-submit.
        let mut browser = Browser::at(&app);
        browser.set_cookie("g_csrf_token", "same");
        let request = form(&browser, "google", &[&google[..], &[("redirect_to", "/account")]].concat());
        let answer = browser.send(request.header(ORIGIN, "https://accounts.google.com")).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/account"), "{}", answer.text);
        assert_eq!(answer.text, "");
        assert_eq!(browser.call("GET", "/api/me").await.status, 200);
        assert!(browser.cookie(REFRESH).is_some() && browser.cookie(CSRF).is_some());

        // Somebody else's form with his own credential: the visitor would be signed in to the attacker's account.
        for (cookie, sent) in [(None, Some("same")), (Some("same"), Some("other")), (Some(""), Some("")), (None, None)] {
            let mut victim = Browser::at(&app);
            if let Some(cookie) = cookie {
                victim.set_cookie("g_csrf_token", cookie);
            }
            let mut members = vec![("credential", credential.as_str())];
            members.extend(sent.map(|sent| ("g_csrf_token", sent)));
            let request = form(&victim, "google", &members).header(ORIGIN, "https://evil.com");
            let answer = victim.send(request).await;
            assert_eq!(answer.status, 403, "{cookie:?} {sent:?}: {}", answer.text);
            assert!(answer.text.contains("csrf_failed") && answer.text.contains("<html"), "{}", answer.text);
            assert!(victim.cookie(SESSION).is_none());
        }
        // It counts in any mode.
        let program = app.http.post(format!("{}/auth/google", app.base)).form(&google).send().await.expect("an answer");
        Answer::of(program).await.assert_problem(403, "csrf_failed");

        // A bad way on is refused before anything else is done.
        for target in ["//evil.com", "https://evil.com", "http://127.0.0.1/callback"] {
            let mut browser = Browser::at(&app);
            browser.set_cookie("g_csrf_token", "same");
            let request = form(&browser, "google", &[&google[..], &[("redirect_to", target)]].concat());
            let answer = browser.send(request).await;
            assert!(answer.status == 400 && answer.text.contains("redirect_not_allowed"), "{}", answer.text);
            assert!(browser.cookie(SESSION).is_none());
        }
    }

    async fn a_page_s_script_signs_in_without_seeing_a_token(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let credential = app.mock.google().id_token(Person::named("alice").claims());
        let body = json!({ "credential": credential, "mode": "cookie" });
        let mut browser = Browser::at(&app);
        let from = |browser: &Browser, origin: Option<&str>, body: &Value| {
            let request = browser.request("POST", "/auth/google").json(body);
            origin.map_or(request.try_clone().expect("a clone"), |origin| request.header(ORIGIN, origin))
        };
        for origin in [None, Some("https://evil.com"), Some("null")] {
            let answer = browser.send(from(&browser, origin, &body)).await;
            answer.assert_problem(403, "csrf_failed");
        }
        assert_eq!((browser.cookie_names(), app.db.count("users")), (vec![], 0));
        let answer = browser.send(from(&browser, Some(&app.base), &body)).await;
        assert_without_tokens(&answer);
        assert_eq!(answer.json["created"], true);
        assert_eq!(browser.call("GET", "/api/me").await.json["id"], answer.json["user"]["id"]);
        let wrong = json!({ "credential": credential, "mode": "cookies" });
        browser.send(from(&browser, Some(&app.base), &wrong)).await.assert_problem(400, "invalid_request");

        // With a password.
        let jwt = browser.cookie(SESSION).expect("a session").to_owned();
        let set = app.send_as("PUT", "/api/me/password", &jwt, &json!({ "new_password": "correct horse battery" })).await;
        assert_eq!(set.status, 204, "{}", set.text);
        let mut other = Browser::at(&app);
        let body = json!({ "email": "alice@example.com", "password": "correct horse battery", "mode": "cookie" });
        let request = other.request("POST", "/auth/password").json(&body);
        other.send(request).await.assert_problem(403, "csrf_failed");
        let request = other.as_our_page("POST", "/auth/password").json(&body);
        assert_without_tokens(&other.send(request).await);
        assert_eq!(other.call("GET", "/api/me").await.status, 200);
        assert_eq!(app.db.count("sessions"), 2);
        // What was refused because another page asked, nobody tried.
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.refused'"), 0);
    }
}

#[tokio::test]
async fn without_refresh_tokens_a_browser_is_signed_in_for_the_access_token_s_life() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("refresh.enabled", "false")).await;
    let mut browser = signed_in(&app).await;
    assert_eq!(browser.cookie_names(), [CSRF, SESSION]);
    assert_eq!(app.db.count("sessions"), 0);
    let request = browser.as_our_page("POST", "/auth/logout").header("accept", HTML);
    assert_eq!(browser.send(request).await.status, 303);
    assert_eq!(browser.cookie_names(), [""; 0]);
}

#[tokio::test]
async fn under_a_path_of_its_own_every_address_has_it() {
    let change =
        |sources: tokenbooth::settings::Sources| sources.with("server.public_url", "https://mail.com/booth");
    let app = TestApp::start_with(TestDatabase::sqlite(), change).await;
    let browser = Browser::at(&app);
    let there =
        Answer::of(browser.request("GET", "/auth/google/login").send().await.expect("an answer")).await;
    assert!(
        there
            .header("location")
            .contains("redirect_uri=https%3A%2F%2Fmail.com%2Fbooth%2Fauth%2Fgoogle%2Fcallback")
    );
    let credential = app.mock.google().id_token(Person::named("alice").claims());
    let request = form(&browser, "google", &[("credential", &credential)]).header(ORIGIN, "https://mail.com");
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/booth/"), "{}", answer.text);
    let cookies: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("text")).collect();
    assert!(cookies[2].contains("Path=/booth/auth/refresh"), "{cookies:?}");
    let request = browser.request("POST", "/auth/google/link").header("accept", HTML);
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    assert_eq!(answer.header("location"), "/booth/sign-in");
}
