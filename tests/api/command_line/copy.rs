//! `tokenbooth db copy`: everything arrives, whatever happens on the way, and nobody's data is lost.

use std::time::Duration;

use serde_json::json;
use tokenbooth::db;
use tokenbooth::mock::{GithubUser, Person};
use tokenbooth::settings::Sources;

use super::{Ended, empty_databases, run};
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// Enough users that a copy takes a while.
const MANY: usize = 20_000;

/// `tokenbooth db copy --from … --to …`.
fn copy(from: &str, to: &str, more: &[&str]) -> Ended {
    run(&[&["db", "copy", "--from", from, "--to", to], more].concat(), &[])
}

/// Exit code 0, with progress on stderr: answers with what was printed.
#[track_caller]
fn good(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    ended.out
}

/// Exit code 1: answers with the last line on stderr.
#[track_caller]
fn bad(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    ended.err.lines().last().and_then(|line| line.strip_prefix("tokenbooth: ")).expect("a reason").to_owned()
}

/// A database of the other kind, where there is one.
fn other(db: &TestDatabase) -> TestDatabase {
    let postgres = if db.url.starts_with("sqlite") { TestDatabase::postgres() } else { None };
    postgres.unwrap_or_else(TestDatabase::sqlite)
}

/// Users with ids and addresses that begin so, by one statement.
fn add_users(db: &TestDatabase, prefix: &str, how_many: usize) {
    let numbers = if db.url.starts_with("sqlite") {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {how_many}) SELECT i FROM n"
        )
    } else {
        format!("SELECT i FROM generate_series(1, {how_many}) AS n(i)")
    };
    db.execute(&format!(
        "INSERT INTO users (id, email, email_lower, name, admin, disabled, token_version, created_at, updated_at) \
         SELECT '{prefix}-2d3e-7f40-8a51-' || substr(CAST(1000000000000 + i AS TEXT), 2), '{prefix}' || i || '@example.com', \
         '{prefix}' || i || '@example.com', 'N\u{e4}me ' || i, FALSE, FALSE, i, 1, 1 FROM ({numbers}) AS numbers"
    ));
}

/// Rows in every table, with what is odd: nulls, empty texts, quotes, the least and the greatest number.
fn add_odd_rows(db: &TestDatabase) {
    for sql in [
        "INSERT INTO users (id, email, email_lower, name, name_lower, avatar_url, admin, disabled, token_version, password_hash, \
         created_at, updated_at, last_login_at, own_name, own_avatar) VALUES ('0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10', NULL, NULL, \
         '', '', NULL, TRUE, TRUE, 9223372036854775807, 'a''b\"c\\d', -9223372036854775808, 0, NULL, TRUE, FALSE)",
        "INSERT INTO identities (id, user_id, provider, provider_id, email, gives_email, created_at, last_used_at) VALUES ('0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f11', '0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10', 'acme', \
         '\u{1f600} $1 ?', NULL, FALSE, 1, 2)",
        "INSERT INTO sessions (id, user_id, token_version, handle_hash, secret_hash, created_at, last_used_at) VALUES \
         ('0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f12', '0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10', 1, 'x', 'y', 1, 2)",
        "INSERT INTO events (id, at, kind, detail) VALUES ('0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f13', 1, 'sign_in.refused', '{}')",
        "INSERT INTO spent_codes VALUES ('Zz-_', 5, NULL), ('zz-_', 6, ''), ('a', 7, '0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f12')",
        "INSERT INTO clients (id, name, scopes, secret_hash, disabled, created_at) VALUES ('c1', 'A client', 'read write', 'h', FALSE, 1)",
        "INSERT INTO signing_keys (id, algorithm, created_at, retired_at) VALUES ('k1', 'EdDSA', 1, 2)",
        "INSERT INTO revocations VALUES ('client:c1', 3, 4)",
    ] {
        db.execute(sql);
    }
}

on_both_databases! {
    async fn people_their_passwords_and_their_sessions_are_there_after_the_copy(db: TestDatabase) {
        // That of the address would be another for each port.
        let issuer = |sources: Sources| sources.with("token.issuer", "https://auth.example.com");
        let app = TestApp::start_with(db, issuer).await;
        let ann = app.sign_in_offline(Person::named("ann")).await;
        app.link_github(&ann.jwt, GithubUser::named("ann")).await;
        let password = json!({ "new_password": "a password of some length" });
        assert_eq!(app.send_as("PUT", "/api/me/password", &ann.jwt, &password).await.status, 204);
        let before = app.get_as("/api/me/identities", &ann.jwt).await.json;
        let target = other(&app.db);
        good(copy(&app.db.url, &target.url, &[]));

        let app = TestApp::start_beside(app.mock.clone(), target, issuer).await;
        assert_eq!(app.get_as("/api/me/identities", &ann.jwt).await.json, before);
        let again = app.sign_in(Person::named("ann")).await;
        assert_eq!((again.user_id.as_str(), again.created), (ann.user_id.as_str(), false));
        assert_eq!(app.refresh(ann.refresh_token()).await.status, 200);
        let by_password = app.sign_in_with_password("ann@example.com", "a password of some length").await;
        assert_eq!(by_password.assert_signed_in().user_id, ann.user_id);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.first'"), 1);
    }

    async fn every_row_of_every_table_arrives_unchanged_and_a_second_copy_is_harmless(db: TestDatabase) {
        add_odd_rows(&db);
        add_users(&db, "0192f0c2", 1234);
        for (to, _keep) in empty_databases() {
            let told = good(copy(&db.url, &to, &[]));
            assert!(told.ends_with("rows written. Set database.url to the new address; token.secret stays what it is.\n"), "{told}");
            let rows: Vec<Vec<&str>> = told.lines().skip(1).take(8).map(|line| line.split_whitespace().collect()).collect();
            let expected =
                [("users", "1235"), ("identities", "1"), ("sessions", "1"), ("events", "1"), ("spent_codes", "3"), ("clients", "1"), ("signing_keys", "1"), ("revocations", "1")];
            for (row, (table, count)) in rows.iter().zip(expected) {
                assert_eq!((row[0], row[1], row[2], row[5]), (table, count, count, "yes"), "{told}");
                assert_eq!(row[3], row[4], "{told}");
            }
            // Back again, which is one more judge of what arrived.
            let back = TestDatabase::sqlite();
            good(copy(&to, &back.url, &[]));
            assert_eq!(everything(&back), everything(&db));
            let second = good(copy(&db.url, &to, &[]));
            assert!(second.ends_with("Nothing was left to copy.\n"), "{second}");
            let table = |told: &str| told.lines().take(9).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(table(&second), table(&told));
            assert_eq!(run(&["user", "show", "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10"], &[("database.url", &to)]).good(),
                run(&["user", "show", "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10"], &[("database.url", &db.url)]).good());
        }
    }

    async fn a_copy_that_is_killed_goes_on_and_nobody_is_served_from_half_of_it(db: TestDatabase) {
        add_odd_rows(&db);
        add_users(&db, "0192f0c2", MANY);
        let target = other(&db);
        for round in 0..3 {
            let mut running = Tokenbooth::new(&["db", "copy", "--from", &db.url, "--to", &target.url]).start();
            let already = target.count("users");
            while target.count("users") <= already {
                std::thread::sleep(Duration::from_millis(5));
            }
            running.signal("KILL");
            running.wait();
            let so_far = target.count("users");
            assert!(so_far > 0 && so_far < i64::try_from(MANY).expect("a number"), "round {round}: {so_far}");
        }
        let serve = Tokenbooth::new(&["serve"]).set("database.url", &target.url).set("token.secret", SECRET).set("server.port", "0");
        assert_eq!(
            Ended::from(serve.output()).bad(),
            "database.url: a copy into this database was not finished. Run `tokenbooth db copy` again, and it goes on"
        );
        // The source has gone on meanwhile: rows are gone, other, and new.
        db.execute("DELETE FROM users WHERE id = '0192f0c2-2d3e-7f40-8a51-000000000007'");
        db.execute("UPDATE users SET name = 'Other' WHERE id = '0192f0c2-2d3e-7f40-8a51-000000000008'");
        db.execute("UPDATE users SET token_version = 8 WHERE id = '0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10'");
        add_users(&db, "0192f0c3", 3);
        good(copy(&db.url, &target.url, &[]));
        assert_eq!(everything(&target), everything(&db));
        assert!(good(copy(&db.url, &target.url, &[])).ends_with("Nothing was left to copy.\n"));
        let mut serve = Tokenbooth::new(&["serve"]).set("database.url", &target.url).set("token.secret", SECRET).set("server.port", "0").start();
        serve.url();
    }

    async fn a_source_that_is_written_to_is_noticed_and_a_second_run_brings_the_rest(db: TestDatabase) {
        add_users(&db, "0192f0c2", MANY);
        let target = other(&db);
        let mut running = Tokenbooth::new(&["db", "copy", "--from", &db.url, "--to", &target.url]).start();
        running.wait_for("copied");
        db.execute("UPDATE users SET name = 'Late' WHERE id = '0192f0c2-2d3e-7f40-8a51-000000000001'");
        add_users(&db, "0192f0c3", 1);
        assert_eq!(running.wait().code(), Some(1));
        let users = running.stdout().lines().find(|line| line.starts_with("users ")).map(str::to_owned).expect("a line");
        assert!(users.ends_with("NO"), "{users}");
        let told = running.stderr().lines().last().map(str::to_owned);
        assert_eq!(
            told.as_deref(),
            Some("tokenbooth: the tables are not equal: the source, or the target, was written to meanwhile. Stop the service and run this again")
        );
        // What was copied is the moment at which it began.
        assert_eq!(target.number("SELECT COUNT(*) AS number FROM users WHERE name = 'Late'"), 0);
        good(copy(&db.url, &target.url, &[]));
        assert_eq!(everything(&target), everything(&db));
    }

    async fn a_target_with_other_data_is_refused_unless_it_may_be_lost(db: TestDatabase) {
        add_odd_rows(&db);
        add_users(&db, "0192f0c2", 600);
        let target = other(&db);
        // What the source has, too, is no other data.
        good(copy(&db.url, &target.url, &[]));
        target.execute("DELETE FROM users WHERE id = '0192f0c2-2d3e-7f40-8a51-000000000005'");
        let told = good(copy(&db.url, &target.url, &[]));
        assert!(told.contains("\n1 rows written."), "{told}");

        add_users(&target, "0192f0c9", 2);
        target.execute("UPDATE clients SET disabled = TRUE");
        let before = everything(&target);
        assert_eq!(
            bad(&copy(&db.url, &target.url, &[])),
            "the target holds other data: 2 rows of users are not so in the source, 1 rows of clients are not so in the source. Copy \
             into an empty database, or add --replace to make it equal to the source, whatever it holds"
        );
        assert_eq!(everything(&target), before);
        good(copy(&db.url, &target.url, &["--replace"]));
        assert_eq!(everything(&target), everything(&db));
    }

    async fn what_cannot_be_copied_is_refused_with_the_remedy(db: TestDatabase) {
        let target = other(&db);
        assert_eq!(bad(&copy(&db.url, &db.url, &[])), "the source and the target are one database");
        assert_eq!(bad(&copy("sqlite:///no/such/file.db", &target.url, &[])), "the source: there is no such file");
        assert_eq!(
            bad(&copy(&db.url, "mysql://someone:hunter2@host/name", &[])),
            "--to: expected sqlite://path/to/file.db or postgres://user:password@host/name"
        );
        db.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261121000008'");
        assert_eq!(
            bad(&copy(&db.url, &target.url, &[])),
            "the source: 1 migrations are pending. Run `tokenbooth migrate` on it first"
        );
        db.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20261121000008'), ('99991231000000')");
        assert_eq!(
            bad(&copy(&db.url, &target.url, &[])),
            "the source: its schema is of a later version of tokenbooth. Copy with that version"
        );
        db.execute("DELETE FROM __diesel_schema_migrations WHERE version = '99991231000000'");
        db.execute("ALTER TABLE clients ADD COLUMN mine TEXT");
        assert_eq!(
            bad(&copy(&db.url, &target.url, &[])),
            "the table clients has other columns in the target than in the source"
        );
    }

    async fn the_settings_name_the_source_and_standard_input_the_target(db: TestDatabase) {
        add_users(&db, "0192f0c2", 3);
        let target = other(&db);
        let command = Tokenbooth::new(&["db", "copy", "--to", "-"]).set("database.url", &db.url).input(&format!("{}\n", target.url));
        good(command.output().into());
        assert_eq!(target.count("users"), 3);
    }
}

#[test]
fn no_address_is_told() {
    let db = TestDatabase::sqlite();
    let address = "postgres://someone:hunter2@127.0.0.1:1/accounts";
    for (from, to, side) in [(&*db.url, address, "the target"), (address, &*db.url, "the source")] {
        let ended = copy(from, to, &[]);
        let told = bad(&ended);
        assert!(
            told.starts_with(&format!(
                "{side}: the database is unavailable: connection to the server failed: Connection refused"
            )),
            "{told}"
        );
        for secret in ["hunter2", "someone", "accounts", "127.0.0.1"] {
            assert!(!told.contains(secret) && !ended.out.contains(secret), "{told}");
        }
    }
}

/// Every row of every table, as one text each.
fn everything(db: &TestDatabase) -> Vec<String> {
    let columns = [
        (
            "users",
            "id email email_lower name name_lower avatar_url admin disabled token_version password_hash created_at updated_at last_login_at own_name own_avatar revoked_at",
        ),
        ("identities", "id user_id provider provider_id email gives_email created_at last_used_at"),
        (
            "sessions",
            "id user_id token_version handle_hash secret_hash previous_secret_hash rotated_at_ms device ip created_at last_used_at auth_time idp repeats",
        ),
        ("events", "id at kind actor_id user_id ip request_id detail"),
        ("spent_codes", "id expires_at session_id"),
        ("clients", "id name scopes secret_hash previous_secret_hash disabled created_at rotated_at"),
        ("signing_keys", "id algorithm sealed created_at signs_from retired_at"),
        ("revocations", "subject token_version revoked_at"),
        ("ended_sessions", "id ended_at"),
    ];
    let mut conn = db::connect(&db.parsed_url()).expect("a connection");
    let mut all = Vec::new();
    for (table, columns) in columns {
        let as_text = |column: &str| {
            // Each database writes a truth in its own way.
            let truth = ["admin", "disabled", "own_name", "own_avatar", "gives_email"].contains(&column);
            let value =
                if truth { format!("CASE WHEN {column} THEN 1 ELSE 0 END") } else { column.to_owned() };
            format!("COALESCE(CAST({value} AS TEXT), 'NULL')")
        };
        let texts: Vec<String> = columns.split(' ').map(as_text).collect();
        let sql = format!("SELECT '{table} ' || {} AS text FROM {table}", texts.join(" || '|' || "));
        let rows: Vec<Line> = diesel::RunQueryDsl::load(diesel::sql_query(sql), &mut conn).expect("the rows");
        all.extend(rows.into_iter().map(|row| row.text));
    }
    all.sort_unstable();
    all
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}
