//! `/auth/verify`: what a proxy is told of a request that is not ours.

use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::{ORIGIN, SET_COOKIE};
use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::support::browser::Browser;
use crate::support::line::Line;
use crate::support::{Answer, TestApp};

/// What the proxy puts in the place of the visitor's own.
const HEADERS: [&str; 4] = ["x-user-id", "x-user-email", "x-client-id", "x-client-scope"];

const CHALLENGE: &str = "Bearer realm=\"tokenbooth\"";

/// Asserts that it may pass, in the one form there is; answers the four headers.
#[track_caller]
fn told(answer: &Answer) -> [&str; 4] {
    assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{:?}", answer.headers);
    assert_eq!(answer.header("content-length"), "0");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.headers.contains_key(SET_COOKIE));
    HEADERS.map(|name| {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name} {:?}", answer.headers);
        answer.header(name)
    })
}

/// Asserts that it may not, and that nothing is said of anybody.
#[track_caller]
fn assert_refused(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text);
    answer.assert_problem(401, "invalid_token");
    assert!(answer.header("www-authenticate").starts_with(CHALLENGE), "{what}");
    assert_no_names(answer);
}

#[track_caller]
fn assert_no_names(answer: &Answer) {
    for name in HEADERS {
        assert!(!answer.headers.contains_key(name), "{name} {:?}", answer.headers);
    }
}

async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.expect("an answer")).await
}

async fn signed_in(app: &TestApp) -> Browser {
    let mut browser = Browser::at(app);
    assert_eq!(browser.sign_in("google", "alice").await.status, 302);
    browser
}

on_both_databases! {
    async fn a_good_token_passes_with_the_names_of_its_user(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let answer = app.get_as("/auth/verify", &alice.jwt).await;
        assert_eq!(told(&answer), [&alice.user_id, "alice@example.com", "", ""]);
        let head = app.send_as("HEAD", "/auth/verify", &alice.jwt, &serde_json::Value::Null).await;
        assert_eq!(told(&head), told(&answer));
        // By cookie as well, and the header counts alone.
        let mut browser = signed_in(&app).await;
        assert_eq!(told(&browser.call("GET", "/auth/verify").await)[0], alice.user_id);
        for header in ["Bearer x.y.z", "Basic YTpi", ""] {
            let request = browser.request("GET", "/auth/verify").header("authorization", header);
            assert_refused(header, &browser.send(request).await);
        }
        let bob = app.sign_in(Person::named("bob")).await;
        let request = browser.request("GET", "/auth/verify").bearer_auth(&bob.jwt);
        assert_eq!(told(&browser.send(request).await)[0], bob.user_id);
    }

    async fn an_address_is_told_in_visible_ascii_or_as_none(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        for (stored, expected) in [
            ("NULL", ""),
            ("'josé@mail.com'", "jos%C3%A9@mail.com"),
            ("'\"a b\"@mail.com'", "\"a%20b\"@mail.com"),
            // Who decodes must not read "root".
            ("'%72oot@mail.com'", "%2572oot@mail.com"),
            ("'o''neil+x!#$&*-/=?^_`{|}~@mail.com'", "o'neil+x!#$&*-/=?^_`{|}~@mail.com"),
        ] {
            app.db.execute(&format!("UPDATE users SET email = {stored}"));
            let answer = app.get_as("/auth/verify", &alice.jwt).await;
            assert_eq!(told(&answer), [&alice.user_id, expected, "", ""], "{stored}");
        }
    }

    async fn whoever_is_over_is_refused_and_nobody_is_told_why(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let names = ["disabled", "deleted", "revoked"];
        let mut tokens = Vec::new();
        for name in names {
            tokens.push(app.sign_in(Person::named(name)).await);
        }
        for token in &tokens {
            told(&app.get_as("/auth/verify", &token.jwt).await);
        }
        let id = |number: usize| &tokens[number].user_id;
        app.db.execute(&format!("UPDATE users SET disabled = true WHERE id = '{}'", id(0)));
        app.db.execute(&format!("DELETE FROM identities WHERE user_id = '{}'", id(1)));
        app.db.execute(&format!("DELETE FROM users WHERE id = '{}'", id(1)));
        app.db.execute(&format!("UPDATE users SET token_version = 9 WHERE id = '{}'", id(2)));
        let mut seen = Vec::new();
        for (name, token) in names.iter().zip(&tokens) {
            let answer = app.get_as("/auth/verify", &token.jwt).await;
            assert_refused(name, &answer);
            seen.push(answer.text);
        }
        let expired = app.sign_in(Person::named("expired")).await;
        app.clock.advance(1800);
        for (what, token) in [("expired", expired.jwt.as_str()), ("garbage", "garbage")] {
            let answer = app.get_as("/auth/verify", token).await;
            assert_refused(what, &answer);
            seen.push(answer.text);
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
        let nobody = app.get("/auth/verify").await;
        assert_refused("nobody", &nobody);
        assert_eq!(nobody.header("www-authenticate"), CHALLENGE);
    }

    async fn by_cookie_what_changes_something_must_come_from_our_own_page(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = signed_in(&app).await;
        let csrf = browser.cookie("__Host-tokenbooth_csrf").expect("a cookie").to_owned();
        let ours = app.base.clone();
        let elsewhere = app.base.replace("127.0.0.1", "localhost");
        let cases: [(&[(&str, &str)], bool); 33] = [
            // Every proxy's way to say what the visitor asks for.
            (&[], true),
            (&[("x-forwarded-method", "GET")], true),
            (&[("x-original-method", "HEAD")], true),
            (&[("x-original-method", "OPTIONS"), ("x-forwarded-method", "GET")], true),
            (&[("x-original-method", "POST")], false),
            (&[("x-forwarded-method", "DELETE")], false),
            (&[("x-forwarded-method", "PUT")], false),
            (&[("x-forwarded-method", "PATCH")], false),
            (&[("x-forwarded-method", "CONNECT")], false),
            (&[("x-forwarded-method", "MADE-UP")], false),
            (&[("x-forwarded-method", "get")], false),
            (&[("x-forwarded-method", "")], false),
            (&[("x-forwarded-method", "GET, POST")], false),
            // The visitor's own header beside the proxy's, in either order.
            (&[("x-forwarded-method", "GET"), ("x-original-method", "POST")], false),
            (&[("x-forwarded-method", "POST"), ("x-original-method", "GET")], false),
            (&[("x-forwarded-method", "GET"), ("x-forwarded-method", "POST")], false),
            (&[("x-forwarded-method", "POST"), ("x-forwarded-method", "GET")], false),
            // The proof, as it is everywhere.
            (&[("x-original-method", "POST"), ("origin", &ours)], true),
            (&[("x-original-method", "POST"), ("sec-fetch-site", "same-origin")], true),
            (&[("x-original-method", "POST"), ("x-csrf-token", &csrf)], true),
            (&[("x-original-method", "POST"), ("x-csrf-token", "x")], false),
            (&[("x-original-method", "POST"), ("origin", "https://evil.com")], false),
            (&[("x-original-method", "POST"), ("origin", "null"), ("x-csrf-token", &csrf)], false),
            // A foreign Origin loses whatever the method, and whatever else is said.
            (&[("origin", "https://evil.com")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("origin", &elsewhere)], false),
            (&[("origin", "https://evil.com"), ("x-original-method", "GET"), ("sec-fetch-site", "same-origin")], false),
            (&[("origin", "null"), ("x-forwarded-method", "HEAD"), ("x-csrf-token", &csrf)], false),
            (&[("origin", &ours), ("x-original-method", "GET")], true),
            // A WebSocket can say what it likes afterwards.
            (&[("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw==")], false),
            (&[("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="), ("origin", "https://evil.com")], false),
            (&[("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="), ("origin", &ours)], true),
        ];
        for (headers, passes) in cases {
            let with = |request: RequestBuilder| headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let answer = send(with(browser.request("GET", "/auth/verify"))).await;
            if passes {
                told(&answer);
            } else {
                answer.assert_problem(403, "csrf_failed");
                assert_no_names(&answer);
            }
            // A program's token is sent by nobody but the program.
            let jwt = browser.cookie("__Host-tokenbooth_session").expect("a session");
            told(&send(with(app.http.get(format!("{}/auth/verify", app.base)).bearer_auth(jwt))).await);
            // Without a good token it is not said that the request is foreign.
            assert_refused("nobody", &send(with(app.http.get(format!("{}/auth/verify", app.base)))).await);
        }
    }

    async fn a_clients_token_passes_under_the_clients_name(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (reports, bare) = (app.create_client("Reports", "orders.read mail/send:*"), app.create_client("Bare", ""));
        for (service, scope) in [(&reports, "orders.read mail/send:*"), (&bare, "")] {
            let jwt = app.client_token(service).await;
            for path in ["/auth/verify", "/auth/verify/any", "/auth/verify/client", "/auth/verify/client/orders"] {
                assert_eq!(told(&app.get_as(path, &jwt).await), ["", "", &service.id, scope], "{path}");
            }
            for path in ["/auth/verify/user", "/auth/verify/admin", "/auth/verify/user/orders"] {
                assert_refused(path, &app.get_as(path, &jwt).await);
            }
            // Browsers have no client's token, so a cookie with one is nobody's.
            let cookie = format!("__Host-tokenbooth_session={jwt}");
            assert_refused("a cookie", &send(app.http.get(format!("{}/auth/verify", app.base)).header("cookie", cookie)).await);
        }
        let jwt = app.client_token(&reports).await;
        app.disable_client(&reports);
        assert_refused("disabled", &app.get_as("/auth/verify", &jwt).await);
        app.db.execute("DELETE FROM clients");
        assert_refused("gone", &app.get_as("/auth/verify", &jwt).await);
    }

    async fn the_path_says_who_may_pass(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        for who in ["any", "user"] {
            assert_eq!(told(&app.get_as(&format!("/auth/verify/{who}"), &bob.jwt).await)[0], bob.user_id);
        }
        assert_eq!(told(&app.get_as("/auth/verify/admin", &ada.jwt).await)[0], ada.user_id);
        let answer = app.get_as("/auth/verify/admin", &bob.jwt).await;
        answer.assert_problem(403, "admin_required");
        assert_no_names(&answer);
        assert_refused("a user", &app.get_as("/auth/verify/client", &ada.jwt).await);
        for who in ["any", "user", "admin", "client"] {
            assert_refused(who, &app.get(&format!("/auth/verify/{who}")).await);
        }
        // What is mistyped lets nobody in.
        for path in ["/auth/verify/", "/auth/verify/admins", "/auth/verify/Admin", "/auth/verify/x/admin", "/auth/verify//any"] {
            let answer = app.get_as(path, &ada.jwt).await;
            answer.assert_problem(404, "not_found");
            assert_no_names(&answer);
        }
        // The query may be the visitor's, and is nobody's business.
        for query in ["?", "?admin=true", "?admin=false&who=any", "?x&x", "?access_token=x", "?%00=%ff"] {
            told(&app.get_as(&format!("/auth/verify{query}"), &bob.jwt).await);
            app.get_as(&format!("/auth/verify/admin{query}"), &bob.jwt).await.assert_problem(403, "admin_required");
        }
        // A change takes effect at the next request.
        app.db.execute("UPDATE users SET admin = false");
        app.get_as("/auth/verify/admin", &ada.jwt).await.assert_problem(403, "admin_required");
    }

    async fn a_proxy_that_asks_with_the_visitors_own_request_is_understood(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = signed_in(&app).await;
        let jwt = browser.cookie("__Host-tokenbooth_session").expect("a session").to_owned();
        let paths = ["", "/", "/orders/7?q=a&b", "/login", "/callback", "//x", "/a%2Fb%00%0d%0a", "/%ff"];
        for path in paths {
            let path = format!("/auth/verify/any{path}");
            for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
                let safe = matches!(method, "GET" | "HEAD" | "OPTIONS");
                told(&app.send_as(method, &path, &jwt, &serde_json::Value::Null).await);
                let answer = send(browser.request(method, &path)).await;
                match (safe, method) {
                    (true, _) => drop(told(&answer)),
                    (false, _) => drop(answer.assert_problem(403, "csrf_failed")),
                }
                told(&browser.call(method, &path).await);
                for origin in ["https://evil.com", "null"] {
                    let foreign = browser.request(method, &path).header(ORIGIN, origin);
                    assert_eq!(send(foreign).await.status, 403, "{method} {path} from {origin}");
                }
                let nobody: reqwest::Method = method.parse().expect("a method");
                let nobody = send(app.http.request(nobody, format!("{}{path}", app.base))).await;
                assert_eq!(nobody.status, 401, "{method} {path}");
                assert_no_names(&nobody);
            }
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = app.send_as(method, "/auth/verify", &jwt, &serde_json::Value::Null).await;
            answer.assert_problem(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
    }
}

#[actix_web::test]
async fn a_path_that_climbs_out_of_its_place_is_still_a_question() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let address = app.base.strip_prefix("http://").expect("a URL");
    for path in [
        "/../../../healthz",
        "/./healthz",
        "/..%2f..%2f..%2fhealthz",
        "/../../../sign-in",
        "/;/../healthz",
        "/x\\..\\..\\healthz",
    ] {
        let mut line = Line::open(address).expect("a connection");
        let request = format!("GET /auth/verify/any{path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let status = line.ask(&request).expect("an answer").status;
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
}

#[actix_web::test]
async fn a_preflight_to_the_service_behind_is_a_request_like_any_other() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("cors.allowed_origins", "https://app.example.com,*")
    })
    .await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    let preflight = |path: &str| {
        app.http
            .request(reqwest::Method::OPTIONS, format!("{}{path}", app.base))
            .header(ORIGIN, "https://app.example.com")
            .header("access-control-request-method", "GET")
    };
    // To ourselves it is answered by ourselves.
    assert_eq!(send(preflight("/api/me")).await.status, 200);
    for path in ["/auth/verify/any", "/auth/verify/any/orders", "/auth/verify/user/", "/auth/verify/admin/x"]
    {
        assert_refused(path, &send(preflight(path)).await);
    }
    told(&send(preflight("/auth/verify/any/orders").bearer_auth(&jwt)).await);
    assert_eq!(send(preflight("/auth/verify")).await.status, 405);
    // An origin of somebody else's is no reason to refuse: whether it matters, the token's way in decides.
    let foreign = app.http.get(format!("{}/auth/verify", app.base)).header(ORIGIN, "https://evil.com");
    told(&send(foreign.bearer_auth(&jwt)).await);
}

#[actix_web::test]
async fn a_refusal_says_where_to_sign_in_and_come_back_from() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let sign_in = async |headers: &[(&str, &str)]| {
        let request = app.http.get(format!("{}/auth/verify/user", app.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = send(request).await;
        assert_refused("nobody", &answer);
        answer.header("x-sign-in").to_owned()
    };
    assert_eq!(sign_in(&[]).await, "/sign-in");
    let back = "/sign-in?redirect_to=%2Forders%3Fpage%3D2%26by%3Dname";
    assert_eq!(sign_in(&[("x-original-uri", "/orders?page=2&by=name")]).await, back);
    assert_eq!(sign_in(&[("x-forwarded-uri", "/orders?page=2&by=name")]).await, back);
    assert_eq!(sign_in(&[("x-original-uri", "/orders"), ("x-original-method", "POST")]).await, "/sign-in");
    // It comes back there, and nowhere else.
    let mut browser = signed_in(&app).await;
    assert_eq!(browser.visit(back).await.header("location"), "/orders?page=2&by=name");
    for evil in
        ["//evil.com", "https://evil.com/", "/\\evil.com", "javascript:alert(1)", "/a%0d%0ab", "/a\tb"]
    {
        let there = sign_in(&[("x-original-uri", evil)]).await;
        assert!(there.starts_with("/sign-in?redirect_to="), "{there}");
        assert_eq!(browser.visit(&there).await.header("location"), "/", "{evil}");
    }
    // Who has a token needs no other page.
    let jwt = app.sign_in(Person::default()).await.jwt;
    assert!(!app.get_as("/auth/verify", &jwt).await.headers.contains_key("x-sign-in"));
}

#[actix_web::test]
async fn all_requests_come_from_one_proxy_and_are_not_limited() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources
            .with("rate_limit.enabled", "true")
            .with("rate_limit.address_burst", "1")
            .with("rate_limit.address_per_minute", "1")
    })
    .await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    for _ in 0..20 {
        told(&app.get_as("/auth/verify", &jwt).await);
        assert_refused("nobody", &app.get("/auth/verify/any/x").await);
    }
}

#[actix_web::test]
async fn without_a_database_nobody_passes() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("database.timeout", "500ms"))
            .await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    app.db.execute("ALTER TABLE users RENAME TO gone");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let answer = app.get_as("/auth/verify", &jwt).await;
    answer.assert_problem(503, "database_unavailable");
    assert_no_names(&answer);
    app.db.execute("ALTER TABLE gone RENAME TO users");
    told(&app.get_as("/auth/verify", &jwt).await);
}
