//! Through a PgBouncer that gives each transaction another session of PostgreSQL.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::future::join_all;
use tokenbooth::clock::Timestamp;
use tokenbooth::db::{self, Db, DbError, DbOptions, PreparedStatements, Synchronous, sessions_are_shared};
use tokenbooth::metrics::RoundMetrics;

use crate::databases::TestDatabase;
use crate::pgbouncer::PgBouncer;
use crate::{identity_of, load, open, somebody};

/// Fewer than there are connections, so that no connection finds the session that it had before.
const SESSIONS: u32 = 3;

#[actix_web::test]
async fn two_replicas_read_and_write_with_three_sessions() {
    let Some(database) = TestDatabase::behind_pgbouncer(SESSIONS) else { return };
    let replicas = [open(&database), open(&database)];
    let people: Vec<_> = (0..200).map(|number| (number, somebody())).collect();
    let at_work = people.iter().map(|(number, user)| {
        let (here, there) = (&replicas[number % 2], &replicas[(number + 1) % 2]);
        let identity = identity_of(user, "google", &number.to_string());
        let wanted = (identity.clone(), user.clone());
        async move {
            let (user, key) = (wanted.1.clone(), identity.key());
            here.write({
                let user = user.clone();
                move |conn| {
                    db::users::insert(conn, &user)?;
                    db::identities::insert(conn, &identity)
                }
            })
            .await
            .expect("a write");
            for version in 1..=10 {
                assert_eq!(
                    load(there, user.id).await.map(|user| user.map(|user| user.id)),
                    Ok(Some(user.id))
                );
                let found = there.identity(key.clone()).await.expect("a read").expect("an identity");
                assert_eq!(found.0, wanted.0);
                let (id, disabled) = (user.id, version % 2 == 1);
                let done = here.write(move |conn| db::users::set_disabled(conn, id, disabled, Timestamp(1)));
                assert_eq!(done.await, Ok(true));
                let seen = there.run(move |conn| db::users::find(conn, id)).await.expect("a read");
                assert_eq!(seen.map(|user| user.disabled), Some(disabled));
            }
            // Of a change that fails nothing is left.
            let again = here.write(move |conn| {
                db::users::delete(conn, user.id, user.created_at)?;
                db::users::insert(conn, &somebody())?;
                Err::<(), _>(DbError::Conflict)
            });
            assert_eq!(again.await, Err(DbError::Conflict));
        }
    });
    join_all(at_work).await;
    assert_eq!((database.count("users"), database.count("identities")), (200, 200));
}

#[test]
fn replicas_that_migrate_at_once_through_it_all_succeed() {
    let Some(database) = TestDatabase::behind_pgbouncer(SESSIONS) else { return };
    let url = database.parsed_url();
    let all = db::revert_all(&url).expect("every migration goes down");
    database.execute("DROP TABLE __diesel_schema_migrations");
    let start = Barrier::new(8);
    let ran: usize = std::thread::scope(|scope| {
        let migrate = || {
            start.wait();
            db::migrate(&url).expect("migrations run").len()
        };
        let replicas: Vec<_> = (0..8).map(|_| scope.spawn(migrate)).collect();
        replicas.into_iter().map(|replica| replica.join().expect("no panic")).sum()
    });
    assert_eq!(ran, all, "each by one of them");
    assert_eq!(db::pending_migrations(&url), Ok(vec![]));
    let locks = "SELECT COUNT(*) AS number FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(database.number(locks), 0, "a lock is left to whoever gets the session next");
}

#[actix_web::test]
async fn who_insists_on_prepared_statements_is_told_why_they_are_gone() {
    // One session: what the first connection has prepared is in the second one's way.
    let Some(database) = TestDatabase::behind_pgbouncer(1) else { return };
    let options = DbOptions {
        url: database.parsed_url(),
        prepared_statements: PreparedStatements::Always,
        pool_size: 2,
        timeout: Duration::from_secs(5),
        max_lifetime: Duration::from_mins(5),
        synchronous: Synchronous::Full,
    };
    let db = Db::connect(options, &RoundMetrics::default()).expect("the database is there");
    let user = somebody();
    assert_eq!(load(&db, user.id).await, Ok(None));
    let Err(DbError::Unavailable(reason)) = db.identity(identity_of(&user, "google", "1").key()).await else {
        panic!("the statement of another connection was used, or PgBouncer has learned of them");
    };
    assert!(reason.contains("__diesel_stmt_"), "{reason}");
    assert!(reason.contains(r#"set database.prepared_statements = "never""#), "{reason}");
}

#[test]
fn it_is_found_out_idle_and_in_the_midst_of_traffic() {
    let Some(direct) = TestDatabase::postgres() else { return };
    let start = |sessions, settings| PgBouncer::start_with(&direct.url, sessions, settings);
    let shared = |url: &str| {
        sessions_are_shared(&db::DatabaseUrl::parse(url).expect("a good URL")).expect("the database is there")
    };
    // Its sessions one after the other, instead of the last one again.
    for settings in ["", "server_round_robin = 1\nmin_pool_size = 4\n"] {
        for sessions in [1, 2, 4] {
            let Some(pgbouncer) = start(sessions, settings) else { return };
            let url = pgbouncer.url(&direct.url);
            assert!(shared(&url), "{sessions} sessions, {settings:?}");
            under_load(&url, || {
                assert!((0..5).all(|_| shared(&url)), "{sessions} busy sessions, {settings:?}");
            });
        }
    }
    // One that lends a session for as long as the connection lasts is no such pooler.
    let Some(pgbouncer) = start(20, "pool_mode = session\n") else { return };
    for url in [pgbouncer.url(&direct.url), direct.url.clone()] {
        under_load(&url, || assert!((0..5).all(|_| !shared(&url))));
    }
    assert!(!shared(&TestDatabase::sqlite().url));
}

/// Does something while others use the database.
fn under_load(url: &str, work: impl FnOnce()) {
    let url = db::DatabaseUrl::parse(url).expect("a good URL");
    let busy = Arc::new(AtomicBool::new(true));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut conn = db::connect(&url).expect("a connection");
                while busy.load(Ordering::Relaxed) {
                    db::users::find(&mut conn, somebody().id).expect("a read");
                }
            });
        }
        work();
        busy.store(false, Ordering::Relaxed);
    });
}

#[test]
fn what_it_refuses_is_told_without_names() {
    let Some(direct) = TestDatabase::postgres() else { return };
    let Some(pgbouncer) = PgBouncer::start(&direct.url, SESSIONS) else { return };
    let url = pgbouncer.url(&direct.url);
    let name = url.split('?').next().and_then(|url| url.rsplit('/').next()).expect("a name");
    for address in [
        url.replace(name, "customers"),
        url.replace("//tokenbooth:", "//admin:"),
        url.replace(":of-the-tests@", ":hunter2@"),
    ] {
        assert_ne!(address, url);
        let address = db::DatabaseUrl::parse(&address).expect("a good URL");
        let Err(DbError::Unavailable(reason)) = db::connect(&address) else { panic!("connected") };
        for part in ["127.0.0.1", "customers", "admin", "hunter2", "tokenbooth", name] {
            assert!(!reason.contains(part), "{part} in {reason}");
        }
    }
}
