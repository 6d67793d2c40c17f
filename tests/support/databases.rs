//! A database of its own for each test: a file, or a copy of a migrated PostgreSQL database.

use std::sync::OnceLock;

use diesel::{QueryableByName, RunQueryDsl, sql_types::BigInt};
use tempfile::TempDir;
use tokenbooth::db::{self, DatabaseUrl};

use super::pgbouncer::PgBouncer;
use super::postgres;

/// A migrated, empty database that vanishes with this value.
pub struct TestDatabase {
    /// As `database.url` takes it.
    pub url: String,
    _keep: Keep,
}

enum Keep {
    File(#[expect(dead_code, reason = "held for its Drop")] TempDir),
    Server(#[expect(dead_code, reason = "held for its Drop")] postgres::Database),
    // In this order: nobody may be connected to a database that is dropped.
    Pooled(
        #[expect(dead_code, reason = "held for its Drop")] PgBouncer,
        #[expect(dead_code, reason = "held for its Drop")] postgres::Database,
    ),
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl TestDatabase {
    /// An SQLite file in a folder of its own.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        db::migrate(&DatabaseUrl::parse(&url).expect("a good URL")).expect("migrations run on SQLite");
        Self { url, _keep: Keep::File(folder) }
    }

    /// A PostgreSQL database; `None` (after a loud notice) where there is no server.
    pub fn postgres() -> Option<Self> {
        let database = Self::on_server()?;
        Some(Self { url: database.url.clone(), _keep: Keep::Server(database) })
    }

    /// A PostgreSQL database behind a PgBouncer that has so many sessions to give, each for one transaction; `None` (after a
    /// loud notice) where one of the two is missing.
    pub fn behind_pgbouncer(sessions: u32) -> Option<Self> {
        let database = Self::on_server()?;
        let pgbouncer = PgBouncer::start(&database.url, sessions)?;
        Some(Self { url: pgbouncer.url(&database.url), _keep: Keep::Pooled(pgbouncer, database) })
    }

    fn on_server() -> Option<postgres::Database> {
        static TEMPLATE: OnceLock<postgres::Database> = OnceLock::new();
        let server = postgres::server()?;
        let template = TEMPLATE.get_or_init(|| {
            let template = server.create_database(None);
            db::migrate(&DatabaseUrl::parse(&template.url).expect("a good URL"))
                .expect("migrations run on PostgreSQL");
            template
        });
        Some(server.create_database(Some(&template.name)))
    }

    pub fn parsed_url(&self) -> DatabaseUrl {
        DatabaseUrl::parse(&self.url).expect("a good URL")
    }

    /// Runs a statement and answers how many rows it touched.
    pub fn execute(&self, sql: &str) -> usize {
        let mut conn = db::connect(&self.parsed_url()).expect("the test's own connection");
        diesel::sql_query(sql).execute(&mut conn).expect("the test's own statement")
    }

    /// The one number that `SELECT … AS number` answers.
    pub fn number(&self, sql: &str) -> i64 {
        let mut conn = db::connect(&self.parsed_url()).expect("the test's own connection");
        let row: Number = diesel::sql_query(sql).get_result(&mut conn).expect("the test's own query");
        row.number
    }

    /// Rows in a table.
    pub fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) AS number FROM {table}"))
    }
}

/// Writes each test once and runs it on SQLite and on PostgreSQL, as `name::on_sqlite` and `name::on_postgres`.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[doc = $doc:literal])* async fn $name:ident($db:ident: TestDatabase) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                $(#[doc = $doc])*
                async fn test($db: TestDatabase) $body

                #[actix_web::test]
                async fn on_sqlite() {
                    test(TestDatabase::sqlite()).await;
                }

                #[actix_web::test]
                async fn on_postgres() {
                    if let Some(database) = TestDatabase::postgres() {
                        test(database).await;
                    }
                }
            }
        )+
    };
}
