//! That nothing is left out of `tokenbooth db copy`.

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl};
use tokenbooth::db::{self, copy};

use crate::databases::TestDatabase;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

fn lines(db: &TestDatabase, sql: &str) -> Vec<String> {
    let mut conn = db::connect(&db.parsed_url()).expect("a connection");
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut conn).expect("a list");
    lines.into_iter().map(|line| line.text).collect()
}

fn is_sqlite(db: &TestDatabase) -> bool {
    db.url.starts_with("sqlite")
}

on_both_databases! {
    async fn every_table_that_the_migrations_make_is_copied(db: TestDatabase) {
        let sql = if is_sqlite(&db) {
            "SELECT name AS text FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        } else {
            "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
        };
        let tables = lines(&db, sql);
        let mut copied = copy::TABLES.to_vec();
        // Each database keeps its own book of the migrations it has had.
        copied.push("__diesel_schema_migrations");
        copied.sort_unstable();
        assert_eq!(tables, copied, "add the new table to TABLES in src/db/copy/table.rs");
    }

    async fn what_is_referred_to_is_copied_first(db: TestDatabase) {
        let sql = if is_sqlite(&db) {
            "SELECT m.name || ' ' || f.\"table\" AS text FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f \
             WHERE m.type = 'table'"
        } else {
            "SELECT conrelid::regclass::text || ' ' || confrelid::regclass::text AS text FROM pg_constraint WHERE contype = 'f'"
        };
        let place = |name: &str| copy::TABLES.iter().position(|table| *table == name);
        let references = lines(&db, sql);
        assert!(references.contains(&"identities users".to_owned()), "{references:?}");
        for reference in references {
            let (from, to) = reference.split_once(' ').expect("two names");
            assert!(place(to) < place(from), "{reference}");
        }
    }
}
