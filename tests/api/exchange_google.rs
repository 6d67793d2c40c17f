//! Google ID tokens at `POST /auth/google`: which are good, and that every other is refused with the code and the
//! detail that tell its owner why.

use serde_json::{Value, json};
use tokenbooth::clock::{Clock, SystemClock};
use tokenbooth::mock::google::{IOS_CLIENT_ID, WEB_CLIENT_ID};
use tokenbooth::mock::{Person, Signature, SigningKey, compact};

use crate::databases::TestDatabase;
use crate::support::TestApp;

fn now() -> i64 {
    SystemClock.now().0
}

/// Google's token with the claim set to this JSON text, which need not fit any number type; `None` leaves it out.
fn with_claim(app: &TestApp, claim: &str, json_text: Option<&str>) -> String {
    with_claims(app, &[(claim, json_text)])
}

fn with_claims(app: &TestApp, changes: &[(&str, Option<&str>)]) -> String {
    let google = app.mock.google();
    let mut claims = google.claims(json!({}));
    for (claim, json_text) in changes {
        match json_text {
            Some(_) => claims[claim] = json!(format!("<{claim}>")),
            None => drop(claims.as_object_mut().expect("claims").remove(*claim)),
        }
    }
    let mut payload = claims.to_string();
    for (claim, json_text) in changes {
        if let Some(json_text) = json_text {
            payload = payload.replace(&format!("\"<{claim}>\""), json_text);
        }
    }
    let key = google.keys().current();
    compact(key.header().to_string(), payload, Signature::Key(&key))
}

fn text(value: impl AsRef<str>) -> String {
    json!(value.as_ref()).to_string()
}

/// Asserts a 401 with this code; answers the detail.
#[track_caller]
fn refused(what: &str, answer: &crate::support::Answer, code: &str) -> String {
    assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some(code)), "{what}: {}", answer.text);
    answer.assert_problem(401, code).to_owned()
}

on_both_databases! {
    async fn both_issuer_spellings_and_both_client_ids_sign_the_same_person_in(db: TestDatabase) {
        let app = TestApp::start(db).await.at_both_doors();
        let mut users = Vec::new();
        for iss in ["https://accounts.google.com", "accounts.google.com"] {
            for aud in [WEB_CLIENT_ID, IOS_CLIENT_ID] {
                let token = app.mock.google().id_token(json!({ "iss": iss, "aud": aud }));
                let signed_in = app.exchange_id_token(&token).await.assert_signed_in();
                assert_eq!(signed_in.created, users.is_empty(), "{iss} {aud}");
                assert_eq!(app.me(&signed_in.jwt).await.status, 200);
                users.push(signed_in.user_id);
            }
        }
        users.dedup();
        assert_eq!(users.len(), 1, "one sub of one provider is one user");
        assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 1));
    }

    async fn subjects_that_differ_in_anything_are_different_people(db: TestDatabase) {
        let app = TestApp::start(db).await.at_both_doors();
        let longest = "x".repeat(255);
        let subjects = ["abc", "ABC", "abc ", " abc", "äbc", "a\u{308}bc", "' OR 1=1 --", "%", "_", "{\"$ne\":null}", &longest];
        for sub in subjects {
            let token = app.mock.google().id_token(json!({ "sub": sub }));
            let first = app.exchange_id_token(&token).await.assert_signed_in();
            assert!(first.created, "{sub:?} is nobody known");
            let again = app.exchange_id_token(&token).await.assert_signed_in();
            assert_eq!((again.created, &again.user_id), (false, &first.user_id), "{sub:?}");
        }
        assert_eq!(usize::try_from(app.db.count("users")), Ok(subjects.len()));
    }

    async fn a_refused_token_stores_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await.at_both_doors();
        let google = app.mock.google();
        for changes in [
            json!({ "aud": "x-ios" }),
            json!({ "iss": "https://accounts.google.evil.com" }),
            json!({ "iat": 1_000_000_000 }),
            json!({ "sub": "" }),
        ] {
            let answer = app.exchange_id_token(&google.id_token(changes.clone())).await;
            assert_eq!(answer.status, 401, "{changes}: {}", answer.text);
        }
        assert_eq!((app.db.count("users"), app.db.count("identities")), (0, 0));
    }

    async fn nobody_is_signed_in_as_whom_the_request_claims(db: TestDatabase) {
        let app = TestApp::start(db).await.at_both_doors();
        let bob = app.sign_in(Person::named("bob")).await;
        let alice = Person::named("alice");
        let answer = app.exchange("google", &json!({
            "id_token": app.mock.google().id_token(alice.claims()),
            "sub": Person::named("bob").sub, "id": bob.user_id, "user_id": bob.user_id,
            "email": "bob@example.com", "email_verified": true, "name": "Bob", "admin": true,
        })).await;
        let signed_in = answer.assert_signed_in();
        assert!(signed_in.created);
        assert_ne!(signed_in.user_id, bob.user_id);
        assert_eq!(signed_in.json["user"]["email"], json!(alice.email));
        assert_eq!(app.me(&signed_in.jwt).await.json["admin"], false);
    }
}

#[actix_web::test]
async fn an_audience_is_good_only_when_it_is_exactly_ours() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    let (web, ios) = (WEB_CLIENT_ID, IOS_CLIENT_ID);
    let evil = "evil.apps.googleusercontent.com";
    let good: [(Value, Option<&str>); 7] = [
        (json!(web), Some(web)),
        (json!(web), None),
        (json!(ios), Some(web)),
        (json!([ios]), Some(ios)),
        (json!([ios]), None),
        (json!([web, ios]), Some(web)),
        (json!([evil, web]), Some(ios)),
    ];
    for (aud, azp) in good {
        let azp_text = azp.map(text);
        let token = with_claims(&app, &[("aud", Some(&aud.to_string())), ("azp", azp_text.as_deref())]);
        let answer = app.exchange_id_token(&token).await;
        assert_eq!(answer.status, 200, "{aud} {azp:?}: {}", answer.text);
    }

    let setting = "providers.google.client_ids";
    let named = |id: &str| format!("token audience \"{id}\" is not in {setting}");
    let strangers = [
        "x-ios".to_owned(),
        evil.to_owned(),
        web[..web.len() - 1].to_owned(),
        web[1..].to_owned(),
        format!("{web}x"),
        format!("x{web}"),
        format!("{web} "),
        format!("{web},{ios}"),
        web.to_uppercase(),
        "demo-web".to_owned(),
        ".apps.googleusercontent.com".to_owned(),
        "*".to_owned(),
        String::new(),
    ];
    for stranger in strangers {
        for aud in [json!(stranger), json!([stranger])] {
            for azp in [None, Some(text(web))] {
                let claims = [("aud", Some(aud.to_string())), ("azp", azp)];
                let claims = claims.each_ref().map(|(name, text)| (*name, text.as_deref()));
                let answer = app.exchange_id_token(&with_claims(&app, &claims)).await;
                let detail = refused(&aud.to_string(), &answer, "audience_mismatch");
                assert_eq!(detail, named(&stranger));
            }
        }
    }

    // Nothing that could be compared, or more than one to compare with.
    let ours = text(web);
    let theirs = text(evil);
    let cases = [
        (None, Some(ours.as_str())),
        (Some("null"), Some(&ours)),
        (Some("5"), Some(&ours)),
        (Some("true"), Some(&ours)),
        (Some("{}"), Some(&ours)),
        (Some("[]"), Some(&ours)),
        (Some("[null]"), Some(&ours)),
        (Some("[[]]"), Some(&ours)),
        (Some("[\"WEB\", 5]"), Some(&ours)),
        (Some("[\"WEB\", null]"), Some(&ours)),
        (Some("{\"WEB\": \"WEB\"}"), Some(&ours)),
        (Some("[\"WEB\", \"EVIL\"]"), None),
        (Some("[\"WEB\", \"IOS\"]"), None),
        (Some("[\"EVIL\", \"other\"]"), Some(&ours)),
    ];
    for (aud, azp) in cases {
        let aud = aud.map(|aud| aud.replace("WEB", web).replace("IOS", ios).replace("EVIL", evil));
        let token = with_claims(&app, &[("aud", aud.as_deref()), ("azp", azp)]);
        let what = format!("{aud:?} {azp:?}");
        let detail = refused(&what, &app.exchange_id_token(&token).await, "audience_mismatch");
        assert!(detail.contains(setting), "{what}: {detail}");
    }

    // The authorized party is checked wherever it stands.
    for aud in [format!("[{ours}, {theirs}]"), format!("[{ours}]"), ours] {
        for azp in [evil, "", "demo-web"] {
            let token = with_claims(&app, &[("aud", Some(&aud)), ("azp", Some(&text(azp)))]);
            let answer = app.exchange_id_token(&token).await;
            let detail = refused(&aud, &answer, "audience_mismatch");
            assert_eq!(detail, format!("token azp \"{azp}\" is not in {setting}"));
        }
        for azp in ["null", "5", "[]", "{}"] {
            let token = with_claims(&app, &[("aud", Some(&aud)), ("azp", Some(azp))]);
            refused(azp, &app.exchange_id_token(&token).await, "invalid_token");
        }
    }
}

#[actix_web::test]
async fn without_client_ids_there_is_no_google_rather_than_one_for_any_audience() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("providers.google.client_ids", "")
    })
    .await
    .at_both_doors();
    for aud in [WEB_CLIENT_ID, ""] {
        let token = app.mock.google().id_token(json!({ "aud": aud }));
        let answer = app.exchange_id_token(&token).await;
        answer.assert_problem(404, "unknown_provider");
    }
}

#[actix_web::test]
async fn an_issuer_is_good_only_in_googles_two_spellings() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    let strangers = [
        "https://accounts.google.com/",
        "http://accounts.google.com",
        "https://accounts.google.com.evil.com",
        "https://evil.com/https://accounts.google.com",
        "HTTPS://ACCOUNTS.GOOGLE.COM",
        " https://accounts.google.com",
        "accounts.google.com.",
        "google",
        "",
    ];
    for iss in strangers {
        let token = with_claim(&app, "iss", Some(&text(iss)));
        let answer = app.exchange_id_token(&token).await;
        assert_eq!(
            refused(iss, &answer, "issuer_mismatch"),
            format!(
                "token issuer \"{iss}\" is not google's, expected \"https://accounts.google.com\" or \"accounts.google.com\""
            )
        );
    }
    let no_text = [
        None,
        Some("null"),
        Some("5"),
        Some("true"),
        Some("{}"),
        Some("[]"),
        Some(r#"["https://accounts.google.com"]"#),
        Some(r#"["https://evil.com", "https://accounts.google.com"]"#),
    ];
    for iss in no_text {
        let token = with_claim(&app, "iss", iss);
        let answer = app.exchange_id_token(&token).await;
        refused(&format!("{iss:?}"), &answer, "issuer_mismatch");
    }
}

#[actix_web::test]
async fn the_request_chooses_neither_issuer_nor_keys() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    app.warm().await.mock.forget_requests();
    let acme = app.mock.oidc();
    let issuer = acme.discovery()["issuer"].clone();
    let token = acme.id_token(json!({ "aud": WEB_CLIENT_ID }));
    let answer = app
        .exchange(
            "google",
            &json!({
                "id_token": token, "iss": issuer, "issuer": issuer, "aud": WEB_CLIENT_ID,
                "client_id": WEB_CLIENT_ID, "provider": "acme",
                "jwks_uri": acme.discovery()["jwks_uri"], "discovery_url": format!("{issuer}"),
                "keys": [acme.keys().current().jwk()],
            }),
        )
        .await;
    refused("acme's token", &answer, "issuer_mismatch");
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn the_detail_tells_a_strangers_token_from_a_strangers_key() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    app.warm().await;
    let google = app.mock.google();
    let stranger = SigningKey::foreign().expect("a key");
    let sign = |key: &SigningKey, claims: Value| {
        compact(key.header().to_string(), claims.to_string(), Signature::Key(key))
    };

    let token = sign(&stranger, google.claims(json!({ "iat": app.clock.now().0 - 30 })));
    let answer = app.exchange_id_token(&token).await;
    let detail = refused("an unknown key", &answer, "invalid_token").clone();
    assert!(detail.contains(stranger.kid()) && detail.contains("google"), "{detail}");

    let token = sign(&stranger, google.claims(json!({ "iss": "https://id.example.com" })));
    let answer = app.exchange_id_token(&token).await;
    let detail = refused("another issuer's", &answer, "issuer_mismatch");
    assert!(detail.contains("\"https://id.example.com\""), "{detail}");

    let under_googles_name = stranger.with_kid(google.keys().current().kid());
    let token = sign(&under_googles_name, google.claims(json!({})));
    let answer = app.exchange_id_token(&token).await;
    assert_eq!(refused("a false key", &answer, "invalid_token"), "the token's signature is wrong");
}

#[actix_web::test]
async fn times_are_integers_and_within_a_minute_of_our_clock() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    let now = now();
    let wrong_type = [
        "null".to_owned(),
        "\"\"".to_owned(),
        format!("\"{}\"", now + 600),
        "true".to_owned(),
        "false".to_owned(),
        "[]".to_owned(),
        format!("[{}]", now + 600),
        "{}".to_owned(),
        format!("{}.0", now + 600),
        format!("{}.5", now + 600),
        "1.5".to_owned(),
        "1e9".to_owned(),
        "1e308".to_owned(),
        "-1e308".to_owned(),
        "9223372036854775808".to_owned(),
        "18446744073709551615".to_owned(),
        "18446744073709551616".to_owned(),
        "-9223372036854775809".to_owned(),
    ];
    for claim in ["exp", "iat", "nbf"] {
        for value in &wrong_type {
            let answer = app.exchange_id_token(&with_claim(&app, claim, Some(value))).await;
            let detail = refused(&format!("{claim} {value}"), &answer, "invalid_token");
            assert!(detail.contains("claims"), "{claim} {value}: {detail}");
        }
        // No JSON number at all.
        for value in ["NaN", "Infinity", "0x7fffffff", "1e400", "01"] {
            let answer = app.exchange_id_token(&with_claim(&app, claim, Some(value))).await;
            refused(&format!("{claim} {value}"), &answer, "invalid_token");
        }
    }
    for claim in ["exp", "iat"] {
        let answer = app.exchange_id_token(&with_claim(&app, claim, None)).await;
        let detail = refused(claim, &answer, "invalid_token");
        assert!(detail.contains(claim), "{detail}");
    }
    assert_eq!(
        app.exchange_id_token(&with_claim(&app, "nbf", None)).await.status,
        200,
        "Google's own tokens have an nbf, other issuers' have none"
    );

    let two_to_53 = 1_i64 << 53;
    let (good, expired, invalid) = (None, Some("token_expired"), Some("invalid_token"));
    let cases = [
        ("exp", -1, expired),
        ("exp", 0, expired),
        ("exp", i64::MIN, expired),
        ("exp", now - 90, expired),
        ("exp", two_to_53, invalid),
        ("exp", i64::MAX, invalid),
        ("iat", now + 30, good),
        ("iat", now + 90, invalid),
        ("iat", now + 365 * 86_400, invalid),
        ("iat", two_to_53, invalid),
        ("iat", i64::MAX, invalid),
        ("iat", -1, invalid),
        ("iat", 0, invalid),
        ("iat", i64::MIN, invalid),
        ("iat", now - 2 * 86_400, invalid),
        ("nbf", now - 300, good),
        ("nbf", now + 30, good),
        ("nbf", now + 90, invalid),
        ("nbf", two_to_53, invalid),
        ("nbf", i64::MAX, invalid),
        ("nbf", 0, good),
        ("nbf", -1, good),
    ];
    for (claim, value, code) in cases {
        let token = with_claim(&app, claim, Some(&value.to_string()));
        let answer = app.exchange_id_token(&token).await;
        let what = format!("{claim} {value}");
        match code {
            None => assert_eq!(answer.status, 200, "{what}: {}", answer.text),
            Some(code) => drop(refused(&what, &answer, code)),
        }
    }

    // An hour's token: `exp` follows `iat`.
    for (age, code) in [(3600 + 30, None), (3600 + 90, Some("token_expired"))] {
        let token = app.mock.google().id_token(json!({ "iat": now - age }));
        let answer = app.exchange_id_token(&token).await;
        match code {
            None => assert_eq!(answer.status, 200, "{age}: {}", answer.text),
            Some(code) => {
                let detail = refused(&age.to_string(), &answer, code);
                assert!(detail.contains("expired") && detail.contains("60 s leeway"), "{detail}");
            }
        }
    }
}

#[actix_web::test]
async fn an_id_token_that_lives_longer_than_a_day_is_not_believed() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    let now = now();
    for (life, status) in [(86_400, 200), (86_400 + 120, 401), (-30, 401)] {
        let changes = json!({ "iat": now - 10, "exp": now - 10 + life });
        let answer = app.exchange_id_token(&app.mock.google().id_token(changes)).await;
        assert_eq!(answer.status, status, "{life}: {}", answer.text);
        if status == 401 {
            let detail = answer.assert_problem(401, "invalid_token");
            assert!(detail.contains(&format!("{life} s")), "{detail}");
        }
    }
}

#[actix_web::test]
async fn a_token_that_was_good_once_is_refused_after_its_end() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    let token = app.mock.google().id_token(json!({}));
    app.exchange_id_token(&token).await.assert_signed_in();
    app.clock.advance(3600 + 61);
    let answer = app.exchange_id_token(&token).await;
    refused("the same token, later", &answer, "token_expired");
    app.clock.advance(-2 * 3600);
    let answer = app.exchange_id_token(&token).await;
    let detail = refused("the same token, before its time", &answer, "invalid_token");
    assert!(detail.contains("ahead of our clock"), "{detail}");
}

#[actix_web::test]
async fn a_subject_is_a_text_of_1_to_255_bytes_without_control_characters() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    let bad = [
        None,
        Some("null".to_owned()),
        Some("5".to_owned()),
        Some("110248495921238986420".to_owned()),
        Some("true".to_owned()),
        Some("[]".to_owned()),
        Some(r#"["110248495921238986420"]"#.to_owned()),
        Some(r#"{"$ne":null}"#.to_owned()),
        Some(text("")),
        Some(text("x".repeat(256))),
        Some(text("é".repeat(128))),
        Some(text("a\0b")),
        Some(text("a\nb")),
        Some(text("a\u{7f}b")),
        Some(text("a\u{85}b")),
    ];
    for sub in bad {
        let token = with_claim(&app, "sub", sub.as_deref());
        let answer = app.exchange_id_token(&token).await;
        let detail = refused(&format!("{sub:?}"), &answer, "invalid_token");
        assert!(detail.contains("sub"), "{detail}");
    }
    assert_eq!(app.db.count("users"), 0);
}

/// A nonce, its SHA-256 in hex and in base64url, as other programs computed them.
const NONCE_FORMS: [&str; 3] = [
    "n-0S6_WzA2Mj",
    "0823a09b54cb9381561068b00aaf4e539b3f54604631d3e6a820879b6b04cc19",
    "CCOgm1TLk4FWEGiwCq9OU5s_VGBGMdPmqCCHm2sEzBk",
];
/// The same of another nonce.
const OTHER_NONCE_FORMS: [&str; 3] = [
    "another",
    "ae448ac86c4e8e4dec645729708ef41873ae79c6dff84eff73360989487f08e5",
    "rkSKyGxOjk3sZFcpcI70GHOuecbf-E7_czYJiUh_COU",
];

#[actix_web::test]
async fn a_nonce_that_was_sent_is_the_tokens_raw_or_hashed() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    let [nonce, hex, _] = NONCE_FORMS;
    for claim in NONCE_FORMS {
        let body = json!({
            "id_token": app.mock.google().id_token(json!({ "nonce": claim })),
            "nonce": nonce,
        });
        let answer = app.exchange("google", &body).await;
        assert_eq!(answer.status, 200, "{claim}: {}", answer.text);
        // The hash is made of what was sent; sending a hash proves nothing of the nonce in the token.
        let reversed = json!({
            "id_token": app.mock.google().id_token(json!({ "nonce": nonce })),
            "nonce": claim,
        });
        let answer = app.exchange("google", &reversed).await;
        let expected = if claim == nonce { 200 } else { 401 };
        assert_eq!(answer.status, expected, "{claim}: {}", answer.text);
    }
    let others = [&nonce[1..], "N-0S6_WzA2Mj", "n-0S6_WzA2Mj ", "", &hex[..32], &hex.to_uppercase()];
    for claim in others.into_iter().chain(OTHER_NONCE_FORMS) {
        let body = json!({
            "id_token": with_claim(&app, "nonce", Some(&text(claim))),
            "nonce": nonce,
        });
        let answer = app.exchange("google", &body).await;
        let detail = refused(claim, &answer, "nonce_mismatch");
        assert!(detail.contains("SHA-256"), "{detail}");
    }
    for claim in ["null", "5", "[\"n-0S6_WzA2Mj\"]", "{}"] {
        let body = json!({
            "id_token": with_claim(&app, "nonce", Some(claim)),
            "nonce": nonce,
        });
        refused(claim, &app.exchange("google", &body).await, "invalid_token");
    }
}

#[actix_web::test]
async fn a_nonce_on_one_side_only_is_judged_by_the_policy() {
    // (policy, the token's, the request's, answer)
    let cases = [
        ("optional", None, None, None),
        ("optional", Some("n"), None, None),
        ("optional", None, Some("n"), Some("none")),
        ("required", Some("n"), Some("n"), None),
        ("required", Some("n"), Some("m"), Some("neither the nonce sent")),
        ("required", None, None, Some("providers.google.nonce is \"required\"")),
        ("required", Some("n"), None, Some("providers.google.nonce is \"required\"")),
        ("required", None, Some("n"), Some("carries none")),
    ];
    for policy in ["optional", "required"] {
        let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
            sources.with("providers.google.nonce", policy)
        })
        .await
        .at_both_doors();
        for (_, claim, sent, problem) in cases.iter().filter(|case| case.0 == policy) {
            let token = app.mock.google().id_token(json!({ "nonce": claim }));
            let body = json!({ "id_token": token, "nonce": sent });
            let answer = app.exchange("google", &body).await;
            let what = format!("{policy}: token {claim:?}, request {sent:?}");
            match problem {
                None => assert_eq!(answer.status, 200, "{what}: {}", answer.text),
                Some(problem) => {
                    let detail = refused(&what, &answer, "nonce_mismatch");
                    assert!(detail.contains(problem), "{what}: {detail}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn other_claims_of_another_type_are_left_out_and_do_not_stop_a_login() {
    let app = TestApp::start(TestDatabase::sqlite()).await.at_both_doors();
    for value in ["null", "5", "[]", "{}", "true", "\"\""] {
        let decoration = ["email", "email_verified", "name", "picture"];
        let token = with_claims(&app, &decoration.map(|claim| (claim, Some(value))));
        let answer = app.exchange_id_token(&token).await;
        let user = answer.assert_signed_in().json["user"].clone();
        assert_eq!(
            (&user["email"], &user["name"], &user["avatar_url"]),
            (&Value::Null, &Value::Null, &Value::Null),
            "{value}"
        );
    }
}
