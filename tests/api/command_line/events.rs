//! `tokenbooth events list`: the audit trail on the command line.

use serde_json::{Value, json};
use tokenbooth::mock::Person;

use super::{Ended, run};
use crate::databases::TestDatabase;
use crate::support::TestApp;

fn list(db: &TestDatabase, arguments: &[&str]) -> Ended {
    run(&[&["events", "list"], arguments].concat(), &[("database.url", &db.url)])
}

fn listed(db: &TestDatabase, arguments: &[&str]) -> Vec<Value> {
    let text = list(db, arguments).good();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

on_both_databases! {
    async fn events_are_listed_newest_first_as_over_http(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await;
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": false })).await;
        let over_http = app.all_pages("/api/admin/events", 200, &ada.jwt).await;
        assert_eq!(over_http.len(), 5);
        assert_eq!(listed(&app.db, &[]), over_http);
        assert_eq!(listed(&app.db, &["--limit", "2"]), over_http[..2]);
        assert_eq!(listed(&app.db, &["--limit", "0"]), [] as [Value; 0]);
        assert_eq!(listed(&app.db, &["--kind", "user.disabled"]), over_http[1..2]);
        assert_eq!(listed(&app.db, &["--user", "BOB@example.com"]), over_http[..3]);
        assert_eq!(listed(&app.db, &["--user", &bob.user_id, "--kind", "sign_in.first"]), over_http[2..3]);

        // The trail outlives its user, who then has no address any more.
        app.delete(&format!("/api/admin/users/{}", bob.user_id), &ada.jwt).await;
        assert_eq!(listed(&app.db, &["--user", &bob.user_id]).len(), 4);
        assert!(list(&app.db, &["--user", "bob@example.com"]).bad().starts_with("there is no such user"));
        let unknown = list(&app.db, &["--kind", "user.renamed"]);
        assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
        assert!(unknown.err.contains("there is no such kind of event"), "{}", unknown.err);
    }

    async fn more_events_than_are_fetched_at_a_time_are_all_listed(db: TestDatabase) {
        db.execute(
            "INSERT INTO events (id, at, kind, detail) \
             WITH RECURSIVE numbers(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2100) \
             SELECT '0192f0c1-0000-7000-8000-00000000' || n, n, 'sign_in.refused', '{}' FROM numbers",
        );
        assert_eq!(listed(&db, &[]).len(), 1101);
        assert_eq!(listed(&db, &["--limit", "1001"]).len(), 1001);
    }
}
