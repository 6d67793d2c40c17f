//! `management.listen`: what is for the operator has an address of its own, and is not on the public one.

use serde_json::json;
use tokenbooth::mock::MockProviders;

use crate::databases::TestDatabase;
use crate::postgres::free_port;
use crate::support::app::{SECRET, client};
use crate::support::browser::HTML;
use crate::support::process::Tokenbooth;
use crate::support::{Answer, TestApp};

const PATHS: [&str; 6] = ["/metrics", "/readyz", "/healthz", "/docs", "/docs/", "/openapi.json"];

async fn start(db: TestDatabase) -> (TestApp, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let app = TestApp::start_with(db, |sources| sources.with("management.listen", &address)).await;
    (app, format!("http://{address}"))
}

async fn get(base: &str, path: &str) -> Answer {
    Answer::of(client().get(format!("{base}{path}")).send().await.expect("an answer")).await
}

on_both_databases! {
    async fn has_what_the_public_address_has_not_and_the_other_way_round(db: TestDatabase) {
        let (app, management) = start(db).await;
        for path in PATHS {
            app.get(path).await.assert_problem(404, "not_found");
            let answer = get(&management, path).await;
            assert!(matches!(answer.status, 200 | 301 | 503), "{path}: {} {}", answer.status, answer.text);
            assert!(!answer.header("x-request-id").is_empty());
        }
        for path in ["/", "/sign-in", "/account", "/api/me", "/auth/verify", "/.well-known/jwks.json", "/oauth/token", "/auth/google"] {
            get(&management, path).await.assert_problem(404, "not_found");
        }
        // What happens at the public address is counted at the other one.
        let ada = app.sign_in(tokenbooth::mock::Person::named("ada")).await;
        assert_eq!(app.me(&ada.jwt).await.status, 200);
        let metrics = get(&management, "/metrics").await.text;
        assert!(metrics.contains(r#"{method="GET",route="/api/me",status="200"} 1"#), "{metrics}");
        // No page leads to where the documentation is not.
        let page = app.http.get(format!("{}/", app.base)).header("accept", HTML).send().await.expect("an answer");
        let page = page.text().await.expect("a page");
        assert!(page.contains("<html") && !page.contains("/docs"), "{page}");
        let page = app.http.get(format!("{}/nothing", app.base)).header("accept", HTML).send().await.expect("an answer");
        assert!(!page.text().await.expect("a page").contains("/docs/\""));
    }
}

#[actix_web::test]
async fn unset_everything_is_on_one_address() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for path in PATHS {
        assert!(matches!(app.get(path).await.status, 200 | 301 | 503), "{path}");
    }
}

#[actix_web::test]
async fn health_asks_there_and_a_stopping_service_answers_there() {
    let (mock, db) = (MockProviders::start().await.expect("the mock starts"), TestDatabase::sqlite());
    let address = format!("127.0.0.1:{}", free_port());
    let mut running = Tokenbooth::serving(&mock, &db.url).set("management.listen", &address).start();
    running.wait_for(&format!("management.listen: {address}"));
    let public = running.url();
    let health = |port: &str| {
        let command = Tokenbooth::new(&["health"]).set("token.secret", SECRET).set("server.port", port);
        command.set("management.listen", &address).output()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    // Whatever the public address is: nobody listens on port 1.
    while health("1").status.code() != Some(0) {
        assert!(std::time::Instant::now() < deadline, "{:?}", health("1"));
    }
    // A kept connection holds the end up for a moment.
    let kept = client();
    assert_eq!(kept.get(format!("{public}/api/me")).send().await.expect("an answer").status(), 401);
    running.signal("TERM");
    running.wait_for("stopping: waiting for the requests in flight");
    let answer = get(&format!("http://{address}"), "/readyz").await;
    assert_eq!((answer.status, &answer.json["status"]), (503, &json!("stopping")));
    assert_eq!(running.wait().code(), Some(0));
    let told = health("1");
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8(told.stderr).expect("UTF-8");
    assert!(told.contains(&format!("nobody answers on {address}")), "{told}");
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_its_setting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let output =
        Tokenbooth::new(&["serve"]).set("server.port", "0").set("management.listen", &taken).output();
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("management.listen: cannot listen on {taken}: ")), "{told}");
}
