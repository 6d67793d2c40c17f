//! `POST /auth/{name}` with `kind = "apple"`: truth as text, addresses at a relay, and a client secret made of a key.

use serde_json::{Value, json};
use tokenbooth::mock::apple::{BUNDLE_ID, SERVICES_ID};
use tokenbooth::mock::{MockProviders, Person, SigningKey};

use crate::databases::TestDatabase;
use crate::form_post::sign_in;
use crate::support::browser::Browser;
use crate::support::{Answer, TestApp};

async fn start(change: &[(&str, &str)]) -> TestApp {
    TestApp::start_with_further_providers(TestDatabase::sqlite(), |sources| {
        change.iter().fold(sources, |sources, (key, value)| sources.with(key, *value))
    })
    .await
}

async fn exchange(app: &TestApp, claims: Value) -> Answer {
    let token = app.mock.apple().id_token(claims);
    app.exchange("apple", &json!({ "id_token": token })).await
}

on_both_databases! {
    async fn its_word_on_an_address_may_be_a_text(db: TestDatabase) {
        let app = TestApp::start_with_further_providers(db, |sources| sources).await;
        for (word, verified) in [
            (json!("true"), true),
            (json!(true), true),
            (json!("false"), false),
            (json!(false), false),
            (json!(null), false),
            (json!("TRUE"), false),
            (json!("yes"), false),
            (json!(1), false),
            (json!(["true"]), false),
            (json!({ "true": true }), false),
        ] {
            let claims = json!({ "sub": format!("000{word}.a.0"), "email_verified": word });
            let answer = exchange(&app, claims).await.assert_signed_in();
            let email = if verified { json!("alice@example.com") } else { Value::Null };
            assert_eq!(answer.json["user"]["email"], email, "{word}");
            assert_eq!(answer.json["user"]["name"], Value::Null);
        }
        // Everywhere else a text is no truth.
        for (provider, issuer) in [("acme", app.mock.oidc()), ("google", app.mock.google()), ("gitlab", app.mock.gitlab())] {
            let token = issuer.id_token(json!({ "email_verified": "true" }));
            let answer = app.exchange(provider, &json!({ "id_token": token })).await.assert_signed_in();
            assert_eq!(answer.json["user"]["email"], Value::Null, "{provider}");
        }
    }
}

#[actix_web::test]
async fn an_address_at_the_relay_is_an_address() {
    let app = start(&[("accounts.link_verified_email", "true")]).await;
    let hidden = "dpdcnf87nu@privaterelay.appleid.com";
    let person = Person { email: Some(hidden.to_owned()), ..Person::named("alice") };
    let token = app.mock.apple().id_token_of(&person, json!({}));
    assert_eq!(app.mock.apple().claims_of(&person, json!({}))["is_private_email"], "true");
    let answer = app.exchange("apple", &json!({ "id_token": token })).await.assert_signed_in();
    assert_eq!(answer.json["user"]["email"], hidden);
    // It is nobody's anywhere else, and so finds nobody there.
    let google = app.sign_in(Person::named("alice")).await;
    assert_ne!(google.user_id, answer.user_id);
}

#[actix_web::test]
async fn tokens_of_the_page_and_of_the_app_are_ours_and_no_others() {
    let app = start(&[("jwks.cooldown", "1ms")]).await;
    for aud in [SERVICES_ID, BUNDLE_ID] {
        exchange(&app, json!({ "aud": aud })).await.assert_signed_in();
    }
    for aud in
        [json!("com.example"), json!("com.example.app.evil"), json!([BUNDLE_ID, "com.evil"]), json!("*")]
    {
        let answer = exchange(&app, json!({ "aud": aud })).await;
        let detail = answer.assert_problem(401, "audience_mismatch");
        assert!(detail.contains("providers.apple.client_ids"), "{detail}");
    }
    for iss in [
        "http://appleid.apple.com",
        "https://appleid.apple.com/",
        "https://apple.com",
        "https://idmsa.apple.com",
    ] {
        exchange(&app, json!({ "iss": iss })).await.assert_problem(401, "issuer_mismatch");
    }
    // Apple changes its keys when it likes; whatever their ids, none but Apple's own will do.
    let apple = app.mock.apple();
    let known = apple.keys().rotate().expect("a key");
    exchange(&app, json!({})).await.assert_signed_in();
    apple.keys().sign_with(&SigningKey::foreign().expect("a key").with_kid(known.kid()));
    exchange(&app, json!({})).await.assert_problem(401, "invalid_token");
}

#[actix_web::test]
async fn apple_goes_by_two_names_and_by_no_third() {
    for (name, good) in [
        ("https://appleid.apple.com", true),
        ("https://account.apple.com", true),
        ("https://account.apple.com/", false),
        ("https://evil.example", false),
    ] {
        let mock = MockProviders::start().await.expect("the mock starts");
        mock.apple().set_discovery(json!({ "issuer": name }));
        let app = TestApp::start_further_beside(mock, TestDatabase::sqlite(), |sources| sources).await;
        // Its document and its tokens have not always agreed.
        for iss in ["https://appleid.apple.com", "https://account.apple.com"] {
            let answer = exchange(&app, json!({ "iss": iss })).await;
            if good {
                answer.assert_signed_in();
            } else {
                assert_eq!(answer.status, 502, "{name}: {}", answer.text);
            }
        }
    }
    // A name that is set is the one.
    let app = start(&[("providers.apple.issuer", "https://appleid.apple.com")]).await;
    exchange(&app, json!({})).await.assert_signed_in();
    exchange(&app, json!({ "iss": "https://account.apple.com" }))
        .await
        .assert_problem(401, "issuer_mismatch");
}

#[actix_web::test]
async fn a_nonce_that_was_sent_must_be_there_even_where_apple_says_it_supports_none() {
    let app = start(&[]).await;
    let with =
        |claims: Value, nonce: &str| json!({ "id_token": app.mock.apple().id_token(claims), "nonce": nonce });
    app.exchange("apple", &with(json!({ "nonce": "n-1" }), "n-1")).await.assert_signed_in();
    for claims in [json!({ "nonce": "n-2" }), json!({}), json!({ "nonce_supported": false })] {
        app.exchange("apple", &with(claims, "n-1")).await.assert_problem(401, "nonce_mismatch");
    }
}

#[actix_web::test]
async fn the_client_secret_is_signed_by_the_teams_key_for_this_client_and_this_moment() {
    // The mock takes it only with the right signature, `kid`, `iss`, `sub`, `aud` and times.
    let app = start(&[]).await;
    let home = sign_in(&app, &mut Browser::at(&app), "alice").await;
    assert_eq!(home.status, 302, "{}", home.text);
    // Made when it is used: of yesterday's none is left.
    app.clock.advance(-24 * 60 * 60);
    let late = sign_in(&app, &mut Browser::at(&app), "alice").await;
    assert_eq!(late.status, 502, "{}", late.text);
    assert!(late.text.contains("team_id, key_id and private_key"), "{}", late.text);
    app.clock.advance(24 * 60 * 60);

    let other = MockProviders::start().await.expect("the mock starts");
    for (key, value) in
        [("private_key", other.apple().private_key()), ("key_id", "ABC123DEFX"), ("team_id", "DEF123GHIX")]
    {
        let app = start(&[(&format!("providers.apple.{key}"), value)]).await;
        let answer = sign_in(&app, &mut Browser::at(&app), "alice").await;
        assert_eq!(answer.status, 502, "{key}: {}", answer.text);
        assert_eq!(app.db.count("users"), 0);
    }
}

#[actix_web::test]
async fn a_key_may_be_in_a_file_or_in_one_line() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("text").to_owned();
    let mock = MockProviders::start().await.expect("the mock starts");
    std::fs::write(&path, mock.apple().private_key()).expect("written");
    let in_one_line = mock.apple().private_key().replace('\n', "\\n");
    for (key, value) in [("private_key_file", &path), ("private_key", &in_one_line)] {
        let settings = mock.apple_settings("apple");
        let app = TestApp::start_beside(mock.clone(), TestDatabase::sqlite(), |sources| {
            let given = settings.into_iter().filter(|(name, _)| !name.ends_with(".private_key"));
            given
                .fold(sources, |sources, (key, value)| sources.with(&key, value))
                .with(&format!("providers.apple.{key}"), value)
        })
        .await;
        assert_eq!(sign_in(&app, &mut Browser::at(&app), "alice").await.status, 302, "{key}");
    }
}

#[actix_web::test]
async fn without_a_key_there_are_tokens_only() {
    let app = start(&[
        ("providers.apple.team_id", ""),
        ("providers.apple.key_id", ""),
        ("providers.apple.private_key", ""),
    ])
    .await;
    exchange(&app, json!({})).await.assert_signed_in();
    let answer = app.get("/auth/apple/login").await;
    let detail = answer.assert_problem(404, "unknown_provider");
    assert!(detail.ends_with("providers.apple.team_id, key_id and private_key"), "{detail}");
    let page = Browser::at(&app).visit("/sign-in").await.text;
    assert!(page.contains("sign-in-microsoft") && !page.contains("sign-in-apple"), "{page}");
}
