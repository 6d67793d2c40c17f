//! The database away, frozen, locked, or behind TLS: 503 with `Retry-After` while it is, service by itself afterwards,
//! and never its address in an answer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl};
use futures_util::future::{join, join_all};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokenbooth::db;
use tokenbooth::mock::{MockProviders, Person};

use crate::databases::TestDatabase;
use crate::postgres::Cluster;
use crate::support::{Answer, SignedIn, TestApp};

/// `database.timeout` here.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What a busy machine may add to it.
const MARGIN: Duration = Duration::from_secs(3);
/// How soon service must be back: a pool that lost its connections pauses between its tries.
const RECOVERY: Duration = Duration::from_secs(15);

/// The service on a PostgreSQL of the test's own.
async fn on(url: &str) -> TestApp {
    let url = url.to_owned();
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("database.url", url).with("database.timeout", "1s")
    })
    .await;
    app.warm().await;
    app
}

/// 503 with `Retry-After`, in time, and nothing of where the database is.
fn assert_database_unavailable(answer: &Answer, took: Duration, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text);
    let detail = answer.assert_problem(503, "database_unavailable");
    assert_eq!(detail, "the database cannot be asked now; please try again");
    assert!(
        answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1),
        "{what}: no Retry-After"
    );
    assert!(took < TIMEOUT + MARGIN, "{what}: {took:?}");
}

fn assert_no_address(answer: &Answer, cluster: &Cluster) {
    for part in [cluster.port().to_string().as_str(), "127.0.0.1", "postgres", "5432"] {
        assert!(!answer.text.contains(part), "{part} in {}", answer.text);
    }
}

async fn timed(answer: impl Future<Output = Answer>) -> (Answer, Duration) {
    let start = Instant::now();
    (answer.await, start.elapsed())
}

/// What every route answers without a database.
async fn assert_out(app: &TestApp, cluster: &Cluster, signed_in: &SignedIn) {
    let token = app.mock.google().id_token(json!({}));
    let (exchange, took) = timed(app.exchange_id_token(&token)).await;
    assert_database_unavailable(&exchange, took, "exchange");
    let (me, took) = timed(app.me(&signed_in.jwt)).await;
    assert_database_unavailable(&me, took, "/api/me");
    let (ready, took) = timed(app.get("/readyz")).await;
    assert_eq!((ready.status, ready.json["database"].as_str()), (503, Some("unavailable")), "{}", ready.text);
    assert!(took < TIMEOUT + MARGIN, "{took:?}");
    let (health, took) = timed(app.get("/healthz")).await;
    assert_eq!(health.status, 200);
    assert!(took < TIMEOUT, "{took:?}");
    for answer in [exchange, me, ready, health, app.get("/metrics").await] {
        assert_no_address(&answer, cluster);
    }
    // A bad token is told so at once: nobody asks the database about it.
    app.me("bad").await.assert_problem(401, "invalid_token");
    app.exchange_id_token("bad").await.assert_problem(401, "invalid_token");
}

/// Without a restart, and soon.
async fn assert_comes_back(app: &TestApp, signed_in: &SignedIn) {
    let deadline = Instant::now() + RECOVERY;
    loop {
        let me = app.me(&signed_in.jwt).await;
        let token = app.mock.google().id_token(Person::named("later").claims());
        let exchange = app.exchange_id_token(&token).await;
        let ready = app.get("/readyz").await;
        if [me.status, exchange.status, ready.status] == [200; 3] {
            assert_eq!(me.json["id"], signed_in.user_id.as_str());
            break;
        }
        assert!(
            Instant::now() < deadline,
            "service does not resume: {} {} {}",
            me.text,
            exchange.text,
            ready.text
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // And stays: the connections that died have all been replaced.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for answer in join_all((0..20).map(|_| app.me(&signed_in.jwt))).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let token = app.mock.google().id_token(json!({}));
    for answer in join_all((0..8).map(|_| app.exchange_id_token(&token))).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[actix_web::test]
async fn postgres_stops_and_comes_back() {
    let Some(mut cluster) = Cluster::start_own() else {
        return;
    };
    let app = on(&cluster.url()).await;
    let signed_in = app.sign_in(Person::default()).await;
    for _ in 0..2 {
        cluster.stop();
        assert_out(&app, &cluster, &signed_in).await;
        cluster.start();
        assert_comes_back(&app, &signed_in).await;
    }
}

#[actix_web::test]
async fn postgres_freezes_and_thaws() {
    let Some(mut cluster) = Cluster::start_own() else {
        return;
    };
    let app = on(&cluster.url()).await;
    let signed_in = app.sign_in(Person::default()).await;
    cluster.pause();
    assert_out(&app, &cluster, &signed_in).await;
    // Many who wait are answered in time as well, and cost no more than a place in a queue.
    let (answers, took) = {
        let start = Instant::now();
        let waiting = join(
            join_all((0..200).map(|_| app.me(&signed_in.jwt))),
            join_all((0..50).map(|_| app.get("/readyz"))),
        );
        (waiting.await, start.elapsed())
    };
    assert!(answers.0.iter().chain(&answers.1).all(|answer| answer.status == 503));
    assert!(took < TIMEOUT + MARGIN, "{took:?}");
    cluster.resume();
    assert_comes_back(&app, &signed_in).await;
}

#[actix_web::test]
async fn under_load_nobody_is_told_anything_but_200_or_503() {
    let Some(mut cluster) = Cluster::start_own() else {
        return;
    };
    let app = on(&cluster.url()).await;
    let signed_in = app.sign_in(Person::default()).await;
    let stop = AtomicBool::new(false);
    let load = async |number: usize| {
        let mut seen = Vec::new();
        for round in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let answer = match number % 3 {
                0 => app.me(&signed_in.jwt).await,
                1 => app.exchange_id_token(&app.mock.google().id_token(json!({}))).await,
                // First logins, which write.
                _ => {
                    let person = Person::named(&format!("p{number}-{round}"));
                    app.exchange_id_token(&app.mock.google().id_token(person.claims())).await
                }
            };
            match answer.status {
                200 => {}
                503 => {
                    answer.assert_problem(503, "database_unavailable");
                    assert!(!answer.header("retry-after").is_empty());
                }
                other => panic!("{other} {}", answer.text),
            }
            assert!(
                answer.status == 503
                    || !number.is_multiple_of(3)
                    || answer.json["id"] == signed_in.user_id.as_str()
            );
            seen.push(answer.status);
            // Enough to meet every moment, and something left of the machine for the others.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen
    };
    let (sender, ended) = tokio::sync::oneshot::channel();
    // In a thread: stopping and starting blocks.
    let down_and_up = std::thread::spawn(move || {
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(400));
            cluster.stop();
            std::thread::sleep(Duration::from_millis(400));
            cluster.start();
        }
        std::thread::sleep(Duration::from_millis(2500));
        let _ = sender.send(());
        cluster
    });
    let supervised = async {
        ended.await.expect("PostgreSQL went down and up");
        stop.store(true, Ordering::Relaxed);
    };
    let (seen, ()) = join(join_all((0..12).map(load)), supervised).await;
    let all: Vec<u16> = seen.iter().flatten().copied().collect();
    assert!(all.contains(&503), "the outage was met by nobody");
    for (number, statuses) in seen.iter().enumerate() {
        assert_eq!(statuses.last(), Some(&200), "client {number} is still without service");
    }
    assert_comes_back(&app, &signed_in).await;
    drop(down_and_up.join());
}

#[actix_web::test]
async fn a_locked_sqlite_file_is_503_for_who_writes_and_nothing_for_who_reads() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("database.timeout", "1s")).await;
    app.warm().await;
    let signed_in = app.sign_in(Person::default()).await;
    let mut writer = db::connect(&app.db.parsed_url()).expect("a connection");
    for round in 0..2 {
        writer.batch_execute("BEGIN EXCLUSIVE").expect("the lock");
        let newcomers = (0..6).map(|number| {
            let person = Person::named(&format!("p{round}-{number}"));
            let token = app.mock.google().id_token(person.claims());
            let app = &app;
            timed(async move { app.exchange_id_token(&token).await })
        });
        // More of them than there are connections.
        for (answer, took) in join_all(newcomers).await {
            assert_database_unavailable(&answer, took, "first login");
        }
        // With a write-ahead log readers do not wait for a writer, whoever else does.
        let (me, took) = timed(app.me(&signed_in.jwt)).await;
        assert_eq!(me.status, 200, "{}", me.text);
        assert!(took < TIMEOUT, "{took:?}");
        writer.batch_execute("ROLLBACK").expect("no lock");
        assert_comes_back(&app, &signed_in).await;
    }
}

#[actix_web::test]
async fn a_lock_that_is_gone_in_time_is_not_noticed() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("database.timeout", "10s")).await;
    app.warm().await;
    let mut writer = db::connect(&app.db.parsed_url()).expect("a connection");
    writer.batch_execute("BEGIN EXCLUSIVE").expect("the lock");
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        writer.batch_execute("COMMIT").expect("no lock");
    });
    let (answer, took) = timed(app.exchange_id_token(&app.mock.google().id_token(json!({})))).await;
    answer.assert_signed_in();
    assert!(took >= Duration::from_millis(500), "nobody waited: {took:?}");
    release.join().expect("the lock was released");
}

#[actix_web::test]
async fn a_database_that_is_away_at_start_is_told_without_its_address() {
    let Some(mut cluster) = Cluster::start_own() else {
        return;
    };
    cluster.stop();
    let mock = MockProviders::start().await.expect("the mock starts");
    let sources = TestApp::sources(&mock, &cluster.url());
    let started = TestApp::try_start(mock, TestDatabase::sqlite(), sources).await;
    let error = started.err().expect("a refusal to start").to_string();
    assert!(error.starts_with("database.url: "), "{error}");
    assert!(error.contains("refused"), "the driver's reason is kept: {error}");
    assert!(!error.contains(&cluster.port().to_string()) && !error.contains("127.0.0.1"), "{error}");
}

/// Certificates for the tests' PostgreSQL, on this machine only.
struct Certificates {
    folder: tempfile::TempDir,
    server: String,
    server_key: String,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Self::root(folder.path(), "root");
        Self::root(folder.path(), "other-root");
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(["127.0.0.1".to_owned()])
            .and_then(|parameters| parameters.signed_by(&key, &root))
            .expect("a certificate");
        Self { folder, server: server.pem(), server_key: key.serialize_pem() }
    }

    /// An authority, whose certificate goes into a file for libpq.
    fn root(folder: &Path, name: &str) -> Issuer<'static, KeyPair> {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join(format!("{name}.crt")), root.pem()).expect("a file");
        Issuer::new(parameters, key)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

#[actix_web::test]
async fn a_postgres_that_speaks_tls_only_is_reached_and_its_certificate_checked() {
    let certificates = Certificates::new();
    let Some(cluster) = Cluster::start_own_tls(&certificates.server, &certificates.server_key) else {
        return;
    };
    let checked =
        |root: &Path| cluster.url_with(&format!("sslmode=verify-full&sslrootcert={}", root.display()));
    let app = on(&checked(&certificates.path("root.crt"))).await;
    let signed_in = app.sign_in(Person::default()).await;
    assert_eq!(app.me(&signed_in.jwt).await.status, 200);
    let connections = "SELECT COUNT(*) AS number FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE datname = 'postgres'";
    let encrypted = number(&cluster.url(), &format!("{connections} AND ssl"));
    assert!(encrypted >= 2, "pool and loader: {encrypted}");
    assert_eq!(number(&cluster.url(), &format!("{connections} AND NOT ssl")), 0);

    for (what, url) in [
        ("another root", checked(&certificates.path("other-root.crt"))),
        ("no such root", checked(&certificates.path("nowhere.crt"))),
        ("no TLS", cluster.url_with("sslmode=disable")),
    ] {
        let mock = MockProviders::start().await.expect("the mock starts");
        let sources = TestApp::sources(&mock, &url);
        let started = TestApp::try_start(mock, TestDatabase::sqlite(), sources).await;
        let error = started.err().unwrap_or_else(|| panic!("{what}: it starts")).to_string();
        assert!(error.starts_with("database.url: "), "{what}: {error}");
        if what == "another root" {
            assert!(error.contains("certificate verify failed"), "the driver's reason is kept: {error}");
        }
        assert!(
            !error.contains(&cluster.port().to_string()) && !error.contains("127.0.0.1"),
            "{what}: {error}"
        );
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn number(url: &str, sql: &str) -> i64 {
    let url = db::DatabaseUrl::parse(url).expect("a good URL");
    let mut conn = db::connect(&url).expect("the test's own connection");
    let row: Number = diesel::sql_query(sql).get_result(&mut conn).expect("the test's own query");
    row.number
}
