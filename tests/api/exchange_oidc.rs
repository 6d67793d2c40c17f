//! `POST /auth/{name}`: an OpenID Connect provider that is only a block of settings, here `acme`.

use serde_json::json;
use tokenbooth::mock::{Endpoint, MockProviders, Person, SigningKey, oidc};

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::browser::Browser;

on_both_databases! {
    async fn its_id_token_signs_in(db: TestDatabase) {
        let app = TestApp::start(db).await.at_both_doors();
        let token = app.mock.oidc().id_token(Person::named("olga").claims());
        let first = app.exchange("acme", &json!({ "id_token": token })).await.assert_signed_in();
        assert!(first.created);
        assert_eq!(first.json["user"]["email"], "olga@example.com");
        assert_eq!(app.me(&first.jwt).await.json["id"], first.user_id.as_str());
        let again = app.exchange("acme", &json!({ "id_token": token })).await.assert_signed_in();
        assert_eq!((again.user_id.as_str(), again.created), (first.user_id.as_str(), false));
        // The same `sub` at another provider is another person.
        let other = app.sign_in(Person::named("olga")).await;
        assert_ne!(other.user_id, first.user_id);
    }
}

#[actix_web::test]
async fn it_may_sign_with_es256() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("jwks.cooldown", "1ms"))
        .await
        .at_both_doors();
    let key = SigningKey::es256().expect("a key");
    app.mock.oidc().keys().use_key(&key);
    let token = app.mock.oidc().id_token(json!({}));
    app.exchange("acme", &json!({ "id_token": token })).await.assert_signed_in();
    // The older RSA key still counts.
    let rsa = app.mock.oidc().keys().published();
    assert_eq!(rsa.len(), 2);
}

#[actix_web::test]
async fn tokens_of_another_issuer_are_refused() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    app.warm().await;
    let google = app.mock.google().id_token(json!({}));
    let answer = app.exchange("acme", &json!({ "id_token": google })).await;
    let detail = answer.assert_problem(401, "issuer_mismatch");
    assert!(detail.contains("https://accounts.google.com"), "{detail}");
    let acme = app.mock.oidc().id_token(json!({}));
    app.exchange("google", &json!({ "id_token": acme })).await.assert_problem(401, "issuer_mismatch");

    // Signed by its own key, and yet not its own.
    let issuer = format!("{}/oidc", app.mock.base_url());
    for iss in [
        json!("https://accounts.google.com"),
        json!(format!("{issuer}/")),
        json!(format!("{issuer}/.well-known/openid-configuration")),
        json!(issuer.to_uppercase()),
        json!(issuer.trim_start_matches("http://")),
        json!([issuer]),
        json!({ "iss": issuer }),
        json!(5),
        json!(""),
        json!(null),
    ] {
        let token = app.mock.oidc().id_token(json!({ "iss": iss }));
        let answer = app.exchange("acme", &json!({ "id_token": token })).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("issuer_mismatch")), "{iss}");
    }
    assert_eq!(app.db.count("users"), 0);
}

#[actix_web::test]
async fn two_issuers_with_one_key_id_do_not_share_keys() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let (ours, theirs) =
        (mock.oidc().keys().current().with_kid("1"), mock.google().keys().current().with_kid("1"));
    mock.oidc().keys().publish_only(vec![ours.jwk()]);
    mock.google().keys().publish_only(vec![theirs.jwk()]);
    mock.oidc().keys().sign_with(&ours);
    mock.google().keys().sign_with(&theirs);
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| sources).await.at_both_doors();
    app.exchange("acme", &json!({ "id_token": app.mock.oidc().id_token(json!({})) }))
        .await
        .assert_signed_in();
    app.exchange_id_token(&app.mock.google().id_token(json!({}))).await.assert_signed_in();

    app.mock.oidc().keys().sign_with(&theirs);
    let crossed = app.mock.oidc().id_token(json!({}));
    app.exchange("acme", &json!({ "id_token": crossed })).await.assert_problem(401, "invalid_token");
}

#[actix_web::test]
async fn only_tokens_for_our_client_are_accepted() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    for claims in [
        json!({ "aud": "another-client" }),
        json!({ "aud": format!("{}-evil", oidc::CLIENT_ID) }),
        json!({ "aud": oidc::CLIENT_ID.to_uppercase() }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": [oidc::CLIENT_ID, "another-client"] }),
        json!({ "aud": oidc::CLIENT_ID, "azp": "another-client" }),
        // Google's client id is ours, and not here.
        json!({ "aud": tokenbooth::mock::google::WEB_CLIENT_ID }),
    ] {
        let token = app.mock.oidc().id_token(claims.clone());
        let answer = app.exchange("acme", &json!({ "id_token": token })).await;
        let detail = answer.assert_problem(401, "audience_mismatch");
        assert!(detail.contains("providers.acme.client_ids"), "{claims}: {detail}");
    }
}

#[actix_web::test]
async fn a_discovery_document_of_another_issuer_is_not_used() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let own = mock.oidc().discovery()["issuer"].clone();
    for issuer in [
        json!("https://evil.example"),
        json!(format!("{}/", own.as_str().expect("an issuer"))),
        json!("https://accounts.google.com"),
        json!([own]),
        json!(null),
    ] {
        mock.oidc().set_discovery(json!({ "issuer": issuer }));
        let app = TestApp::start_beside(mock.clone(), TestDatabase::sqlite(), |sources| sources)
            .await
            .at_both_doors();
        let token = mock.oidc().id_token(json!({}));
        let answer = app.exchange("acme", &json!({ "id_token": token })).await;
        assert_eq!(answer.status, 502, "{issuer}: {}", answer.text);
        answer.assert_provider_unavailable();
        // Google does not suffer.
        app.exchange_id_token(&mock.google().id_token(json!({}))).await.assert_signed_in();
    }
    assert_eq!(mock.requests(Endpoint::OidcJwks), 0, "the keys of a wrong issuer were fetched");
}

#[actix_web::test]
async fn a_key_url_without_tls_elsewhere_than_on_loopback_is_not_used() {
    let mock = MockProviders::start().await.expect("the mock starts");
    mock.oidc().set_discovery(json!({ "jwks_uri": "http://keys.example/jwks" }));
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| sources).await.at_both_doors();
    let token = app.mock.oidc().id_token(json!({}));
    let answer = app.exchange("acme", &json!({ "id_token": token })).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    answer.assert_provider_unavailable();
}

#[actix_web::test]
async fn the_issuer_can_be_set_when_it_does_not_follow_from_the_discovery_url() {
    let mock = MockProviders::start().await.expect("the mock starts");
    mock.oidc().set_discovery(json!({ "issuer": "https://id.mail.com/tenant" }));
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| {
        sources.with("providers.acme.issuer", "https://id.mail.com/tenant")
    })
    .await
    .at_both_doors();
    let token = app.mock.oidc().id_token(json!({ "iss": "https://id.mail.com/tenant" }));
    app.exchange("acme", &json!({ "id_token": token })).await.assert_signed_in();
    let token = app.mock.oidc().id_token(json!({}));
    app.exchange("acme", &json!({ "id_token": token })).await.assert_problem(401, "issuer_mismatch");
}

#[actix_web::test]
async fn access_tokens_are_not_taken() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    app.warm().await;
    app.mock.forget_requests();
    let token = app.mock.oidc().access_token(Person::default());
    app.exchange("acme", &json!({ "access_token": token })).await.assert_problem(400, "invalid_request");
    // As `token` it is looked at as the one kind there is, and is none.
    app.exchange("acme", &json!({ "token": token })).await.assert_problem(401, "invalid_token");
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn a_required_nonce_must_be_sent_and_must_match() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("providers.acme.nonce", "required")
    })
    .await
    .at_both_doors();
    let with = app.mock.oidc().id_token(json!({ "nonce": "n-0S6_WzA2Mj" }));
    let without = app.mock.oidc().id_token(json!({}));
    let accepted = json!({ "id_token": with, "nonce": "n-0S6_WzA2Mj" });
    app.exchange("acme", &accepted).await.assert_signed_in();
    for body in [
        json!({ "id_token": with }),
        json!({ "id_token": with, "nonce": "another" }),
        json!({ "id_token": with, "nonce": "" }),
        json!({ "id_token": with, "nonce": null }),
        json!({ "id_token": with, "nonce": "N-0S6_WZA2MJ" }),
        json!({ "id_token": without, "nonce": "n-0S6_WzA2Mj" }),
        json!({ "id_token": without, "nonce": "" }),
        json!({ "id_token": without }),
    ] {
        app.exchange("acme", &body).await.assert_problem(401, "nonce_mismatch");
    }
    let answer = app.exchange("acme", &json!({ "id_token": without })).await;
    assert!(answer.assert_problem(401, "nonce_mismatch").contains("providers.acme.nonce"));
    // An empty nonce on both sides is none.
    let empty = app.mock.oidc().id_token(json!({ "nonce": "" }));
    app.exchange("acme", &json!({ "id_token": empty, "nonce": "" }))
        .await
        .assert_problem(401, "nonce_mismatch");
    // Google's stays optional.
    app.exchange_id_token(&app.mock.google().id_token(json!({}))).await.assert_signed_in();
}

#[actix_web::test]
async fn whose_word_on_an_address_is_believed_is_a_setting() {
    for (setting, word, verified) in [
        ("boolean", json!(true), true),
        ("boolean", json!("true"), false),
        ("text", json!(true), true),
        ("text", json!("true"), true),
        ("text", json!("false"), false),
        ("text", json!("True"), false),
        ("text", json!(1), false),
        ("text", json!(null), false),
        ("never", json!(true), false),
        ("never", json!("true"), false),
    ] {
        let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
            sources.with("providers.acme.email_verified", setting)
        })
        .await;
        let token = app.mock.oidc().id_token(json!({ "email_verified": word }));
        let answer = app.exchange("acme", &json!({ "id_token": token })).await.assert_signed_in();
        let email = if verified { json!("alice@example.com") } else { json!(null) };
        assert_eq!(answer.json["user"]["email"], email, "{setting} {word}");
        // Google's rules are its own.
        let google = app.sign_in(Person::named("bob")).await;
        assert_eq!(google.json["user"]["email"], "bob@example.com");
    }
}

#[actix_web::test]
async fn scopes_and_the_place_of_the_secret_are_settings() {
    for (method, authorization) in [("client_secret_post", None), ("client_secret_basic", Some("basic"))] {
        let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
            sources
                .with("providers.acme.scopes", "openid,profile,urn:acme:staff")
                .with("providers.acme.token_endpoint_auth_method", method)
                .with("providers.acme.email_verified", "never")
        })
        .await;
        let mut browser = Browser::at(&app);
        let there = browser.visit("/auth/acme/login").await;
        let scope = "&scope=openid+profile+urn%3Aacme%3Astaff&";
        assert!(there.header("location").contains(scope), "{}", there.header("location"));
        assert_eq!(browser.sign_in("acme", "alice").await.status, 302);
        let seen = app.mock.seen();
        let token =
            seen.iter().find(|request| request.path == Endpoint::OidcToken.path()).expect("a request");
        assert_eq!(token.authorization, authorization);
        // Where no address is looked at, none is asked for.
        assert_eq!(app.mock.requests(Endpoint::OidcUserinfo), 0);
    }
}
