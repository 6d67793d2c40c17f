//! The database: the only place that knows Diesel, and that there are two of them.
//!
//! The queries are plain functions in one file per table. [`Db::bearer`], [`Db::identity`] and [`Db::client`], read at every request, go
//! through `loader.rs`; [`Db::write`] is a transaction; [`Db::run`] is for everything else.

pub mod clients;
mod connection;
pub mod copy;
pub mod emails;
pub mod ended_sessions;
pub mod events;
pub mod identities;
mod inspection;
mod loader;
pub mod locks;
mod migrations;
pub mod password_hashes;
pub mod provider_issuers;
pub mod revocations;
mod rounds;
mod schema;
pub mod sessions;
pub mod signing_keys;
pub mod spent_codes;
mod statements;
pub mod token_secrets;
mod url;
pub mod user_search;
pub mod users;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::connection::{ConnectionManager, Connector};
pub use self::connection::{DbConn, connect};
pub use self::inspection::{Inspection, ServerFacts, inspect};
use self::loader::Loader;
pub use self::migrations::{MigrationState, migrate, migration_state, pending_migrations, revert_all};
pub use self::statements::{PreparedStatements, sessions_are_shared};
pub use self::url::{DatabaseUrl, DatabaseUrlError};
use self::writer::Writer;
use crate::client::{Client, ClientId};
use crate::metrics::{PoolGauge, RoundMetrics, Wait};
use crate::user::{Bearer, BearerKey, Identity, IdentityKey, User};

/// What a prepared statement that is gone, or is another one, tells of.
const LOST_STATEMENT: &str = "; a pooler is in between that gives each transaction another session, such as PgBouncer with pool_mode = transaction: set database.prepared_statements = \"never\"";

/// Why the database did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, is too slow, or refused to work. Trying again later may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// More requests are waiting than we let wait.
    #[error("too many requests are waiting for the database")]
    Overloaded,
    /// A unique key is taken: somebody else was first. Handled where it is expected.
    #[error("a row with this key exists already")]
    Conflict,
    /// A row that our own code cannot have written.
    #[error("inconsistent row: {0}")]
    Inconsistent(String),
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            other => {
                let reason = other.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
                // Diesel's name for what it prepares; the words around it are in the server's language.
                let lost = if reason.contains("__diesel_stmt_") { LOST_STATEMENT } else { "" };
                Self::Unavailable(reason + lost)
            }
        }
    }
}

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Whether statements are prepared.
    pub prepared_statements: PreparedStatements,
    /// Connections in the pool.
    pub pool_size: u32,
    /// How long a caller waits before it is told [`DbError::Unavailable`].
    pub timeout: Duration,
}

/// A pool of connections, the loaders and the writer. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: r2d2::Pool<ConnectionManager>,
    bearers: Arc<Loader<BearerKey, Bearer>>,
    identities: Arc<Loader<IdentityKey, (Identity, User)>>,
    clients: Arc<Loader<ClientId, Client>>,
    /// Only where there may be but one.
    writer: Option<Arc<Writer>>,
    /// One permit for each connection: a closure that hangs keeps its permit, so that an unresponsive database costs
    /// as many threads as there are connections and no more.
    permits: Arc<Semaphore>,
    waits: Histogram,
    options: Arc<DbOptions>,
}

impl Db {
    /// Connects once, so that a wrong address is told at start with the driver's reason, then fills the pool.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] with the driver's reason.
    pub fn connect(options: DbOptions, metrics: &RoundMetrics) -> Result<Self, DbError> {
        let connector = Connector::new(options.url.clone(), options.prepared_statements)?;
        let pool = r2d2::Pool::builder()
            .max_size(options.pool_size)
            .min_idle(Some(1))
            .connection_timeout(options.timeout)
            .error_handler(Box::new(LogPoolErrors))
            .build_unchecked(ConnectionManager { connector: connector.clone() });
        let bearers = Loader::start("user-loader", &connector, &metrics.users, users::find_bearers)?;
        let identities = Loader::start(
            "identity-loader",
            &connector,
            &metrics.identities,
            identities::find_all_with_users,
        )?;
        let clients = Loader::start("client-loader", &connector, &metrics.clients, clients::find_all)?;
        let writer = match &options.url {
            DatabaseUrl::Sqlite(_) => Some(Arc::new(Writer::start(&connector, metrics)?)),
            DatabaseUrl::Postgres(_) => None,
        };
        let permits = Arc::new(Semaphore::new(options.pool_size as usize));
        let (bearers, identities, clients) = (Arc::new(bearers), Arc::new(identities), Arc::new(clients));
        let waits = metrics.pool_waits.clone();
        Ok(Self { pool, bearers, identities, clients, writer, permits, waits, options: Arc::new(options) })
    }

    /// Runs queries on a connection of the pool, in a thread that may block (taking a connection blocks too).
    ///
    /// # Errors
    /// What the closure answers, or [`DbError::Unavailable`] after `database.timeout`. A write may then still have
    /// been done: whoever writes must be able to do it again.
    pub async fn run<T, F>(&self, queries: F) -> Result<T, DbError>
    where
        F: FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        let (pool, permits, url) = (self.pool.clone(), Arc::clone(&self.permits), self.options.url.clone());
        let wait = Wait::begin(&self.waits);
        let work = async move {
            let permit = permits.acquire_owned().await.map_err(|_| stopped())?;
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let mut pooled = pool
                    .get()
                    .map_err(|error| DbError::Unavailable(url.without_address(&error.to_string())))?;
                drop(wait);
                queries(&mut pooled.conn)
            })
            .await
            .map_err(|_| stopped())?
        };
        self.in_time(work).await
    }

    /// Runs queries in a transaction: everything or nothing, and answered after the commit.
    ///
    /// # Errors
    /// As [`Db::run`], and [`DbError::Overloaded`].
    pub async fn write<T, F>(&self, queries: F) -> Result<T, DbError>
    where
        F: FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        match &self.writer {
            Some(writer) => self.in_time(writer.write(queries)).await,
            None => self.run(|conn| transaction(conn, queries)).await,
        }
    }

    /// Returns the user, and whether the session exists, behind an access token: read from the database after this call began.
    /// `None` if there is no such user.
    ///
    /// # Errors
    /// Returns [`DbError::Unavailable`] or [`DbError::Overloaded`].
    pub async fn bearer(&self, key: BearerKey) -> Result<Option<Bearer>, DbError> {
        self.in_time(self.bearers.load(key)).await
    }

    /// The identity of this key and its user, read from the database after this call began.
    ///
    /// # Errors
    /// [`DbError::Unavailable`], [`DbError::Overloaded`].
    pub async fn identity(&self, key: IdentityKey) -> Result<Option<(Identity, User)>, DbError> {
        self.in_time(self.identities.load(key)).await
    }

    /// The client of this id, read from the database after this call began.
    ///
    /// # Errors
    /// [`DbError::Unavailable`], [`DbError::Overloaded`].
    pub async fn client(&self, id: ClientId) -> Result<Option<Client>, DbError> {
        self.in_time(self.clients.load(id)).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        let limit = self.options.timeout;
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(DbError::Unavailable(format!("no answer within database.timeout ({limit:?})")))
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`DbError::Unavailable`].
    pub async fn ping(&self) -> Result<(), DbError> {
        self.run(|conn| Ok(conn.batch_execute("SELECT 1")?)).await
    }

    /// How full the pool is.
    pub fn pool_state(&self) -> PoolGauge {
        let state = self.pool.state();
        PoolGauge { open: state.connections, idle: state.idle_connections, max: self.options.pool_size }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Db({})", self.options.url.backend())
    }
}

fn stopped() -> DbError {
    DbError::Unavailable("the service is stopping".to_owned())
}

/// The pool opens connections in the background and reports here why it could not; the manager's errors are clean of
/// the address.
#[derive(Debug)]
struct LogPoolErrors;

impl r2d2::HandleError<DbError> for LogPoolErrors {
    fn handle_error(&self, error: DbError) {
        log::warn!("connection pool: {error}");
    }
}

/// Runs `queries` in a transaction on a connection of one's own: everything or nothing. A change that looks first must not
/// begin as a reader, which on SQLite fails at once when somebody else writes meanwhile.
///
/// # Errors
/// What the closure answers, or the database's.
pub fn change<T, E: From<DbError>>(
    conn: &mut DbConn,
    queries: impl FnOnce(&mut DbConn) -> Result<T, E>,
) -> Result<T, E> {
    writer::begin(conn)?;
    let done = queries(conn);
    match done {
        Ok(_) => writer::commit(conn)?,
        Err(_) => writer::roll_back(conn)?,
    }
    done
}

/// Everything or nothing: an error undoes what the closure wrote.
fn transaction<T, F>(conn: &mut DbConn, queries: F) -> Result<T, DbError>
where
    F: FnOnce(&mut DbConn) -> Result<T, DbError>,
{
    conn.transaction(queries)
}
