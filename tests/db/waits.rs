//! How long it takes until it is one's turn: counted for everybody, also for those who gave up.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokenbooth::db::{Db, DbError};

use crate::databases::TestDatabase;
use crate::{Rounds, open_with};

/// Occupies one connection of the pool until the answer is dropped; answers once it is occupied.
async fn occupy(db: &Db) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let db = db.clone();
    actix_web::rt::spawn(async move {
        let held = db.run(move |_| {
            let _ = begun.send(());
            let _ = wait.recv();
            Ok(())
        });
        // Longer than `database.timeout`, which is told to the caller; the connection is occupied all the same.
        let _ = held.await;
    });
    has_begun.await.expect("there is a connection");
    release
}

on_both_databases! {
    async fn who_waits_for_a_connection_is_counted_with_its_time_also_when_it_gives_up(database: TestDatabase) {
        let rounds = Rounds::new();
        let timeout = Duration::from_millis(300);
        let db = open_with(&database, timeout, &rounds.metrics);
        assert_eq!(db.ping().await, Ok(()));
        assert_eq!(rounds.waits("pool_waits").0, 1);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(occupy(&db).await);
        }
        let (count, before) = rounds.waits("pool_waits");
        assert_eq!(count, 5);
        let waited = db.ping().await;
        // Who gave up while its thread connects is counted when that is done.
        let deadline = Instant::now() + Duration::from_secs(10);
        while rounds.waits("pool_waits").0 < 6 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (count, after) = rounds.waits("pool_waits");
        assert_eq!(count, 6);
        // On PostgreSQL the occupied ones are given up at about that time.
        if database.url.starts_with("sqlite") {
            assert!(matches!(waited, Err(DbError::Unavailable(_))));
            assert!(after - before >= timeout.as_secs_f64(), "{before} {after}");
        }
        drop(held);
    }

    async fn a_change_is_counted_with_its_wait_for_the_writer_where_there_is_one(database: TestDatabase) {
        let rounds = Rounds::new();
        let db = open_with(&database, Duration::from_secs(30), &rounds.metrics);
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let slow = db.write(move |_| {
            let _ = begun.send(());
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        });
        let behind = async {
            has_begun.await.expect("it begins");
            db.write(|_| Ok(())).await
        };
        let (slow, behind) = tokio::join!(slow, behind);
        assert_eq!((slow, behind), (Ok(()), Ok(())));
        let (writer, pool) = (rounds.waits("writer_waits"), rounds.waits("pool_waits"));
        if database.url.starts_with("sqlite") {
            assert_eq!((writer.0, pool.0), (2, 0));
            assert!(writer.1 > 0.1, "{writer:?}");
        } else {
            assert_eq!((writer.0, pool.0), (0, 2));
        }
    }
}
