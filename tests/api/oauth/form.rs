//! What holds of every grant: RFC 6749 §3.2 and §5.2.

use actix_web::http::Method;
use serde_json::json;

use crate::databases::TestDatabase;
use crate::support::both_doors::TOKEN_EXCHANGE;
use crate::support::oauth::Service;
use crate::support::{Answer, TestApp};

#[actix_web::test]
async fn another_method_is_answered_in_the_words_of_oauth() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let url = format!("{}/oauth/token", app.base);
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let method = method.as_str().parse().expect("a method");
        let answer = Answer::of(app.http.request(method, &url).send().await.expect("an answer")).await;
        let told = answer.assert_oauth_refusal(405, "invalid_request");
        assert_eq!((told, answer.header("allow")), ("method_not_allowed: this path takes POST", "POST"));
    }
}

#[actix_web::test]
async fn a_grant_is_one_of_four_and_said_exactly() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let service = app.create_client("Reports", "");
    for grant in [
        "password",
        "implicit",
        "token-exchange",
        "CLIENT_CREDENTIALS",
        "refresh_token ",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        &format!("{TOKEN_EXCHANGE}\0"),
    ] {
        let answer = app.post_form_as("/oauth/token", &service, &[("grant_type", grant)]).await;
        let told = answer.assert_oauth_refusal(400, "unsupported_grant_type");
        assert!(told.contains(TOKEN_EXCHANGE), "{told}");
    }
    app.post_form("/oauth/token", &[]).await.assert_oauth_refusal(400, "invalid_request");
    for grant in [TOKEN_EXCHANGE, "refresh_token", "client_credentials", "authorization_code"] {
        let json = app.post("/oauth/token", &json!({ "grant_type": grant })).await;
        json.assert_oauth_refusal(400, "invalid_request");
    }
}

on_both_databases! {
    async fn credentials_that_are_sent_must_be_good_whatever_they_are_sent_with(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let service = app.create_client("Reports", "reports.read");
        let wrong = Service { secret: format!("{}x", service.secret), ..service.clone() };
        let id_token = app.mock.google().id_token(json!({}));
        let exchange = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_issuer", "google"),
            ("subject_token_type", crate::support::both_doors::ID_TOKEN),
            ("subject_token", &id_token),
            ("scope", "offline_access"),
        ];
        let refused = app.post_form_as("/oauth/token", &wrong, &exchange).await;
        refused.assert_oauth_refusal(401, "invalid_client");
        assert_eq!(refused.header("www-authenticate"), "Basic realm=\"tokenbooth\"");
        let posted = [&exchange[..], &[("client_id", &service.id), ("client_secret", &wrong.secret)]].concat();
        let refused = app.post_form("/oauth/token", &posted).await;
        refused.assert_oauth_refusal(401, "invalid_client");
        assert_eq!(refused.header("www-authenticate"), "");
        assert_eq!((app.db.count("users"), app.db.count("sessions")), (0, 0), "nobody was signed in");

        let answer = app.post_form_as("/oauth/token", &service, &exchange).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        // Who only says its name does not try to prove it.
        assert_eq!(app.post_form("/oauth/token", &[&exchange[..], &[("client_id", "whoever")]].concat()).await.status, 200);

        let refresh = [("grant_type", "refresh_token"), ("refresh_token", answer.json["refresh_token"].as_str().expect("one"))];
        app.post_form_as("/oauth/token", &wrong, &refresh).await.assert_oauth_refusal(401, "invalid_client");
        // It was not spent.
        let next = app.post_form_as("/oauth/token", &service, &refresh).await;
        assert_eq!(next.status, 200, "{}", next.text);
        let code = [("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", "x"), ("code_verifier", "x")];
        app.post_form_as("/oauth/token", &wrong, &code).await.assert_oauth_refusal(401, "invalid_client");
        app.post_form_as("/oauth/token", &service, &code).await.assert_oauth_refusal(400, "invalid_grant");
    }
}
