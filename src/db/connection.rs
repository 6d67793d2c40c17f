//! Connections: the one type that is either database, how it is opened, and the pool's view of it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::{Connection, PgConnection, SqliteConnection};
use secrecy::ExposeSecret;

use super::{DatabaseUrl, DbError, PreparedStatements};

/// A connection to either database. Every query is written once, against this.
#[derive(diesel::MultiConnection)]
pub enum DbConn {
    /// A PostgreSQL session.
    Postgres(PgConnection),
    /// An open SQLite file.
    Sqlite(SqliteConnection),
}

/// Runs a query on whichever database the [`DbConn`] is: written once, compiled for each. Given the `DbConn` itself, Diesel
/// writes the SQL anew at every call and only then looks for the prepared statement: a quarter of all instructions of an
/// authenticated read (docs/PERFORMANCE.md).
macro_rules! on_either {
    ($conn:expr, |$either:ident| $query:expr) => {
        match $conn {
            $crate::db::DbConn::Postgres($either) => $query,
            $crate::db::DbConn::Sqlite($either) => $query,
        }
    };
}
pub(super) use on_either;

/// As `on_either!`, and keeps the rows found from others until the transaction ends. On SQLite a transaction that writes has
/// the file to itself.
macro_rules! locked_on_either {
    ($conn:expr, $query:expr, $load:ident) => {
        match $conn {
            $crate::db::DbConn::Postgres(conn) => $query.for_update().$load(conn),
            $crate::db::DbConn::Sqlite(conn) => $query.$load(conn),
        }
    };
}
pub(super) use locked_on_either;

/// Loads the rows that nobody else has a hand on, and keeps them until the transaction ends: who tidies up waits for nobody,
/// and nobody for a lock that was taken in another order.
macro_rules! unlocked_on_either {
    ($conn:expr, $query:expr) => {
        match $conn {
            $crate::db::DbConn::Postgres(conn) => $query.for_update().skip_locked().load(conn)?,
            $crate::db::DbConn::Sqlite(conn) => $query.load(conn)?,
        }
    };
}
pub(super) use unlocked_on_either;

diesel::define_sql_function! {
    /// For `= ANY($1)` on PostgreSQL. `eq_any` writes the same SQL, but Diesel cannot know that it is always the same, and
    /// writes it anew at every call.
    #[sql_name = "ANY"]
    fn any_of(values: diesel::sql_types::Array<diesel::sql_types::Text>) -> diesel::sql_types::Text;
}

/// SQLite's settings belong to a connection, not to the file. `busy_timeout` first: the next statements already
/// may have to wait for a writer. `synchronous = NORMAL` is safe with a write-ahead log: a power cut may lose the last
/// commits, never the database.
const SQLITE_SETTINGS: [&str; 4] = [
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
];

/// As long as `busy_timeout`.
const LONGEST_LOCK: Duration = Duration::from_secs(5);

/// How long a pooled connection is trusted without asking it, so that a busy pool does not pay a round for each use.
const TRUSTED_WITHOUT_CHECK: Duration = Duration::from_secs(1);

/// Opens connections that last.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    /// Whether they prepare their statements.
    prepares: bool,
}

impl Connector {
    /// Connects once, so that a wrong address is told with the driver's reason.
    ///
    /// # Errors
    /// As [`connect`].
    pub(super) fn new(url: DatabaseUrl, prepared: PreparedStatements) -> Result<Self, DbError> {
        Ok(Self { prepares: prepared.decide(&url)?, url })
    }

    /// # Errors
    /// As [`connect`].
    pub(super) fn connect(&self) -> Result<DbConn, DbError> {
        open(&self.url, self.prepares)
    }
}

/// Opens a connection for a short while: on PostgreSQL it prepares nothing, and so does not care for a pooler.
///
/// # Errors
/// [`DbError::Unavailable`] with the driver's reason, without the address.
pub fn connect(url: &DatabaseUrl) -> Result<DbConn, DbError> {
    open(url, false)
}

/// Goes by the address's scheme and keeps the driver's reason when it cannot; the derived `establish` tries each backend in
/// turn and throws the reasons away.
fn open(url: &DatabaseUrl, prepares: bool) -> Result<DbConn, DbError> {
    let unavailable =
        |error: &dyn std::fmt::Display| DbError::Unavailable(url.without_address(&error.to_string()));
    match url {
        DatabaseUrl::Postgres(address) => {
            let mut conn =
                PgConnection::establish(address.expose_secret()).map_err(|error| unavailable(&error))?;
            // Nothing else is set: a pooler may give the next transaction another session (`statements.rs`).
            if !prepares {
                conn.set_prepared_statement_cache_size(CacheSize::Disabled);
            }
            Ok(DbConn::Postgres(conn))
        }
        DatabaseUrl::Sqlite(path) => {
            // A path that begins with "-" or "file:" must stay a path.
            let path = if path.is_absolute() { path.clone() } else { std::path::Path::new(".").join(path) };
            let path = path.to_str().ok_or_else(|| unavailable(&"the path is not Unicode"))?;
            create_for_its_owner(path);
            let mut conn = SqliteConnection::establish(path).map_err(|error| unavailable(&error))?;
            for setting in SQLITE_SETTINGS {
                apply_patiently(&mut conn, setting).map_err(|error| unavailable(&error))?;
            }
            Ok(DbConn::Sqlite(conn))
        }
    }
}

/// Makes a new file readable and writable by its owner only; SQLite gives its log and its shared memory beside it the same mode.
/// The mode of a file that is there already is its administrator's, and `tokenbooth check` says when others can read it.
fn create_for_its_owner(path: &str) {
    // That it exists already is usual, and when it cannot be made SQLite says so.
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

/// A new file is turned to a write-ahead log by whoever has it alone, and `busy_timeout` does not count there: of
/// several replicas that make it at the same moment, all but one are told at once that it is locked.
fn apply_patiently(conn: &mut SqliteConnection, setting: &str) -> diesel::QueryResult<()> {
    let start = Instant::now();
    loop {
        match conn.batch_execute(setting) {
            Err(error) if error.to_string().contains("locked") && start.elapsed() < LONGEST_LOCK => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// Opens and judges connections for the pool.
#[derive(Debug)]
pub(super) struct ConnectionManager {
    pub(super) connector: Connector,
}

/// A connection in the pool.
pub(super) struct PooledConn {
    pub(super) conn: DbConn,
    checked_at: Instant,
}

impl r2d2::ManageConnection for ConnectionManager {
    type Connection = PooledConn;
    type Error = DbError;

    fn connect(&self) -> Result<PooledConn, DbError> {
        Ok(PooledConn { conn: self.connector.connect()?, checked_at: Instant::now() })
    }

    fn is_valid(&self, pooled: &mut PooledConn) -> Result<(), DbError> {
        if pooled.checked_at.elapsed() > TRUSTED_WITHOUT_CHECK {
            pooled.conn.batch_execute("SELECT 1").map_err(DbError::from)?;
            pooled.checked_at = Instant::now();
        }
        Ok(())
    }

    fn has_broken(&self, pooled: &mut PooledConn) -> bool {
        std::thread::panicking() || pooled.conn.is_broken()
    }
}

impl DbConn {
    /// Whether the session ended or is stuck in a transaction, so that it must not be used again.
    fn is_broken(&mut self) -> bool {
        use diesel::connection::TransactionManager;
        match self {
            Self::Postgres(conn) => {
                <PgConnection as Connection>::TransactionManager::is_broken_transaction_manager(conn)
            }
            Self::Sqlite(conn) => {
                <SqliteConnection as Connection>::TransactionManager::is_broken_transaction_manager(conn)
            }
        }
    }
}
