//! `GET /.well-known/oauth-authorization-server`: where everything is (RFC 8414).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::databases::TestDatabase;
use crate::support::TestApp;

const PATH: &str = "/.well-known/oauth-authorization-server";

#[actix_web::test]
async fn a_library_learns_where_everything_is() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let answer = app.get(PATH).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let base = &app.base;
    assert_eq!(
        answer.json,
        json!({
            "issuer": base,
            "token_endpoint": format!("{base}/oauth/token"),
            "introspection_endpoint": format!("{base}/oauth/introspect"),
            "revocation_endpoint": format!("{base}/oauth/revoke"),
            "jwks_uri": format!("{base}/.well-known/jwks.json"),
            "grant_types_supported": [
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "refresh_token",
                "client_credentials",
                "authorization_code",
            ],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "scopes_supported": ["offline_access"],
        })
    );
    // What it names is there: a POST without a form is a bad request, and not an unknown path.
    for endpoint in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
        let url = answer.json[endpoint].as_str().expect("a URL");
        let status = app.http.post(url).send().await.expect("an answer").status().as_u16();
        assert_eq!(status, 400, "{endpoint}");
    }
    let refused = app.send_as("POST", PATH, "x", &Value::Null).await;
    refused.assert_problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET, HEAD");
}

#[actix_web::test]
async fn the_issuer_is_that_of_the_tokens_and_the_places_are_ours() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources
            .with("server.public_url", "https://auth.mail.com/booth")
            .with("token.issuer", "https://mail.com/sign/in")
    })
    .await;
    let answer = app.get(PATH).await;
    assert_eq!(answer.json["issuer"], "https://mail.com/sign/in");
    assert_eq!(answer.json["token_endpoint"], "https://auth.mail.com/booth/oauth/token");
    let jwt = app.sign_in(tokenbooth::mock::Person::default()).await.jwt;
    let service = app.create_client("Orders", "");
    let told = app.post_form_as("/oauth/introspect", &service, &[("token", &jwt)]).await;
    assert_eq!(told.json["iss"], answer.json["issuer"]);
    // Where RFC 8414 §3.1 has clients look, and nowhere else.
    let there = app.get(&format!("{PATH}/sign/in")).await;
    assert_eq!((there.status, &there.json), (200, &answer.json));
    for path in ["/", "/sign", "/sign/in/x", "/sign%2Fin%2F..", "/SIGN/in", "//sign/in", "/other"] {
        app.get(&format!("{PATH}{path}")).await.assert_problem(404, "not_found");
    }
}

#[actix_web::test]
async fn an_issuer_without_a_path_has_one_place() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for path in ["/", "/x"] {
        app.get(&format!("{PATH}{path}")).await.assert_problem(404, "not_found");
    }
}

#[actix_web::test]
async fn every_grant_that_is_named_is_one_that_is_taken() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let metadata = app.get(PATH).await.json;
    let grants = metadata["grant_types_supported"].as_array().expect("a list");
    let mut answers = BTreeSet::new();
    for grant in grants.iter().filter_map(Value::as_str).chain(["password", "implicit"]) {
        let answer = app.post_form("/oauth/token", &[("grant_type", grant)]).await;
        if answer.json["error"] == "unsupported_grant_type" {
            answers.insert(grant.to_owned());
        }
    }
    assert_eq!(answers, BTreeSet::from(["implicit".to_owned(), "password".to_owned()]));
}
