//! What has had its time goes, in batches, and nothing else does.

use tokenbooth::account::housekeeping::{Swept, sweep};
use tokenbooth::clock::Timestamp;
use tokenbooth::db::events::{EventFilter, RefusedSignIn};
use tokenbooth::db::{
    self, DbConn, ended_sessions, events, removed_identities, revocations, sessions, spent_codes, users,
};
use tokenbooth::event::{Actor, EventKind, Origin};
use tokenbooth::session::Session;
use tokenbooth::settings::{Settings, Sources};
use tokenbooth::token::Subject;
use tokenbooth::user::{IdentityKey, User, UserId};
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
        // An ID token lives a day and a minute at most, and a clock may be an hour behind.
        for age in [0, DAY + 3660, DAY + 3661] {
            let key = IdentityKey { provider: "google".to_owned(), provider_id: age.to_string() };
            removed_identities::record(&mut conn, &key, NOW.plus(-age)).expect("a removed identity");
        }
        let swept = |events, sessions, spent_codes, revocations| {
            let (refused, ended_sessions) = (0, revocations);
            // Each time that something has been revoked for long enough, an identity has been removed for long enough.
            let removed_identities = usize::from(revocations > 0);
            Ok(Swept { events, refused, sessions, spent_codes, revocations, ended_sessions, removed_identities })
        };
        assert_eq!(sweep(&db, &settings("5d", "90d"), NOW).await, swept(2, 1, 1, 2));
        // The shorter of the two counts.
        assert_eq!(sweep(&db, &settings("90d", "3d"), NOW).await, swept(0, 1, 0, 0));
        assert_eq!(sweep(&db, &settings("90d", "3d"), NOW).await, swept(0, 0, 0, 0));
        assert_eq!((database.count("events"), database.count("sessions"), database.count("users")), (2, 2, 1));
        assert_eq!((database.count("spent_codes"), database.count("revocations")), (1, 2));
        assert_eq!((database.count("ended_sessions"), database.count("removed_identities")), (2, 2));
    }

    async fn rejected_sign_ins_are_kept_for_a_shorter_time_and_in_smaller_numbers(database: TestDatabase) {
        let db = open(&database);
        let mut conn = db::connect(&database.parsed_url()).expect("a connection");
        let settings = |retention: &str, rows: &str| {
            let sources = Sources::defaults()
                .with("token.secret", "the-secret-of-the-tests-0123456789abcdef")
                .with("events.refused_retention", retention)
                .with("events.refused_rows", rows);
            sources.load().expect("good settings")
        };
        let origin = |age: i64| Origin { actor: Actor::Stranger, ip: None, request_id: None, at: NOW.plus(-age) };
        for age in [40 * DAY, 2 * DAY + 1, 2 * DAY, DAY, 0] {
            event(&mut conn, NOW.plus(-age));
            let other = origin(age).event(EventKind::TokensRevoked, None, serde_json::json!({}));
            events::insert(&mut conn, &other).expect("an event");
        }
        let swept = sweep(&db, &settings("2d", "100"), NOW).await.expect("swept");
        assert_eq!(swept, Swept { refused: 2, ..Swept::default() });
        let swept = sweep(&db, &settings("2d", "2"), NOW).await.expect("swept");
        assert_eq!(swept, Swept { refused: 1, ..Swept::default() });
        assert_eq!(sweep(&db, &settings("2d", "2"), NOW).await, Ok(Swept::default()));
        assert_eq!(database.count("events"), 7);
        let filter = EventFilter { kind: Some(EventKind::SignInRefused), user_id: None };
        let kept = events::list(&mut conn, filter, None, 10).expect("events");
        assert_eq!(kept.iter().map(|event| event.at).collect::<Vec<_>>(), [NOW, NOW.plus(-DAY)]);
    }

    /// Those of an earlier version have no count, and no key by which another would be added to them.
    async fn rejected_sign_ins_are_added_to_the_row_of_their_key(database: TestDatabase) {
        let mut conn = db::connect(&database.parsed_url()).expect("a connection");
        event(&mut conn, NOW);
        event(&mut conn, NOW);
        let add = |conn: &mut DbConn, key: &str, count: u32| {
            let origin = Origin { actor: Actor::Stranger, ip: None, request_id: None, at: NOW };
            let event = origin.event(EventKind::SignInRefused, None, serde_json::json!({ "code": "x" }));
            events::add_refused(conn, &RefusedSignIn { key: key.to_owned(), event, count })
        };
        for (key, count, new) in [("a", 3, true), ("b", 1, true), ("a", u32::MAX, false), ("b", 1, false), ("a", 1, false)] {
            assert_eq!(add(&mut conn, key, count), Ok(new), "{key}");
        }
        let mut details: Vec<_> =
            events::list(&mut conn, EventFilter::default(), None, 10).expect("events").into_iter().map(|event| event.detail).collect();
        details.reverse();
        let counted = |count: u64| serde_json::json!({ "code": "x", "count": count });
        assert_eq!(details, [serde_json::json!({}), serde_json::json!({}), counted(u64::from(u32::MAX) + 4), counted(2)]);
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
