//! Changes: each is all or nothing, whoever shares its commit, and is answered after it.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use futures_util::future::join_all;
use tokenbooth::db::{self, Db, DbConn, DbError, identities, users};
use tokenbooth::metrics::RoundMetrics;
use tokenbooth::user::User;

use crate::databases::TestDatabase;
use crate::{Rounds, identity_of, open, open_with, somebody};

/// A user and the way in, as at a first sign-in.
async fn sign_up(db: &Db, provider_id: String) -> Result<User, DbError> {
    db.write(move |conn| {
        let user = somebody();
        users::insert(conn, &user)?;
        identities::insert(conn, &identity_of(&user, "google", &provider_id))?;
        Ok(user)
    })
    .await
}

/// Occupies SQLite's writer until the answer is dropped; answers once it is occupied.
async fn occupy(db: &Db) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let db = db.clone();
    actix_web::rt::spawn(async move {
        let held = db.write(move |_| {
            let _ = begun.send(());
            let _ = wait.recv();
            Ok(())
        });
        assert_eq!(held.await, Ok(()));
    });
    has_begun.await.expect("the writer takes it");
    release
}

on_both_databases! {
    async fn a_change_that_fails_leaves_nothing_and_hinders_nobody(database: TestDatabase) {
        let db = open(&database);
        sign_up(&db, "taken".to_owned()).await.expect("a user");
        // Every third wants the one that is taken: its user is written before that is found.
        let wanted = (0..60).map(|number| if number % 3 == 0 { "taken".to_owned() } else { number.to_string() });
        let answers = join_all(wanted.map(|id| sign_up(&db, id))).await;
        for (number, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(_) => assert_ne!(number % 3, 0),
                Err(error) => assert_eq!((error, number % 3), (DbError::Conflict, 0)),
            }
        }
        assert_eq!((database.count("users"), database.count("identities")), (41, 41));
    }

    async fn who_is_answered_is_committed(database: TestDatabase) {
        let db = open(&database);
        let mut elsewhere = db::connect(&database.parsed_url()).expect("a connection");
        for round in 0..20 {
            let together = (0..5).map(|number| sign_up(&db, format!("{round} {number}")));
            for answer in join_all(together).await {
                let user = answer.expect("a user");
                assert_eq!(users::find(&mut elsewhere, user.id), Ok(Some(user)));
            }
        }
    }

    async fn a_change_that_panics_is_undone_and_the_next_one_is_done(database: TestDatabase) {
        let db = open(&database);
        for round in 0..4 {
            let failed: Result<(), _> = db
                .write(|conn| {
                    users::insert(conn, &somebody())?;
                    panic!("on purpose, in a test")
                })
                .await;
            assert!(matches!(failed, Err(DbError::Unavailable(_))), "{failed:?}");
            sign_up(&db, round.to_string()).await.expect("a user");
        }
        assert_eq!((database.count("users"), database.count("identities")), (4, 4));
    }

    async fn a_client_that_goes_away_hinders_nobody(database: TestDatabase) {
        let db = open(&database);
        for number in 0..20 {
            let _ = tokio::time::timeout(Duration::ZERO, sign_up(&db, format!("gone {number}"))).await;
        }
        sign_up(&db, "here".to_owned()).await.expect("a user");
        // Those begun may still be under way: in one look, none of them is half done.
        let half = "SELECT COUNT(*) AS number FROM users WHERE id NOT IN (SELECT user_id FROM identities)";
        assert_eq!(database.number(half), 0);
    }
}

#[actix_web::test]
async fn changes_that_wait_together_share_a_commit() {
    let database = TestDatabase::sqlite();
    let rounds = Rounds::new();
    let db = open_with(&database, Duration::from_secs(30), &rounds.metrics);
    let release = occupy(&db).await;
    let waiting = join_all((0..100).map(|number| sign_up(&db, number.to_string())));
    let (answers, ()) = tokio::join!(waiting, async { drop(release) });
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // The one that occupied the writer, and the others.
    assert_eq!(rounds.count("writes"), (2, 101));
    assert_eq!(database.count("users"), 100);
}

#[actix_web::test]
async fn the_writers_queue_is_bounded_and_says_so_at_once() {
    let database = TestDatabase::sqlite();
    let db = open_with(&database, Duration::from_secs(30), &RoundMetrics::default());
    let release = occupy(&db).await;
    let start = Instant::now();
    let waiting = join_all((0..5000).map(|_| db.write(|_| Ok(()))));
    let release = async {
        // They are all in the queue, or told that it is full, before this is polled.
        assert!(start.elapsed() < Duration::from_secs(10));
        drop(release);
    };
    let (answers, ()) = tokio::join!(waiting, release);
    let overloaded = answers.iter().filter(|answer| **answer == Err(DbError::Overloaded)).count();
    let done = answers.iter().filter(|answer| **answer == Ok(())).count();
    assert_eq!((done, overloaded), (4096, 5000 - 4096));
}

#[actix_web::test]
async fn another_process_that_writes_is_waited_for() {
    let database = TestDatabase::sqlite();
    let db = open(&database);
    let mut other = db::connect(&database.parsed_url()).expect("a connection");
    other.batch_execute("BEGIN IMMEDIATE").expect("the only writer");
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        users::insert(&mut other, &somebody()).expect("a user");
        other.batch_execute("COMMIT").expect("committed");
    });
    let start = Instant::now();
    // It reads first, as a sign-in that links by e-mail does: begun before the other's commit, it would then fail.
    let read_then_written = db
        .write(|conn: &mut DbConn| {
            let there = users::list(conn, None, 10)?.len();
            users::insert(conn, &somebody())?;
            Ok(there)
        })
        .await;
    assert_eq!(read_then_written, Ok(1), "it sees what the other committed");
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    holder.join().expect("the other one is done");
    assert_eq!(database.count("users"), 2);
}
