//! Connections: the one type that is either database, how it is opened, and how long it is used.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::{Connection, PgConnection, SqliteConnection};
use secrecy::ExposeSecret;

use super::renewal::{Made, Renewal};
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
/// may have to wait for a writer. The write-ahead log is made shorter again after a checkpoint when it has grown beyond the
/// limit, in bytes, which is four times what a checkpoint usually finds in it.
const SQLITE_SETTINGS: [&str; 5] = [
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 16777216",
    "PRAGMA foreign_keys = ON",
];

/// `database.synchronous`: when a change in SQLite is on the disk (<https://sqlite.org/pragma.html#pragma_synchronous>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Before it is answered: a power cut undoes nothing that was answered.
    #[default]
    Full,
    /// At the next checkpoint: a power cut may undo the last changes, a logout and a new password among them.
    Normal,
}

/// Of libpq's `fe-connect.c`.
const READ_ONLY: [&str; 2] = ["session is read-only", "server is in hot standby mode"];

/// As long as `busy_timeout`.
const LONGEST_LOCK: Duration = Duration::from_secs(5);

/// Opens connections that last.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    /// Whether they prepare their statements.
    prepares: bool,
    synchronous: Synchronous,
    renewal: Arc<Renewal>,
}

/// A connection that lasts.
pub(super) struct LiveConn {
    pub(super) conn: DbConn,
    made: Made,
}

impl Connector {
    /// Connects once, so that a wrong address is told with the driver's reason.
    ///
    /// # Errors
    /// As [`connect`].
    pub(super) fn new(
        url: DatabaseUrl,
        prepared: PreparedStatements,
        synchronous: Synchronous,
        renewal: Renewal,
    ) -> Result<Self, DbError> {
        Ok(Self { prepares: prepared.decide(&url)?, url, synchronous, renewal: Arc::new(renewal) })
    }

    /// # Errors
    /// As [`connect`].
    pub(super) fn connect(&self) -> Result<LiveConn, DbError> {
        let made = self.renewal.begin();
        let mut conn = open(&self.url, self.prepares)?;
        if let (DbConn::Sqlite(conn), Synchronous::Normal) = (&mut conn, self.synchronous) {
            conn.batch_execute("PRAGMA synchronous = NORMAL")?;
        }
        Ok(LiveConn { conn, made })
    }

    /// Whether a connection may still be used.
    pub(super) fn is_current(&self, live: &LiveConn) -> bool {
        self.renewal.is_current(live.made)
    }

    /// Takes note of an error that all connections may be met by.
    pub(super) fn note(&self, error: &DbError) {
        if *error == DbError::ReadOnly {
            self.renewal.replace_all();
        }
    }

    pub(super) fn renewal(&self) -> &Arc<Renewal> {
        &self.renewal
    }
}

impl LiveConn {
    /// Whether an error of PostgreSQL may have been the connection's. SQLite has no server that could be another one.
    pub(super) fn is_spoiled_by(&self, error: &DbError) -> bool {
        let is_server = matches!(self.conn, DbConn::Postgres(_));
        is_server && matches!(error, DbError::Unavailable(_) | DbError::ReadOnly)
    }

    /// Whether the session ended or is stuck in a transaction, so that it must not be used again.
    pub(super) fn is_broken(&mut self) -> bool {
        use diesel::connection::TransactionManager;
        match &mut self.conn {
            DbConn::Postgres(conn) => {
                <PgConnection as Connection>::TransactionManager::is_broken_transaction_manager(conn)
            }
            DbConn::Sqlite(conn) => {
                <SqliteConnection as Connection>::TransactionManager::is_broken_transaction_manager(conn)
            }
        }
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
            let mut conn = PgConnection::establish(address.expose_secret()).map_err(|error| {
                let text = error.to_string();
                // libpq's words for what `target_session_attrs` does not take; a standby is not the wrong address.
                if READ_ONLY.iter().any(|reason| text.contains(reason)) {
                    return DbError::ReadOnly;
                }
                unavailable(&text)
            })?;
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
