//! `tokenbooth user …`: straight on the database, seen by the running service at the next request.

use std::time::Duration;

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
        for command in ["show", "disable", "enable", "promote", "demote", "revoke", "delete"] {
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

    async fn a_search_lists_whom_it_finds(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut ids = Vec::new();
        for name in ["carol", "cara", "bob"] {
            ids.push(app.sign_in(Person::named(name)).await.user_id);
        }
        let found = |query: &str| -> Vec<String> {
            let listed = user(&app.db, &["list", "--query", query]).good();
            listed.lines().map(|line| json_of(line)["id"].as_str().expect("an id").to_owned()).collect()
        };
        assert_eq!(found("CAR"), ids[..2]);
        assert_eq!(found(&Person::named("bob").sub), ids[2..]);
        assert_eq!(found("%"), [] as [String; 0]);
        assert_eq!(found(""), ids);
    }

    async fn changes_are_in_the_audit_trail_and_end_sessions(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        for command in ["promote", "demote", "disable", "disable", "enable", "revoke"] {
            user(&app.db, &[command, "bob@example.com"]).good();
        }
        app.refresh(bob.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(app.db.count("sessions"), 0);
        assert_eq!(user(&app.db, &["delete", "bob@example.com"]).good(), format!("user {} deleted\n", bob.user_id));
        assert!(user(&app.db, &["delete", &bob.user_id]).bad().starts_with("there is no such user"));
        let path = format!("/api/admin/events?user_id={}", bob.user_id);
        let mut events = app.all_pages(&path, 200, &ada.jwt).await;
        events.reverse();
        let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().expect("a kind")).collect();
        let by_command_line = ["user.promoted", "user.demoted", "user.disabled", "user.enabled", "tokens.revoked", "user.deleted"];
        assert_eq!(kinds[0], "sign_in.first");
        assert_eq!(kinds[1..], by_command_line, "what was so already is no event");
        for event in &events[1..] {
            assert_eq!(event["detail"], json!({ "by": "command_line" }));
            let unknown = ["actor_id", "ip", "request_id"].map(|name| &event[name]);
            assert!(unknown.iter().all(|value| value.is_null()), "{event}");
        }
        assert!(app.sign_in(Person::named("bob")).await.created);
    }

    async fn the_operator_may_leave_no_administrator(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        user(&app.db, &["demote", "ada@example.com"]).good();
        assert_eq!(app.me(&ada.jwt).await.json["admin"], false);
        user(&app.db, &["promote", "ada@example.com"]).good();
        user(&app.db, &["disable", "ada@example.com"]).good();
        user(&app.db, &["delete", "ada@example.com"]).good();
        assert_eq!(app.db.count("users"), 0);
    }

    async fn a_concurrent_writer_does_not_make_a_command_fail(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        // Writes as fast as it can, so that a command that began as a reader would find the file changed.
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut written = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    app.db.execute(&format!("UPDATE users SET updated_at = updated_at + 1 WHERE id = '{}'", bob.user_id));
                    written += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                written
            });
            for round in 0..8 {
                let command = if round % 2 == 0 { "disable" } else { "enable" };
                user(&app.db, &[command, &bob.user_id]).good();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(writer.join().expect("no panic") > 0);
        });
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind LIKE 'user.%'"), 8);
    }
}
