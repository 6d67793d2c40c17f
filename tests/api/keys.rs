//! The ring of keys: rotated while replicas run, and nobody is logged out; retired, and nobody gets in with it.

pub mod command;
mod folder;
mod forgeries;
mod incident;
mod leak;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::{Person, Signature, compact};
use tokenbooth::token::{PrivateJwk, SealingKeys};

use self::command::{keys, listed, rotate};
use crate::databases::TestDatabase;
use crate::jwt::{decoded, kid_of};
use crate::support::TestApp;
use crate::support::app::SECRET;

/// A command's promise: in effect on every replica.
const PROMPT: Duration = Duration::from_secs(5);
/// What the settings of the tests leave at its default.
const LIFE: i64 = 1800;

/// Another replica of a service: the same database, the same issuer.
async fn replica_of(one: &TestApp) -> TestApp {
    let sources = TestApp::sources(&one.mock, &one.db.url).with("token.issuer", &one.base);
    TestApp::try_start(one.mock.clone(), TestDatabase::sqlite(), sources).await.expect("a replica")
}

/// Waits until new tokens of this replica are signed with the key, which must be soon.
pub async fn signs_with(app: &TestApp, kid: &str) {
    let start = Instant::now();
    while kid_of(&app.sign_in(Person::default()).await.jwt) != kid {
        assert!(start.elapsed() < PROMPT, "{kid} does not sign yet");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn published(app: &TestApp) -> BTreeSet<String> {
    let answer = app.get("/.well-known/jwks.json").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let keys = answer.json["keys"].as_array().expect("keys");
    keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

/// The claims of a token that was good, as if it were issued now.
fn claims_now(app: &TestApp, jwt: &str) -> Value {
    let (mut claims, now) = (decoded(jwt, 1), app.clock.now().0);
    (claims["iat"], claims["exp"]) = (json!(now), json!(now + 60));
    claims
}

on_both_databases! {
    async fn keys_rotate_under_load_on_two_replicas_and_no_token_is_refused(db: TestDatabase) {
        let one = Arc::new(TestApp::start(db).await);
        let two = Arc::new(replica_of(&one).await);
        let (stop, used) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        // Each token is used at the other replica at once, and the first one of each client again and again.
        let clients: Vec<_> = [(&one, &two), (&two, &one)].into_iter().cycle().take(4).map(|(here, there)| {
            let (here, there, stop, used) = (Arc::clone(here), Arc::clone(there), Arc::clone(&stop), Arc::clone(&used));
            actix_web::rt::spawn(async move {
                let first = here.sign_in(Person::default()).await.jwt;
                let mut kids = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    let jwt = here.sign_in(Person::default()).await.jwt;
                    for (app, jwt) in [(&there, &jwt), (&here, &jwt), (&there, &first)] {
                        let answer = app.me(jwt).await;
                        assert_eq!(answer.status, 200, "{}", answer.text);
                        used.fetch_add(1, Ordering::Relaxed);
                    }
                    kids.insert(kid_of(&jwt));
                }
                kids
            })
        }).collect();
        let mut made = BTreeSet::from([kid_of(&one.sign_in(Person::default()).await.jwt)]);
        for alg in ["EdDSA", "ES256", "HS256"] {
            let kid = rotate(&one.db, &["--alg", alg]);
            let rotated = Instant::now();
            for app in [&one, &two] {
                signs_with(app, &kid).await;
                assert_eq!(decoded(&app.sign_in(Person::default()).await.jwt, 0), json!({ "alg": alg, "typ": "at+jwt", "kid": kid }));
            }
            assert!(rotated.elapsed() < PROMPT);
            made.insert(kid);
        }
        // A client may be in the midst of a turn that began with the key before.
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert_eq!(client.await.expect("no token was refused"), made, "each client had tokens of every key");
        }
        assert!(used.load(Ordering::Relaxed) > 50);
        assert_eq!(one.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'key.rotated'"), 3);
    }

    async fn a_replica_knows_a_key_before_anybody_signs_with_it_and_after_a_restart(db: TestDatabase) {
        let one = TestApp::start(db).await;
        let old = one.sign_in(Person::default()).await.jwt;
        let kid = rotate(&one.db, &["--alg", "EdDSA"]);
        let (states, start) = (listed(&one.db), Instant::now());
        assert_eq!((states[0].state.as_str(), states[1].kid.as_str(), states[1].state.as_str()), ("signing", kid.as_str(), "next"));
        while !published(&one).await.contains(&kid) {
            assert!(start.elapsed() < Duration::from_secs(2), "it is not seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_ne!(kid_of(&one.sign_in(Person::default()).await.jwt), kid, "it is seen before it signs");
        signs_with(&one, &kid).await;
        let new = one.sign_in(Person::default()).await.jwt;
        let restarted = replica_of(&one).await;
        for jwt in [&old, &new] {
            assert_eq!(restarted.me(jwt).await.status, 200);
        }
        assert_eq!(kid_of(&restarted.sign_in(Person::default()).await.jwt), kid);
    }

    async fn a_token_by_a_key_that_was_not_seen_yet_waits_for_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let good = app.sign_in(Person::default()).await.jwt;
        let sealing = SealingKeys::new(&SECRET.into(), &[], "key ring").expect("keys");
        for _ in 0..5 {
            let jwk = PrivateJwk::generate("HS256".parse().expect("an algorithm")).expect("a key");
            let (kid, secret) = (jwk.kid.clone(), json!(jwk)["k"].as_str().map(crate::jwt::bytes).expect("a secret"));
            let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }).to_string();
            let jwt = compact(header, claims_now(&app, &good).to_string(), Signature::Hs256(&secret));
            app.db.execute(&format!(
                "INSERT INTO signing_keys (id, algorithm, sealed, created_at) VALUES ('{kid}', 'HS256', '{}', 1)",
                sealing.seal(&jwk).expect("sealed")
            ));
            // At whatever moment between two looks.
            assert_eq!(app.me(&jwt).await.status, 200);
        }
    }

    async fn tokens_by_unknown_keys_are_refused_together_and_hold_nobody_up(db: TestDatabase) {
        let app = Arc::new(TestApp::start(db).await);
        let good = app.sign_in(Person::default()).await.jwt;
        let claims = claims_now(&app, &good).to_string();
        let start = Instant::now();
        let flood = (0..200).map(|number| {
            let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": format!("{number:016x}") }).to_string();
            let (app, jwt) = (Arc::clone(&app), compact(header, &claims, Signature::Hs256(b"whatever")));
            async move { app.me(&jwt).await.assert_problem(401, "invalid_token"); }
        });
        let flood = actix_web::rt::spawn(futures_util::future::join_all(flood));
        assert_eq!(app.me(&good).await.status, 200);
        flood.await.expect("all are refused");
        assert!(start.elapsed() < Duration::from_secs(30), "they wait for one look, not for one each: {:?}", start.elapsed());
        // What is not even like ours is not waited for.
        let (start, mut foreign) = (Instant::now(), decoded(&good, 1));
        foreign["iss"] = json!("https://other.mail.com");
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "0" }).to_string();
        for _ in 0..60 {
            app.me(&compact(&header, foreign.to_string(), Signature::Hs256(b"whatever"))).await.assert_problem(401, "invalid_token");
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    }

    async fn a_replaced_key_is_good_for_a_tokens_life_and_a_minute_and_then_out_by_itself(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let old = app.sign_in(Person::default()).await.jwt;
        let by_the_old_key = |claims: Value| compact(decoded(&old, 0).to_string(), claims.to_string(), Signature::Hs256(SECRET.as_bytes()));
        let kid = rotate(&app.db, &["--alg", "ES256"]);
        signs_with(&app, &kid).await;
        app.clock.advance(LIFE + 40);
        assert_eq!(app.me(&by_the_old_key(claims_now(&app, &old))).await.status, 200);
        app.clock.advance(30);
        app.me(&by_the_old_key(claims_now(&app, &old))).await.assert_problem(401, "invalid_token");
        // The key that signs ends for nobody.
        app.clock.advance(100 * LIFE);
        let mut claims = Person::default().claims();
            claims["iat"] = json!(app.clock.now().0);
        let jwt = app.exchange_id_token(&app.mock.google().id_token(claims)).await.assert_signed_in().jwt;
        assert_eq!((kid_of(&jwt), app.me(&jwt).await.status), (kid, 200));
    }

    async fn a_key_that_was_only_added_is_published_and_signs_when_its_turn_comes(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let before = kid_of(&app.sign_in(Person::default()).await.jwt);
        let added = keys(&app.db, &["generate", "--alg", "EdDSA"]).trim_end().to_owned();
        let other = keys(&app.db, &["generate", "--alg", "ES256"]).trim_end().to_owned();
        tokio::time::sleep(Duration::from_millis(4500)).await;
        assert_eq!(published(&app).await, BTreeSet::from([added.clone(), other.clone()]));
        assert_eq!(kid_of(&app.sign_in(Person::default()).await.jwt), before);
        assert_eq!(rotate(&app.db, &["--alg", "EdDSA"]), added, "an added key is taken before one is made");
        signs_with(&app, &added).await;
        // The algorithm of the key that signs now, and none of it is added.
        let next = rotate(&app.db, &[]);
        assert!(next != added && next != other);
        signs_with(&app, &next).await;
        let states: BTreeMap<String, String> = listed(&app.db).into_iter().map(|key| (key.kid, key.state)).collect();
        let state = |kid: &str| states[kid].as_str();
        assert_eq!([&before, &added, &other, &next].map(|kid| state(kid)), ["previous", "previous", "added", "signing"]);
    }

    async fn a_retired_key_opens_nothing_and_one_that_is_needed_is_not_retired(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let by_secret = app.sign_in(Person::default()).await.jwt;
        let base = kid_of(&by_secret);
        let refused = |arguments: &[&str], why: &str| {
            let told = command::refused(&app.db, &[&["retire"], arguments].concat());
            assert!(told.contains(why), "{arguments:?}: {told}");
        };
        refused(&["nobody"], "there is no key of this kid");
        refused(&[&base], "it signs");
        refused(&[&base, "--force"], "it signs");
        let kid = rotate(&app.db, &["--alg", "EdDSA"]);
        refused(&[&kid], "it signs in a moment");
        signs_with(&app, &kid).await;
        refused(&[&kid, "--force"], "it signs");
        refused(&[&base], "tokens signed with it are good until 2");
        assert_eq!(app.me(&by_secret).await.status, 200);
        keys(&app.db, &["retire", &base, "--force"]);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        app.me(&by_secret).await.assert_problem(401, "invalid_token");
        let by_key = app.sign_in(Person::default()).await.jwt;
        assert_eq!((kid_of(&by_key), app.me(&by_key).await.status), (kid.clone(), 200));
        // Also for who starts now.
        let restarted = replica_of(&app).await;
        restarted.me(&by_secret).await.assert_problem(401, "invalid_token");
        assert_eq!(restarted.me(&by_key).await.status, 200);
        // Its material is gone, and retired twice is retired.
        let next = rotate(&app.db, &[]);
        signs_with(&app, &next).await;
        keys(&app.db, &["retire", &kid, "--force"]);
        keys(&app.db, &["retire", &kid]);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM signing_keys WHERE sealed IS NOT NULL"), 1);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'key.retired' AND user_id IS NULL"), 2);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        app.me(&by_key).await.assert_problem(401, "invalid_token");
        assert_eq!(published(&app).await, BTreeSet::from([next]));
    }

    async fn explain_token_and_check_know_the_ring(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let kid = rotate(&app.db, &["--alg", "EdDSA"]);
        signs_with(&app, &kid).await;
        let signed_in = app.sign_in(Person::default()).await;
        let process = |arguments: &[&str]| {
            let command = crate::support::process::Tokenbooth::new(arguments).set("database.url", &app.db.url);
            let output = command.set("token.secret", SECRET).set("token.issuer", &app.base).output();
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        let explained = process(&["explain-token", &signed_in.jwt]);
        assert!(explained.contains(&format!("accepted as our access token: it is a token of user {}", signed_in.user_id)), "{explained}");
        let checked = process(&["check"]);
        assert!(checked.lines().any(|line| line == format!("ok       keys: EdDSA signs, by the key {kid}")), "{checked}");
        app.db.execute("UPDATE signing_keys SET sealed = 'x'");
        let checked = process(&["check"]);
        assert!(checked.contains(&format!("error    keys: the key {kid}: it is sealed")), "{checked}");
    }

    async fn a_turn_that_was_called_off_changes_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let before = app.sign_in(Person::default()).await.jwt;
        let kid = rotate(&app.db, &["--alg", "EdDSA"]);
        keys(&app.db, &["retire", &kid, "--force"]);
        tokio::time::sleep(Duration::from_millis(4500)).await;
        assert_eq!(kid_of(&app.sign_in(Person::default()).await.jwt), kid_of(&before));
        assert_eq!(app.me(&before).await.status, 200);
        assert_eq!(published(&app).await, BTreeSet::new());
    }
}
