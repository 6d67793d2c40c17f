//! `tokenbooth sessions …`: who stays signed in where, and an end to it.

use serde_json::{Value, json};
use tokenbooth::mock::Person;

use super::{Ended, run};
use crate::databases::TestDatabase;
use crate::support::TestApp;

fn sessions(db: &TestDatabase, arguments: &[&str]) -> Ended {
    run(&[&["sessions"], arguments].concat(), &[("database.url", &db.url)])
}

fn listed(db: &TestDatabase, user: &str) -> Vec<Value> {
    let text = sessions(db, &["list", user]).good();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

on_both_databases! {
    async fn a_users_sessions_are_listed_and_ended(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let first = app.sign_in_offline(Person::named("bob")).await;
        let second = app.sign_in_offline(Person::named("bob")).await;
        app.sign_in_offline(Person::named("carol")).await;
        let found = listed(&app.db, "bob@example.com");
        assert_eq!(found, listed(&app.db, &first.user_id));
        assert_eq!(found.len(), 2, "and nobody else's");
        assert_eq!((&found[0]["user_id"], &found[0]["ip"]), (&json!(first.user_id), &json!("127.0.0.1")));
        assert!(found[0]["created_at"].is_string() && found[0]["last_used_at"].is_string());

        let id = found[0]["id"].as_str().expect("an id");
        assert_eq!(sessions(&app.db, &["end", id]).good(), format!("session {id} ended\n"));
        app.refresh(first.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(app.refresh(second.refresh_token()).await.status, 200);
        assert_eq!(listed(&app.db, "bob@example.com").len(), 1);
        let events = app.events("session.ended", &ada.jwt).await;
        assert_eq!(events.len(), 1);
        assert_eq!(
            (&events[0]["actor_id"], &events[0]["user_id"], &events[0]["ip"]),
            (&Value::Null, &json!(first.user_id), &Value::Null)
        );
        assert_eq!(events[0]["detail"], json!({ "by": "command_line", "session_id": id }));

        let nowhere = "there is no such session; `tokenbooth sessions list <user>` shows a user's";
        for gone in [id, "nonsense", ""] {
            assert_eq!(sessions(&app.db, &["end", gone]).bad(), nowhere);
        }
        assert_eq!(listed(&app.db, "ada@example.com"), [] as [Value; 0]);
        assert!(sessions(&app.db, &["list", "nobody@example.com"]).bad().starts_with("there is no such user"));
    }
}
