//! `tokenbooth user …`: straight on the database, seen by the running service at the next request.

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use super::{Ended, run};
use crate::databases::TestDatabase;
use crate::support::TestApp;

/// `tokenbooth user …` on a database.
pub(super) fn user(db: &TestDatabase, arguments: &[&str]) -> Ended {
    run(&[&["user"], arguments].concat(), &[("database.url", &db.url)])
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

on_both_databases! {
    async fn user_commands_are_seen_by_the_running_service_at_the_next_request(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let shown = json_of(&user(&app.db, &["show", "Bob@Example.com"]).good());
        assert_eq!(
            (&shown["id"], &shown["email"], &shown["admin"], &shown["disabled"]),
            (&json!(bob.user_id), &json!("bob@example.com"), &json!(false), &json!(false))
        );
        assert_eq!(shown["identities"][0]["provider"], "google");
        assert_eq!(shown["identities"][0]["provider_id"], json!(Person::named("bob").sub));

        // By id and by e-mail.
        assert_eq!(json_of(&user(&app.db, &["promote", &bob.user_id]).good())["admin"], true);
        assert_eq!(app.me(&bob.jwt).await.json["admin"], true);
        assert_eq!(json_of(&user(&app.db, &["demote", "bob@example.com"]).good())["admin"], false);
        assert_eq!(app.me(&bob.jwt).await.json["admin"], false);

        assert_eq!(json_of(&user(&app.db, &["disable", "bob@example.com"]).good())["disabled"], true);
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        let token = app.mock.google().id_token(Person::named("bob").claims());
        app.exchange_id_token(&token).await.assert_problem(403, "user_disabled");

        assert_eq!(json_of(&user(&app.db, &["enable", &bob.user_id]).good())["disabled"], false);
        // Let in again, with a new token: no old one comes back to life.
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        let again = app.exchange_id_token(&token).await.assert_signed_in();
        assert_eq!(again.user_id, bob.user_id);
        assert_eq!(app.me(&again.jwt).await.status, 200);
    }

    async fn user_list_has_every_user_once_oldest_first(db: TestDatabase) {
        let app = TestApp::start(db).await;
        assert_eq!(user(&app.db, &["list"]).good(), "");
        let mut ids = Vec::new();
        for name in ["carol", "alice", "bob"] {
            ids.push(app.sign_in(Person::named(name)).await.user_id);
        }
        let listed = user(&app.db, &["list"]).good();
        let listed: Vec<Value> = listed.lines().map(json_of).collect();
        assert_eq!(listed.iter().map(|user| user["id"].as_str().expect("an id")).collect::<Vec<_>>(), ids);
        assert_eq!(listed[0]["email"], "carol@example.com");
    }

    async fn an_address_of_several_users_is_refused_with_their_ids(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let google = app.sign_in(Person::named("alice")).await;
        let github = app.exchange_github(GithubUser::named("alice")).await.assert_signed_in();
        assert_ne!(google.user_id, github.user_id);
        for command in ["show", "disable", "enable", "promote", "demote"] {
            assert_eq!(
                user(&app.db, &[command, "alice@example.com"]).bad(),
                format!("several users have this address, name one by its id: {}, {}", google.user_id, github.user_id)
            );
        }
        assert_eq!(app.me(&google.jwt).await.status, 200);
        assert_eq!(app.me(&github.jwt).await.status, 200);
    }

    async fn a_user_who_is_not_there_is_told_so(db: TestDatabase) {
        for name in ["nobody@example.com", "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10", "%", ""] {
            for command in ["show", "disable"] {
                assert_eq!(user(&db, &[command, name]).bad(), "there is no such user; `tokenbooth user list` shows them all");
            }
        }
    }
}
