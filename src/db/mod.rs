//! The database: the only place that knows Diesel, and that there are two of them.
//!
//! The queries are plain functions in one file per table. [`Db::bearer`], [`Db::identity`] and [`Db::client`], read at every request, go
//! through `loader.rs`; [`Db::write`] is a transaction; [`Db::run`] is for everything else.

pub mod clients;
mod connection;
pub mod copy;
pub mod emails;
pub mod ended_sessions;
mod error;
pub mod events;
mod file;
mod guard;
mod hosts;
pub mod identities;
mod inspection;
mod loader;
pub mod locks;
mod migrations;
pub mod password_hashes;
mod pool;
pub mod provider_issuers;
pub mod removed_identities;
mod renewal;
pub mod revocations;
mod rounds;
mod schema;
pub(crate) mod schema_watch;
pub mod sessions;
pub mod signing_keys;
pub mod spent_codes;
mod start;
mod statements;
pub mod token_secrets;
mod url;
pub mod user_search;
pub mod users;
mod watch;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::Connection;
use diesel::connection::SimpleConnection;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::timeout;

use self::connection::Connector;
pub use self::connection::{DbConn, Synchronous, connect};
pub use self::error::DbError;
use self::file::DatabaseFile;
pub use self::inspection::{Inspection, ServerFacts, inspect};
use self::loader::Loader;
pub use self::migrations::{MigrationState, migrate, migration_state, pending_migrations, revert_all};
use self::pool::Pool;
use self::renewal::Renewal;
pub use self::start::wait_for_primary;
pub use self::statements::{PreparedStatements, sessions_are_shared};
pub use self::url::{DatabaseUrl, DatabaseUrlError};
use self::watch::Watched;
use self::writer::Writer;
use crate::client::{Client, ClientId};
use crate::clock::SharedClock;
use crate::metrics::{PoolGauge, RoundMetrics, Wait};
use crate::user::{Bearer, BearerKey, Identity, IdentityKey, User};

/// How long [`Db::close`] waits.
const LONGEST_CLOSE: Duration = Duration::from_secs(2);

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
    /// How long a connection to PostgreSQL is used.
    pub max_lifetime: Duration,
    /// When changes are on the disk, with SQLite.
    pub synchronous: Synchronous,
}

/// A pool of connections, the loaders and the writer. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Arc<Pool>,
    bearers: Arc<Loader<BearerKey, Bearer>>,
    identities: Arc<Loader<IdentityKey, (Identity, User)>>,
    clients: Arc<Loader<ClientId, Client>>,
    /// Only where there may be but one.
    writer: Option<Arc<Writer>>,
    /// Only of SQLite.
    file: Option<Arc<DatabaseFile>>,
    /// Compared with the server's, if it shows the present time.
    clock: Option<SharedClock>,
    waits: Histogram,
    options: Arc<DbOptions>,
}

impl Db {
    /// Connects once, so that a wrong address is told at start with the driver's reason.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] with the driver's reason.
    pub fn connect(options: DbOptions, metrics: &RoundMetrics) -> Result<Self, DbError> {
        let renewal = Renewal::new(options.max_lifetime, watch::tick_of(options.timeout));
        let connector =
            Connector::new(options.url.clone(), options.prepared_statements, options.synchronous, renewal)?;
        let pool = Arc::new(Pool::new(connector.clone(), options.pool_size, options.timeout));
        pool.open_first()?;
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
            DatabaseUrl::Postgres(_) => {
                let in_pool: Arc<dyn Watched> = Arc::<Pool>::clone(&pool);
                let loaders = [bearers.watched(), identities.watched(), clients.watched()];
                let watched = loaders.into_iter().chain([Arc::downgrade(&in_pool)]).collect();
                watch::start(options.timeout, Arc::clone(connector.renewal()), watched)?;
                None
            }
        };
        let file = options.url.file().map(DatabaseFile::watch).transpose()?;
        let (bearers, identities, clients) = (Arc::new(bearers), Arc::new(identities), Arc::new(clients));
        let waits = metrics.pool_waits.clone();
        Ok(Self {
            pool,
            bearers,
            identities,
            clients,
            writer,
            file,
            clock: None,
            waits,
            options: Arc::new(options),
        })
    }

    /// Has this clock compared with PostgreSQL's at every change, and by [`Db::ping`], if it shows the present time.
    #[must_use]
    pub fn comparing(mut self, clock: &SharedClock) -> Self {
        self.clock = clock.is_wall_clock().then(|| Arc::clone(clock));
        self
    }

    /// Runs queries on a connection of the pool, in a thread that may block (taking a connection blocks too).
    ///
    /// # Errors
    /// What the closure answers, [`DbError::ReadOnly`], or [`DbError::Unavailable`] after `database.timeout`. A write may
    /// then still have been done: whoever writes must be able to do it again.
    pub async fn run<T, F>(&self, queries: F) -> Result<T, DbError>
    where
        F: FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        self.on_pool(|conn| assert_on_server(conn, &guard::statement()), queries).await
    }

    async fn on_pool<T, F>(
        &self,
        opening: impl Fn(&mut DbConn) -> Result<(), DbError> + Send + 'static,
        queries: F,
    ) -> Result<T, DbError>
    where
        F: FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        let pool = Arc::clone(&self.pool);
        let wait = Wait::begin(&self.waits);
        let work = async move {
            let permit = pool.permit().await?;
            tokio::task::spawn_blocking(move || pool.with(permit, opening, || drop(wait), queries))
                .await
                .map_err(|_| stopped())?
        };
        self.in_time(work).await
    }

    /// Runs queries in a transaction: everything or nothing, and answered after the commit.
    ///
    /// # Errors
    /// As [`Db::run`], [`DbError::Overloaded`], and [`DbError::ClockDiffers`].
    pub async fn write<T, F>(&self, queries: F) -> Result<T, DbError>
    where
        F: FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        if let Some(writer) = &self.writer {
            return self.in_time(writer.write(queries)).await;
        }
        let (clock, timeout) = (self.clock.clone(), self.options.timeout);
        let opening = move |conn: &mut DbConn| writer::begin_on_server(conn, timeout, clock.as_ref());
        self.on_pool(opening, |conn| writer::finish(conn, queries)).await
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
        if let Some(file) = &self.file {
            file.check()?;
        }
        let limit = self.options.timeout;
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(DbError::Unavailable(format!("no answer within database.timeout ({limit:?})")))
        })
    }

    /// Whether the database responds, takes changes, and has the same time as we.
    ///
    /// # Errors
    /// [`DbError::Unavailable`], [`DbError::ReadOnly`], [`DbError::ClockDiffers`].
    pub async fn ping(&self) -> Result<(), DbError> {
        let clock = self.clock.clone();
        let opening = move |conn: &mut DbConn| assert_on_server(conn, &guard::of(clock.as_ref()));
        self.on_pool(opening, |conn| match conn {
            DbConn::Postgres(_) => Ok(()),
            DbConn::Sqlite(conn) => Ok(conn.batch_execute("SELECT 1")?),
        })
        .await
    }

    /// Ends the threads and connections, after the queries under way; no query is taken from then on. Blocks, for two seconds at most: a
    /// connection that does not respond is left to the end of the process.
    pub fn close(&self) {
        let deadline = Instant::now() + LONGEST_CLOSE;
        self.pool.close(deadline);
        self.bearers.close(deadline);
        self.identities.close(deadline);
        self.clients.close(deadline);
        // Last, because the last connection to an SQLite file writes its log back.
        if let Some(writer) = &self.writer {
            writer.close(deadline);
        }
    }

    /// How full the pool is.
    pub fn pool_state(&self) -> PoolGauge {
        self.pool.state()
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

/// Runs a statement of [`guard`] where there is a server.
fn assert_on_server(conn: &mut DbConn, statement: &str) -> Result<(), DbError> {
    match conn {
        DbConn::Postgres(conn) => Ok(conn.batch_execute(statement)?),
        DbConn::Sqlite(_) => Ok(()),
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
    writer::finish(conn, queries)
}

/// Everything or nothing: an error undoes what the closure wrote.
fn transaction<T, F>(conn: &mut DbConn, queries: F) -> Result<T, DbError>
where
    F: FnOnce(&mut DbConn) -> Result<T, DbError>,
{
    conn.transaction(queries)
}
