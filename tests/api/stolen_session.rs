//! A session after something of it was stolen: its end reaches every access token of it, and the audit trail and the owner's list of
//! devices show from where it was used.

use diesel::RunQueryDsl;
use serde_json::{Value, json};
use tokenbooth::db;
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::both_doors::claims;
use crate::support::oauth::Service;
use crate::support::{Answer, SignedIn, TestApp};

const OWNER: Place = Place { ip: "192.0.2.1", agent: "Phone/1" };
/// The owner's address at home and on the way differ; the program is the same.
const OWNER_ELSEWHERE: Place = Place { ip: "198.51.100.7", agent: "Phone/1" };
const THIEF: Place = Place { ip: "203.0.113.9", agent: "curl/8" };

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Place {
    ip: &'static str,
    agent: &'static str,
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

async fn start(db: TestDatabase) -> TestApp {
    TestApp::start_with(db, |sources| sources.with("server.trusted_proxies", "127.0.0.1")).await
}

async fn post(app: &TestApp, path: &str, body: &Value, from: Place) -> Answer {
    let request = app.http.post(format!("{}{path}", app.base)).header("x-forwarded-for", from.ip);
    let request = request.header("user-agent", from.agent).json(body);
    Answer::of(request.send().await.expect("an answer")).await
}

async fn sign_in(app: &TestApp, from: Place) -> SignedIn {
    let id_token = app.mock.google().id_token(Person::named("alice").claims());
    post(app, "/auth/google", &json!({ "id_token": id_token, "scope": "offline_access" }), from)
        .await
        .assert_signed_in()
}

async fn refresh(app: &TestApp, token: &str, from: Place) -> Answer {
    post(app, "/auth/refresh", &json!({ "refresh_token": token }), from).await
}

/// The events of a kind as `ip user-agent`, oldest first.
fn told(app: &TestApp, kind: &str) -> Vec<String> {
    let mut conn = db::connect(&app.db.parsed_url()).expect("a connection");
    let sql = format!("SELECT ip || ' ' || detail AS text FROM events WHERE kind = '{kind}' ORDER BY id");
    let rows: Vec<Line> = diesel::sql_query(sql).load(&mut conn).expect("the events");
    rows.into_iter().map(|row| row.text).collect()
}

#[track_caller]
fn assert_told(app: &TestApp, kind: &str, places: &[Place]) {
    let told = told(app, kind);
    assert_eq!(told.len(), places.len(), "{kind}: {told:?}");
    for (event, place) in told.iter().zip(places) {
        let device = format!("\"device\":\"{}\"", place.agent);
        assert!(
            event.starts_with(place.ip) && event.contains(&device) && event.contains("\"session_id\""),
            "{event}"
        );
    }
}

/// Asserts that the access token is worth nothing at any door of this replica.
async fn assert_dead(app: &TestApp, service: &Service, jwt: &str) {
    app.me(jwt).await.assert_problem(401, "invalid_token");
    app.get_as("/auth/verify", jwt).await.assert_problem(401, "invalid_token");
    app.get_as("/auth/verify/user", jwt).await.assert_problem(401, "invalid_token");
    app.link_github(jwt, GithubUser::named("mallory")).await.assert_problem(401, "invalid_token");
    let password = json!({ "new_password": "correct horse battery staple" });
    app.send_as("PUT", "/api/me/password", jwt, &password).await.assert_problem(401, "invalid_token");
    app.send_as("POST", "/auth/logout-all", jwt, &Value::Null).await.assert_problem(401, "invalid_token");
    let seen = app.post_form_as("/oauth/introspect", service, &[("token", jwt)]).await;
    assert_eq!(seen.json, json!({ "active": false }));
}

on_both_databases! {
    async fn every_end_of_a_session_reaches_its_access_tokens_on_every_replica(db: TestDatabase) {
        let app = start(db).await;
        let other = app.replica().await;
        let service = app.create_client("Gateway", "read");
        let bystander = sign_in(&app, OWNER).await;
        for end in ["reuse", "logout", "by id", "idle", "revoked"] {
            let session = sign_in(&app, OWNER).await;
            let next = refresh(&app, session.refresh_token(), OWNER).await.assert_signed_in();
            for jwt in [&session.jwt, &next.jwt] {
                assert_eq!(other.me(jwt).await.status, 200);
            }
            match end {
                "reuse" => {
                    let last = refresh(&app, next.refresh_token(), OWNER).await.assert_signed_in();
                    refresh(&app, session.refresh_token(), THIEF).await.assert_problem(401, "invalid_refresh_token");
                    for replica in [&app, &other] {
                        assert_dead(replica, &service, &last.jwt).await;
                    }
                }
                "logout" => {
                    assert_eq!(app.post("/auth/logout", &json!({ "refresh_token": next.refresh_token() })).await.status, 204);
                }
                "by id" => {
                    let id = claims(&next.jwt)["sid"].as_str().expect("a sid").to_owned();
                    assert_eq!(app.delete(&format!("/api/me/sessions/{id}"), &bystander.jwt).await.status, 204);
                }
                "idle" => {
                    // Somebody has set the clock of this row back by a year.
                    app.db.execute("UPDATE sessions SET last_used_at = 1 WHERE previous_secret_hash IS NOT NULL");
                    refresh(&app, next.refresh_token(), OWNER).await.assert_problem(401, "invalid_refresh_token");
                }
                _ => assert_eq!(app.post_form("/oauth/revoke", &[("token", next.refresh_token())]).await.status, 200),
            }
            for replica in [&app, &other] {
                for jwt in [&session.jwt, &next.jwt] {
                    assert_dead(replica, &service, jwt).await;
                }
                assert_eq!(replica.me(&bystander.jwt).await.status, 200, "{end}");
            }
        }
        // Without a session nothing but the user's row counts.
        let short_lived = app.sign_in(Person::named("alice")).await;
        assert_eq!(other.me(&short_lived.jwt).await.status, 200);
        assert_eq!(app.db.count("ended_sessions"), 5);
    }

    async fn a_session_shows_where_it_was_last_used(db: TestDatabase) {
        let app = start(db).await;
        let alice = sign_in(&app, OWNER).await;
        let next = refresh(&app, alice.refresh_token(), OWNER).await.assert_signed_in();
        assert_told(&app, "session.moved", &[]);
        let next = refresh(&app, next.refresh_token(), OWNER_ELSEWHERE).await.assert_signed_in();
        let next = refresh(&app, next.refresh_token(), OWNER_ELSEWHERE).await.assert_signed_in();
        let next = refresh(&app, next.refresh_token(), THIEF).await.assert_signed_in();
        assert_told(&app, "session.moved", &[OWNER_ELSEWHERE, THIEF]);
        let listed = app.get_as("/api/me/sessions", &next.jwt).await.json["items"].clone();
        assert_eq!((&listed[0]["ip"], &listed[0]["device"]), (&json!(THIEF.ip), &json!(THIEF.agent)));
    }

    async fn a_lost_response_is_repeated_from_the_same_address_however_late(db: TestDatabase) {
        let app = start(db).await;
        let other = app.replica_with(|sources| sources.with("server.trusted_proxies", "127.0.0.1")).await;
        let alice = sign_in(&app, OWNER).await;
        let first = refresh(&app, alice.refresh_token(), OWNER).await.assert_signed_in();
        // Another program at the same address, for instance after an update of the app.
        let updated = Place { agent: "Phone/2", ..OWNER };
        for (seconds, from, replica) in [(0, OWNER, &app), (9, updated, &other), (3600, OWNER, &app), (7 * 86400, updated, &app)] {
            app.clock.advance(seconds);
            let again = refresh(replica, alice.refresh_token(), from).await.assert_signed_in();
            assert_eq!(again.refresh_token(), first.refresh_token());
        }
        assert_told(&app, "session.repeated", &[OWNER, updated, OWNER, updated]);
        // Once the successor was used, the response has arrived.
        refresh(&app, first.refresh_token(), OWNER).await.assert_signed_in();
        refresh(&app, alice.refresh_token(), OWNER).await.assert_problem(401, "invalid_refresh_token");
        assert_told(&app, "refresh.reused", &[OWNER]);
    }

    async fn a_repeat_from_elsewhere_is_late_after_the_grace(db: TestDatabase) {
        let app = start(db).await;
        let alice = sign_in(&app, OWNER).await;
        let first = refresh(&app, alice.refresh_token(), OWNER).await.assert_signed_in();
        app.clock.advance(5);
        let moved = refresh(&app, alice.refresh_token(), OWNER_ELSEWHERE).await.assert_signed_in();
        assert_eq!(moved.refresh_token(), first.refresh_token());
        app.clock.advance(6);
        refresh(&app, alice.refresh_token(), OWNER_ELSEWHERE).await.assert_problem(401, "invalid_refresh_token");
        assert_told(&app, "session.repeated", &[OWNER_ELSEWHERE]);
        assert_told(&app, "refresh.reused", &[OWNER_ELSEWHERE]);
        assert_dead(&app, &app.create_client("Gateway", "read"), &first.jwt).await;
    }

    async fn another_address_and_another_program_is_a_thief_even_within_the_grace(db: TestDatabase) {
        let app = start(db).await;
        let alice = sign_in(&app, OWNER).await;
        let first = refresh(&app, alice.refresh_token(), OWNER).await.assert_signed_in();
        refresh(&app, alice.refresh_token(), THIEF).await.assert_problem(401, "invalid_refresh_token");
        refresh(&app, first.refresh_token(), OWNER).await.assert_problem(401, "invalid_refresh_token");
        assert_told(&app, "refresh.reused", &[THIEF]);
        assert_dead(&app, &app.create_client("Gateway", "read"), &first.jwt).await;
    }

    async fn a_third_repeat_from_another_address_is_reuse(db: TestDatabase) {
        let app = start(db).await;
        let alice = sign_in(&app, OWNER).await;
        refresh(&app, alice.refresh_token(), OWNER).await.assert_signed_in();
        // Repeats from the address of the first use do not count.
        for from in [OWNER, OWNER_ELSEWHERE, OWNER, OWNER, OWNER_ELSEWHERE, OWNER] {
            refresh(&app, alice.refresh_token(), from).await.assert_signed_in();
        }
        let third = Place { ip: "198.51.100.8", ..OWNER };
        refresh(&app, alice.refresh_token(), third).await.assert_problem(401, "invalid_refresh_token");
        assert_told(&app, "refresh.reused", &[third]);
        assert_eq!((told(&app, "session.repeated").len(), app.db.count("sessions")), (6, 0));
        // Each token has a count of its own.
        let alice = sign_in(&app, OWNER).await;
        let mut last = alice.refresh_token().to_owned();
        for _ in 0..3 {
            let next = refresh(&app, &last, OWNER).await.assert_signed_in();
            for _ in 0..2 {
                refresh(&app, &last, OWNER_ELSEWHERE).await.assert_signed_in();
            }
            next.refresh_token().clone_into(&mut last);
        }
    }

    async fn all_users_are_signed_out_by_one_command_also_in_a_restored_database(db: TestDatabase) {
        let app = start(db).await;
        let alice = sign_in(&app, OWNER).await;
        // A backup is made; later the tokens of version 0 are revoked, and those of version 1 as well.
        assert_eq!(app.send_as("POST", "/auth/logout-all", &alice.jwt, &Value::Null).await.status, 204);
        let second = sign_in(&app, OWNER).await;
        assert_eq!(claims(&second.jwt)["ver"], 1);
        assert_eq!(app.send_as("POST", "/auth/logout-all", &second.jwt, &Value::Null).await.status, 204);
        // The backup is restored: the version is 0 again, and so the tokens of that time are valid.
        app.db.execute("UPDATE users SET token_version = 0, revoked_at = NULL");
        assert_eq!(app.me(&alice.jwt).await.status, 401, "its session is gone");
        let bob = app.sign_in(Person::named("bob")).await;
        let all = crate::support::process::Tokenbooth::new(&["user", "revoke", "--all"]).set("database.url", &app.db.url).output();
        assert_eq!(String::from_utf8_lossy(&all.stdout), "All tokens and sessions of 2 users have ended.\n");
        // Also those of the version that comes next, which were revoked after the backup.
        for jwt in [&alice.jwt, &second.jwt, &bob.jwt] {
            app.me(jwt).await.assert_problem(401, "invalid_token");
        }
        let again = sign_in(&app, OWNER).await;
        assert!(claims(&again.jwt)["ver"].as_i64().expect("ver") > 1_700_000_000);
        assert_eq!(app.me(&again.jwt).await.status, 200);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'tokens.revoked' AND detail LIKE '%command_line%'"), 2);
    }
}
