//! `token.secret` is changed while there are keys sealed with it.

use std::time::Duration;

use tokenbooth::StartError;
use tokenbooth::mock::Person;

use super::command::{command, printed, read_list, rotate};
use super::signs_with;
use crate::databases::TestDatabase;
use crate::jwt::kid_of;
use crate::support::TestApp;
use crate::support::app::SECRET;

const NEW: &str = "the-next-secret-of-the-tests-0123456789abcdef";

async fn start(one: &TestApp, secret: &str, previous: &str) -> Result<TestApp, StartError> {
    let sources = TestApp::sources(&one.mock, &one.db.url)
        .with("token.issuer", &one.base)
        .with("token.secret", secret)
        .with("token.previous_secrets", previous);
    TestApp::try_start(one.mock.clone(), TestDatabase::sqlite(), sources).await
}

on_both_databases! {
    async fn a_secret_is_changed_replica_by_replica_and_no_key_is_lost(db: TestDatabase) {
        let old = TestApp::start(db).await;
        let kid = rotate(&old.db, &["--alg", "EdDSA"]);
        signs_with(&old, &kid).await;
        let before = old.sign_in(Person::default()).await.jwt;
        let changed = start(&old, NEW, SECRET).await.expect("it starts");
        // Both work, and both know each other's tokens: the key is in the ring, not in the secret.
        let after = changed.sign_in(Person::default()).await.jwt;
        assert_eq!(kid_of(&after), kid);
        for (app, jwt) in [(&old, &after), (&changed, &before)] {
            assert_eq!(app.me(jwt).await.status, 200);
        }
        // Nothing was sealed anew: a replica with the old secret can still start.
        drop(start(&old, SECRET, "").await.expect("it starts"));
        let without = start(&old, NEW, "").await.err().expect("it cannot know the key").to_string();
        assert!(without.starts_with(&format!("the key {kid}: it is sealed")), "{without}");
        assert!(without.contains("token.previous_secrets") && without.contains(&format!("keys retire {kid} --force")), "{without}");
        assert!(!without.contains(SECRET) && !without.contains(NEW));

        // Now everything is sealed with the new one.
        let rotating = command(&old.db.url, &["rotate"]).set("token.secret", NEW).set("token.previous_secrets", SECRET);
        let next = printed(rotating).trim_end().to_owned();
        let alone = start(&old, NEW, "").await.expect("the new secret opens every key");
        assert_eq!(alone.me(&before).await.status, 200);
        signs_with(&changed, &next).await;
        let by_next = changed.sign_in(Person::default()).await.jwt;
        assert_eq!(alone.me(&by_next).await.status, 200);
        // Whoever has the old one alone goes on with the keys it has, and says so once.
        assert_eq!(old.me(&after).await.status, 200);
        old.me(&by_next).await.assert_problem(401, "invalid_token");
        let jwt = old.sign_in(Person::default()).await.jwt;
        assert_eq!((kid_of(&jwt), alone.me(&jwt).await.status), (kid, 200));
    }

    async fn a_secret_that_was_retired_stays_so_as_a_previous_one(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let by_secret = app.sign_in(Person::default()).await.jwt;
        let kid = rotate(&app.db, &["--alg", "EdDSA"]);
        signs_with(&app, &kid).await;
        printed(command(&app.db.url, &["retire", &kid_of(&by_secret), "--force"]));
        let changed = start(&app, NEW, SECRET).await.expect("it starts");
        changed.me(&by_secret).await.assert_problem(401, "invalid_token");
        assert_eq!(kid_of(&changed.sign_in(Person::default()).await.jwt), kid);
        let list = printed(command(&app.db.url, &["list"]).set("token.secret", NEW).set("token.previous_secrets", SECRET));
        let states: Vec<String> = read_list(&list).into_iter().map(|key| key.state).collect();
        assert_eq!(states, ["previous", "signing", "retired"], "the new secret has never signed: {list}");
    }

    async fn a_key_that_nobody_can_open_is_given_up_by_command(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let kid = rotate(&app.db, &["--alg", "EdDSA"]);
        signs_with(&app, &kid).await;
        assert!(start(&app, NEW, "").await.is_err());
        let by_new = |arguments: &[&str]| printed(command(&app.db.url, arguments).set("token.secret", NEW));
        by_new(&["rotate", "--alg", "EdDSA"]);
        tokio::time::sleep(Duration::from_secs(4)).await;
        by_new(&["retire", &kid, "--force"]);
        drop(start(&app, NEW, "").await.expect("it starts"));
    }
}
