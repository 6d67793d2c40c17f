//! `POST /auth/{name}` with `kind = "gitlab"`: ID tokens, and access tokens of our own application.

use std::time::Duration;

use serde_json::{Value, json};
use tokenbooth::mock::gitlab::{CLIENT_ID, user_id};
use tokenbooth::mock::{Endpoint, Fault, Grant, Person};

use crate::databases::TestDatabase;
use crate::support::browser::Browser;
use crate::support::{Answer, TestApp};

async fn start(db: TestDatabase) -> TestApp {
    TestApp::start_with_further_providers(db, |sources| sources).await
}

/// Alice's grant to our application.
fn grant() -> Grant {
    Grant {
        aud: CLIENT_ID.to_owned(),
        scope: "openid email profile".to_owned(),
        ..Person::named("alice").into()
    }
}

async fn exchange(app: &TestApp, grant: Grant) -> Answer {
    let token = app.mock.gitlab().access_token(grant);
    app.exchange("gitlab", &json!({ "access_token": token })).await
}

on_both_databases! {
    async fn an_id_token_and_an_access_token_are_of_one_person(db: TestDatabase) {
        let app = start(db).await;
        let token = app.mock.gitlab().id_token(json!({}));
        let first = app.exchange("gitlab", &json!({ "token": token })).await.assert_signed_in();
        assert_eq!((first.json["user"]["email"].as_str(), &first.json["user"]["name"]), (Some("alice@example.com"), &Value::Null));
        let identities = app.get_as("/api/me/identities", &first.jwt).await.json;
        let number = user_id(&Person::named("alice")).to_string();
        assert_eq!(identities["items"][0]["provider_id"], number.as_str());
        let access_token = app.mock.gitlab().access_token(grant());
        for member in ["access_token", "token"] {
            let again = app.exchange("gitlab", &json!({ member: access_token })).await.assert_signed_in();
            assert_eq!((again.user_id.as_str(), again.created), (first.user_id.as_str(), false));
            // Only userinfo has the name.
            assert_eq!(again.json["user"]["name"], "Alice Example");
        }
        // No token is in a URL.
        assert!(app.mock.seen().iter().all(|request| !request.path.starts_with("/gitlab") || !request.has_query));
    }
}

#[actix_web::test]
async fn an_access_token_of_another_application_is_refused_before_its_owner_is_asked_for() {
    let app = start(TestDatabase::sqlite()).await;
    for aud in ["another-app", &format!("{CLIENT_ID}0"), &CLIENT_ID[..63], &CLIENT_ID.to_uppercase(), ""] {
        let answer = exchange(&app, Grant { aud: aud.to_owned(), ..grant() }).await;
        let detail = answer.assert_problem(401, "audience_mismatch");
        assert!(detail.contains("is not in providers.gitlab.client_ids"), "{detail}");
    }
    for tokeninfo in [json!({ "application": null }), json!({ "application": { "uid": [CLIENT_ID] } })] {
        let answer = exchange(&app, Grant { tokeninfo: tokeninfo.clone(), ..grant() }).await;
        assert!(matches!(answer.status, 401 | 502), "{tokeninfo}: {}", answer.text);
    }
    assert_eq!((app.mock.requests(Endpoint::GitlabUserinfo), app.db.count("users")), (0, 0));
}

#[actix_web::test]
async fn what_cannot_be_an_access_token_of_an_application_is_sent_nowhere() {
    let app = start(TestDatabase::sqlite()).await;
    app.warm().await;
    app.mock.forget_requests();
    let jwt = app.mock.gitlab().id_token(json!({}));
    for token in [
        "glpat-AbCdEfGhIjKlMnOpQrSt",
        "glpat-AbCdEfGhIjKlMnOp.01.0w1mrb2tn",
        "gloas-0123456789abcdef",
        "gldt-0123456789abcdef",
        "glrt-0123456789abcdef",
        "glcbt-64_0123456789",
        "glptt-0123456789abcdef",
        "glsoat-0123456789abcdef",
        jwt.as_str(),
        "with space",
        "with\nline",
        "tökén",
        &"a".repeat(256),
    ] {
        let answer = app.exchange("gitlab", &json!({ "access_token": token })).await;
        let detail = answer.assert_problem(401, "invalid_token");
        assert!(!detail.contains(token), "{detail}");
    }
    let detail = app.exchange("gitlab", &json!({ "token": "glpat-AbCdEfGhIjKlMnOpQrSt" })).await;
    assert!(detail.assert_problem(401, "invalid_token").contains("begins with glpat-"));
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn a_token_that_gitlab_does_not_stand_by_proves_nobody() {
    let app = start(TestDatabase::sqlite()).await;
    let unknown = json!({ "access_token": "0".repeat(64) });
    app.exchange("gitlab", &unknown).await.assert_problem(401, "invalid_token");
    exchange(&app, Grant { expires_in: -1, ..grant() }).await.assert_problem(401, "invalid_token");
    // Whose it is, both answers must say alike.
    for userinfo in
        [json!({ "sub": "1" }), json!({ "sub": Person::named("alice").sub }), json!({ "sub": "" })]
    {
        let answer = exchange(&app, Grant { userinfo, ..grant() }).await;
        let detail = answer.assert_problem(401, "invalid_token");
        assert!(detail.contains("different people"), "{detail}");
    }
    let detail = exchange(&app, Grant { tokeninfo: json!({ "resource_owner_id": null }), ..grant() }).await;
    assert!(detail.assert_problem(401, "invalid_token").contains("belongs to no user"));
    let detail = exchange(&app, Grant { scope: "read_user".to_owned(), ..grant() }).await;
    assert!(detail.assert_problem(401, "invalid_token").contains("openid"));
    assert_eq!(app.db.count("users"), 0);
    // An address that is not confirmed.
    for word in [json!(false), json!("true"), json!(null)] {
        let answer = exchange(&app, Grant { userinfo: json!({ "email_verified": word }), ..grant() }).await;
        assert_eq!(answer.assert_signed_in().json["user"]["email"], Value::Null, "{word}");
    }
}

#[actix_web::test]
async fn trouble_at_gitlab_is_no_refusal_of_a_token() {
    let app = TestApp::start_with_further_providers(TestDatabase::sqlite(), |sources| {
        sources.with("http_client.timeout", "1s")
    })
    .await;
    app.warm().await;
    for endpoint in [Endpoint::GitlabTokenInfo, Endpoint::GitlabUserinfo] {
        for fault in [
            Fault::Status(500),
            Fault::Status(404),
            Fault::NotJson,
            Fault::Empty,
            Fault::WrongType,
            Fault::Redirect("https://evil.example".to_owned()),
            Fault::RateLimited429 { retry_after: Some(9) },
            Fault::Slow(Duration::from_secs(3)),
        ] {
            app.mock.set_fault(endpoint, fault.clone());
            let answer = exchange(&app, grant()).await;
            assert!(matches!(answer.status, 502..=504), "{endpoint:?} {fault:?}: {}", answer.text);
            answer.assert_provider_unavailable();
        }
        app.mock.clear_faults();
    }
    exchange(&app, grant()).await.assert_signed_in();
}

#[actix_web::test]
async fn a_browser_signs_in_and_has_its_name_from_userinfo() {
    let app = start(TestDatabase::sqlite()).await;
    let mut browser = Browser::at(&app);
    let home = browser.sign_in("gitlab", "alice").await;
    assert_eq!(home.status, 302, "{}", home.text);
    let me = browser.call("GET", "/api/me").await.json;
    assert_eq!(
        (me["email"].as_str(), me["name"].as_str()),
        (Some("alice@example.com"), Some("Alice Example"))
    );
    assert_eq!(app.mock.requests(Endpoint::GitlabUserinfo), 1);
    // For a name nobody is kept waiting outside.
    app.mock.set_fault(Endpoint::GitlabUserinfo, Fault::Status(503));
    assert_eq!(Browser::at(&app).sign_in("gitlab", "bob").await.status, 302);
}
