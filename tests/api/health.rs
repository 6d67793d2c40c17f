//! `/healthz`, `/readyz`, `/metrics`, and what every path has in common: HEAD, 404, 405.

use serde_json::json;
use tokenbooth::mock::{Endpoint, Fault, GithubUser, MockProviders, Person};

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::Answer;
use crate::support::process::Tokenbooth;

async fn ask(app: &TestApp, method: &str, path: &str) -> Answer {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let request = app.http.request(method, format!("{}{path}", app.base));
    Answer::of(request.send().await.expect("an answer")).await
}

on_both_databases! {
    async fn healthz_says_that_the_process_answers(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let answer = app.get("/healthz").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"status":"ok"}"#));
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
    }

    async fn readyz_is_starting_until_the_first_fetch_of_every_key_set_then_ready(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        mock.set_fault(Endpoint::OidcJwks, Fault::Slow(std::time::Duration::from_millis(1500)));
        let app = TestApp::start_beside(mock, db, |sources| sources).await;
        let answer = app.get("/readyz").await;
        assert_eq!((answer.status, &answer.json["status"]), (503, &json!("starting")), "{}", answer.text);
        assert_eq!(answer.json["keys"]["acme"], "starting");
        assert_eq!(answer.json["database"], "ok");
        app.warm().await;
        let answer = app.get("/readyz").await;
        let ready = json!({ "status": "ready", "database": "ok", "keys": { "acme": "ok", "google": "ok" } });
        assert_eq!((answer.status, &answer.json), (200, &ready));
        assert_eq!(answer.header("cache-control"), "no-store");
    }

    async fn a_provider_that_is_down_is_reported_and_makes_nobody_unready(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        mock.set_fault(Endpoint::OidcDiscovery, Fault::Status(500));
        let app = TestApp::start_beside(mock, db, |sources| sources).await;
        app.warm().await;
        let answer = app.get("/readyz").await;
        let ready = json!({ "status": "ready", "database": "ok", "keys": { "acme": "unavailable", "google": "ok" } });
        assert_eq!((answer.status, &answer.json), (200, &ready));
    }

    async fn metrics_count_exchanges_by_provider_and_result(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.sign_in(Person::named("bob")).await;
        app.sign_in(Person::named("bob")).await;
        let jwt = app.sign_in(Person::named("bob")).await.jwt;
        app.exchange_github(GithubUser::default()).await.assert_signed_in();
        let foreign = app.mock.google().id_token(json!({ "aud": "another", "azp": null }));
        app.exchange_id_token(&foreign).await.assert_problem(401, "audience_mismatch");
        app.exchange("github", &json!({})).await.assert_problem(400, "invalid_request");
        assert_eq!(app.me(&jwt).await.status, 200);

        let answer = app.get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        for line in [
            r#"tokenbooth_exchanges_total{provider="google",result="created"} 1"#,
            r#"tokenbooth_exchanges_total{provider="google",result="ok"} 2"#,
            r#"tokenbooth_exchanges_total{provider="google",result="audience_mismatch"} 1"#,
            r#"tokenbooth_exchanges_total{provider="github",result="created"} 1"#,
            r#"tokenbooth_exchanges_total{provider="github",result="invalid_request"} 1"#,
            r#"tokenbooth_http_request_seconds_count{method="POST",route="/auth/{provider}",status="200"} 4"#,
            r#"tokenbooth_http_request_seconds_count{method="GET",route="/api/me",status="200"} 1"#,
            r#"tokenbooth_jwks_keys{provider="google"} 1"#,
            "# UNIT tokenbooth_http_request_seconds seconds",
            "# EOF",
        ] {
            assert!(answer.text.lines().any(|said| said == line), "{line}\nis not in\n{}", answer.text);
        }
        for name in [
            "tokenbooth_provider_request_seconds_count{provider=\"github\",outcome=\"ok\"} ",
            "tokenbooth_user_loader_batch_count ",
            "tokenbooth_jwks_age_seconds{provider=\"google\"} ",
            "tokenbooth_database_connections{state=\"open\"} ",
            "tokenbooth_database_connections{state=\"idle\"} ",
        ] {
            assert!(answer.text.lines().any(|said| said.starts_with(name)), "{name}\nis not in\n{}", answer.text);
        }
    }
}

#[actix_web::test]
async fn what_a_stranger_makes_up_does_not_make_a_label() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for path in ["/made-up-path", "/auth/made-up-path", "/docs/made-up-path", "/api/me/made-up-path"] {
        ask(&app, "GET", path).await;
        ask(&app, "POST", path).await;
        ask(&app, "MADEUP", path).await;
    }
    app.exchange("made-up-path", &json!({ "token": "x" })).await.assert_problem(404, "unknown_provider");
    let text = app.get("/metrics").await.text;
    assert!(!text.contains("made-up-path") && !text.contains("MADEUP"), "{text}");
    assert!(text.contains(r#"{method="OTHER",route="none",status="404"} 2"#), "{text}");
}

/// Each path with the methods it takes.
const PATHS: [(&str, &str); 20] = [
    ("/auth/google", "POST"),
    ("/auth/password", "POST"),
    ("/auth/refresh", "POST"),
    ("/auth/logout", "POST"),
    ("/auth/logout-all", "POST"),
    ("/api/me", "GET, HEAD, PATCH, DELETE"),
    ("/api/me/identities", "GET, HEAD"),
    ("/api/me/identities/google", "POST, DELETE"),
    ("/api/me/password", "PUT, DELETE"),
    ("/api/me/sessions", "GET, HEAD"),
    ("/api/me/sessions/x", "DELETE"),
    ("/api/admin/users", "GET, HEAD"),
    ("/api/admin/users/x", "GET, HEAD, PATCH, DELETE"),
    ("/api/admin/users/x/revoke-tokens", "POST"),
    ("/healthz", "GET, HEAD"),
    ("/readyz", "GET, HEAD"),
    ("/metrics", "GET, HEAD"),
    ("/openapi.json", "GET, HEAD"),
    ("/docs", "GET, HEAD"),
    ("/docs/index.html", "GET, HEAD"),
];

#[actix_web::test]
async fn another_method_is_405_with_the_methods_that_are_taken() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for (path, allowed) in PATHS {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "MADEUP"] {
            let answer = ask(&app, method, path).await;
            if allowed.split(", ").any(|one| one == method) {
                assert_ne!(answer.status, 405, "{method} {path}");
                continue;
            }
            assert_eq!((answer.status, answer.header("allow")), (405, allowed), "{method} {path}");
            if method != "HEAD" {
                let detail = answer.assert_problem(405, "method_not_allowed");
                assert_eq!(detail, format!("this path takes {allowed}"));
            }
        }
    }
}

#[actix_web::test]
async fn head_answers_as_get_does_without_a_body() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await;
    for (path, _) in PATHS.iter().filter(|(_, allowed)| allowed.contains("HEAD")) {
        let (get, head) = (ask(&app, "GET", path).await, ask(&app, "HEAD", path).await);
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.text, "", "{path}");
        for name in ["content-type", "cache-control", "location", "www-authenticate"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
}

#[actix_web::test]
async fn another_path_is_404_in_the_documented_form() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for path in ["/nothing", "/auth", "/auth/google/more", "/api", "/healthz/", "//healthz", "/HEALTHZ"] {
        let answer = app.get(path).await;
        assert_eq!(
            answer.assert_problem(404, "not_found"),
            "there is no such path; /docs lists them",
            "{path}"
        );
        assert!(!answer.header("x-request-id").is_empty());
    }
}

/// The `peer=` of the access line of a request with this `X-Forwarded-For`.
async fn peer_in_the_log(trusted: &str, forwarded: &[&str]) -> String {
    let mut running =
        Tokenbooth::new(&["serve"]).set("server.port", "0").set("server.trusted_proxies", trusted).start();
    let url = running.url();
    let request = crate::support::app::client().get(format!("{url}/healthz"));
    let request = forwarded.iter().fold(request, |request, value| request.header("x-forwarded-for", *value));
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let line = running.wait_for("tokenbooth::access request");
    let (_, rest) = line.split_once(" peer=").expect("a peer");
    rest.split(' ').next().expect("a word").to_owned()
}

#[actix_web::test]
async fn x_forwarded_for_is_believed_from_trusted_proxies_only_and_from_the_right() {
    for (trusted, forwarded, expected) in [
        ("", &["203.0.113.9"][..], "127.0.0.1"),
        ("10.0.0.0/8", &["203.0.113.9"], "127.0.0.1"),
        ("127.0.0.1", &[], "127.0.0.1"),
        ("127.0.0.1", &["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", &["198.51.100.66, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1,10.0.0.0/8", &["198.51.100.66, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1,10.0.0.0/8", &["198.51.100.66, 203.0.113.9", "10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", &["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", &["203.0.113.9, not-an-address"], "127.0.0.1"),
        ("127.0.0.1,10.0.0.0/8", &["10.9.9.9"], "10.9.9.9"),
    ] {
        assert_eq!(
            peer_in_the_log(trusted, forwarded).await,
            expected,
            "{forwarded:?} from a peer, {trusted} trusted"
        );
    }
}
