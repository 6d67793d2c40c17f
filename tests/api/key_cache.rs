//! The cache of a provider's keys: never in the way of a login, never driven by strangers, never wider than what the
//! provider publishes.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, future, stream};
use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::{
    Endpoint, Fault, Issuer, MockProviders, Person, Signature, SigningKey, compact, junk,
};

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

/// Long enough for a busy machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// An ID token signed by `key` under the key's own id, published or not.
fn signed_by(issuer: &Issuer, key: &SigningKey) -> String {
    let claims = issuer.claims(json!({}));
    compact(key.header().to_string(), claims.to_string(), Signature::Key(key))
}

/// A token of Google's looks that names a key nobody has, older than any key set that a test fetches.
fn with_unknown_kid(app: &TestApp, number: usize) -> String {
    with_unknown_kid_issued(app, number, app.clock.now().0 - 600)
}

fn with_unknown_kid_issued(app: &TestApp, number: usize, iat: impl Into<Value>) -> String {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": format!("made-up-{number}") });
    let mut claims = app.mock.google().claims(json!({}));
    claims["iat"] = iat.into();
    compact(header.to_string(), claims.to_string(), Signature::Bytes(&[1; 256]))
}

/// Repeats until it answers something.
async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(value) = attempt().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what} does not come");
}

async fn acme(app: &TestApp, id_token: &str) -> Answer {
    app.exchange("acme", &json!({ "id_token": id_token })).await
}

/// With a cool-down and a time limit that a test can wait for.
async fn start_quick(mock: MockProviders) -> TestApp {
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| {
        sources.with("jwks.cooldown", "100ms").with("http_client.timeout", "700ms")
    })
    .await;
    app.warm().await;
    app
}

async fn mock() -> MockProviders {
    MockProviders::start().await.expect("the mock starts")
}

on_both_databases! {
    async fn a_warm_login_asks_nobody(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.warm().await.mock.forget_requests();
        for name in ["alice", "bob", "alice"] {
            let person = Person::named(name);
            app.sign_in(person.clone()).await;
            acme(&app, &app.mock.oidc().id_token(person.claims())).await.assert_signed_in();
        }
        assert_eq!(app.mock.seen(), []);
        assert_eq!(app.mock.total_requests(), 0);
    }

    async fn one_key_id_at_two_issuers_is_two_keys(db: TestDatabase) {
        let mock = mock().await;
        let shared = |issuer: &Issuer| {
            let key = issuer.keys().current().with_kid("shared");
            issuer.keys().use_key(&key);
            key
        };
        let (googles, acmes) = (shared(mock.google()), shared(mock.oidc()));
        let app = TestApp::start_beside(mock, db, |sources| sources).await;
        app.warm().await;
        let (google, oidc) = (app.mock.google(), app.mock.oidc());
        for _ in 0..2 {
            let forged = app.exchange_id_token(&signed_by(google, &acmes)).await;
            assert_eq!(forged.assert_problem(401, "invalid_token"), "the token's signature is wrong");
            let forged = acme(&app, &signed_by(oidc, &googles)).await;
            assert_eq!(forged.assert_problem(401, "invalid_token"), "the token's signature is wrong");
        }
        let at_google = app.exchange_id_token(&signed_by(google, &googles)).await.assert_signed_in();
        let at_acme = acme(&app, &signed_by(oidc, &acmes)).await.assert_signed_in();
        // The same sub, too, is another person at another issuer.
        assert_ne!(at_google.user_id, at_acme.user_id);
        assert!(at_google.created && at_acme.created);
    }
}

#[actix_web::test]
async fn fifty_logins_at_a_cold_start_cause_one_fetch() {
    let mock = mock().await;
    mock.set_fault(Endpoint::Jwks, Fault::Slow(Duration::from_millis(300)));
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| sources).await;
    let token = app.mock.google().id_token(json!({}));
    let answers = future::join_all((0..50).map(|_| app.exchange_id_token(&token))).await;
    for answer in answers {
        answer.assert_signed_in();
    }
    assert_eq!(app.mock.requests(Endpoint::Jwks), 1);
    assert_eq!(app.mock.requests(Endpoint::Discovery), 1);
    assert_eq!(app.db.count("users"), 1);
}

#[actix_web::test]
async fn ten_thousand_made_up_key_ids_cause_one_fetch_per_cooldown_and_disturb_no_login() {
    let cooldown = Duration::from_secs(2);
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("jwks.cooldown", "2s")).await;
    app.warm().await.mock.forget_requests();
    let begin = Instant::now();
    let flood = stream::iter(0..10_000)
        .map(|number| {
            let token = with_unknown_kid(&app, number);
            let app = &app;
            async move { app.exchange_id_token(&token).await }
        })
        .buffer_unordered(64)
        .for_each(|answer| {
            answer.assert_problem(401, "invalid_token");
            future::ready(())
        });
    let logins = async {
        let token = app.mock.google().id_token(json!({}));
        for _ in 0..50 {
            app.exchange_id_token(&token).await.assert_signed_in();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    future::join(flood, logins).await;
    let cooldowns = begin.elapsed().as_secs() / cooldown.as_secs() + 1;
    let fetches = app.mock.requests(Endpoint::Jwks);
    assert!(fetches <= cooldowns, "{fetches} fetches in {cooldowns} cool-downs");
    assert_eq!(app.mock.total_requests(), fetches, "and nothing but the key set");
}

#[actix_web::test]
async fn within_the_cooldown_an_unknown_key_id_asks_nobody() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("jwks.cooldown", "10m")).await;
    app.warm().await.mock.forget_requests();
    let before = app.mock.google().id_token(json!({}));
    app.mock.google().keys().rotate().expect("a key");
    for number in 0..20 {
        let answer = app.exchange_id_token(&with_unknown_kid(&app, number)).await;
        answer.assert_problem(401, "invalid_token");
    }
    let after = app.exchange_id_token(&app.mock.google().id_token(json!({}))).await;
    after.assert_problem(503, "provider_unavailable");
    app.exchange_id_token(&before).await.assert_signed_in();
    assert_eq!(app.mock.total_requests(), 0);
}

/// A made-up key id starts the cool-down; a valid token by a key that is newer than the key set must survive that.
#[actix_web::test]
async fn a_probe_for_a_made_up_key_does_not_have_valid_tokens_rejected() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("jwks.cooldown", "10m")).await;
    app.warm().await.mock.forget_requests();
    let now = || app.clock.now().0;
    app.mock.google().keys().rotate().expect("a key");
    // Two seconds later, so that nothing is of the second in which the keys were fetched.
    app.clock.advance(2);
    let valid = app.mock.google().id_token(json!({ "iat": now() }));
    let body = json!({ "id_token": valid });
    let refused = app.exchange("google", &body).await;
    refused.assert_problem(503, "provider_unavailable");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((590..=600).contains(&wait), "{wait}");
    let told = app.token_exchange("google", "urn:ietf:params:oauth:token-type:id_token", &valid, &[]).await;
    told.assert_oauth_refusal(503, "temporarily_unavailable");
    assert!(!told.header("retry-after").is_empty());
    assert_eq!(app.refused_sign_ins("%"), 0, "nobody was rejected");
    // What cannot become valid is rejected at once, so that nobody tries it again and again.
    for iat in [
        json!(now() - 600),
        json!(now() - 60),
        json!(now() + 120),
        json!(now() + 1_000_000_000),
        json!(i64::MAX),
        json!(f64::MAX),
        json!(-1),
        json!("now"),
        json!(null),
        json!([now()]),
    ] {
        let answer = app.exchange_id_token(&with_unknown_kid_issued(&app, 1, iat.clone())).await;
        assert_eq!(answer.status, 401, "{iat}: {}", answer.text);
    }
    for iat in
        [json!(now()), json!(now() + 50), serde_json::from_str(&format!("{}.5", now())).expect("a number")]
    {
        let answer = app.exchange_id_token(&with_unknown_kid_issued(&app, 1, iat.clone())).await;
        assert_eq!(answer.status, 503, "{iat}: {}", answer.text);
    }
    for (alg, claims) in
        [("none", json!({})), ("HS256", json!({})), ("RS256", json!({ "iss": "https://id.example.com" }))]
    {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": "made-up" }).to_string();
        let mut all = app.mock.google().claims(claims);
        all["iat"] = json!(now());
        let token = compact(header, all.to_string(), Signature::Bytes(&[1; 256]));
        assert_eq!(app.exchange_id_token(&token).await.status, 401, "{alg}");
    }
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn a_flood_of_made_up_keys_in_new_tokens_is_put_off_once_and_then_rejected() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("jwks.cooldown", "1s")).await;
    app.warm().await;
    let made_up = with_unknown_kid_issued(&app, 1, app.clock.now().0);
    let answer = app.exchange_id_token(&made_up).await;
    if answer.status == 503 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    until("the rejection", async || {
        let answer = app.exchange_id_token(&made_up).await;
        (answer.status == 401).then_some(())
    })
    .await;
    // The keys are newer than the token now: it is rejected within every later cool-down, too.
    for _ in 0..20 {
        app.exchange_id_token(&made_up).await.assert_problem(401, "invalid_token");
    }
}

#[actix_web::test]
async fn a_rotated_key_is_fetched_once_when_the_first_token_names_it() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("jwks.cooldown", "500ms")).await;
    app.warm().await;
    let google = app.mock.google();
    let before = google.id_token(json!({}));
    google.keys().rotate().expect("a key");
    app.mock.forget_requests();
    let after = google.id_token(json!({}));
    until("the new key", async || {
        let answer = app.exchange_id_token(&after).await;
        if answer.status != 200 {
            answer.assert_provider_unavailable();
            return None;
        }
        Some(())
    })
    .await;
    app.exchange_id_token(&before).await.assert_signed_in();
    app.exchange_id_token(&after).await.assert_signed_in();
    assert_eq!(app.mock.requests(Endpoint::Jwks), 1);
    assert_eq!(app.mock.total_requests(), 1, "the discovery document is kept longer");

    // The cool-down is over: fifty logins with the next key wait for one fetch, and none is sent away.
    google.keys().rotate().expect("a key");
    tokio::time::sleep(Duration::from_millis(600)).await;
    app.mock.forget_requests();
    let token = google.id_token(json!({}));
    let answers = future::join_all((0..50).map(|_| app.exchange_id_token(&token))).await;
    for answer in answers {
        answer.assert_signed_in();
    }
    assert_eq!(app.mock.requests(Endpoint::Jwks), 1);
}

#[actix_web::test]
async fn a_key_that_was_removed_is_refused_after_the_refresh() {
    let mock = mock().await;
    mock.google().keys().set_max_age(1);
    let app = start_quick(mock).await;
    let google = app.mock.google();
    let removed = google.id_token(json!({ "iat": app.clock.now().0 - 10 }));
    app.exchange_id_token(&removed).await.assert_signed_in();
    google.keys().replace().expect("a key");
    let refused = until("the refresh", async || {
        let answer = app.exchange_id_token(&removed).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.assert_problem(401, "invalid_token");
    let current = google.id_token(json!({}));
    app.exchange_id_token(&current).await.assert_signed_in();
}

#[actix_web::test]
async fn keys_are_refreshed_before_their_max_age_ends() {
    let mock = mock().await;
    mock.google().keys().set_max_age(6);
    let app = start_quick(mock).await;
    let begin = Instant::now();
    assert_eq!(app.mock.requests(Endpoint::Jwks), 1);
    until("the refresh", async || (app.mock.requests(Endpoint::Jwks) == 2).then_some(())).await;
    let after = begin.elapsed();
    assert!(Duration::from_secs(3) < after && after < Duration::from_secs(6), "{after:?}");
}

/// The cool-down is for made-up key ids; it must not keep a key that the provider gave for two seconds.
#[actix_web::test]
async fn a_short_max_age_is_kept_to_whatever_the_cooldown() {
    let mock = mock().await;
    mock.google().keys().set_max_age(2);
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| sources).await;
    let begin = Instant::now();
    until("two refreshes", async || (app.mock.requests(Endpoint::Jwks) >= 3).then_some(())).await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[actix_web::test]
async fn a_provider_that_forbids_caching_is_asked_once_a_second_at_most() {
    for cache_control in ["no-store", "max-age=0", "public, max-age=0, must-revalidate"] {
        let mock = mock().await;
        mock.google().keys().set_cache_control(Some(cache_control));
        let app = start_quick(mock).await;
        let begin = Instant::now();
        let token = app.mock.google().id_token(json!({}));
        while begin.elapsed() < Duration::from_millis(1300) {
            app.exchange_id_token(&token).await.assert_signed_in();
        }
        let allowed = begin.elapsed().as_secs() + 2;
        let fetches = app.mock.requests(Endpoint::Jwks);
        assert!(fetches <= allowed, "{cache_control}: {fetches}");
    }
}

#[actix_web::test]
async fn the_old_keys_are_kept_while_the_provider_fails_until_they_are_too_old() {
    let mock = mock().await;
    mock.google().keys().set_max_age(1);
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| {
        sources.with("jwks.cooldown", "200ms").with("jwks.max_stale", "4s")
    })
    .await;
    app.warm().await;
    app.mock.set_fault(Endpoint::Jwks, Fault::Status(500));
    let token = app.mock.google().id_token(json!({}));
    until("a failed refresh", async || (app.mock.requests(Endpoint::Jwks) >= 3).then_some(())).await;
    app.exchange_id_token(&token).await.assert_signed_in();
    let gone = until("the end of the keys", async || {
        let answer = app.exchange_id_token(&token).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    gone.assert_provider_unavailable();
    assert_eq!(app.get("/readyz").await.json["keys"]["google"], "unavailable");
    app.mock.clear_faults();
    until("the provider's return", async || {
        (app.exchange_id_token(&token).await.status == 200).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn whatever_the_key_endpoint_answers_the_old_keys_are_kept() {
    let app = start_quick(mock().await).await;
    let google = app.mock.google();
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a listener");
    let elsewhere = format!("http://{}/", trap.local_addr().expect("an address"));
    let good = google.id_token(json!({}));
    let faults = [
        Fault::Status(500),
        Fault::Status(404),
        Fault::Status(403),
        Fault::Status(204),
        Fault::Redirect(elsewhere),
        Fault::Hang,
        Fault::Slow(Duration::from_secs(30)),
        Fault::Truncated,
        Fault::Huge,
        Fault::WrongType,
        Fault::NotJson,
        Fault::Empty,
        Fault::CloseAtOnce,
        Fault::RateLimited429 { retry_after: Some(1) },
    ];
    let mut number = 0;
    for fault in faults {
        app.mock.clear_faults();
        app.mock.set_fault(Endpoint::Jwks, fault.clone());
        fetch_fails(&app, &mut number).await;
        let answer = app.exchange_id_token(&good).await;
        assert_eq!(answer.status, 200, "{fault:?}: {}", answer.text);
    }
    app.mock.clear_faults();
    let key = google.keys().current();
    let sets = [
        ("none", Vec::new()),
        ("ten thousand", junk::many(10_000)),
        ("none of use", vec![junk::oct(), junk::weak_rsa(), junk::unknown_kind(), junk::without_kid(&key)]),
        ("no objects", vec![json!(null), json!(5), json!("key"), json!([])]),
    ];
    for (what, set) in sets {
        google.keys().publish_only(set);
        fetch_fails(&app, &mut number).await;
        let answer = app.exchange_id_token(&good).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    }
    assert_eq!(trap.accept().expect_err("no redirect is followed").kind(), ErrorKind::WouldBlock);

    // A thousand keys are many, and no attack.
    let mut many = junk::many(1000);
    let new = google.keys().next().expect("a key");
    many.push(new.jwk());
    google.keys().publish_only(many);
    let token = signed_by(google, &new);
    until("the good set", async || (app.exchange_id_token(&token).await.status == 200).then_some(())).await;
    app.exchange_id_token(&good).await.assert_problem(401, "invalid_token");
}

/// Asks for unknown keys until a fetch that began after this call has failed, in bounded time each.
async fn fetch_fails(app: &TestApp, number: &mut usize) {
    let before = app.mock.requests(Endpoint::Jwks);
    until("a failed fetch", async || {
        *number += 1;
        let begin = Instant::now();
        let asked = app.mock.requests(Endpoint::Jwks) > before;
        let answer = app.exchange_id_token(&with_unknown_kid(app, *number)).await;
        assert!(begin.elapsed() < Duration::from_secs(5));
        if answer.status == 401 {
            return None;
        }
        answer.assert_provider_unavailable();
        asked.then_some(())
    })
    .await;
}

#[actix_web::test]
async fn junk_in_a_key_set_is_passed_over() {
    let mock = mock().await;
    let keys = mock.google().keys();
    let secret = b"a symmetric key in a public set!";
    let mut oct = junk::oct();
    oct["k"] = json!("YSBzeW1tZXRyaWMga2V5IGluIGEgcHVibGljIHNldCE");
    let good = keys.current();
    let others: Vec<_> = (0..4).map(|_| keys.next().expect("a key")).collect();
    let mut unlabelled = others[1].jwk();
    unlabelled.as_object_mut().expect("a key").remove("kid");
    let mut for_wrapping = others[2].jwk();
    for_wrapping.as_object_mut().expect("a key").remove("use");
    for_wrapping["key_ops"] = json!(["wrapKey", "encrypt"]);
    let mut misnamed = others[3].jwk();
    misnamed["alg"] = json!("HS256");
    let mut set = vec![
        oct,
        junk::ec(),
        junk::unknown_kind(),
        junk::weak_rsa(),
        junk::for_encryption(&others[0]),
        unlabelled,
        for_wrapping,
        misnamed,
        json!(null),
        json!({}),
        json!({ "kty": "RSA", "kid": "half", "alg": "RS256" }),
        json!({ "kty": "RSA", "kid": 5, "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "short", "x": "AQAB", "y": "AQAB" }),
        json!({ "kty": "EC", "crv": "P-256K", "kid": "coin", "x": "AQAB", "y": "AQAB" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "okp", "x": "AQAB" }),
        json!({ "kty": "none", "kid": "none", "alg": "none" }),
    ];
    set.push(good.jwk());
    keys.publish_only(set);
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| sources).await;
    app.warm().await;
    let google = app.mock.google();
    app.exchange_id_token(&signed_by(google, &good)).await.assert_signed_in();
    // Older than the key set: there is nothing to wait for.
    let claims = google.claims(json!({ "iat": app.clock.now().0 - 10 })).to_string();
    for key in &others {
        let token = compact(key.header().to_string(), &claims, Signature::Key(key));
        app.exchange_id_token(&token).await.assert_problem(401, "invalid_token");
    }
    let kids = [
        "junk-oct",
        "junk-ec",
        "junk-unknown",
        "junk-weak",
        "half",
        "short",
        "coin",
        "okp",
        "none",
        "",
        others[0].kid(),
        others[3].kid(),
        good.kid(),
    ];
    for kid in kids.into_iter().collect::<BTreeSet<_>>() {
        for alg in ["HS256", "RS256", "ES256", "ES384", "EdDSA", "none"] {
            let header = json!({ "alg": alg, "kid": kid, "typ": "JWT" }).to_string();
            for signature in [
                Signature::Hs256(secret),
                Signature::Hs256(b""),
                Signature::Bytes(&[0; 64]),
                Signature::Bytes(&[0; 96]),
                Signature::Bytes(&[0; 128]),
                Signature::Empty,
            ] {
                let token = compact(&header, &claims, signature);
                let answer = app.exchange_id_token(&token).await;
                assert_eq!(answer.status, 401, "{alg} {kid} {signature:?}: {}", answer.text);
                answer.assert_problem(401, "invalid_token");
            }
        }
    }
}

#[actix_web::test]
async fn an_issuer_may_sign_with_an_elliptic_curve() {
    let mock = mock().await;
    let key = SigningKey::es256().expect("a key");
    mock.oidc().keys().use_key(&key);
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| sources).await;
    app.warm().await;
    let oidc = app.mock.oidc();
    acme(&app, &oidc.id_token(json!({}))).await.assert_signed_in();
    let rsa = app.mock.oidc().keys().published();
    assert_eq!(rsa.len(), 2, "beside its RSA key");
    // Each key is good for its own algorithm only.
    let header = json!({ "alg": "RS256", "kid": key.kid(), "typ": "JWT" }).to_string();
    let token = compact(header, oidc.claims(json!({})).to_string(), Signature::Key(&key));
    acme(&app, &token).await.assert_problem(401, "invalid_token");
}

/// Starts with a discovery document changed like this, and answers what a login at `provider` is told.
async fn login_with_discovery(provider: &str, changes: Value) -> (TestApp, Answer) {
    let mock = mock().await;
    let issuer = if provider == "google" { mock.google() } else { mock.oidc() };
    issuer.set_discovery(changes);
    let token = issuer.id_token(json!({}));
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), |sources| {
        sources.with("http_client.timeout", "2s")
    })
    .await;
    app.warm().await;
    let answer = app.exchange(provider, &json!({ "id_token": token })).await;
    (app, answer)
}

#[actix_web::test]
async fn keys_are_not_fetched_in_the_clear_from_another_machine() {
    let trap = TcpListener::bind("0.0.0.0:0").expect("a port");
    trap.set_nonblocking(true).expect("a listener");
    let port = trap.local_addr().expect("an address").port();
    let addresses = [
        format!("http://0.0.0.0:{port}/jwks"),
        "http://192.0.2.1/jwks".to_owned(),
        "http://keys.example.com/jwks".to_owned(),
        format!("http://localhost.example.com:{port}/jwks"),
        format!("http://127.0.0.1@keys.example.com:{port}/jwks"),
        "ftp://127.0.0.1/jwks".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/jwks".to_owned(),
        String::new(),
    ];
    for provider in ["google", "acme"] {
        for address in &addresses {
            let (app, answer) = login_with_discovery(provider, json!({ "jwks_uri": address })).await;
            answer.assert_provider_unavailable();
            let (discovery, jwks) = if provider == "google" {
                (Endpoint::Discovery, Endpoint::Jwks)
            } else {
                (Endpoint::OidcDiscovery, Endpoint::OidcJwks)
            };
            assert!(app.mock.requests(discovery) >= 1);
            assert_eq!(app.mock.requests(jwks), 0, "{address}");
            assert_eq!(app.db.count("users"), 0);
        }
    }
    assert_eq!(trap.accept().expect_err("nobody asks there").kind(), ErrorKind::WouldBlock);
}

#[actix_web::test]
async fn a_discovery_document_of_another_issuer_is_not_used() {
    for issuer in [
        json!("https://accounts.google.com"),
        json!("https://evil.example.com"),
        json!(""),
        json!(null),
        json!(5),
        json!([]),
    ] {
        let (app, answer) = login_with_discovery("acme", json!({ "issuer": issuer })).await;
        answer.assert_provider_unavailable();
        assert_eq!(app.mock.requests(Endpoint::OidcJwks), 0, "{issuer}");
    }
}
