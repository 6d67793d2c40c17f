//! The schema: it goes down and up again, by many at once, and is what `schema.rs` says.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Barrier};

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Integer, Text};
use diesel::{QueryableByName, RunQueryDsl};
use tokenbooth::db::{self, DatabaseUrl};

use crate::databases::TestDatabase;
use crate::{identity_of, somebody};

const SCHEMA: &str = include_str!("../../src/db/schema.rs");
/// How many migrate at once.
const REPLICAS: usize = 8;

fn migrations() -> usize {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let entries = std::fs::read_dir(folder).expect("the migrations");
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir())).count()
}

/// The folders of this migration and of those after it, in order.
fn migrations_since(first: &str) -> Vec<std::path::PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let entries = std::fs::read_dir(folder).expect("the migrations");
    let folders = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let is_later = |path: &std::path::PathBuf| path.file_name().is_some_and(|name| *name >= *first);
    let mut folders: Vec<_> = folders.filter(is_later).collect();
    folders.sort();
    folders
}

/// The same database without a table.
fn emptied(db: &TestDatabase) -> DatabaseUrl {
    let url = db.parsed_url();
    db::revert_all(&url).expect("every migration goes down");
    db.execute("DROP TABLE __diesel_schema_migrations");
    url
}

on_both_databases! {
    async fn every_migration_goes_down_and_up_again(db: TestDatabase) {
        let url = db.parsed_url();
        let before = columns(&db);
        for _ in 0..2 {
            assert_eq!(db::revert_all(&url), Ok(migrations()));
            assert!(columns(&db).is_empty(), "something is left: {:?}", columns(&db));
            assert_eq!(db::pending_migrations(&url).expect("a list").len(), migrations());
            assert_eq!(db::migrate(&url).expect("up again").len(), migrations());
            assert_eq!(columns(&db), before);
        }
        assert_eq!(db::pending_migrations(&url), Ok(vec![]));
        assert_eq!(db::migrate(&url), Ok(vec![]), "nothing is left to do");
    }

    async fn a_new_schema_works(db: TestDatabase) {
        let url = emptied(&db);
        db::migrate(&url).expect("migrations run");
        let mut conn = db::connect(&url).expect("a connection");
        let user = somebody();
        db::users::insert(&mut conn, &user).expect("a user");
        db::identities::insert(&mut conn, &identity_of(&user, "google", "1")).expect("an identity");
        assert_eq!(db::users::find(&mut conn, user.id), Ok(Some(user)));
    }

    async fn people_from_before_the_search_are_found_by_it(db: TestDatabase) {
        let url = db.parsed_url();
        let mut conn = db::connect(&url).expect("a connection");
        let later = migrations_since("2026-11-21-000002");
        for folder in later.iter().rev() {
            let down = std::fs::read_to_string(folder.join("down.sql")).expect("a migration");
            conn.batch_execute(&down).expect("down");
        }
        db.execute("DELETE FROM __diesel_schema_migrations WHERE version >= '20261121000002'");
        db.execute(
            "INSERT INTO users (id, email, email_lower, name, admin, disabled, token_version, created_at, updated_at) \
             VALUES ('0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10', '\u{c4}nne@Example.com', '\u{c4}nne@example.com', '\u{c4}nne B', \
             TRUE, FALSE, 3, 1, 1)",
        );
        assert_eq!(db::migrate(&url).expect("up").len(), later.len());
        let found = db::users::find_by_email(&mut conn, "\u{c4}NNE@EXAMPLE.COM", 2).expect("a list");
        assert_eq!((found.len(), found[0].token_version, found[0].own_name), (1, 3, false));
        // As the code lowers: ASCII letters only.
        let lowered = "SELECT COUNT(*) AS number FROM users WHERE name_lower = '\u{c4}nne b'";
        assert_eq!(db.number(lowered), 1);
    }

    async fn an_address_left_behind_by_an_unlinked_identity_is_unproved_after_the_migration(db: TestDatabase) {
        let url = db.parsed_url();
        let mut conn = db::connect(&url).expect("a connection");
        let mut people = Vec::new();
        // One whose identity gives the address, one whose identity was unlinked, one who was imported.
        for (name, linked, unlinked) in [("own", true, false), ("left", false, true), ("imported", false, false)] {
            let mut user = somebody();
            user.email = Some(format!("{name}@example.com"));
            db::users::insert(&mut conn, &user).expect("a user");
            let mut identity = identity_of(&user, "google", name);
            identity.gives_email = linked;
            db::identities::insert(&mut conn, &identity).expect("an identity");
            if unlinked {
                db.execute(&format!(
                    "INSERT INTO events (id, at, kind, user_id, detail) VALUES ('{name}', 1, 'identity.unlinked', '{}', '{{}}')",
                    user.id
                ));
            }
            people.push((user, identity));
        }
        let later = migrations_since("2026-12-01-000012");
        for folder in later.iter().rev() {
            let down = std::fs::read_to_string(folder.join("down.sql")).expect("a migration");
            conn.batch_execute(&down).expect("down");
            let version = folder.file_name().expect("a name").to_string_lossy().replace('-', "");
            let version = version.split('_').next().expect("a version").to_owned();
            db.execute(&format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"));
        }
        assert_eq!(db::migrate(&url).expect("up").len(), later.len());
        for ((user, identity), (proved, verified)) in people.iter().zip([(true, true), (false, false), (true, false)]) {
            let email = user.email.as_deref().expect("an address");
            assert_eq!(db::emails::find_proved(&mut conn, email, 2).expect("a list").len(), usize::from(proved), "{email}");
            let found = db::identities::find_with_user(&mut conn, &identity.key()).expect("an answer").expect("an identity");
            assert_eq!(found.0.verified_email.is_some(), verified, "{email}");
        }
    }

    async fn replicas_that_migrate_at_once_all_succeed(db: TestDatabase) {
        for _ in 0..5 {
            let url = emptied(&db);
            let start = Arc::new(Barrier::new(REPLICAS));
            let replicas: Vec<_> = (0..REPLICAS)
                .map(|_| {
                    let (url, start) = (url.clone(), Arc::clone(&start));
                    std::thread::spawn(move || {
                        start.wait();
                        db::migrate(&url)
                    })
                })
                .collect();
            let results: Vec<_> = replicas.into_iter().map(|replica| replica.join().expect("no panic")).collect();
            let ran: usize = results.iter().map(|result| result.as_ref().expect("success").len()).sum();
            assert_eq!(ran, migrations(), "each by one of them: {results:?}");
            assert_eq!(db::pending_migrations(&url), Ok(vec![]));
        }
    }

    async fn processes_that_migrate_at_once_all_succeed(db: TestDatabase) {
        emptied(&db);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let processes: Vec<_> = (0..REPLICAS)
            .map(|_| {
                Command::new(env!("CARGO_BIN_EXE_tokenbooth"))
                    .arg("migrate")
                    .current_dir(folder.path())
                    .env_clear()
                    .env("TOKENBOOTH__DATABASE__URL", &db.url)
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped())
                    .spawn()
                    .expect("the binary runs")
            })
            .collect();
        for process in processes {
            let output = process.wait_with_output().expect("an end");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(db::pending_migrations(&db.parsed_url()), Ok(vec![]));
    }

    async fn the_code_has_the_columns_that_the_database_has(db: TestDatabase) {
        assert_eq!(columns(&db), columns_in_code());
    }

    async fn the_keys_and_indices_are_there(db: TestDatabase) {
        let mut conn = db::connect(&db.parsed_url()).expect("a connection");
        let sql = if is_sqlite(&db) {
            "SELECT name AS text FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        } else {
            "SELECT indexname::text AS text FROM pg_indexes WHERE schemaname = 'public' \
             AND indexname NOT LIKE '%\\_key' AND indexname NOT LIKE '%pkey' ORDER BY indexname"
        };
        let names: Vec<Line> = diesel::sql_query(sql).load(&mut conn).expect("a list");
        let names: Vec<&str> = names.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            names,
            [
                "ended_sessions_ended_at",
                "events_at",
                "events_kind",
                "events_refused",
                "events_user_id",
                "identities_provider_id",
                "identities_user_id",
                "removed_identities_removed_at",
                "revocations_revoked_at",
                "sessions_last_used_at",
                "sessions_user_id",
                "spent_codes_expires_at",
                "users_admin",
                "users_email_lower",
                "users_name_lower",
                "users_password_email"
            ]
        );
    }
}

/// A fresh file, which SQLite also has to turn to a write-ahead log: everybody at once.
#[test]
fn replicas_that_make_the_sqlite_file_at_once_all_succeed() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("new.db").display());
        let url = DatabaseUrl::parse(&url).expect("a good URL");
        let start = Arc::new(Barrier::new(REPLICAS));
        let replicas: Vec<_> = (0..REPLICAS)
            .map(|_| {
                let (url, start) = (url.clone(), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    db::migrate(&url)
                })
            })
            .collect();
        for replica in replicas {
            replica.join().expect("no panic").expect("success");
        }
        assert_eq!(db::pending_migrations(&url), Ok(vec![]));
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Integer)]
    required: i32,
}

/// Column → its type in Diesel's words, by table.
type Columns = BTreeMap<String, BTreeMap<String, String>>;

/// What the database has, without the bookkeeping of the migrations.
fn columns(db: &TestDatabase) -> Columns {
    let sql = if is_sqlite(db) {
        "SELECT m.name AS table_name, c.name AS name, c.type AS kind, c.\"notnull\" AS required
         FROM sqlite_master AS m, pragma_table_info(m.name) AS c
         WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'"
    } else {
        "SELECT table_name::text, column_name::text AS name, upper(data_type)::text AS kind,
         (is_nullable = 'NO')::int AS required
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%'"
    };
    let mut conn = db::connect(&db.parsed_url()).expect("a connection");
    let rows: Vec<ColumnRow> = diesel::sql_query(sql).load(&mut conn).expect("the columns");
    let mut tables = Columns::new();
    for ColumnRow { table_name, name, kind, required } in rows {
        let kind = match kind.as_str() {
            "TEXT" => "Text",
            "BIGINT" => "BigInt",
            "BOOLEAN" => "Bool",
            other => other,
        };
        let kind = if required == 1 { kind.to_owned() } else { format!("Nullable<{kind}>") };
        tables.entry(table_name).or_default().insert(name, kind);
    }
    tables
}

fn is_sqlite(db: &TestDatabase) -> bool {
    db.url.starts_with("sqlite")
}

/// What `schema.rs` says: `table! { name (key) { column -> Type, … } }`.
fn columns_in_code() -> Columns {
    let mut tables = Columns::new();
    let mut table = String::new();
    for line in SCHEMA.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            name.clone_into(&mut table);
        } else if let Some((column, kind)) = line.split_once(" -> ").filter(|_| line.ends_with(',')) {
            let kind = kind.trim_end_matches(',').to_owned();
            tables.entry(table.clone()).or_default().insert(column.to_owned(), kind);
        }
    }
    tables
}
