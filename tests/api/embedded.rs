//! tokenbooth in an actix-web app of one's own: `examples/embedded.rs` as a process, a scope, and the mistake everybody
//! makes once.

mod customers;
mod services;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use actix_web::{App, HttpResponse, get, test, web};
use serde_json::{Value, json};
use tokenbooth::mock::{MockProviders, Person};
use tokenbooth::settings::Sources;
use tokenbooth::{CurrentUser, Tokenbooth};

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::{Answer, SECRET, client};
use crate::support::oauth::{Service, create_client};
use crate::support::process::Tokenbooth as Process;

/// `cargo test` builds examples into a folder beside the binary; `cargo test --test api` alone does not.
fn built_example(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let program = Path::new(env!("CARGO_BIN_EXE_tokenbooth")).with_file_name("examples").join(name);
    if !program.is_file() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the example does not build");
    }
    assert!(program.is_file(), "{} is missing: build it with `cargo build --examples`", program.display());
    program
}

fn example(name: &str, arguments: &[&str], mock: &MockProviders, database_url: &str) -> Process {
    let process = Process::of(&built_example(name), arguments).env("PORT", "0");
    let settings = mock.settings().into_iter();
    settings
        .fold(process, |process, (key, value)| process.set(&key, &value))
        .set("database.url", database_url)
        .set("token.secret", SECRET)
}

/// `tokenbooth user …`, which needs no more than the database.
fn user_command(db: &TestDatabase, command: &str, email: &str) {
    let output = Process::new(&["user", command, email]).set("database.url", &db.url).output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn get(url: &str, jwt: Option<&str>) -> Answer {
    let request = client().get(url);
    let request = match jwt {
        Some(jwt) => request.bearer_auth(jwt),
        None => request,
    };
    Answer::of(request.send().await.expect("an answer")).await
}

on_both_databases! {
    async fn the_example_signs_in_greets_its_users_and_keeps_others_out(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut running = example("embedded", &[], &mock, &db.url).start();
        let url = running.url();
        let (hello, admin_hello) = (format!("{url}/hello"), format!("{url}/admin/hello"));

        let answer = get(&hello, None).await;
        answer.assert_problem(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"tokenbooth\"");

        let body = json!({ "id_token": mock.google().id_token(Person::named("bob").claims()) });
        let exchange = client().post(format!("{url}/auth/google")).json(&body);
        let bob = Answer::of(exchange.send().await.expect("an answer")).await.assert_signed_in();
        let answer = get(&hello, Some(&bob.jwt)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "Hello, Bob Example!"));
        get(&hello, Some(&format!("{}x", bob.jwt))).await.assert_problem(401, "invalid_token");
        get(&admin_hello, Some(&bob.jwt)).await.assert_problem(403, "admin_required");
        get(&admin_hello, None).await.assert_problem(401, "invalid_token");

        user_command(&db, "promote", "bob@example.com");
        let answer = get(&admin_hello, Some(&bob.jwt)).await;
        assert_eq!((answer.status, answer.text), (200, format!("Hello, administrator {}!", bob.user_id)));

        // A service of ours, beside the people.
        let post = async |service: &Service| {
            let request = client().post(format!("{url}/oauth/token")).basic_auth(&service.id, Some(&service.secret));
            Answer::of(request.form(&[("grant_type", "client_credentials")]).send().await.expect("an answer")).await
        };
        let (reader, other) = (create_client(&db, "Night job", "reports.read"), create_client(&db, "Other", "mail.send"));
        let token_of = async |service| post(service).await.json["access_token"].as_str().expect("a token").to_owned();
        let (reader_token, other_token) = (token_of(&reader).await, token_of(&other).await);
        let reports = format!("{url}/reports");
        let answer = get(&reports, Some(&reader_token)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "Everybody's reports, for Night job"));
        let answer = get(&reports, Some(&bob.jwt)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "The reports of Bob Example"));
        get(&reports, Some(&other_token)).await.assert_problem(403, "insufficient_scope");
        get(&reports, None).await.assert_problem(401, "invalid_token");
        get(&hello, Some(&reader_token)).await.assert_problem(401, "invalid_token");

        // The rest of the service is there too, with its request ids.
        let answer = get(&format!("{url}/healthz"), None).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.header("x-request-id").is_empty());
    }
}

/// An app of one's own with everything under `/booth`.
fn booth(mock: &MockProviders, db: &TestDatabase) -> Tokenbooth {
    let settings = TestApp::sources(mock, &db.url).load().expect("good settings");
    Tokenbooth::build(settings).expect("it starts")
}

#[get("/hello")]
async fn greet(CurrentUser(user): CurrentUser) -> String {
    user.id.to_string()
}

on_both_databases! {
    async fn the_routes_can_be_mounted_under_a_prefix(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let tokenbooth = booth(&mock, &db);
        let scope = web::scope("/booth").configure(tokenbooth.routes()).service(greet);
        let app = test::init_service(App::new().service(scope)).await;

        let body = json!({ "id_token": mock.google().id_token(json!({})) });
        let exchange = test::TestRequest::post().uri("/booth/auth/google").set_json(&body).to_request();
        let signed_in: Value = test::call_and_read_body_json(&app, exchange).await;
        let jwt = signed_in["access_token"].as_str().expect("a token");
        for path in ["/booth/api/me", "/booth/hello", "/booth/healthz", "/booth/openapi.json", "/booth/docs/index.html"] {
            let request = test::TestRequest::get().uri(path).insert_header(("authorization", format!("Bearer {jwt}")));
            assert_eq!(test::call_service(&app, request.to_request()).await.status(), 200, "{path}");
        }
        let outside = test::TestRequest::get().uri("/api/me").to_request();
        assert_eq!(test::call_service(&app, outside).await.status(), 404);
    }
}

#[actix_web::test]
async fn a_mounted_service_leaves_the_rest_of_the_app_alone() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let db = TestDatabase::sqlite();
    let tokenbooth = booth(&mock, &db);
    let app = App::new()
        .configure(tokenbooth.routes())
        .default_service(web::to(async || HttpResponse::ImATeapot().body("mine")));
    let app = test::init_service(app).await;
    let request = test::TestRequest::get().uri("/anything").to_request();
    assert_eq!(test::call_and_read_body(&app, request).await, "mine");
}

#[actix_web::test]
async fn an_extractor_without_the_routes_is_500_with_the_remedy_in_the_log_only() {
    let app = test::init_service(App::new().service(greet)).await;
    let request = test::TestRequest::get().uri("/hello").insert_header(("authorization", "Bearer x"));
    let response = test::call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers().get("content-type").expect("a type"), "application/problem+json");
    let problem: Value = test::read_body_json(response).await;
    assert_eq!(problem["code"], "internal");
    assert_eq!(problem["detail"], "this is logged; please tell us the X-Request-Id");
}

#[actix_web::test]
async fn two_apps_in_one_process_do_not_know_each_other() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let (one, other) = (TestDatabase::sqlite(), TestDatabase::sqlite());
    let app = async |db: &TestDatabase, audience: &str| {
        let sources: Sources = TestApp::sources(&mock, &db.url).with("token.audience", audience);
        let tokenbooth = Tokenbooth::build(sources.load().expect("good settings")).expect("it starts");
        test::init_service(App::new().configure(tokenbooth.routes())).await
    };
    let (one, other) = (app(&one, "one").await, app(&other, "other").await);
    let body = json!({ "id_token": mock.google().id_token(json!({})) });
    let exchange = test::TestRequest::post().uri("/auth/google").set_json(&body).to_request();
    let signed_in: Value = test::call_and_read_body_json(&one, exchange).await;
    let jwt = format!("Bearer {}", signed_in["access_token"].as_str().expect("a token"));
    let me =
        || test::TestRequest::get().uri("/api/me").insert_header(("authorization", jwt.clone())).to_request();
    assert_eq!(test::call_service(&one, me()).await.status(), 200);
    assert_eq!(test::call_service(&other, me()).await.status(), 401);
}

#[actix_web::test]
async fn what_is_dropped_leaves_no_task_behind() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let db = TestDatabase::sqlite();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let tokenbooth = booth(&mock, &db);
    assert!(tasks() > before, "one for each key set, and one that tidies up");
    drop(tokenbooth);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks(), before);
}
