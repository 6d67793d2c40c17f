//! Rejected sign-ins in the audit trail: counted by address, method, error code and minute, on all replicas together.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::Person;
use tokenbooth::settings::Sources;

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

const ADDRESS: &str = "203.0.113.1";

fn behind_a_proxy(sources: Sources) -> Sources {
    sources.with("server.trusted_proxies", "127.0.0.1").with("admin.emails", "google:ada@example.com")
}

async fn google(app: &TestApp, address: &str, token: &str) -> Answer {
    app.post_from(address, "/auth/google", &json!({ "id_token": token })).await
}

fn rows(app: &TestApp) -> i64 {
    app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.refused'")
}

/// Waits until so many are counted: a response does not wait for a slow database.
async fn until_counted(app: &TestApp, expected: i64) {
    for _ in 0..500 {
        if app.refused_sign_ins("%") >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(app.refused_sign_ins("%"), expected);
}

/// Moves the clock of these replicas to the beginning of a minute, so that a test has one before it.
fn begin_a_minute(apps: &[&TestApp]) {
    let left = 60 - apps[0].clock.now().0.rem_euclid(60);
    for app in apps {
        app.clock.advance(left);
    }
}

on_both_databases! {
    async fn those_of_a_minute_are_one_row_on_two_replicas(db: TestDatabase) {
        let one = TestApp::start_with(db, behind_a_proxy).await;
        let two = one.replica_with(behind_a_proxy).await;
        let ada = one.sign_in(Person::named("ada")).await;
        begin_a_minute(&[&one, &two]);
        let requests = (0..100).map(|number| google(if number % 2 == 0 { &one } else { &two }, ADDRESS, "nonsense"));
        for answer in join_all(requests).await {
            answer.assert_problem(401, "invalid_token");
        }
        until_counted(&one, 100).await;
        let events = one.events("sign_in.refused", &ada.jwt).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["detail"], json!({ "method": "google", "code": "invalid_token", "count": 100 }));
        assert_eq!((&events[0]["ip"], &events[0]["user_id"], &events[0]["actor_id"]), (&json!(ADDRESS), &Value::Null, &Value::Null));
        assert!(events[0]["request_id"].is_string());
        assert_eq!(two.events("sign_in.refused", &ada.jwt).await, events);
    }

    async fn another_address_method_code_user_or_minute_is_another_row(db: TestDatabase) {
        let app = TestApp::start_with(db, behind_a_proxy).await;
        let ada = app.sign_in(Person::named("ada")).await;
        for name in ["bob", "eve"] {
            let id = app.sign_in(Person::named(name)).await.user_id;
            app.patch_user(&id, &ada.jwt, json!({ "disabled": true })).await;
        }
        begin_a_minute(&[&app]);
        let id_token = |claims: Value| app.mock.google().id_token(claims);
        let foreign = id_token(json!({ "aud": "another" }));
        for _ in 0..2 {
            google(&app, ADDRESS, "nonsense").await;
            google(&app, "203.0.113.2", "nonsense").await;
            google(&app, ADDRESS, &foreign).await.assert_problem(401, "audience_mismatch");
            app.post_from(ADDRESS, "/auth/acme", &json!({ "id_token": "nonsense" })).await;
            for name in ["bob", "eve"] {
                google(&app, ADDRESS, &id_token(Person::named(name).claims())).await.assert_problem(403, "user_disabled");
            }
            // One subscriber is one address.
            for host in 1..=5 {
                google(&app, &format!("2001:db8::{host}"), "nonsense").await;
            }
        }
        until_counted(&app, 22).await;
        assert_eq!(rows(&app), 7);
        app.clock.advance(60);
        google(&app, ADDRESS, "nonsense").await;
        until_counted(&app, 23).await;
        assert_eq!(rows(&app), 8);
        // Newest first, and pages that follow each other.
        for limit in [1, 3, 200] {
            let events = app.all_pages("/api/admin/events?kind=sign_in.refused", limit, &ada.jwt).await;
            assert_eq!(events.len(), 8);
            assert!(events.is_sorted_by(|newer, older| newer["id"].as_str() > older["id"].as_str()));
            assert!(events.is_sorted_by(|newer, older| newer["at"].as_str() >= older["at"].as_str()));
            assert_eq!(events[0]["detail"]["count"], 1);
        }
    }

    /// The oldest go, and what is no rejected sign-in stays.
    async fn a_flood_does_not_grow_without_bound(db: TestDatabase) {
        let limited = |sources| behind_a_proxy(sources).with("events.refused_rows", "20");
        let one = TestApp::start_with(db, limited).await;
        let two = one.replica_with(limited).await;
        one.sign_in(Person::named("ada")).await;
        let others = one.db.count("events") - rows(&one);
        for host in 0..100 {
            let app = if host % 2 == 0 { &one } else { &two };
            google(app, &format!("198.51.100.{host}"), "nonsense").await.assert_problem(401, "invalid_token");
        }
        // The last response may have come before the oldest row was deleted.
        for _ in 0..100 {
            if rows(&one) <= 20 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((rows(&one), one.db.count("events") - rows(&one)), (20, others));
        let newest = "SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.refused' AND ip IN ('198.51.100.99', '198.51.100.80', '198.51.100.79')";
        assert_eq!(one.db.number(newest), 2);
    }

    /// Many addresses at once are a few transactions, so the responses do not wait for each other.
    async fn a_flood_of_many_addresses_is_counted_to_the_last(db: TestDatabase) {
        let app = TestApp::start_with(db, behind_a_proxy).await;
        begin_a_minute(&[&app]);
        for _ in 0..3 {
            let addresses: Vec<String> = (0..200).map(|host| format!("198.51.100.{host}")).collect();
            join_all(addresses.iter().map(|address| google(&app, address, "nonsense"))).await;
        }
        until_counted(&app, 600).await;
        // On a slow machine another minute may have begun.
        assert!((200..=400).contains(&rows(&app)), "{}", rows(&app));
    }
}
