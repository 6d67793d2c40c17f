//! A secret has leaked: what was made with it, by us or by a thief, opens nothing once it is retired or has expired.

use std::time::Duration;

use serde_json::json;
use tokenbooth::StartError;
use tokenbooth::clock::Clock;
use tokenbooth::mock::{Person, Signature, compact};
use tokenbooth::token::{CodeChallenge, OneTimeCode, SealingKeys};
use uuid::Uuid;

use super::command::{command, keys, listed, printed, read_list, rotate};
use super::{LIFE, claims_now, signs_with};
use crate::databases::TestDatabase;
use crate::jwt::kid_of;
use crate::native;
use crate::support::TestApp;
use crate::support::app::{Answer, SECRET};
use crate::support::browser::Browser;

const NEW: &str = "the-next-secret-of-the-tests-0123456789abcdef";
const APP: &str = "http://127.0.0.1:51004/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// A look at the key set, and a little.
const LOOK: Duration = Duration::from_millis(1600);

async fn start(one: &TestApp, secret: &str, previous: &str) -> Result<TestApp, StartError> {
    let sources = native::with_apps(TestApp::sources(&one.mock, &one.db.url))
        .with("token.issuer", &one.base)
        .with("token.secret", secret)
        .with("token.previous_secrets", previous);
    TestApp::try_start(one.mock.clone(), TestDatabase::sqlite(), sources).await
}

/// An access token as whoever has the secret makes one.
fn forged_token(app: &TestApp, like: &str) -> String {
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid_of(like) }).to_string();
    compact(header, claims_now(app, like).to_string(), Signature::Hs256(SECRET.as_bytes()))
}

/// A one-time code as whoever has the secret makes one.
fn forged_code(user_id: &str, redirect_uri: &str, expires_at: i64) -> String {
    let code = OneTimeCode {
        id: Uuid::new_v4(),
        user_id: user_id.parse().expect("an id"),
        token_version: 0,
        created: false,
        authentication: None,
        redirect_uri: redirect_uri.to_owned(),
        code_challenge: CodeChallenge::of(VERIFIER),
        expires_at,
    };
    SealingKeys::new(&SECRET.into(), &[], "one-time code").expect("keys").seal(&code).expect("a code")
}

async fn redeem(app: &TestApp, code: &str, redirect_uri: &str) -> Answer {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", VERIFIER),
        ("client_id", "app"),
    ];
    app.post_form("/oauth/token", &form).await
}

/// What a thief has, and what was under way when the secret leaked.
struct Loot {
    access: String,
    user_id: String,
    /// The first of a family, which is random, and the second one, which was made with the secret.
    first: String,
    second: String,
    cursor: String,
    browser: Browser,
    callback: String,
}

impl Loot {
    async fn take(app: &TestApp) -> Self {
        let begun = app.sign_in_offline(Person::default()).await;
        for _ in 0..2 {
            app.sign_in_offline(Person::default()).await;
        }
        let first = begun.refresh_token().to_owned();
        let second = app.refresh(&first).await.assert_signed_in().refresh_token().to_owned();
        let page = app.get_as("/api/me/sessions?limit=1", &begun.jwt).await;
        let cursor = page.json["next"].as_str().expect("more than one session").to_owned();
        let mut browser = Browser::at(app);
        let callback = browser.authorize("/auth/google/login", "ada").await;
        Self { access: begun.jwt, user_id: begun.user_id, first, second, cursor, browser, callback }
    }

    /// Nothing of it opens anything at this replica. `jwt`: of the owner, who has signed in again.
    async fn opens_nothing(&mut self, app: &TestApp, jwt: &str) {
        app.me(&self.access).await.assert_problem(401, "invalid_token");
        app.me(&forged_token(app, &self.access)).await.assert_problem(401, "invalid_token");
        let now = app.clock.now().0;
        for expires_at in [now + 30, now + 60, now + 4000, now + 1_000_000_000] {
            let code = forged_code(&self.user_id, APP, expires_at);
            redeem(app, &code, APP).await.assert_oauth_refusal(400, "invalid_grant");
        }
        let answer = app.get_as(&format!("/api/me/sessions?after={}", self.cursor), jwt).await;
        answer.assert_problem(400, "invalid_request");
        let answer = self.browser.visit(&self.callback).await;
        assert!(answer.status == 400 && answer.text.contains("invalid_state"), "{}", answer.text);
    }
}

/// Sign-ins of every kind, a refresh and a list go on.
async fn serves(app: &TestApp) {
    let begun = app.sign_in_offline(Person::default()).await;
    let next = app.refresh(begun.refresh_token()).await.assert_signed_in();
    app.refresh(next.refresh_token()).await.assert_signed_in();
    let code = native::code(app, "ada").await;
    assert_eq!(native::redeem_at_home(app, &code).await.status, 200);
    let page = app.get_as("/api/me/sessions?limit=1", &next.jwt).await;
    let cursor = page.json["next"].as_str().expect("more than one session");
    assert_eq!(app.get_as(&format!("/api/me/sessions?after={cursor}"), &next.jwt).await.status, 200);
}

on_both_databases! {
    async fn nothing_that_was_made_with_a_retired_secret_opens_anything_on_any_replica(db: TestDatabase) {
        let one = TestApp::start_with(db, native::with_apps).await;
        let two = start(&one, SECRET, "").await.expect("a replica");
        let mut loot = Loot::take(&one).await;
        let mut at_two = Loot::take(&two).await;
        // As long as the secret signs, whoever has it is anybody.
        let code = forged_code(&loot.user_id, APP, one.clock.now().0 + 30);
        assert_eq!(redeem(&one, &code, APP).await.status, 200);
        let kid = rotate(&one.db, &["--alg", "EdDSA"]);
        signs_with(&one, &kid).await;
        signs_with(&two, &kid).await;
        keys(&one.db, &["retire", &kid_of(&loot.access), "--force"]);
        tokio::time::sleep(LOOK).await;
        let jwt = one.sign_in(Person::default()).await.jwt;
        loot.opens_nothing(&one, &jwt).await;
        at_two.opens_nothing(&two, &jwt).await;
        // The second token of the family can be computed from the first one and the secret.
        two.refresh(&loot.second).await.assert_problem(401, "invalid_refresh_token");
        one.refresh(&at_two.second).await.assert_problem(401, "invalid_refresh_token");
        two.refresh(&loot.first).await.assert_problem(401, "invalid_refresh_token");
        for app in [&one, &two, &start(&one, SECRET, "").await.expect("a replica")] {
            serves(app).await;
        }
    }

    async fn nothing_that_was_made_with_an_expired_key_opens_anything_but_sessions_go_on(db: TestDatabase) {
        let app = TestApp::start_with(db, native::with_apps).await;
        let mut loot = Loot::take(&app).await;
        let kid = rotate(&app.db, &["--alg", "ES256"]);
        signs_with(&app, &kid).await;
        // Rotation alone leaves what is under way.
        let mut browser = Browser::at(&app);
        let code = native::code(&app, "ada").await;
        assert_eq!(native::redeem_at_home(&app, &code).await.status, 200);
        let callback = browser.authorize("/auth/google/login", "ada").await;
        assert_eq!(browser.visit(&callback).await.status, 302);
        app.clock.advance(LIFE + 80);
        let mut claims = Person::default().claims();
        claims["iat"] = json!(app.clock.now().0);
        let jwt = app.exchange_id_token(&app.mock.google().id_token(claims)).await.assert_signed_in().jwt;
        loot.opens_nothing(&app, &jwt).await;
        app.refresh(&loot.second).await.assert_signed_in();
    }

    async fn a_secret_that_has_expired_stays_so_when_token_secret_is_changed(db: TestDatabase) {
        let old = TestApp::start(db).await;
        let by_secret = old.sign_in(Person::default()).await.jwt;
        let kid = rotate(&old.db, &["--alg", "EdDSA"]);
        signs_with(&old, &kid).await;
        old.db.execute(&format!("UPDATE signing_keys SET signs_from = signs_from - {}", LIFE + 100));
        let changed = start(&old, NEW, SECRET).await.expect("it starts");
        changed.me(&forged_token(&changed, &by_secret)).await.assert_problem(401, "invalid_token");
        let by_new = |arguments: &[&str]| {
            printed(command(&old.db.url, arguments).set("token.secret", NEW).set("token.previous_secrets", SECRET))
        };
        let states = |text: &str| read_list(text).into_iter().map(|key| key.state).collect::<Vec<_>>();
        assert_eq!(states(&by_new(&["list"])), ["expired", "expired", "signing"]);
        let base = kid_of(&by_secret);
        by_new(&["retire", &base]);
        assert_eq!(states(&by_new(&["list"])), ["expired", "signing", "retired"]);
        by_new(&["retire", &base, "--force"]);
    }

    async fn a_previous_secret_is_retired_by_its_kid_and_still_unseals(db: TestDatabase) {
        let old = TestApp::start(db).await;
        let by_secret = old.sign_in(Person::default()).await.jwt;
        let kid = rotate(&old.db, &["--alg", "EdDSA"]);
        signs_with(&old, &kid).await;
        let changed = start(&old, NEW, SECRET).await.expect("it starts");
        assert_eq!(changed.me(&by_secret).await.status, 200);
        let retire = command(&old.db.url, &["retire", &kid_of(&by_secret), "--force"]);
        printed(retire.set("token.secret", NEW).set("token.previous_secrets", SECRET));
        tokio::time::sleep(LOOK).await;
        changed.me(&by_secret).await.assert_problem(401, "invalid_token");
        // The key is sealed with the retired secret until the next rotation.
        let restarted = start(&old, NEW, SECRET).await.expect("it unseals");
        assert_eq!(kid_of(&restarted.sign_in(Person::default()).await.jwt), kid);
    }

    async fn a_replaced_secret_verifies_for_a_tokens_life_and_never_again(db: TestDatabase) {
        let old = TestApp::start(db).await;
        let by_secret = old.sign_in(Person::default()).await.jwt;
        let prepared = start(&old, SECRET, NEW).await.expect("it starts");
        let changed = start(&old, NEW, SECRET).await.expect("it starts");
        // The replica that only knows the new secret signs with it as soon as another one has started with it.
        let new = loop {
            let jwt = changed.sign_in(Person::default()).await.jwt;
            if kid_of(&jwt) != kid_of(&by_secret) {
                break jwt;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        signs_with(&prepared, &kid_of(&new)).await;
        for app in [&prepared, &changed] {
            assert_eq!(app.me(&by_secret).await.status, 200);
            assert_eq!(app.me(&new).await.status, 200);
        }
        changed.clock.advance(LIFE + 40);
        assert_eq!(changed.me(&forged_token(&changed, &by_secret)).await.status, 200);
        changed.clock.advance(30);
        changed.me(&forged_token(&changed, &by_secret)).await.assert_problem(401, "invalid_token");
        // Also for whoever starts later, and with the settings the other way round.
        old.db.execute(&format!("UPDATE token_secrets SET signs_from = signs_from - {}", LIFE + 100));
        let restarted = start(&old, NEW, SECRET).await.expect("it starts");
        restarted.me(&forged_token(&restarted, &by_secret)).await.assert_problem(401, "invalid_token");
        let back = start(&old, SECRET, NEW).await.expect("the new one signs");
        assert_eq!(kid_of(&back.sign_in(Person::default()).await.jwt), kid_of(&new));
        let refused = start(&old, SECRET, "").await.err().expect("nothing is left to sign with").to_string();
        assert!(refused.contains("has expired, and none is left to sign with") && refused.contains("keys rotate"), "{refused}");
        // With a key of its own it goes on, and the secret stays expired.
        keys(&old.db, &["rotate", "--alg", "EdDSA"]);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let rotated = start(&old, SECRET, "").await.expect("it starts");
        rotated.me(&forged_token(&rotated, &by_secret)).await.assert_problem(401, "invalid_token");
        assert_eq!(listed(&old.db)[0].state, "expired");
    }

    async fn a_one_time_code_is_for_a_registered_redirect_uri_and_a_short_time(db: TestDatabase) {
        let app = TestApp::start_with(db, native::with_apps).await;
        let user_id = app.sign_in(Person::default()).await.user_id;
        let now = app.clock.now().0;
        for (redirect_uri, expires_at, why) in [
            (APP, now + 3600, "code_ttl"),
            (APP, i64::MAX, "code_ttl"),
            (APP, now - 1, "code_ttl"),
            ("https://evil.example/", now + 30, "sign_in.redirect_uris"),
            ("com.mail.app:/callback/more", now + 30, "sign_in.redirect_uris"),
            ("/account", now + 30, "sign_in.redirect_uris"),
        ] {
            let answer = redeem(&app, &forged_code(&user_id, redirect_uri, expires_at), redirect_uri).await;
            let told = answer.assert_oauth_refusal(400, "invalid_grant");
            assert!(told.contains(why), "{told}");
        }
        // A URI that was taken out of the settings gets no tokens any more.
        let code = native::code(&app, "ada").await;
        let sources = TestApp::sources(&app.mock, &app.db.url).with("token.issuer", &app.base);
        let without = TestApp::try_start(app.mock.clone(), TestDatabase::sqlite(), sources).await.expect("a replica");
        native::redeem_at_home(&without, &code).await.assert_oauth_refusal(400, "invalid_grant");
    }
}
