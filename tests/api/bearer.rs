//! The bearer door at `GET /api/me`: who is let in with our JWT, and that everybody else is told the same.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokenbooth::mock::{Person, Signature, compact};

use crate::databases::TestDatabase;
use crate::support::app::SECRET;
use crate::support::{Answer, TestApp};

const CHALLENGE: &str = "Bearer realm=\"tokenbooth\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"tokenbooth\", error=\"invalid_token\", error_description=\"the access token is expired, revoked or not valid\"";

fn part(jwt: &str, index: usize) -> Value {
    let part = jwt.split('.').nth(index).expect("a part");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Our own token, to be changed and signed anew.
#[derive(Clone)]
struct Ours {
    header: Value,
    claims: Value,
    secret: String,
}

impl Ours {
    fn of(jwt: &str) -> Self {
        Self { header: part(jwt, 0), claims: part(jwt, 1), secret: SECRET.to_owned() }
    }

    fn sign(&self) -> String {
        compact(self.header.to_string(), self.claims.to_string(), Signature::Hs256(self.secret.as_bytes()))
    }

    fn claim(&self, name: &str, value: Value) -> String {
        let mut changed = self.clone();
        changed.claims[name] = value;
        changed.sign()
    }

    fn without_claim(&self, name: &str) -> String {
        let mut changed = self.clone();
        changed.claims.as_object_mut().expect("claims").remove(name);
        changed.sign()
    }

    fn number(&self, name: &str) -> i64 {
        self.claims[name].as_i64().expect("an integer")
    }
}

fn is_signed_with(jwt: &str, secret: &str) -> bool {
    let (message, signature) = jwt.rsplit_once('.').expect("a signature");
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256)
        .is_ok_and(|expected| expected == signature)
}

/// `GET /api/me` with these `Authorization` headers, as they are.
async fn me_with(app: &TestApp, headers: &[&str]) -> Answer {
    let mut request = app.http.get(format!("{}/api/me", app.base));
    for value in headers {
        request = request.header(AUTHORIZATION, *value);
    }
    Answer::of(request.send().await.expect("an answer")).await
}

/// Asserts the one answer there is to a bearer token that is not accepted.
#[track_caller]
fn assert_not_accepted(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text);
    answer.assert_problem(401, "invalid_token");
    assert_eq!(answer.header("www-authenticate"), CHALLENGE_INVALID, "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert_eq!(
        answer.json["detail"], "the access token is not valid any more, or never was: sign in again",
        "{what}"
    );
}

on_both_databases! {
    async fn our_token_has_exactly_the_documented_header_and_claims(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("token.issuer", "https://auth.mail.com").with("token.audience", "the-api")
        }).await;
        let (first, second) = (app.sign_in(Person::default()).await, app.sign_in(Person::default()).await);
        assert_eq!(first.json["token_type"], "bearer");
        assert_eq!(first.json["expires_in"], 1800);
        let (header, claims) = (part(&first.jwt, 0), part(&first.jwt, 1));
        let kid = header["kid"].as_str().expect("a kid");
        assert!(!kid.is_empty() && !SECRET.contains(kid));
        assert_eq!(header, json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }));
        let (iat, jti) = (claims["iat"].as_i64().expect("iat"), claims["jti"].as_str().expect("jti"));
        let expected = json!({
            "iss": "https://auth.mail.com", "aud": "the-api", "sub": first.user_id,
            "iat": iat, "exp": iat + 1800, "jti": jti, "ver": claims["ver"],
            "auth_time": claims["auth_time"], "idp": "google",
        });
        assert!((claims["auth_time"].as_i64().expect("auth_time") - iat).abs() < 60);
        assert_eq!(claims, expected);
        assert_eq!(claims["ver"], app.db.number("SELECT token_version AS number FROM users"));
        assert_ne!(claims["jti"], part(&second.jwt, 1)["jti"], "every token has an id of its own");
        assert!(is_signed_with(&first.jwt, SECRET), "the secret's own bytes are the key");
        assert_eq!(app.me(&first.jwt).await.json["id"], json!(first.user_id));
    }

    async fn a_disabled_user_is_out_at_the_next_request_and_back_when_enabled(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let bob = app.sign_in(Person::named("bob")).await;
        for _ in 0..3 {
            assert_eq!(app.me(&alice.jwt).await.status, 200);
            let disable = format!("UPDATE users SET disabled = true WHERE id = '{}'", alice.user_id);
            assert_eq!(app.db.execute(&disable), 1);
            assert_not_accepted("disabled", &app.me(&alice.jwt).await);
            assert_eq!(app.me(&bob.jwt).await.status, 200, "Bob has nothing to do with it");
            let enable = format!("UPDATE users SET disabled = false WHERE id = '{}'", alice.user_id);
            assert_eq!(app.db.execute(&enable), 1);
        }
        assert_eq!(app.me(&alice.jwt).await.status, 200);
    }

    // Requests that wait together share a read: none of them may be answered from one that began before it was sent.
    async fn what_was_committed_before_a_request_is_seen_by_it_under_load(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let write = |sql: &str| assert_eq!(app.db.execute(&format!("UPDATE users SET {sql} WHERE id = '{}'", alice.user_id)), 1);
        let busy = AtomicBool::new(true);
        let load = join_all((0..24).map(async |_| {
            let mut answers = [0_u32; 2];
            while busy.load(Ordering::Relaxed) {
                let status = app.me(&alice.jwt).await.status;
                assert!(matches!(status, 200 | 401), "{status}");
                answers[usize::from(status == 401)] += 1;
            }
            answers
        }));
        let changes = async {
            for round in 0..60 {
                write("disabled = true");
                let refused = join_all((0..4).map(|_| app.me(&alice.jwt))).await;
                for answer in &refused {
                    assert_not_accepted("disabled", answer);
                }
                write("disabled = false");
                let admitted = join_all((0..4).map(|_| app.me(&alice.jwt))).await;
                assert!(admitted.iter().all(|answer| answer.status == 200), "round {round}: {admitted:?}");
            }
            write("token_version = token_version + 1");
            assert_not_accepted("revoked", &app.me(&alice.jwt).await);
            busy.store(false, Ordering::Relaxed);
        };
        let (answers, ()) = tokio::join!(load, changes);
        let [admitted, refused] = answers.iter().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
        assert!(admitted > 100 && refused > 100, "there was no load: {admitted} and {refused}");
    }

    async fn a_raised_token_version_ends_every_token_issued_before(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let alice_elsewhere = app.sign_in(Person::named("alice")).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let raise = format!("UPDATE users SET token_version = token_version + 1 WHERE id = '{}'", alice.user_id);
        assert_eq!(app.db.execute(&raise), 1);
        assert_not_accepted("revoked", &app.me(&alice.jwt).await);
        assert_not_accepted("revoked elsewhere", &app.me(&alice_elsewhere.jwt).await);
        assert_eq!(app.me(&bob.jwt).await.status, 200);

        let again = app.sign_in(Person::named("alice")).await;
        assert_eq!(app.me(&again.jwt).await.status, 200);
        let version = Ours::of(&again.jwt).number("ver");
        for ver in [version - 1, version + 1, -1, 0, i64::MAX, i64::MIN] {
            let token = Ours::of(&again.jwt).claim("ver", json!(ver));
            if ver != version {
                assert_not_accepted(&format!("ver {ver}"), &app.me(&token).await);
            }
        }
    }

    async fn a_deleted_user_and_one_that_never_was_are_not_let_in(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let nobody = Ours::of(&alice.jwt).claim("sub", json!("0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10"));
        assert_not_accepted("nobody", &app.me(&nobody).await);
        assert_eq!(app.me(&alice.jwt).await.status, 200);
        app.db.execute("DELETE FROM identities");
        assert_eq!(app.db.execute("DELETE FROM users"), 1);
        assert_not_accepted("deleted", &app.me(&alice.jwt).await);
    }

    async fn the_client_cannot_tell_why_its_token_is_refused(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let people = ["disabled", "deleted", "revoked", "expired", "forged"];
        let mut tokens = Vec::new();
        for name in people {
            tokens.push(app.sign_in(Person::named(name)).await);
        }
        let [disabled, deleted, revoked, expired, forged] = <[_; 5]>::try_from(tokens).expect("five");
        let of = |what: &str, id: &str| format!("{what} WHERE id = '{id}'");
        app.db.execute(&of("UPDATE users SET disabled = true", &disabled.user_id));
        app.db.execute(&format!("DELETE FROM identities WHERE user_id = '{}'", deleted.user_id));
        app.db.execute(&of("DELETE FROM users", &deleted.user_id));
        app.db.execute(&of("UPDATE users SET token_version = 9", &revoked.user_id));
        let expired = Ours::of(&expired.jwt);
        let (iat, exp) = (expired.number("iat") - 3600, expired.number("exp") - 3600);
        let mut past = expired.clone();
        (past.claims["iat"], past.claims["exp"]) = (json!(iat), json!(exp));
        let mut forged = Ours::of(&forged.jwt);
        "another secret of enough length ...".clone_into(&mut forged.secret);

        let mut seen = Vec::new();
        for token in [&disabled.jwt, &deleted.jwt, &revoked.jwt, &past.sign(), &forged.sign(), "garbage"] {
            let answer = app.me(token).await;
            let mut headers: Vec<_> = answer.headers.iter()
                .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect();
            headers.sort_by(|one, other| one.0.cmp(&other.0));
            seen.push((answer.status, headers, answer.text.clone()));
        }
        for other in &seen[1..] {
            assert_eq!(other, &seen[0]);
        }
        assert_eq!(seen[0].0, 401);
    }
}

#[actix_web::test]
async fn the_scheme_may_be_written_in_any_case() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "] {
        let answer = me_with(&app, &[&format!("{scheme} {jwt}")]).await;
        assert_eq!(answer.status, 200, "{scheme}: {}", answer.text);
    }
}

#[actix_web::test]
async fn without_a_bearer_token_the_challenge_names_no_error() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    let none: [&[&str]; 7] = [
        &[],
        &[""],
        &["Basic dXNlcjpwYXNzd29yZA=="],
        &["Digest username=\"x\""],
        &[&format!("Token {jwt}")],
        &[&format!("Bearer:{jwt}")],
        &[&jwt],
    ];
    for headers in none {
        let answer = me_with(&app, headers).await;
        let detail = answer.assert_problem(401, "invalid_token");
        assert!(detail.contains("Authorization: Bearer"), "{detail}");
        assert_eq!(answer.header("www-authenticate"), CHALLENGE, "{headers:?}");
        assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    }
    // A token anywhere else is none.
    let elsewhere = [
        app.http.get(format!("{}/api/me?access_token={jwt}", app.base)),
        app.http.get(format!("{}/api/me", app.base)).header("X-Access-Token", &jwt),
        app.http.get(format!("{}/api/me", app.base)).header("Cookie", format!("access_token={jwt}")),
        app.http.get(format!("{}/api/me", app.base)).form(&[("access_token", &jwt)]),
    ];
    for request in elsewhere {
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        answer.assert_problem(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), CHALLENGE);
    }
}

#[actix_web::test]
async fn a_bearer_token_that_is_none_is_refused_as_invalid() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    let good = format!("Bearer {jwt}");
    let bad: [&[&str]; 14] = [
        &["Bearer"],
        &["bearer "],
        &["Bearer x"],
        &["Bearer null"],
        &["Bearer undefined"],
        &["Bearer ."],
        &["Bearer .."],
        &[&format!("{good} {jwt}")],
        &[&format!("{good}, {good}")],
        &[&format!("Bearer \t{jwt}")],
        &[&format!("Bearer \"{jwt}\"")],
        &[&good, &good],
        &[&good, "Basic dXNlcjpwYXNzd29yZA=="],
        &["Basic dXNlcjpwYXNzd29yZA==", &good],
    ];
    for headers in bad {
        assert_not_accepted(&format!("{headers:?}"), &me_with(&app, headers).await);
    }
    let bytes = [good.as_bytes(), b"\xff\xfe"].concat();
    let value = reqwest::header::HeaderValue::from_bytes(&bytes).expect("a header of bytes");
    let request = app.http.get(format!("{}/api/me", app.base)).header(AUTHORIZATION, value);
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    assert_not_accepted("bytes that are no text", &answer);
    assert_eq!(me_with(&app, &[&good]).await.status, 200);
}

#[actix_web::test]
async fn a_token_is_good_for_half_an_hour() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    app.clock.advance(1800 - 60);
    assert_eq!(app.me(&jwt).await.status, 200);
    app.clock.advance(60);
    assert_not_accepted("expired, without leeway", &app.me(&jwt).await);
    app.clock.advance(-1800 - 30);
    let ahead = app.me(&jwt).await;
    assert_eq!(ahead.status, 200, "a replica's clock may be half a minute ahead");
    app.clock.advance(-60);
    assert_not_accepted("not yet issued", &app.me(&jwt).await);
}

#[actix_web::test]
async fn a_token_lives_as_long_as_the_setting_says() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("token.access_ttl", "5m")).await;
    let signed_in = app.sign_in(Person::default()).await;
    assert_eq!(signed_in.json["expires_in"], 300);
    let ours = Ours::of(&signed_in.jwt);
    assert_eq!(ours.number("exp") - ours.number("iat"), 300);
    assert_not_accepted("a longer life", &app.me(&ours.claim("exp", json!(ours.number("exp") + 1))).await);
    app.clock.advance(301);
    assert_not_accepted("expired", &app.me(&signed_in.jwt).await);
}

#[actix_web::test]
async fn every_claim_must_be_there_of_its_type_and_ours() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    let ours = Ours::of(&jwt);
    assert_eq!(app.me(&ours.sign()).await.status, 200, "unchanged");
    assert_eq!(
        app.me(&ours.claim("future", json!({ "any": "thing" }))).await.status,
        200,
        "what the next version adds is let be"
    );

    let mut refused: Vec<(String, String)> = Vec::new();
    let wrong_types = [
        json!(null),
        json!(true),
        json!(""),
        json!("x"),
        json!(1.5),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1e308),
        json!([]),
        json!({}),
    ];
    for name in ["iss", "aud", "sub", "iat", "exp", "jti", "ver"] {
        refused.push((format!("no {name}"), ours.without_claim(name)));
        let value = &ours.claims[name];
        let mut cases = wrong_types.to_vec();
        cases.push(json!([value]));
        cases.push(json!({ "": value }));
        if let Some(number) = value.as_i64() {
            cases.extend([
                json!(number.to_string()),
                serde_json::from_str(&format!("{number}.0")).expect("a float"),
            ]);
        }
        // `jti` is any text, and nothing hangs on it.
        cases.retain(|case| case != value && !(name == "jti" && case.is_string()));
        for case in cases {
            refused.push((format!("{name} {case}"), ours.claim(name, case)));
        }
    }
    let (iat, exp) = (ours.number("iat"), ours.number("exp"));
    let issuer = ours.claims["iss"].as_str().expect("iss");
    let changes = [
        ("iss", json!(format!("{issuer}/"))),
        ("iss", json!("https://accounts.google.com")),
        ("aud", json!("tokenbooth2")),
        ("aud", json!("TOKENBOOTH")),
        ("aud", json!("tokenboot")),
        ("sub", json!("1")),
        ("sub", json!("' OR 1=1 --")),
        ("exp", json!(exp + 1)),
        ("exp", json!(exp + 365 * 86_400)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(1_u64 << 53)),
        ("exp", json!(iat - 1)),
        ("iat", json!(iat - 1)),
        ("iat", json!(iat + 90)),
        ("iat", json!(exp)),
        ("iat", json!(i64::MIN)),
        ("iat", json!(i64::MAX)),
    ];
    for (name, value) in changes {
        refused.push((format!("{name} {value}"), ours.claim(name, value)));
    }
    let mut backwards = ours.clone();
    (backwards.claims["iat"], backwards.claims["exp"]) = (json!(iat + 50), json!(iat + 40));
    refused.push(("ends before it begins".to_owned(), backwards.sign()));

    for (what, token) in refused {
        assert_not_accepted(&what, &app.me(&token).await);
    }
}

#[actix_web::test]
async fn another_secret_key_id_type_or_issuer_is_refused() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let jwt = app.sign_in(Person::default()).await.jwt;
    let ours = Ours::of(&jwt);
    let secrets = ["", " ", "secret", &SECRET[1..], &format!("{SECRET} "), &format!("{SECRET}\0x")];
    for secret in secrets {
        let mut forged = ours.clone();
        secret.clone_into(&mut forged.secret);
        assert_not_accepted(secret, &app.me(&forged.sign()).await);
    }
    let kid = ours.header["kid"].as_str().expect("a kid").to_owned();
    for other in ["", "0", &kid[1..], &format!("{kid}0"), &kid.to_uppercase(), &format!(" {kid}")] {
        if other != kid {
            let mut changed = ours.clone();
            changed.header["kid"] = json!(other);
            assert_not_accepted(other, &app.me(&changed.sign()).await);
        }
    }

    // Another service with the same secret: its tokens are not ours.
    let other = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("token.issuer", "https://other.mail.com")
    })
    .await;
    let theirs = other.sign_in(Person::default()).await;
    assert_not_accepted("another issuer's", &app.me(&theirs.jwt).await);
    assert_eq!(other.me(&theirs.jwt).await.status, 200);
}

#[actix_web::test]
async fn tokens_of_previous_secrets_are_still_good_and_no_new_one_is_signed_with_them() {
    let issuer = "https://auth.mail.com";
    let old_secrets =
        ["an-earlier-secret-of-the-tests-0123456789", "the-very-first-secret-of-the-tests-012345"];
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("token.issuer", issuer).with("token.previous_secrets", old_secrets.join(","))
    })
    .await;
    let signed_in = app.sign_in(Person::default()).await;
    let ours = Ours::of(&signed_in.jwt);
    assert!(is_signed_with(&signed_in.jwt, SECRET));
    assert_eq!(app.me(&signed_in.jwt).await.status, 200);

    for old_secret in old_secrets {
        // What a replica with the old secret signs.
        let before = TestApp::start_with(TestDatabase::sqlite(), |sources| {
            sources.with("token.issuer", issuer).with("token.secret", old_secret)
        })
        .await;
        let old = before.sign_in(Person::default()).await;
        let mut old = Ours::of(&old.jwt);
        old.claims["sub"] = ours.claims["sub"].clone();
        old_secret.clone_into(&mut old.secret);
        assert_ne!(old.header["kid"], ours.header["kid"]);
        assert_eq!(app.me(&old.sign()).await.status, 200, "of a previous secret");
        assert_not_accepted("a new token, before", &before.me(&signed_in.jwt).await);

        // A key is good under its own id only.
        old.header["kid"] = ours.header["kid"].clone();
        assert_not_accepted("the old key under the new id", &app.me(&old.sign()).await);
    }
}
