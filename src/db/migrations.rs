//! The schema's versions, which are compiled in: run, counted, undone.

use std::time::Duration;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{DatabaseUrl, DbConn, DbError, connect, transaction};

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Brings the schema up to date and answers with the names of the migrations that ran. Several replicas may do so at
/// the same moment: whoever loses the race looks again.
///
/// # Errors
/// [`DbError::Unavailable`] with the migration's or the driver's reason.
pub fn migrate(url: &DatabaseUrl) -> Result<Vec<String>, DbError> {
    const ATTEMPTS: u32 = 5;
    let mut conn = connect(url)?;
    let mut done = Vec::new();
    let mut attempt = 1;
    loop {
        match alone(&mut conn, run_next) {
            Ok(Some(name)) => done.push(name),
            Ok(None) => return Ok(done),
            Err(_) if attempt < ATTEMPTS => {
                std::thread::sleep(Duration::from_millis(50 << attempt));
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// PostgreSQL lets two sessions read "pending" at once, so there one waits for the other. The lock is the transaction's: one of the
/// session would be left to others where a pooler gives the next transaction another session. SQLite has one writer, and
/// the loser of that race is told at once.
fn alone<T>(
    conn: &mut DbConn,
    migrate: impl FnOnce(&mut DbConn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    if let DbConn::Sqlite(_) = conn {
        return migrate(conn);
    }
    transaction(conn, |conn| {
        conn.batch_execute("SELECT pg_advisory_xact_lock(7766290117)")?;
        // SQLite has a collation of this name, so that a migration can name it on both.
        conn.batch_execute("CREATE COLLATION IF NOT EXISTS \"binary\" FROM \"C\"")?;
        migrate(conn)
    })
}

/// Runs the first pending migration and answers its name. One at a time, so that a lost race does not hide the ones
/// that were won before it.
fn run_next(conn: &mut DbConn) -> Result<Option<String>, DbError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        DbError::Unavailable(format!("a migration failed: {error}"))
    };
    let pending = conn.pending_migrations(MIGRATIONS).map_err(failed)?;
    let Some(next) = pending.first() else {
        return Ok(None);
    };
    conn.run_migration(next).map_err(failed)?;
    Ok(Some(next.name().to_string()))
}

/// The names of migrations that have not run yet.
///
/// # Errors
/// [`DbError::Unavailable`].
pub fn pending_migrations(url: &DatabaseUrl) -> Result<Vec<String>, DbError> {
    let mut conn = connect(url)?;
    conn.pending_migrations(MIGRATIONS)
        .map(|migrations| migrations.iter().map(|migration| migration.name().to_string()).collect())
        .map_err(|error| DbError::Unavailable(format!("the migrations cannot be listed: {error}")))
}

/// What a database and this program know of each other's migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationState {
    /// Done there, and unknown here: it has met a later version of this program.
    pub unknown: usize,
    /// Known here, and not done there.
    pub pending: usize,
}

/// Compares the migrations done with those of this program.
///
/// # Errors
/// [`DbError::Unavailable`].
pub fn migration_state(conn: &mut DbConn) -> Result<MigrationState, DbError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        DbError::Unavailable(format!("the migrations cannot be listed: {error}"))
    };
    let done = conn.applied_migrations().map_err(failed)?;
    let known: Vec<Box<dyn Migration<<DbConn as Connection>::Backend>>> =
        MIGRATIONS.migrations().map_err(failed)?;
    let is_known =
        |version: &&MigrationVersion<'_>| known.iter().any(|known| known.name().version() == **version);
    let shared = done.iter().filter(is_known).count();
    Ok(MigrationState { unknown: done.len() - shared, pending: known.len() - shared })
}

/// Undoes every migration, last first: for the tests, which run all of them down and up again.
///
/// # Errors
/// [`DbError::Unavailable`].
pub fn revert_all(url: &DatabaseUrl) -> Result<usize, DbError> {
    let mut conn = connect(url)?;
    conn.revert_all_migrations(MIGRATIONS)
        .map(|versions| versions.len())
        .map_err(|error| DbError::Unavailable(format!("a migration could not be undone: {error}")))
}
