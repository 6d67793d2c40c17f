//! `GET /oauth/revocations`: what a service that verifies tokens by itself is told.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode_header};
use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::jwt::{decoded, kid_of};
use crate::keys::{command, signs_with};
use crate::support::{Answer, TestApp};

const PATH: &str = "/oauth/revocations";
/// The longest that rows once read answer everybody.
const FRESH: std::time::Duration = std::time::Duration::from_millis(1100);

/// A service whose tokens others can verify.
async fn start(db: TestDatabase) -> TestApp {
    let app = TestApp::start(db).await;
    let kid = command::rotate(&app.db, &["--alg", "EdDSA"]);
    signs_with(&app, &kid).await;
    app
}

/// What a statement says, after another library has verified it with the published keys.
#[expect(clippy::disallowed_methods, reason = "what a verifier has is another library")]
async fn verified(app: &TestApp, answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/jwt"), "{}", answer.text);
    let set: JwkSet =
        serde_json::from_value(app.get("/.well-known/jwks.json").await.json).expect("a JWK set");
    let header = decode_header(&answer.text).expect("a JWS");
    assert_eq!(header.typ.as_deref(), Some("revocations+jwt"));
    let jwk = set.find(&header.kid.expect("a kid")).expect("it is published");
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&app.base]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    jsonwebtoken::decode::<Value>(&answer.text, &key, &validation).expect("it verifies").claims
}

/// The next statement that is not one of a moment ago.
async fn next(app: &TestApp, query: &str) -> Value {
    tokio::time::sleep(FRESH).await;
    verified(app, &app.get(&format!("{PATH}{query}")).await).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, description: &str) {
    assert_eq!(
        (answer.status, &answer.json["error"]),
        (status, &json!("invalid_request")),
        "{}",
        answer.text
    );
    let told = answer.json["error_description"].as_str().expect("a description");
    assert!(told.contains(description), "{told}");
}

on_both_databases! {
    async fn whose_tokens_were_ended_is_told_from_the_next_second_on(db: TestDatabase) {
        let app = TestApp::start(db).await;
        refused(&app.get(PATH).await, 404, "there is no key with a public half");
        let kid = command::rotate(&app.db, &["--alg", "EdDSA"]);
        signs_with(&app, &kid).await;
        let answer = app.get(PATH).await;
        assert_eq!(answer.header("cache-control"), "public, max-age=1");
        let first = verified(&app, &answer).await;
        assert_eq!((&first["users"], &first["clients"]), (&json!({}), &json!([])));
        assert!((first["iat"].as_i64().expect("iat") - app.clock.now().0).abs() < 5);

        let mut people = Vec::new();
        for name in ["revoked", "disabled", "deleted", "left", "everywhere", "untouched"] {
            people.push(app.sign_in(Person::named(name)).await);
        }
        let command = |what: &str, user: &str| {
            let done = crate::support::process::Tokenbooth::new(&["user", what, user]).set("database.url", &app.db.url).output();
            assert!(done.status.success(), "{what}");
        };
        command("revoke", &people[0].user_id);
        command("revoke", &people[0].user_id);
        command("disable", &people[1].user_id);
        command("enable", &people[1].user_id);
        command("delete", &people[2].user_id);
        assert_eq!(app.send_as("DELETE", "/api/me", &people[3].jwt, &Value::Null).await.status, 204);
        assert_eq!(app.send_as("POST", "/auth/logout-all", &people[4].jwt, &Value::Null).await.status, 204);
        let [out, _still_in] = ["Orders", "Bills"].map(|name| app.create_client(name, ""));
        app.disable_client(&out);
        let told = next(&app, "").await;
        assert_eq!(told["clients"], json!([out.id]));
        let told = told["users"].clone();
        let ver = |person: usize| &told[&people[person].user_id];
        assert_eq!([ver(0), ver(1), ver(2), ver(3), ver(4)].map(Value::as_i64), [Some(2), Some(1), Some(1), Some(1), Some(1)]);
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(5), "{told}");
        // Exactly the tokens that are refused here are ended there.
        for person in &people {
            let ended = told[&person.user_id].as_i64().is_some_and(|ver| decoded(&person.jwt, 1)["ver"].as_i64() < Some(ver));
            assert_eq!(ended, app.me(&person.jwt).await.status == 401);
        }
    }

    async fn since_leaves_out_what_is_long_known_and_never_what_may_be_new(db: TestDatabase) {
        let app = start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        assert_eq!(app.send_as("POST", "/auth/logout-all", &alice.jwt, &Value::Null).await.status, 204);
        let revoked_at = app.db.number("SELECT revoked_at AS number FROM revocations");
        for (since, there) in [(0, true), (revoked_at, true), (revoked_at + 110, true), (revoked_at + 300, false)] {
            app.clock.advance(since.max(app.clock.now().0) - app.clock.now().0);
            let told = next(&app, &format!("?since={since}")).await;
            assert_eq!(told["users"].get(&alice.user_id).is_some(), there, "{since}: {told}");
        }
        // A change that was dated a minute ago and is seen only now.
        let dated = app.clock.now().0 - 60;
        app.db.execute(&format!("INSERT INTO revocations (subject, token_version, revoked_at) VALUES ('client:late', 1, {dated})"));
        let told = next(&app, &format!("?since={}", app.clock.now().0)).await;
        assert_eq!((&told["users"], &told["clients"]), (&json!({}), &json!(["late"])));
        // Whose tokens have all expired need not be told of.
        app.clock.advance(1800 + 121);
        assert_eq!(next(&app, "").await["users"], json!({}));
        for since in ["", "-1", "+1", "1.5", "now", "99999999999999999999", "1&since=2", "%31%00"] {
            refused(&app.get(&format!("{PATH}?since={since}")).await, 400, "since");
        }
        assert_eq!(app.get(&format!("{PATH}?since=9223372036854775807&other=x")).await.status, 200);
    }

    async fn statement_and_token_never_pass_for_each_other(db: TestDatabase) {
        let app = start(db).await;
        let (jwt, statement) = (app.sign_in(Person::default()).await.jwt, app.get(PATH).await.text);
        assert_eq!(kid_of(&jwt), kid_of(&statement), "one key for both");
        app.me(&statement).await.assert_problem(401, "invalid_token");
        assert_eq!(decoded(&jwt, 0)["typ"], "at+jwt");
        // Not even with the claims of the other.
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (jwt.split('.').collect(), statement.split('.').collect());
        for mixed in [[theirs[0], ours[1], ours[2]], [ours[0], theirs[1], theirs[2]], [theirs[0], ours[1], theirs[2]]] {
            app.me(&mixed.join(".")).await.assert_problem(401, "invalid_token");
        }
    }

    async fn whatever_signs_tokens_a_key_with_a_public_half_signs_statements(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let added = command::keys(&app.db, &["generate", "--alg", "ES256"]).trim_end().to_owned();
        next_by(&app, &added).await;
        let signing = command::rotate(&app.db, &["--alg", "EdDSA"]);
        signs_with(&app, &signing).await;
        next_by(&app, &signing).await;
        // Back to a secret: the one that verifiers know already goes on.
        let secret = command::rotate(&app.db, &["--alg", "HS256"]);
        signs_with(&app, &secret).await;
        next_by(&app, &signing).await;
    }

    async fn however_many_ask_they_share_what_was_read_and_signed(db: TestDatabase) {
        let app = start(db).await;
        let now = app.clock.now().0;
        let paths: Vec<String> = (0..100).map(|ago| format!("{PATH}?since={}", now - ago % 3)).collect();
        let answers = futures_util::future::join_all(paths.iter().map(|path| app.get(path))).await;
        let texts: std::collections::BTreeSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        assert!(answers.iter().all(|answer| answer.status == 200));
        // Each second a new one, and perhaps a beginning between.
        assert!(texts.len() < 20, "{} statements", texts.len());
    }
}

async fn next_by(app: &TestApp, kid: &str) {
    let start = std::time::Instant::now();
    loop {
        let answer = app.get(PATH).await;
        if answer.status == 200 && kid_of(&answer.text) == kid {
            verified(app, &answer).await;
            return;
        }
        assert!(start.elapsed().as_secs() < 5, "{kid}: {}", answer.text);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
