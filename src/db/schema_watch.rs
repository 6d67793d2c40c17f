//! Notices that a later version of the program has migrated the database while this one serves.
//!
//! During a rolling upgrade that is as it should be, and the older replica stays ready. A replica that was forgotten, or rolled back,
//! should say so, because it does not know what the newer schema is for.

use std::collections::HashSet;
use std::time::Duration;

use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::migrations::MIGRATIONS;
use super::{Db, DbConn, DbError};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// The task that looks. It ends when this is dropped.
pub(crate) struct SchemaWatch {
    task: tokio::task::JoinHandle<()>,
}

impl SchemaWatch {
    /// Starts the task, which looks at once. Needs a Tokio runtime.
    pub(crate) fn start(db: &Db) -> Self {
        let (db, known) = (db.clone(), known_versions());
        let task = async move {
            let mut unknown_before = 0;
            loop {
                if let Ok(done) = db.run(done_versions).await {
                    let unknown = done.iter().filter(|version| !known.contains(*version)).count();
                    if unknown > unknown_before {
                        log::warn!(
                            "The database has {unknown} migrations that this version of the program does not know: a later version \
                             has migrated it. Upgrade this replica too."
                        );
                    }
                    unknown_before = unknown;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        Self { task: tokio::spawn(task) }
    }
}

impl Drop for SchemaWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn known_versions() -> HashSet<String> {
    let migrations: Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>> =
        MIGRATIONS.migrations().unwrap_or_default();
    migrations.iter().map(|migration| migration.name().version().to_string()).collect()
}

#[derive(QueryableByName)]
struct Done {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Not by Diesel's harness, which begins with a statement that would create the table.
fn done_versions(conn: &mut DbConn) -> Result<Vec<String>, DbError> {
    let rows: Vec<Done> = diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load(conn)?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}
