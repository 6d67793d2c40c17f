//! What has had its time goes, in batches, and nothing else does.

use tokenbooth::account::housekeeping::{Swept, sweep};
use tokenbooth::clock::Timestamp;
use tokenbooth::db::{self, DbConn, ended_sessions, events, revocations, sessions, spent_codes, users};
use tokenbooth::event::{Actor, EventKind, Origin};
use tokenbooth::session::Session;
use tokenbooth::settings::{Settings, Sources};
use tokenbooth::token::Subject;
use tokenbooth::user::{User, UserId};
use uuid::Uuid;

use crate::databases::TestDatabase;
use crate::{open, session_of, somebody};

const DAY: i64 = 24 * 60 * 60;
const NOW: Timestamp = Timestamp(1_800_000_000);

fn settings(idle: &str, absolute: &str) -> Settings {
    let sources = Sources::defaults()
        .with("token.secret", "the-secret-of-the-tests-0123456789abcdef")
        .with("events.retention", "10d")
        .with("refresh.idle_ttl", idle)
        .with("refresh.absolute_ttl", absolute);
    sources.load().expect("good settings")
}

fn event(conn: &mut DbConn, at: Timestamp) {
    let origin = Origin { actor: Actor::Stranger, ip: None, request_id: None, at };
    let event = origin.event(EventKind::SignInRefused, None, serde_json::json!({}));
    events::insert(conn, &event).expect("an event");
}

fn session(conn: &mut DbConn, user: &User, last_used_at: Timestamp) {
    let session = Session { created_at: last_used_at, last_used_at, ..session_of(user) };
    sessions::insert(conn, &session).expect("a session");
}

on_both_databases! {
    async fn old_events_dead_sessions_spent_codes_and_revocations_are_removed(database: TestDatabase) {
        let db = open(&database);
        let mut conn = db::connect(&database.parsed_url()).expect("a connection");
        let user = somebody();
        users::insert(&mut conn, &user).expect("a user");
        for age in [9 * DAY, 10 * DAY, 10 * DAY + 1, 400 * DAY] {
            event(&mut conn, NOW.plus(-age));
        }
        for age in [0, 3 * DAY, 3 * DAY + 1, 5 * DAY + 1] {
            session(&mut conn, &user, NOW.plus(-age));
        }
        for age in [0, DAY] {
            spent_codes::insert(&mut conn, Uuid::new_v4(), None, NOW.plus(-age)).expect("a code");
        }
        // A token lives half an hour, and a clock may be an hour behind.
        for age in [0, 5400, 5401, DAY] {
            let gone = Subject::User(UserId::generate());
            revocations::record(&mut conn, &gone, 1, NOW.plus(-age)).expect("a revocation");
            ended_sessions::record(&mut conn, Uuid::new_v4(), NOW.plus(-age)).expect("an ended session");
        }
        let swept = |events, sessions, spent_codes, revocations| {
            Ok(Swept { events, sessions, spent_codes, revocations, ended_sessions: revocations })
        };
        assert_eq!(sweep(&db, &settings("5d", "90d"), NOW).await, swept(2, 1, 1, 2));
        // The shorter of the two counts.
        assert_eq!(sweep(&db, &settings("90d", "3d"), NOW).await, swept(0, 1, 0, 0));
        assert_eq!(sweep(&db, &settings("90d", "3d"), NOW).await, swept(0, 0, 0, 0));
        assert_eq!((database.count("events"), database.count("sessions"), database.count("users")), (2, 2, 1));
        assert_eq!((database.count("spent_codes"), database.count("revocations")), (1, 2));
        assert_eq!(database.count("ended_sessions"), 2);
    }

    async fn however_many_there_are_they_go_in_batches(database: TestDatabase) {
        let db = open(&database);
        database.execute(
            "INSERT INTO events (id, at, kind, detail) \
             WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2999) \
             SELECT 'event ' || n, n, 'sign_in.refused', '{}' FROM numbers",
        );
        // Two replicas at the same moment.
        let settings = settings("5d", "90d");
        let (one, other) = tokio::join!(sweep(&db, &settings, NOW), sweep(&db, &settings, NOW));
        let removed = one.expect("swept").events + other.expect("swept").events;
        assert_eq!((removed, database.count("events")), (3000, 0));
    }
}
