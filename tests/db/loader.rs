//! The bearer's user: rounds are shared, nothing is stale, and what fails heals.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokenbooth::clock::Timestamp;
use tokenbooth::db::{self, DatabaseUrl, Db, DbError, DbOptions, PreparedStatements, Synchronous};
use tokenbooth::metrics::RoundMetrics;
use tokenbooth::user::{IdentityKey, UserId};

use crate::databases::TestDatabase;
use crate::postgres::Cluster;
use crate::{Rounds, identity_of, load, open, open_with, somebody};

on_both_databases! {
    async fn requests_that_wait_together_share_a_round(database: TestDatabase) {
        let mut conn = db::connect(&database.parsed_url()).expect("a connection");
        let users: Vec<_> = (0..50).map(|_| somebody()).collect();
        for user in &users {
            db::users::insert(&mut conn, user).expect("a user");
        }
        let rounds = Rounds::new();
        let db = open_with(&database, Duration::from_secs(30), &rounds.metrics);
        // Each of them four times, and some that nobody has, all at once.
        let nobody: Vec<UserId> = (0..10).map(|_| UserId::generate()).collect();
        let asked: Vec<UserId> = (0..4).flat_map(|_| users.iter().map(|user| user.id)).chain(nobody).collect();
        let answers = join_all(asked.iter().map(|id| load(&db, *id))).await;
        for (number, answer) in answers.into_iter().enumerate() {
            let expected = (number < 200).then(|| users[number % 50].clone());
            assert_eq!(answer, Ok(expected), "{number}");
        }
        let (count, requests) = rounds.count("users");
        assert_eq!(requests, 210);
        // Its first round connects, so everybody else is waiting by then.
        assert!(count <= 20, "{count} rounds for {requests} requests");
    }

    async fn what_was_committed_before_a_call_is_seen_by_it(database: TestDatabase) {
        let db = open(&database);
        let mut conn = db::connect(&database.parsed_url()).expect("a connection");
        let user = somebody();
        assert_eq!(load(&db, user.id).await, Ok(None));
        db::users::insert(&mut conn, &user).expect("a user");
        assert_eq!(load(&db, user.id).await, Ok(Some(user.clone())));
        for round in 1..=50 {
            let disabled = round % 2 == 1;
            assert_eq!(db::users::set_disabled(&mut conn, user.id, disabled, Timestamp(round)), Ok(true));
            let answers = join_all((0..5).map(|_| load(&db, user.id))).await;
            for answer in answers {
                let seen = answer.expect("an answer").expect("a user");
                assert_eq!((seen.disabled, seen.token_version), (disabled, (round + 1) / 2), "round {round}");
            }
        }
        assert_eq!(db::users::delete(&mut conn, user.id, Timestamp(1)), Ok(true));
        assert_eq!(load(&db, user.id).await, Ok(None));
    }

    async fn identities_are_read_together_and_anew(database: TestDatabase) {
        let mut conn = db::connect(&database.parsed_url()).expect("a connection");
        let rounds = Rounds::new();
        let db = open_with(&database, Duration::from_secs(30), &rounds.metrics);
        let known: Vec<_> = (0..40)
            .map(|number| {
                let user = somebody();
                // Two providers in one round.
                let provider = if number % 2 == 0 { "google" } else { "github" };
                let identity = identity_of(&user, provider, &number.to_string());
                db::users::insert(&mut conn, &user).expect("a user");
                db::identities::insert(&mut conn, &identity).expect("an identity");
                (identity, user)
            })
            .collect();
        // The other provider has nobody of that number.
        let strangers = (0..40).map(|number| {
            let provider = if number % 2 == 0 { "github" } else { "google" };
            IdentityKey { provider: provider.to_owned(), provider_id: number.to_string() }
        });
        let asked: Vec<IdentityKey> = known.iter().map(|(identity, _)| identity.key()).chain(strangers).collect();
        let answers = join_all(asked.into_iter().map(|key| db.identity(key))).await;
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, Ok(known.get(number).cloned()), "{number}");
        }
        let (count, requests) = rounds.count("identities");
        assert_eq!(requests, 80);
        assert!(count <= 20, "{count} rounds for {requests} requests");
        for (identity, user) in known {
            assert_eq!(db::users::set_disabled(&mut conn, user.id, true, Timestamp(1)), Ok(true));
            let found = db.identity(identity.key()).await.expect("an answer").expect("an identity");
            assert!(found.1.disabled);
        }
    }

    async fn a_client_that_goes_away_hinders_nobody(database: TestDatabase) {
        let db = open(&database);
        let user = somebody();
        let mut conn = db::connect(&database.parsed_url()).expect("a connection");
        db::users::insert(&mut conn, &user).expect("a user");
        for _ in 0..20 {
            // Begun, and given up at once.
            let _ = tokio::time::timeout(Duration::ZERO, load(&db, user.id)).await;
        }
        assert_eq!(load(&db, user.id).await, Ok(Some(user)));
    }
}

#[actix_web::test]
async fn a_killed_connection_is_replaced_before_anybody_notices() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let db = open(&database);
    let user = somebody();
    let mut conn = db::connect(&database.parsed_url()).expect("a connection");
    db::users::insert(&mut conn, &user).expect("a user");
    for _ in 0..5 {
        // The loader gets a connection.
        for answer in join_all((0..50).map(|_| load(&db, user.id))).await {
            assert_eq!(answer, Ok(Some(user.clone())));
        }
        let killed = database.number(
            "SELECT COUNT(*) AS number FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()) AS killed",
        );
        assert!(killed > 0);
        assert_eq!(load(&db, user.id).await, Ok(Some(user.clone())), "the loader asks once more");
    }
    // Nothing was done on the pool's when it turns out to be dead, so another one is taken.
    for _ in 0..4 {
        assert_eq!(db.ping().await, Ok(()));
    }
}

#[actix_web::test]
async fn the_queue_is_bounded_and_says_so_at_once() {
    let Some(mut cluster) = Cluster::start_own() else {
        return;
    };
    let url = DatabaseUrl::parse(&cluster.url()).expect("a good URL");
    db::migrate(&url).expect("migrations run");
    let timeout = Duration::from_secs(2);
    let options = DbOptions {
        url,
        prepared_statements: PreparedStatements::Detect,
        pool_size: 1,
        timeout,
        max_lifetime: Duration::from_mins(5),
        synchronous: Synchronous::Full,
    };
    let db = Db::connect(options, &RoundMetrics::default()).expect("the database is there");
    let nobody = UserId::generate();
    // The loader has a connection.
    join_all((0..300).map(|_| load(&db, nobody))).await;
    cluster.pause();
    let start = Instant::now();
    // More than the queue holds and the loader has in hand.
    let waiting = join_all((0..6000).map(async |_| (load(&db, nobody).await, start.elapsed()))).await;
    let (mut overloaded, mut too_slow) = (0, 0);
    for (answer, took) in waiting {
        match answer {
            Err(DbError::Overloaded) => {
                overloaded += 1;
                assert!(took < timeout, "it waited to be told that it may not wait: {took:?}");
            }
            Err(DbError::Unavailable(reason)) if reason.contains("database.timeout") => {
                too_slow += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((4096..=4096 + 128).contains(&too_slow), "{too_slow} waited");
    assert_eq!(overloaded + too_slow, 6000);
    cluster.resume();
    let deadline = Instant::now() + Duration::from_secs(10);
    while load(&db, nobody).await != Ok(None) {
        assert!(Instant::now() < deadline, "the loader does not recover");
    }
}
