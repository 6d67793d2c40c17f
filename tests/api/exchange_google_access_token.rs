//! `POST /auth/google` with an access token: `tokeninfo` says for whom it was made, `userinfo` who it is, and both must
//! speak of one person.

use serde_json::{Value, json};
use tokenbooth::mock::google::{IOS_CLIENT_ID, WEB_CLIENT_ID};
use tokenbooth::mock::{Endpoint, Fault, Grant, Person};

use crate::databases::TestDatabase;
use crate::support::TestApp;

async fn start() -> TestApp {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    app.warm().await;
    app.mock.forget_requests();
    app
}

/// How often Google was asked for: (tokeninfo, userinfo, anything).
fn asked(app: &TestApp) -> (u64, u64, u64) {
    let mock = &app.mock;
    (mock.requests(Endpoint::Tokeninfo), mock.requests(Endpoint::Userinfo), mock.total_requests())
}

/// A grant whose `tokeninfo` answer is changed.
fn with_tokeninfo(changes: Value) -> Grant {
    Grant { tokeninfo: changes, ..Grant::default() }
}

/// A grant whose `userinfo` answer is changed.
fn with_userinfo(changes: Value) -> Grant {
    Grant { userinfo: changes, ..Grant::default() }
}

on_both_databases! {
    async fn an_access_token_of_our_app_signs_in_with_one_request_to_each_endpoint(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.warm().await;
        app.mock.forget_requests();
        let first = app.exchange_google_access_token(Person::named("dora")).await.assert_signed_in();
        assert!(first.created);
        assert_eq!(first.json["user"]["email"], "dora@example.com");
        assert_eq!(first.json["user"]["name"], "Dora Example");
        assert_eq!(asked(&app), (1, 1, 2));
        // The same person by ID token is the same user.
        let second = app.sign_in(Person::named("dora")).await;
        assert_eq!((second.user_id, second.created), (first.user_id, false));
    }
}

#[actix_web::test]
async fn every_client_of_our_app_may_have_got_the_token() {
    let app = start().await;
    for (aud, azp) in
        [(IOS_CLIENT_ID, None), (WEB_CLIENT_ID, Some(IOS_CLIENT_ID)), (IOS_CLIENT_ID, Some(WEB_CLIENT_ID))]
    {
        let grant = Grant { aud: aud.into(), azp: azp.map(str::to_owned), ..Grant::default() };
        app.exchange_google_access_token(grant).await.assert_signed_in();
    }
    // Older answers have no azp.
    app.exchange_google_access_token(with_tokeninfo(json!({ "azp": null }))).await.assert_signed_in();
}

#[actix_web::test]
async fn a_token_made_for_another_app_is_refused_before_anyone_asks_whose_it_is() {
    let app = start().await;
    let foreign = [
        "other.apps.googleusercontent.com".to_owned(),
        format!("{WEB_CLIENT_ID}-evil"),
        format!("evil-{WEB_CLIENT_ID}"),
        format!("{WEB_CLIENT_ID} "),
        WEB_CLIENT_ID.to_uppercase(),
        WEB_CLIENT_ID.trim_end_matches("com").to_owned(),
        "demo".to_owned(),
        format!("{WEB_CLIENT_ID},{IOS_CLIENT_ID}"),
        String::new(),
        "*".to_owned(),
    ];
    for client_id in &foreign {
        let aud = Grant { aud: client_id.clone(), azp: Some(WEB_CLIENT_ID.into()), ..Grant::default() };
        let answer = app.exchange_google_access_token(aud).await;
        let detail = answer.assert_problem(401, "audience_mismatch");
        assert!(detail.contains("audience") && detail.contains("providers.google.client_ids"), "{detail}");

        let azp = Grant { azp: Some(client_id.clone()), ..Grant::default() };
        let answer = app.exchange_google_access_token(azp).await;
        let detail = answer.assert_problem(401, "audience_mismatch");
        assert!(detail.contains("azp") && detail.contains("providers.google.client_ids"), "{detail}");
    }
    assert_eq!(asked(&app), (20, 0, 20), "the second endpoint remembers");
    assert_eq!(app.db.count("users"), 0);
}

#[actix_web::test]
async fn an_expired_token_is_refused() {
    let app = start().await;
    for grant in [
        Grant { expires_in: -1, ..Grant::default() },
        Grant { expires_in: 0, ..Grant::default() },
        with_tokeninfo(json!({ "expires_in": "0" })),
        with_tokeninfo(json!({ "expires_in": -5 })),
        with_tokeninfo(json!({ "expires_in": null, "exp": "1000000000" })),
        with_tokeninfo(json!({ "expires_in": null, "exp": 1_000_000_000 })),
    ] {
        app.exchange_google_access_token(grant).await.assert_problem(401, "token_expired");
    }
    assert_eq!(app.mock.requests(Endpoint::Userinfo), 0);
}

#[actix_web::test]
async fn scalars_are_read_as_strings_and_as_numbers() {
    let app = start().await;
    for changes in [
        json!({ "expires_in": "3599" }),
        json!({ "expires_in": 3599 }),
        json!({ "expires_in": null, "exp": "4102444800" }),
        json!({ "expires_in": null, "exp": 4_102_444_800_i64 }),
    ] {
        app.exchange_google_access_token(with_tokeninfo(changes)).await.assert_signed_in();
    }
    // What tells nothing of the token's end is Google's fault, and no login.
    for changes in [
        json!({ "expires_in": null, "exp": null }),
        json!({ "expires_in": "soon", "exp": null }),
        json!({ "expires_in": "", "exp": [] }),
        json!({ "expires_in": true, "exp": "1e9" }),
    ] {
        let answer = app.exchange_google_access_token(with_tokeninfo(changes)).await;
        answer.assert_provider_unavailable();
        assert_eq!(answer.status, 502);
    }
}

#[actix_web::test]
async fn an_answer_of_another_shape_is_the_providers_trouble() {
    let app = start().await;
    for changes in
        [json!({ "aud": null }), json!({ "aud": [WEB_CLIENT_ID] }), json!({ "aud": 5 }), json!({ "azp": {} })]
    {
        let answer = app.exchange_google_access_token(with_tokeninfo(changes.clone())).await;
        assert_eq!(answer.status, 502, "{changes}: {}", answer.text);
        answer.assert_provider_unavailable();
    }
    for changes in [json!({ "sub": null }), json!({ "sub": 5 })] {
        let answer = app.exchange_google_access_token(with_userinfo(changes.clone())).await;
        assert_eq!(answer.status, 502, "{changes}: {}", answer.text);
        answer.assert_provider_unavailable();
    }
    assert_eq!(app.db.count("users"), 0);
}

#[actix_web::test]
async fn both_answers_must_speak_of_the_same_person() {
    let app = start().await;
    let victim = app.sign_in(Person::named("victim")).await;
    for grant in [
        with_userinfo(json!({ "sub": Person::named("victim").sub })),
        with_tokeninfo(json!({ "sub": Person::named("victim").sub })),
        with_userinfo(json!({ "sub": "" })),
        with_userinfo(json!({ "sub": format!("{} ", Person::default().sub) })),
    ] {
        app.exchange_google_access_token(grant).await.assert_problem(401, "invalid_token");
    }
    // Alike, and still nobody's id.
    for sub in ["", "a\u{0}b", &"1".repeat(256)] {
        let both = json!({ "sub": sub });
        let grant = Grant { tokeninfo: both.clone(), userinfo: both, ..Grant::default() };
        app.exchange_google_access_token(grant).await.assert_problem(401, "invalid_token");
    }
    assert_eq!(app.db.count("users"), 1);
    assert_eq!(app.me(&victim.jwt).await.status, 200);
}

#[actix_web::test]
async fn a_token_without_the_openid_scope_is_told_which_scopes_it_lacks() {
    let app = start().await;
    let answer = app.exchange_google_access_token(with_tokeninfo(json!({ "sub": null }))).await;
    let detail = answer.assert_problem(401, "invalid_token");
    assert!(detail.contains("openid"), "{detail}");
    assert_eq!(app.db.count("users"), 0);
}

#[actix_web::test]
async fn a_revoked_token_is_refused() {
    let app = start().await;
    let token = app.mock.google().access_token(Person::default());
    let body = json!({ "access_token": token });
    app.exchange("google", &body).await.assert_signed_in();
    app.mock.google().revoke(&token);
    app.exchange("google", &body).await.assert_problem(401, "invalid_token");
    // Revoked between the two questions.
    app.mock.set_fault(Endpoint::Userinfo, Fault::Status(401));
    let answer = app.exchange_google_access_token(Person::default()).await;
    let detail = answer.assert_problem(401, "invalid_token");
    assert!(detail.contains("userinfo"), "{detail}");
}

#[actix_web::test]
async fn only_the_boolean_true_verifies_an_e_mail() {
    let app = start().await;
    for (number, (verified, email)) in [
        (json!(true), Some("p0@example.com")),
        (json!(false), None),
        (json!("true"), None),
        (json!("false"), None),
        (json!(1), None),
        (json!([true]), None),
        (Value::Null, None),
    ]
    .into_iter()
    .enumerate()
    {
        let person = Person::named(&format!("p{number}"));
        let grant = Grant { userinfo: json!({ "email_verified": verified }), ..person.into() };
        let signed_in = app.exchange_google_access_token(grant).await.assert_signed_in();
        assert_eq!(signed_in.json["user"]["email"].as_str(), email, "email_verified: {verified}");
        assert_eq!(app.me(&signed_in.jwt).await.json["email"].as_str(), email);
    }
    // What tokeninfo says of the address does not count: `userinfo` is the one that is read.
    let grant = Grant {
        tokeninfo: json!({ "email_verified": "true" }),
        userinfo: json!({ "email_verified": null }),
        ..Person::named("q").into()
    };
    let signed_in = app.exchange_google_access_token(grant).await.assert_signed_in();
    assert_eq!(signed_in.json["user"]["email"], Value::Null);
}

#[actix_web::test]
async fn what_cannot_be_an_access_token_is_refused_before_any_request() {
    let app = start().await;
    let id_token = app.mock.google().id_token(json!({}));
    let mut bad: Vec<String> = [
        "ya29.a\u{0}b",
        "ya29.a\nb",
        "ya29.a\r\nX-Evil: 1",
        "ya29.a b",
        " ya29.a",
        "ya29.a ",
        "ya29.\u{e4}",
        "ya29.\u{7f}",
        "\u{1f600}",
    ]
    .map(str::to_owned)
    .into();
    bad.push(format!("ya29.{}", "a".repeat(2995)));
    bad.push("a".repeat(2049));
    bad.push("a".repeat(60_000));
    bad.push(id_token);
    for token in bad {
        let answer = app.exchange("google", &json!({ "access_token": token })).await;
        let detail = answer.assert_problem(401, "invalid_token");
        assert!(!detail.contains(&token), "the detail repeats the token: {detail}");
    }
    assert_eq!(asked(&app), (0, 0, 0));
}

#[actix_web::test]
async fn a_token_google_does_not_know_is_asked_for_once() {
    let app = start().await;
    for token in ["ya29.unknown", "a&b=c#d%zz?", "../../userinfo", &"a".repeat(2048)] {
        app.exchange("google", &json!({ "access_token": token })).await.assert_problem(401, "invalid_token");
    }
    assert_eq!(asked(&app), (4, 0, 4), "the second endpoint remembers");
}
