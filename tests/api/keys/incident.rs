//! "The secret has leaked" in docs/KEYS.md and "After a restore" in docs/INSTALL.md, performed step by step with the real binary.

use std::time::Duration;

use serde_json::{Value, json};
use tokenbooth::clock::{Clock, SystemClock};
use tokenbooth::db::signing_keys;
use tokenbooth::mock::{MockProviders, Person, Signature, compact};
use tokenbooth::token::{CodeChallenge, OneTimeCode, PrivateJwk, SealingKeys};
use uuid::Uuid;

use super::command::{Listed, printed, read_list};
use crate::databases::TestDatabase;
use crate::jwt::{bytes, kid_of};
use crate::support::app::{Answer, SECRET, client};
use crate::support::process::{Running, Tokenbooth};

const NEW: &str = "the-next-secret-of-the-tests-0123456789abcdef";
const ISSUER: &str = "https://auth.mail.com";
const APP: &str = "com.mail.app:/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A service on one database: its replicas, and the commands of its administrator.
struct Service<'a> {
    mock: &'a MockProviders,
    db: &'a TestDatabase,
}

impl Service<'_> {
    fn configured(&self, command: Tokenbooth, secret: &str, previous: &str) -> Tokenbooth {
        let command = command.set("database.url", &self.db.url).set("token.issuer", ISSUER);
        let command = command.set("sign_in.redirect_uris", APP);
        command.set("token.secret", secret).set("token.previous_secrets", previous)
    }

    fn start(&self, secret: &str, previous: &str) -> (Running, String) {
        let command = Tokenbooth::serving(self.mock, &self.db.url);
        let mut running = self.configured(command, secret, previous).start();
        let url = running.url();
        (running, url)
    }

    fn command(&self, secret: &str, previous: &str, arguments: &[&str]) -> String {
        printed(self.configured(Tokenbooth::new(arguments), secret, previous))
    }

    fn list(&self, secret: &str, previous: &str) -> Vec<Listed> {
        read_list(&self.command(secret, previous, &["keys", "list"]))
    }

    /// Every key that is not the one that signs, and is not retired.
    fn others(&self, secret: &str, previous: &str) -> Vec<Listed> {
        let in_use = |key: &Listed| key.state != "signing" && key.state != "retired";
        self.list(secret, previous).into_iter().filter(in_use).collect()
    }

    async fn sign_in(&self, url: &str) -> Answer {
        let id_token = self.mock.google().id_token(Person::default().claims());
        post(url, "/auth/google", &json!({ "id_token": id_token, "scope": "offline_access" })).await
    }
}

async fn post(url: &str, path: &str, body: &Value) -> Answer {
    Answer::of(client().post(format!("{url}{path}")).json(body).send().await.expect("an answer")).await
}

async fn refresh(url: &str, refresh_token: &str) -> Answer {
    post(url, "/auth/refresh", &json!({ "refresh_token": refresh_token })).await
}

async fn me(url: &str, jwt: &str) -> u16 {
    client().get(format!("{url}/api/me")).bearer_auth(jwt).send().await.expect("an answer").status().as_u16()
}

/// Whoever has the secret, and a copy of the database from the time of the leak.
struct Thief {
    user_id: String,
    kid: String,
    /// A stored key, unsealed with the secret: its `kid` and its bytes.
    stored: (String, Vec<u8>),
}

impl Thief {
    fn token(&self, (kid, key): (&str, &[u8]), version: i64) -> String {
        let now = SystemClock.now().0;
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }).to_string();
        let claims = json!({
            "iss": ISSUER, "aud": "tokenbooth", "sub": self.user_id, "iat": now, "exp": now + 60,
            "jti": Uuid::new_v4().simple().to_string(), "ver": version,
        });
        compact(header, claims.to_string(), Signature::Hs256(key))
    }

    fn tokens(&self) -> Vec<String> {
        let by_secret = (self.kid.as_str(), SECRET.as_bytes());
        let by_stored = (self.stored.0.as_str(), self.stored.1.as_slice());
        (0..4).flat_map(|version| [by_secret, by_stored].map(|key| self.token(key, version))).collect()
    }

    fn code(&self, version: i64) -> String {
        let code = OneTimeCode {
            id: Uuid::new_v4(),
            user_id: self.user_id.parse().expect("an id"),
            token_version: version,
            created: false,
            authentication: None,
            redirect_uri: APP.to_owned(),
            code_challenge: CodeChallenge::of(VERIFIER),
            expires_at: SystemClock.now().0 + 50,
        };
        SealingKeys::new(&SECRET.into(), &[], "one-time code").expect("keys").seal(&code).expect("a code")
    }

    async fn redeem(url: &str, code: &str) -> u16 {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", APP),
            ("code_verifier", VERIFIER),
            ("client_id", "app"),
        ];
        let request = client().post(format!("{url}/oauth/token")).form(&form);
        request.send().await.expect("an answer").status().as_u16()
    }

    /// How many of all his attempts are successful.
    async fn successes(&self, url: &str) -> usize {
        let mut successes = 0;
        for token in self.tokens() {
            successes += usize::from(me(url, &token).await == 200);
        }
        for version in 0..4 {
            successes += usize::from(Self::redeem(url, &self.code(version)).await == 200);
        }
        successes
    }
}

on_both_databases! {
    async fn whoever_follows_the_secret_has_leaked_word_by_word_has_shut_the_thief_out(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let service = Service { mock: &mock, db: &db };
        let (one, url) = service.start(SECRET, "");
        let (two, other_url) = service.start(SECRET, "");
        // A refresh token that was made with the secret, and one that will be made with a stored key.
        let begun = service.sign_in(&url).await.assert_signed_in();
        let by_secret = refresh(&url, begun.refresh_token()).await.assert_signed_in();
        let stored = service.command(SECRET, "", &["keys", "rotate", "--alg", "HS256"]).trim_end().to_owned();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let owner = service.sign_in(&other_url).await.assert_signed_in();
        let by_stored = refresh(&url, owner.refresh_token()).await.assert_signed_in();
        assert_eq!(kid_of(&by_stored.jwt), stored);

        // The leak.
        let mut conn = tokenbooth::db::connect(&db.parsed_url()).expect("a connection");
        let rows = signing_keys::list(&mut conn).expect("the keys");
        let row = rows.into_iter().find(|row| row.id == stored).expect("the stored key");
        let sealed = row.material.expect("it is not retired");
        let unsealing = SealingKeys::new(&SECRET.into(), &[], "key ring").expect("keys");
        let jwk: PrivateJwk = unsealing.unseal(&sealed).expect("the thief has the secret");
        let key = bytes(json!(jwk)["k"].as_str().expect("a secret"));
        let thief = Thief { user_id: owner.user_id.clone(), kid: kid_of(&begun.jwt), stored: (stored, key) };
        assert!(thief.successes(&url).await > 0 && thief.successes(&other_url).await > 0);
        // A session of his own, while he can.
        let stolen = [&by_secret, &by_stored].map(|signed_in| signed_in.refresh_token().to_owned());

        // Step 1.
        let old_kid = service.list(SECRET, "")[0].kid.clone();
        assert_eq!(old_kid, thief.kid);
        // Step 2.
        drop((one, two));
        let (one, url) = service.start(NEW, SECRET);
        let (two, other_url) = service.start(NEW, SECRET);
        // Step 3.
        service.command(NEW, SECRET, &["keys", "rotate"]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        // Step 4.
        service.command(NEW, SECRET, &["keys", "retire", &old_kid, "--force"]);
        for key in service.others(NEW, SECRET).iter().filter(|key| key.created != "in the settings") {
            service.command(NEW, SECRET, &["keys", "retire", &key.kid, "--force"]);
        }
        tokio::time::sleep(Duration::from_millis(1600)).await;
        for url in [&url, &other_url] {
            assert_eq!(thief.successes(url).await, 0, "the steps before the next one are enough for what he forges");
        }
        // Step 5.
        service.command(NEW, SECRET, &["user", "revoke", "--all"]);
        // Step 6.
        drop((one, two));
        let (_one, url) = service.start(NEW, "");
        let (_two, other_url) = service.start(NEW, "");
        let checked = service.configured(Tokenbooth::new(&["check"]), NEW, "").output();
        let checked = String::from_utf8(checked.stdout).expect("UTF-8");
        assert!(checked.contains("ok       keys: HS256 signs, by the key "), "{checked}");
        assert!(!checked.contains("is retired"), "{checked}");

        for url in [&url, &other_url] {
            assert_eq!(thief.successes(url).await, 0);
            for jwt in [&begun.jwt, &by_secret.jwt, &by_stored.jwt] {
                assert_eq!(me(url, jwt).await, 401);
            }
            for token in &stolen {
                refresh(url, token).await.assert_problem(401, "invalid_refresh_token");
            }
            // The owner signs in again and stays signed in.
            let again = service.sign_in(url).await.assert_signed_in();
            assert_eq!((again.created, &again.user_id), (false, &owner.user_id));
            let next = refresh(url, again.refresh_token()).await.assert_signed_in();
            assert_eq!((me(url, &next.jwt).await, me(&other_url, &again.jwt).await), (200, 200));
        }
    }

    async fn whoever_follows_after_a_restore_has_no_session_and_no_retired_key_back(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let service = Service { mock: &mock, db: &db };
        let (running, url) = service.start(SECRET, "");
        let leaked = service.command(SECRET, "", &["keys", "rotate", "--alg", "EdDSA"]).trim_end().to_owned();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let logged_out = service.sign_in(&url).await.assert_signed_in();
        assert_eq!(kid_of(&logged_out.jwt), leaked);
        let folder = tempfile::tempdir().expect("a folder");
        let backup = format!("sqlite://{}", folder.path().join("backup.db").display());
        let copy = |from: &str, to: &str, more: &[&str]| {
            let arguments = [&["db", "copy", "--from", from, "--to", to], more].concat();
            let output = Tokenbooth::new(&arguments).output();
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        };
        copy(&db.url, &backup, &[]);

        // After the backup: a log-out, and a key that is retired because it leaked.
        post(&url, "/auth/logout", &json!({ "refresh_token": logged_out.refresh_token() })).await;
        refresh(&url, logged_out.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        service.command(SECRET, "", &["keys", "rotate"]);
        tokio::time::sleep(Duration::from_secs(4)).await;
        service.command(SECRET, "", &["keys", "retire", &leaked, "--force"]);
        drop(running);

        // Steps 1 to 5 and 7 of the guide; there is nothing to do again in step 6.
        copy(&backup, &db.url, &["--replace"]);
        service.command(SECRET, "", &["migrate"]);
        service.command(SECRET, "", &["user", "revoke", "--all"]);
        service.command(SECRET, "", &["keys", "rotate"]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        for key in service.others(SECRET, "").iter().filter(|key| key.created != "in the settings") {
            service.command(SECRET, "", &["keys", "retire", &key.kid, "--force"]);
        }
        assert!(service.list(SECRET, "").iter().any(|key| key.kid == leaked && key.state == "retired"));
        let (_running, url) = service.start(SECRET, "");
        assert_eq!(me(&url, &logged_out.jwt).await, 401);
        refresh(&url, logged_out.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        let again = service.sign_in(&url).await.assert_signed_in();
        assert_eq!((&again.user_id, me(&url, &again.jwt).await), (&logged_out.user_id, 200));
    }
}
