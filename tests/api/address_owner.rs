//! Whose account an address is: it follows the identity that gave it, goes with that identity, and leads nobody into an account
//! of somebody else.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::{GithubEmail, GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::{Answer, SignedIn, TestApp};

const BOSS: &str = "boss@example.com";
const PASSWORD: &str = "correct horse battery staple";

async fn with_linking(db: TestDatabase) -> TestApp {
    TestApp::start_with(db, |sources| sources.with("accounts.link_verified_email", "true")).await
}

fn at_github(login: &str, email: &str, verified: bool) -> GithubUser {
    GithubUser { emails: vec![GithubEmail::new(email, true, verified)], ..GithubUser::named(login) }
}

fn person(name: &str, email: &str, verified: bool) -> Person {
    Person { email: Some(email.into()), email_verified: Some(json!(verified)), ..Person::named(name) }
}

/// Signs in at the OpenID Connect issuer.
async fn by_acme(app: &TestApp, person: &Person) -> Answer {
    app.exchange("acme", &json!({ "id_token": app.mock.oidc().id_token(person.claims()) })).await
}

async fn link_acme(app: &TestApp, jwt: &str, person: &Person) -> Answer {
    let body = json!({ "id_token": app.mock.oidc().id_token(person.claims()) });
    app.send_as("POST", "/api/me/identities/acme", jwt, &body).await
}

async fn unlink(app: &TestApp, jwt: &str, provider: &str) -> Answer {
    let listed = app.get_as("/api/me/identities", jwt).await;
    let items = listed.json["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["provider"] == provider).expect("an identity");
    let path = format!("/api/me/identities/{}", item["id"].as_str().expect("an id"));
    app.send_as("DELETE", &path, jwt, &Value::Null).await
}

async fn set_password(app: &TestApp, jwt: &str) {
    let body = json!({ "new_password": PASSWORD });
    assert_eq!(app.send_as("PUT", "/api/me/password", jwt, &body).await.status, 204);
}

async fn email(app: &TestApp, jwt: &str) -> Value {
    app.me(jwt).await.json["email"].clone()
}

/// Changes of the address of this user in the audit trail, none of which holds one.
fn changes(app: &TestApp, user: &SignedIn) -> i64 {
    let of = format!("kind = 'user.email_changed' AND user_id = '{}'", user.user_id);
    let holding = format!("SELECT COUNT(*) AS number FROM events WHERE {of} AND detail LIKE '%@%'");
    assert_eq!(app.db.number(&holding), 0);
    app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE {of}"))
}

on_both_databases! {
    async fn an_address_that_was_linked_and_unlinked_leads_its_owner_into_no_other_account(db: TestDatabase) {
        let app = with_linking(db).await;
        let mallory = app.exchange_github(at_github("mallory", "m@example.com", false)).await.assert_signed_in();
        assert_eq!(app.link_google(&mallory.jwt, person("m", BOSS, true)).await.status, 201);
        assert_eq!(email(&app, &mallory.jwt).await, BOSS);
        assert_eq!(unlink(&app, &mallory.jwt, "google").await.status, 204);
        assert_eq!(email(&app, &mallory.jwt).await, Value::Null);
        assert_eq!(changes(&app, &mallory), 2);
        let boss = by_acme(&app, &person("boss", BOSS, true)).await.assert_signed_in();
        assert!(boss.created && boss.user_id != mallory.user_id, "{}", boss.json);
        // The same identity as before is the boss's now, since the address is.
        let again = app.sign_in(person("m", BOSS, true)).await;
        assert_eq!(again.user_id, boss.user_id);
    }

    async fn nor_does_one_that_only_a_password_keeps(db: TestDatabase) {
        let app = with_linking(db).await;
        let mallory = app.sign_in(person("m", BOSS, true)).await;
        set_password(&app, &mallory.jwt).await;
        // The password is the last sign-in method, and the address its login name.
        assert_eq!(unlink(&app, &mallory.jwt, "google").await.status, 204);
        let by_password = app.sign_in_with_password(BOSS, PASSWORD).await.assert_signed_in();
        assert_eq!(by_password.user_id, mallory.user_id);
        let boss = by_acme(&app, &person("boss", BOSS, true)).await.assert_signed_in();
        assert!(boss.created && boss.user_id != mallory.user_id);
        // Now the boss's account is the one with the address, whatever else has it.
        let by_github = app.exchange_github(at_github("boss", BOSS, true)).await.assert_signed_in();
        assert_eq!(by_github.user_id, boss.user_id);

        // An identity that brings no address changes nothing; without the password nothing keeps the address.
        assert_eq!(app.link_github(&by_password.jwt, at_github("m", "m@example.com", false)).await.status, 201);
        assert_eq!(email(&app, &by_password.jwt).await, BOSS);
        let body = json!({ "current_password": PASSWORD });
        assert_eq!(app.send_as("DELETE", "/api/me/password", &by_password.jwt, &body).await.status, 204);
        let left = app.exchange_github(at_github("m", "m@example.com", false)).await.assert_signed_in();
        assert_eq!((&left.user_id, &left.json["user"]["email"]), (&mallory.user_id, &Value::Null));
        assert_eq!(changes(&app, &mallory), 1);
    }

    async fn an_address_that_a_password_keeps_is_replaced_by_the_next_that_is_verified(db: TestDatabase) {
        let app = with_linking(db).await;
        let alice = app.sign_in(person("alice", "old@example.com", true)).await;
        set_password(&app, &alice.jwt).await;
        assert_eq!(unlink(&app, &alice.jwt, "google").await.status, 204);
        let alice = app.sign_in_with_password("old@example.com", PASSWORD).await.assert_signed_in();
        assert_eq!(link_acme(&app, &alice.jwt, &person("alice", "new@example.com", true)).await.status, 201);
        assert_eq!(email(&app, &alice.jwt).await, "new@example.com");
        app.sign_in_with_password("old@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
        let moved = app.sign_in_with_password("new@example.com", PASSWORD).await.assert_signed_in();
        assert_eq!(moved.user_id, alice.user_id);
        // And it is an address like any other again.
        let linked = app.exchange_github(at_github("alice", "new@example.com", true)).await.assert_signed_in();
        assert_eq!((&linked.user_id, linked.created), (&alice.user_id, false));
    }

    async fn the_oldest_remaining_identity_with_a_verified_address_gives_the_next(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(person("alice", "first@example.com", true)).await;
        set_password(&app, &alice.jwt).await;
        assert_eq!(app.link_github(&alice.jwt, at_github("alice", "second@example.com", false)).await.status, 201);
        assert_eq!(link_acme(&app, &alice.jwt, &person("alice", "third@example.com", true)).await.status, 201);
        assert_eq!(link_acme(&app, &alice.jwt, &person("alice2", "fourth@example.com", true)).await.status, 201);
        assert_eq!(email(&app, &alice.jwt).await, "first@example.com");
        assert_eq!(unlink(&app, &alice.jwt, "google").await.status, 204);
        let alice = by_acme(&app, &person("alice2", "fourth@example.com", true)).await.assert_signed_in();
        assert_eq!(email(&app, &alice.jwt).await, "third@example.com");
        assert_eq!(changes(&app, &alice), 1);
        app.sign_in_with_password("first@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
        app.sign_in_with_password("third@example.com", PASSWORD).await.assert_signed_in();
        // From now on it follows that one, and no other.
        by_acme(&app, &person("alice2", "fifth@example.com", true)).await.assert_signed_in();
        assert_eq!(email(&app, &alice.jwt).await, "third@example.com");
        by_acme(&app, &person("alice", "moved@example.com", true)).await.assert_signed_in();
        assert_eq!(email(&app, &alice.jwt).await, "moved@example.com");
        assert_eq!(changes(&app, &alice), 2);
        // One that is not the giver takes nothing.
        assert_eq!(unlink(&app, &alice.jwt, "github").await.status, 204);
        let alice = by_acme(&app, &person("alice2", "fifth@example.com", true)).await.assert_signed_in();
        assert_eq!((email(&app, &alice.jwt).await, changes(&app, &alice)), (json!("moved@example.com"), 2));
    }

    async fn a_verified_address_that_was_taken_back_is_not_inherited(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(person("alice", "first@example.com", true)).await;
        let second = person("alice", "second@example.com", true);
        assert_eq!(link_acme(&app, &alice.jwt, &second).await.status, 201);
        by_acme(&app, &person("alice", "second@example.com", false)).await.assert_signed_in();
        // As a replica of an earlier version writes it.
        app.db.execute("UPDATE identities SET verified_email = 'second@example.com', email = 'other@example.com' WHERE provider = 'acme'");
        assert_eq!(unlink(&app, &alice.jwt, "google").await.status, 204);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM users WHERE email IS NULL"), 1);
    }

    async fn a_password_goes_with_the_last_address_and_does_not_come_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(person("alice", "alice@example.com", true)).await;
        set_password(&app, &alice.jwt).await;
        assert_eq!(app.link_github(&alice.jwt, at_github("alice", "a@example.com", false)).await.status, 201);
        assert_eq!(unlink(&app, &alice.jwt, "google").await.status, 204);
        // Unlinking ends everything.
        app.me(&alice.jwt).await.assert_problem(401, "invalid_token");
        app.refresh(alice.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        let told = "SELECT COUNT(*) AS number FROM events WHERE kind = 'password.removed' AND detail LIKE '%email_removed%'";
        assert_eq!(app.db.number(told), 1);
        let again = app.exchange_github(at_github("alice", "a@example.com", false)).await.assert_signed_in();
        assert_eq!((&again.user_id, &again.json["user"]["email"]), (&alice.user_id, &Value::Null));
        assert_eq!(link_acme(&app, &again.jwt, &person("alice", "alice@example.com", true)).await.status, 201);
        app.sign_in_with_password("alice@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    }

    async fn whoever_inherits_an_address_that_has_a_password_brings_none(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let bob = app.sign_in(person("bob", "shared@example.com", true)).await;
        set_password(&app, &bob.jwt).await;
        let alice = app.sign_in(person("alice", "alice@example.com", true)).await;
        set_password(&app, &alice.jwt).await;
        assert_eq!(link_acme(&app, &alice.jwt, &person("alice", "shared@example.com", true)).await.status, 201);
        assert_eq!(unlink(&app, &alice.jwt, "google").await.status, 204);
        let signed_in = app.sign_in_with_password("shared@example.com", PASSWORD).await.assert_signed_in();
        assert_eq!(signed_in.user_id, bob.user_id);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM users WHERE password_hash IS NOT NULL"), 1);
        assert_eq!(by_acme(&app, &person("alice", "shared@example.com", true)).await.assert_signed_in().user_id, alice.user_id);
    }

    async fn one_address_by_two_providers_on_two_replicas_at_once_makes_one_user(db: TestDatabase) {
        let url = db.url.clone();
        let settings = |sources: tokenbooth::settings::Sources| {
            sources.with("accounts.link_verified_email", "true").with("database.timeout", "60s").with("token.issuer", "https://booth.test")
        };
        let one = TestApp::start_with(db, settings).await;
        let sources = settings(TestApp::sources(&one.mock, &url));
        let two = TestApp::try_start(one.mock.clone(), TestDatabase::sqlite(), sources).await.expect("a replica");
        one.warm().await;
        two.warm().await;
        for round in 0..3 {
            let pairs = (0..20).map(|number| {
                let name = format!("person-{round}-{number}");
                // The case of ASCII letters, and a name that is typed in two ways.
                let (lower, other) = (format!("zo\u{eb}-{name}@example.com"), format!("Zoe\u{308}-{name}@Example.com"));
                let (one, two) = (&one, &two);
                async move {
                    let (at_google, at_acme) = (person(&name, &lower, true), person(&name, &other, true));
                    let (first, second) = tokio::join!(one.sign_in(at_google), by_acme(two, &at_acme));
                    (first, second.assert_signed_in())
                }
            });
            for (first, second) in join_all(pairs).await {
                assert_eq!(first.user_id, second.user_id);
                assert!(first.created != second.created, "one of them is the first");
            }
        }
        assert_eq!((one.db.count("users"), one.db.count("identities")), (60, 120));
    }

    async fn an_address_with_what_nobody_sees_is_none(db: TestDatabase) {
        let app = with_linking(db).await;
        let alice = app.sign_in(person("alice", "alice@example.com", true)).await;
        for (number, c) in ['\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{61c}', '\u{feff}', '\u{ad}', '\u{e0061}'].into_iter().enumerate() {
            for address in [format!("ali{c}ce@example.com"), format!("alice@exam{c}ple.com"), format!("{c}alice@example.com")] {
                let one = person(&format!("m-{number}-{}", address.len()), &address, true);
                let signed_in = by_acme(&app, &Person { sub: format!("{number}-{address}").escape_unicode().to_string(), ..one }).await.assert_signed_in();
                assert!(signed_in.user_id != alice.user_id, "{address:?}");
                assert_eq!(signed_in.json["user"]["email"], Value::Null, "{address:?}");
            }
        }
    }
}
