//! `database.url`, what a connection is set to, and what an error may say.

use std::net::TcpListener;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl};
use futures_util::future::join_all;
use tokenbooth::db::{
    self, DatabaseUrl, DatabaseUrlError, Db, DbConn, DbError, DbOptions, PreparedStatements, Synchronous,
};
use tokenbooth::metrics::RoundMetrics;

use crate::databases::TestDatabase;
use crate::{identity_of, load, open, postgres, somebody};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

fn conn_to(database: &TestDatabase) -> DbConn {
    db::connect(&database.parsed_url()).expect("a connection")
}

fn number(conn: &mut DbConn, sql: &str) -> i64 {
    diesel::sql_query(sql).get_result::<Number>(conn).expect("a number").number
}

fn line(conn: &mut DbConn, sql: &str) -> String {
    diesel::sql_query(sql).get_result::<Line>(conn).expect("a text").text
}

#[test]
fn an_address_is_one_of_two_forms() {
    for good in [
        "sqlite://tokenbooth.db",
        "sqlite:///var/lib/tokenbooth/users.db",
        "sqlite://-odd name.db",
        "postgres://user:password@host/name",
        "postgresql://user@host:6432/name?sslmode=verify-full",
        "postgres:///name?host=/run/postgresql",
        "postgres://h1:5432,h2:5433/name?target_session_attrs=read-write",
        "postgres://user:pass%2Fword@h1,h2:6432,[::1]:5433/name",
        "postgres://h1,h2",
    ] {
        assert!(DatabaseUrl::parse(good).is_ok(), "{good}");
    }
    for (bad, expected) in [
        ("sqlite::memory:", DatabaseUrlError::InMemory),
        ("sqlite://:memory:", DatabaseUrlError::InMemory),
        ("sqlite://", DatabaseUrlError::InMemory),
        ("sqlite:", DatabaseUrlError::InMemory),
        ("sqlite://users.db?mode=ro", DatabaseUrlError::Parameters),
        ("sqlite://file:users?mode=memory&cache=shared", DatabaseUrlError::Parameters),
        ("sqlite:users.db", DatabaseUrlError::Scheme),
        ("users.db", DatabaseUrlError::Scheme),
        ("/var/lib/users.db", DatabaseUrlError::Scheme),
        (":memory:", DatabaseUrlError::Scheme),
        ("file:users.db", DatabaseUrlError::Scheme),
        ("mysql://user:hunter2@host/name", DatabaseUrlError::Scheme),
        ("https://host/name", DatabaseUrlError::Scheme),
        ("postgres:host", DatabaseUrlError::Scheme),
        ("host=localhost password=hunter2", DatabaseUrlError::Scheme),
        ("", DatabaseUrlError::Scheme),
    ] {
        let error = DatabaseUrl::parse(bad).expect_err(bad);
        assert_eq!(error, expected, "{bad}");
        let text = error.to_string();
        assert!(text.contains("sqlite://") && text.contains("postgres://"), "{bad}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let error = DatabaseUrl::parse("postgres://user:hunter2#@host:port/name").expect_err("no port");
    let text = error.to_string();
    assert!(
        text.contains("sqlite://") && text.contains("postgres://") && !text.contains("hunter2"),
        "{text}"
    );
    for bad in [
        "postgres://user:hunter2@h1:5432,:5433/name",
        "postgres://user:hunter2@h1:5432,h2:0/name",
        "postgres://user:hunter2@h1:5432,h2:port/name",
        "postgres://user:hunter2@h1:5432,,h2/name",
        "postgres://user:hunter2@[::1]5432,h2/name",
    ] {
        let text = DatabaseUrl::parse(bad).expect_err(bad).to_string();
        assert!(text.contains("postgres://") && !text.contains("hunter2"), "{bad}: {text}");
    }
}

#[test]
fn several_hosts_are_tried_one_after_the_other() {
    let Some(server) = postgres::server() else { return };
    let database = server.create_database(None);
    let port =
        TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    let (before, rest) = database.url.split_once('@').expect("a user");
    let url = format!("{before}:hunter2+%2F@127.0.0.1:{port},{rest}");
    let url = DatabaseUrl::parse(&url).expect("a good URL");
    let mut conn = db::connect(&url).expect("the second host is there");
    assert_eq!(number(&mut conn, "SELECT 1::bigint AS number"), 1);
    assert_eq!(format!("{url:?}"), "DatabaseUrl(PostgreSQL, ..)");
}

#[test]
fn a_server_that_takes_no_changes_is_not_connected_to() {
    let Some(server) = postgres::server() else { return };
    let database = server.create_database(None);
    let parsed = |url: &str| DatabaseUrl::parse(url).expect("a good URL");
    let mut conn = db::connect(&parsed(&database.url)).expect("it takes changes");
    let statement = format!(r#"ALTER DATABASE "{}" SET default_transaction_read_only = on"#, database.name);
    diesel::sql_query(statement).execute(&mut conn).expect("the test's own statement");
    assert_eq!(db::connect(&parsed(&database.url)).err(), Some(DbError::ReadOnly));
    // Whoever asks for it gets it.
    let any = format!("{}{}target_session_attrs=any", database.url, separator(&database.url));
    assert!(db::connect(&parsed(&any)).is_ok());
    assert!(db::connect(&parsed(&database.url).of_any_server()).is_ok());
}

fn separator(url: &str) -> char {
    if url.contains('?') { '&' } else { '?' }
}

#[test]
fn an_address_is_not_shown() {
    let url = DatabaseUrl::parse("postgres://admin:hunter2@db.mail.com/customers").expect("a good URL");
    assert_eq!(format!("{url:?}"), "DatabaseUrl(PostgreSQL, ..)");
    let url = DatabaseUrl::parse("sqlite://secret-place.db").expect("a good URL");
    assert_eq!(format!("{url:?}"), "DatabaseUrl(SQLite, ..)");
}

#[test]
fn a_refused_connection_gives_the_drivers_reason_and_not_the_address() {
    let port =
        TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    for address in [
        format!("postgres://admin:hunter2@127.0.0.1:{port}/customers"),
        format!("postgres://admin:hunter2@localhost:{port}/customers"),
        format!("postgres://admin:hunter2@localhost:{port}"),
        // Several servers, each with its own reason.
        format!(
            "postgres:///customers?host=127.0.0.1,127.0.0.2,localhost&port={port}&user=admin&password=hunter2"
        ),
        format!("postgres:///?host=127.0.0.1&port={port}&user=admin&password=hunter2&dbname=customers"),
        format!("postgres://admin:hunter2@127.0.0.1:{port},127.0.0.2:{port},localhost:{port}/customers"),
    ] {
        let url = DatabaseUrl::parse(&address).expect("a good URL");
        let Err(DbError::Unavailable(reason)) = db::connect(&url) else {
            panic!("{address} is connected to")
        };
        assert!(reason.contains("refused"), "{reason}");
        for part in ["127.0.0", "localhost", "::1", "admin", "hunter2", "customers", &port.to_string()] {
            assert!(!reason.contains(part), "{part} in {reason}");
        }
        assert!(!reason.contains('\n'), "{reason}");
    }
}

#[test]
fn a_socket_that_is_not_there_is_told_without_its_path() {
    let url = DatabaseUrl::parse("postgres:///customers?host=/nowhere/sockets&user=admin&password=hunter2")
        .expect("a good URL");
    let Err(DbError::Unavailable(reason)) = db::connect(&url) else { panic!("connected") };
    assert!(reason.contains("No such file"), "{reason}");
    for part in ["nowhere", "admin", "hunter2", "customers"] {
        assert!(!reason.contains(part), "{part} in {reason}");
    }
}

#[test]
fn what_the_server_refuses_is_told_without_names() {
    let Some(server) = postgres::server() else {
        return;
    };
    let database = server.create_database(None);
    let no_database = database.url.replace(&database.name, "customers");
    let no_user = database.url.replace("tokenbooth@", "admin:hunter2@");
    let odd_user = database.url.replace("tokenbooth@", "odd%20admin:hunter2@");
    let odd_database = database.url.replace(&database.name, "odd%20customers");
    for (address, told) in [
        (no_database, "does not exist"),
        (no_user, "does not exist"),
        (odd_user, "does not exist"),
        (odd_database, "does not exist"),
    ] {
        // Somebody else's server may know the name.
        let Ok(url) = DatabaseUrl::parse(&address) else { panic!("{address}") };
        let Err(DbError::Unavailable(reason)) = db::connect(&url) else {
            continue;
        };
        assert!(reason.contains(told) || std::env::var_os("TEST_DATABASE_URL").is_some(), "{reason}");
        for part in ["127.0.0.1", "admin", "hunter2", "customers", database.name.as_str()] {
            assert!(!reason.contains(part), "{part} in {reason}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_told_as_such() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}", folder.path().join("no/such/folder/users.db").display());
    let url = DatabaseUrl::parse(&url).expect("a good URL");
    let Err(DbError::Unavailable(reason)) = db::connect(&url) else { panic!("connected") };
    assert!(reason.contains("unable to open"), "{reason}");
    let options = DbOptions {
        url,
        prepared_statements: PreparedStatements::Detect,
        pool_size: 1,
        timeout: Duration::from_secs(1),
        max_lifetime: Duration::from_mins(5),
        synchronous: Synchronous::Full,
    };
    assert!(Db::connect(options, &RoundMetrics::default()).is_err());
}

#[test]
fn the_log_of_sqlite_that_a_reader_has_made_long_gets_short_again() {
    let database = TestDatabase::sqlite();
    let log = format!("{}-wal", database.url.strip_prefix("sqlite://").expect("a path"));
    let length = || std::fs::metadata(&log).expect("a log").len();
    let (mut writer, mut reader) = (conn_to(&database), conn_to(&database));
    let run = |conn: &mut DbConn, sql: &str| diesel::sql_query(sql).execute(conn).expect("done");
    run(&mut writer, "CREATE TABLE filler (filling BLOB)");
    // As long as somebody reads what was there before, nothing of the log can be used again.
    run(&mut reader, "BEGIN");
    number(&mut reader, "SELECT COUNT(*) AS number FROM filler");
    for _ in 0..24 {
        run(&mut writer, "INSERT INTO filler VALUES (zeroblob(1048576))");
    }
    assert!(length() > 24 << 20, "{}", length());
    run(&mut reader, "COMMIT");
    for _ in 0..2 {
        run(&mut writer, "INSERT INTO filler VALUES (NULL)");
    }
    assert!(length() <= 16 << 20, "{}", length());
}

#[actix_web::test]
async fn every_sqlite_connection_has_its_settings() {
    let database = TestDatabase::sqlite();
    let db = open(&database);
    // Four at once, so that each is a connection of its own.
    let together = Arc::new(Barrier::new(4));
    let checks = (0..4).map(|_| {
        let together = Arc::clone(&together);
        db.run(move |conn| {
            together.wait();
            let settings = (
                number(conn, "SELECT foreign_keys AS number FROM pragma_foreign_keys"),
                line(conn, "SELECT journal_mode AS text FROM pragma_journal_mode"),
                number(conn, "SELECT timeout AS number FROM pragma_busy_timeout"),
                number(conn, "SELECT synchronous AS number FROM pragma_synchronous"),
            );
            Ok(settings)
        })
    });
    for settings in join_all(checks).await {
        let (foreign_keys, journal, busy_timeout, synchronous) = settings.expect("an answer");
        assert_eq!((foreign_keys, journal.as_str(), synchronous), (1, "wal", 2));
        assert!(busy_timeout >= 1000, "{busy_timeout}");
    }
    assert_eq!(db.pool_state().open, 4);
}

#[actix_web::test]
async fn no_connection_to_postgres_is_used_for_longer_than_its_lifetime() {
    let Some(database) = TestDatabase::postgres() else { return };
    let options = DbOptions {
        url: database.parsed_url(),
        prepared_statements: PreparedStatements::Detect,
        pool_size: 2,
        timeout: Duration::from_secs(2),
        max_lifetime: Duration::from_secs(1),
        synchronous: Synchronous::Full,
    };
    let db = Db::connect(options, &RoundMetrics::default()).expect("the database is there");
    let user = somebody();
    let work = async || {
        assert_eq!(load(&db, user.id).await, Ok(None));
        assert_eq!(db.ping().await, Ok(()));
    };
    work().await;
    // The pool's and the loader's, as they are now.
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let newest =
        format!("SELECT MAX(EXTRACT(epoch FROM backend_start) * 1000000)::bigint AS number {others}");
    let newest = database.number(&newest);
    let old = format!(
        "SELECT COUNT(*) AS number {others} AND EXTRACT(epoch FROM backend_start) * 1000000 <= {newest}"
    );
    assert!(database.number(&old) >= 2);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while database.number(&old) > 0 {
        assert!(std::time::Instant::now() < deadline, "old connections are used on");
        work().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

on_both_databases! {
    async fn an_identity_needs_its_user(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let nobody = somebody();
        let result = db::identities::insert(&mut conn, &identity_of(&nobody, "google", "1"));
        assert!(matches!(result, Err(DbError::Unavailable(_))), "{result:?}");
        assert_eq!(db.count("identities"), 0);
    }

    async fn a_key_that_is_taken_is_a_conflict(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let (ann, ben) = (somebody(), somebody());
        db::users::insert(&mut conn, &ann).expect("a user");
        db::users::insert(&mut conn, &ben).expect("a user");
        assert_eq!(db::users::insert(&mut conn, &ann), Err(DbError::Conflict));
        db::identities::insert(&mut conn, &identity_of(&ann, "google", "1")).expect("an identity");
        assert_eq!(db::identities::insert(&mut conn, &identity_of(&ben, "google", "1")), Err(DbError::Conflict));
        // Each half of the key alone is free, and so is another case.
        for (provider, id) in [("github", "1"), ("google", "2"), ("google", "1 "), ("Google", "1")] {
            db::identities::insert(&mut conn, &identity_of(&ben, provider, id)).expect("an identity");
        }
        // The connection is good after a conflict.
        assert_eq!(db::users::find(&mut conn, ann.id), Ok(Some(ann)));
    }

    async fn a_closure_that_fails_does_not_spoil_its_connection(database: TestDatabase) {
        let db = open(&database);
        for _ in 0..8 {
            let failed: Result<(), _> = db.run(|_| Err(DbError::Conflict)).await;
            assert_eq!(failed, Err(DbError::Conflict));
        }
        assert_eq!(db.ping().await, Ok(()));
    }

    async fn a_closure_that_panics_costs_its_own_request_only(database: TestDatabase) {
        let db = open(&database);
        for _ in 0..8 {
            let failed: Result<(), _> = db.run(|_| panic!("on purpose, in a test")).await;
            assert!(matches!(failed, Err(DbError::Unavailable(_))), "{failed:?}");
        }
        for ping in join_all((0..16).map(|_| db.ping())).await {
            assert_eq!(ping, Ok(()));
        }
    }

    async fn who_waits_too_long_for_a_connection_is_told_so(database: TestDatabase) {
        let timeout = Duration::from_millis(300);
        let db = crate::open_with(&database, timeout, &RoundMetrics::default());
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let busy = (0..4).map(|_| {
            let wait = Arc::clone(&wait);
            db.run(move |_| {
                let _ = wait.lock().map(|wait| wait.recv());
                Ok(())
            })
        });
        for slow in join_all(busy).await {
            assert!(matches!(slow, Err(DbError::Unavailable(reason)) if reason.contains("database.timeout")));
        }
        if database.url.starts_with("sqlite") {
            let late = db.ping().await;
            assert!(matches!(&late, Err(DbError::Unavailable(reason)) if reason.contains("database.timeout")), "{late:?}");
        } else {
            // Connections that do not come back in time are given up, and others have new ones.
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while db.ping().await.is_err() {
                assert!(std::time::Instant::now() < deadline, "no connection is given up");
            }
        }
        drop(release);
        assert_eq!(db.ping().await, Ok(()));
    }
}
