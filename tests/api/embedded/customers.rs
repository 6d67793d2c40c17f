//! `examples/customers`: tokenbooth in the same process, with a page and a single-page app, and beside it.

use serde_json::json;
use tokenbooth::mock::{MockProviders, Person};

use super::{built_example, example, get, user_command};
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::{Answer, client};
use crate::support::browser::Browser;
use crate::support::process::{Running, Tokenbooth as Process};

/// What it says of `what`: a URL.
#[track_caller]
fn url_of(running: &mut Running, what: &str) -> String {
    let line = running.wait_for(&format!("{what} on "));
    let rest = line.split_once(" on ").expect("a URL").1;
    rest.split([',', ' ']).next().expect("a URL").to_owned()
}

/// `http://127.0.0.1:<port>`.
#[track_caller]
fn origin(running: &mut Running) -> String {
    url_of(running, "customers").split("/customers").next().expect("an origin").to_owned()
}

async fn sign_in(base: &str, mock: &MockProviders, name: &str) -> String {
    let body = json!({ "id_token": mock.google().id_token(Person::named(name).claims()) });
    let exchange = client().post(format!("{base}/auth/google")).json(&body);
    Answer::of(exchange.send().await.expect("an answer")).await.assert_signed_in().jwt
}

fn names(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json["results"].as_array().expect("results");
    results.iter().map(|customer| customer["name"].as_str().expect("a name")).collect()
}

const NAMES: [&str; 3] = ["Grace Hopper", "Edsger Dijkstra", "Barbara Liskov & Sons"];

on_both_databases! {
    async fn customers_are_for_users_what_they_owe_for_administrators_and_neither_for_the_disabled(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut running = example("customers", &[], &mock, &db.url).set("server.port", "0").start();
        let base = origin(&mut running);
        let (customers, details) = (format!("{base}/api/customer/"), format!("{base}/api/admin/customer/"));
        get(&customers, None).await.assert_problem(401, "invalid_token");
        get(&details, None).await.assert_problem(401, "invalid_token");

        let bob = sign_in(&base, &mock, "bob").await;
        let answer = get(&customers, Some(&bob)).await;
        assert_eq!(names(&answer), NAMES);
        assert_eq!(answer.json["results"][0], json!({ "id": 1, "name": NAMES[0], "email": "grace@example.com" }));
        get(&details, Some(&bob)).await.assert_problem(403, "admin_required");
        user_command(&db, "promote", "bob@example.com");
        let answer = get(&details, Some(&bob)).await;
        assert_eq!((names(&answer).len(), &answer.json["results"][1]["owes_cents"]), (3, &json!(1250)));
        user_command(&db, "demote", "bob@example.com");
        get(&details, Some(&bob)).await.assert_problem(403, "admin_required");

        user_command(&db, "disable", "bob@example.com");
        get(&customers, Some(&bob)).await.assert_problem(401, "invalid_token");
        user_command(&db, "enable", "bob@example.com");
        user_command(&db, "revoke", "bob@example.com");
        get(&customers, Some(&bob)).await.assert_problem(401, "invalid_token");
    }

    async fn a_visitor_of_the_page_of_customers_is_sent_to_sign_in_and_comes_back(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut running = example("customers", &[], &mock, &db.url).set("server.port", "0").start();
        let base = origin(&mut running);
        let mut browser = Browser::at_base(&base);
        let there = browser.visit("/customers?sort=name").await;
        assert_eq!((there.status, there.header("location")), (303, "/sign-in?redirect_to=%2Fcustomers%3Fsort%3Dname"));
        // A program is told so in its own words.
        let request = browser.request("GET", "/customers").header("accept", "application/json");
        browser.send(request).await.assert_problem(401, "invalid_token");

        let back = browser.authorize("/auth/google/login?redirect_to=%2Fcustomers%3Fsort%3Dname", "bob").await;
        let signed_in = browser.visit(&back).await;
        assert_eq!((signed_in.status, signed_in.header("location")), (302, "/customers?sort=name"));
        let page = browser.visit("/customers?sort=name").await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
        for text in ["Bob Example", "Grace Hopper", "Barbara Liskov &#38; Sons"] {
            assert!(page.text.contains(text), "{text} is not in {}", page.text);
        }
        for inline in ["<script", "<style", "style=", "onclick"] {
            assert!(!page.text.contains(inline), "{inline}");
        }
        assert_eq!(browser.visit("/customers.css").await.header("content-type"), "text/css; charset=utf-8");
        assert_eq!(names(&browser.call("GET", "/api/customer/").await), NAMES);

        user_command(&db, "disable", "bob@example.com");
        let there = browser.visit("/customers").await;
        assert_eq!((there.status, there.header("location")), (303, "/sign-in?redirect_to=%2Fcustomers"));
        browser.call("GET", "/api/customer/").await.assert_problem(401, "invalid_token");
    }

    async fn as_a_process_of_its_own_it_asks_who_is_calling(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let arguments = ["--behind", app.base.as_str(), "--port", "0"];
        let mut running = Process::of(&built_example("customers"), &arguments).start();
        let customers = url_of(&mut running, "customers");
        let details = customers.replace("/api/", "/api/admin/");
        let answer = get(&customers, None).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer realm=\"customers\""));
        assert_eq!(answer.header("content-type"), "application/problem+json");

        let bob = app.sign_in(Person::named("bob")).await.jwt;
        assert_eq!(names(&get(&customers, Some(&bob)).await), NAMES);
        assert_eq!(get(&customers, Some(&format!("{bob}x"))).await.status, 401);
        assert_eq!((get(&details, None).await.status, get(&details, Some(&bob)).await.status), (401, 403));
        user_command(&app.db, "promote", "bob@example.com");
        assert_eq!(names(&get(&details, Some(&bob)).await).len(), 3);
        user_command(&app.db, "disable", "bob@example.com");
        assert_eq!(get(&customers, Some(&bob)).await.status, 401);

        // Nobody to ask: that is no word on the caller.
        drop(app);
        let answer = get(&customers, Some(&bob)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{}", answer.text);
    }
}

#[actix_web::test]
async fn with_a_mock_the_example_needs_no_settings_and_serves_the_single_page_app() {
    let process = Process::of(&built_example("customers"), &["--mock", "--app", "app"]);
    let mut running = process.file("app/browser.js", "run();").set("server.port", "0").start();
    let base = url_of(&mut running, "the single-page app").trim_end_matches("/app/").to_owned();
    let page = get(&format!("{base}/app/"), None).await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("GOOGLE_"), "{}", page.text);
    assert!(!page.header("content-security-policy").contains("http"));
    for (path, text) in [("/app/browser.js", "run();"), ("/app/mock-google.js", "window.google")] {
        let answer = get(&format!("{base}{path}"), None).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/javascript; charset=utf-8"));
        assert!(answer.text.contains(text), "{path}");
    }
    let credential = get(&format!("{base}/app/mock-credential?person=ada&nonce=of-this-page"), None).await;
    let mut browser = Browser::at_base(&base);
    let body =
        |nonce| json!({ "credential": credential.json["credential"], "nonce": nonce, "mode": "cookie" });
    let request = browser.as_our_page("POST", "/auth/google").json(&body("of-another-page"));
    browser.send(request).await.assert_problem(401, "nonce_mismatch");
    let request = browser.as_our_page("POST", "/auth/google").json(&body("of-this-page"));
    let answer = browser.send(request).await;
    assert_eq!((answer.status, &answer.json["access_token"]), (200, &json!(null)), "{}", answer.text);
    assert_eq!(names(&browser.call("GET", "/api/admin/customer/").await).len(), 3);
}

#[actix_web::test]
async fn without_a_mock_the_single_page_app_takes_google_s_own_library_and_nobody_else_s() {
    let (mock, db) = (MockProviders::start().await.expect("the mock starts"), TestDatabase::sqlite());
    let process = example("customers", &["--app", "app"], &mock, &db.url).set("server.port", "0");
    let mut running = process.file("app/browser.js", "").set("providers.google.client_ids", "my-app").start();
    let page = get(&url_of(&mut running, "the single-page app"), None).await;
    assert!(page.text.contains("src=\"https://accounts.google.com/gsi/client\""), "{}", page.text);
    assert!(page.text.contains("data-google-client-id=\"my-app\""), "{}", page.text);
    assert_eq!(
        page.header("content-security-policy").split("; ").nth(1),
        Some("script-src 'self' https://accounts.google.com/gsi/")
    );
    let origin = origin(&mut running);
    assert_eq!(get(&format!("{origin}/app/mock-credential?person=ada&nonce=x"), None).await.status, 404);
}

#[test]
fn a_single_page_app_that_was_not_compiled_is_said_so() {
    let output = Process::of(&built_example("customers"), &["--mock", "--app", "nowhere"])
        .set("server.port", "0")
        .output();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere/browser.js"), "{output:?}");
}
