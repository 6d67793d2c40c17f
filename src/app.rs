//! Putting it together: [`Tokenbooth`] for an app of one's own, [`App`] for the whole server.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::{Data, ServiceConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::account::housekeeping::Housekeeping;
use crate::account::providers::{self, OtherIssuer};
use crate::account::revocation_feed::RevocationFeed;
use crate::account::{AccountRules, RefusedSignIns};
use crate::clock::{SharedClock, SystemClock, Timestamp};
use crate::connections::Connections;
use crate::db::schema_watch::SchemaWatch;
use crate::db::{self, Db, DbError, DbOptions};
use crate::drain::Door;
use crate::event::Origin;
use crate::http;
use crate::jws::UnusableKey;
use crate::keys::{self, KeyWatch, KeysError};
use crate::listener;
use crate::metrics::Metrics;
use crate::openapi;
use crate::password::Passwords;
use crate::provider::{ProviderClient, Providers};
use crate::rate_limit::RateLimits;
use crate::secrets::Secrets;
use crate::server::{idle_limit, raise_file_limit, run, serve};
use crate::service_manager;
use crate::settings::{DatabaseSettings, ListenAddress, PublicUrl, Settings, SettingsError};
use crate::state::AppState;
use crate::token::{CarriedSeal, CursorKeys, Tokens};

/// Why the service did not start. One line, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address cannot be listened on.
    #[error("server.host, server.port: cannot listen on {address}: {reason}. {}", listener::remedy(reason))]
    Listen {
        /// Host and port.
        address: String,
        /// The system's reason.
        reason: io::Error,
    },
    /// The address for management cannot be listened on.
    #[error(
        "management.listen: cannot listen on {address}: {reason}. Choose an address of this machine and a free port that is not server.port, or remove the setting"
    )]
    ListenForManagement {
        /// Host and port.
        address: String,
        /// The system's reason.
        reason: io::Error,
    },
    /// The database.
    #[error("database.url: {0}. Check the address and that the database runs; `tokenbooth check` tells more")]
    Db(#[from] DbError),
    /// Migrations are pending and `database.migrate_on_start` is off.
    #[error("database.migrate_on_start is off and {0} migrations have not run. Run `tokenbooth migrate`")]
    Unmigrated(usize),
    /// A copy into this database was cut short: whoever signed in now would seem new.
    #[error(
        "database.url: a copy into this database was not finished. Run `tokenbooth db copy` again, and it goes on"
    )]
    HalfCopied,
    /// The HTTP client towards providers.
    #[error(
        "the HTTPS client for the providers cannot be made: {0}. Install the system's CA certificates (package ca-certificates)"
    )]
    Client(String),
    /// The secret of development could not be kept.
    #[error(
        "token.secret: it is not set, and the file {path} to keep one in cannot be used: {reason}. Set TOKENBOOTH__TOKEN__SECRET, or make the folder writable"
    )]
    SecretFile {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The secret of the tokens.
    #[error("token.secret, token.previous_secrets: {0}")]
    Secret(#[from] UnusableKey),
    /// A provider's name stands for another issuer than before.
    #[error(transparent)]
    OtherIssuer(#[from] OtherIssuer),
    /// The ring of keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The server.
    #[error("the server failed: {0}")]
    Server(#[from] io::Error),
}

/// The service without a server: its routes and extractors, for an actix-web app of one's own. Cheap to clone, one for
/// all workers.
#[derive(Clone)]
pub struct Tokenbooth {
    state: Data<AppState>,
}

impl Tokenbooth {
    /// Migrates and connects the database, begins to fetch the providers' keys and to tidy up. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn build(settings: Settings) -> Result<Self, StartError> {
        Self::build_with_clock(settings, Arc::new(SystemClock))
    }

    /// As [`Tokenbooth::build`], with a clock of one's own, for tests.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn build_with_clock(settings: Settings, clock: SharedClock) -> Result<Self, StartError> {
        let database = &settings.database;
        db::wait_for_primary(&database.url, database.start_timeout, &clock)?;
        migrate_or_refuse(&settings)?;
        register_issuers(&settings, clock.now())?;
        let metrics = Metrics::default();
        metrics.started(clock.now());
        let db = Db::connect(db_options(&settings.database), &metrics.rounds)?.comparing(&clock);
        let client = provider_client(&settings, &metrics, &clock)?;
        let providers = Providers::new(&settings, &client, &clock);
        let secrets = secrets(&settings)?;
        let rules = Arc::new(AccountRules::new(&settings));
        let rate_limits = settings.rate_limit.enabled.then(|| RateLimits::new(&settings.rate_limit));
        let passwords = Passwords::new(&settings.password)?;
        let (tokens, key_store) = keys::begin(&settings, &secrets, clock.now())?;
        let tokens = Arc::new(tokens);
        let key_watch = KeyWatch::start(&db, key_store, &tokens);
        let housekeeping = Housekeeping::start(&db, &settings, &clock);
        let schema_watch = SchemaWatch::start(&db);
        let stopping = AtomicBool::new(false);
        let state = Data::new(AppState {
            cursor_keys: CursorKeys::new(&tokens, &clock),
            attempt_keys: CarriedSeal::of_transactions(&tokens, &clock),
            code_keys: CarriedSeal::of_codes(&tokens, &clock),
            tokens,
            key_watch,
            revocation_feed: RevocationFeed::default(),
            device_keys: secrets.derive("device cookie"),
            public_url: PublicUrl::of(&settings),
            rules,
            refused_sign_ins: RefusedSignIns::new(&db, settings.events.refused_rows),
            settings,
            db,
            providers,
            passwords,
            clock,
            metrics,
            rate_limits,
            openapi: LazyLock::new(openapi::document),
            stopping,
            drained: watch::Sender::new(false),
            database_word: Mutex::default(),
            housekeeping,
            schema_watch,
        });
        Ok(Self { state })
    }

    /// Everything of `POST /auth/{provider}` to `/docs`, for `App::configure` or for a scope. After it,
    /// [`crate::CurrentUser`] and [`crate::AdminUser`] work in every handler beside them.
    ///
    /// Of two services for one path actix-web takes the first: an app with a `/` or an `/account` of its own registers it before
    /// these. Mounted in a scope, `server.public_url` ends with the scope's path.
    ///
    /// With `management.listen` set, what [`Tokenbooth::management_routes`] has is left out.
    pub fn routes(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let state = self.state.clone();
        let with_management = state.settings.management.listen.is_none();
        move |config| {
            config.app_data(state).configure(http::routes);
            if with_management {
                config.configure(http::management_routes);
            }
        }
    }

    /// `/metrics`, `/readyz`, `/healthz`, `/docs` and `/openapi.json`, for a server of their own. [`App`] has one when
    /// `management.listen` is set.
    pub fn management_routes(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let state = self.state.clone();
        move |config| {
            config.app_data(state).configure(http::management_routes);
        }
    }
}

/// The whole server.
pub struct App {
    tokenbooth: Tokenbooth,
    listener: TcpListener,
    port: u16,
    /// For `management.listen`.
    management: Option<TcpListener>,
}

/// Stops a running [`App`] from elsewhere.
#[derive(Clone)]
pub struct Stopper {
    tokenbooth: Tokenbooth,
    server: ServerHandle,
    management: Option<ServerHandle>,
    door: Door,
}

impl App {
    /// Listens, then builds the rest; `server.public_url` follows from the port that was got.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn build(settings: Settings) -> Result<Self, StartError> {
        Self::build_with_clock(settings, Arc::new(SystemClock))
    }

    /// As [`App::build`], with a clock of one's own, for tests.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn build_with_clock(mut settings: Settings, clock: SharedClock) -> Result<Self, StartError> {
        let (host, port) = (&settings.server.host, settings.server.port);
        let listener = listener::listen(host, port)
            .map_err(|reason| StartError::Listen { address: format!("{host}:{port}"), reason })?;
        let port = listener.local_addr()?.port();
        settings.server.port = port;
        let management = settings.management.listen.as_ref().map(listen_for_management).transpose()?;
        Ok(Self { tokenbooth: Tokenbooth::build_with_clock(settings, clock)?, listener, port, management })
    }

    /// The port that was got; interesting when `server.port` was 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of `management.listen`; interesting when that was 0.
    #[must_use]
    pub fn management_port(&self) -> Option<u16> {
        Some(self.management.as_ref()?.local_addr().ok()?.port())
    }

    /// Serves until SIGTERM or Ctrl-C, then lets the requests in flight end.
    ///
    /// # Errors
    /// When the server cannot run.
    pub async fn run_until_stopped(self) -> Result<(), StartError> {
        // Before anything says that we listen: who reads that may stop us at once, and must meet more than the default,
        // which is to die.
        let stop_signal = stop_signal()?;
        raise_file_limit();
        let db = self.tokenbooth.state.db.clone();
        let (server, stopper) = self.start()?;
        service_manager::ready();
        let signal = tokio::spawn(async move {
            stop_signal.await;
            log::info!("stopping: waiting for the requests in flight");
            service_manager::stopping();
            stopper.stop().await;
        });
        let result = server.await;
        signal.abort();
        // Nothing else is left for this thread to do.
        db.close();
        Ok(result?)
    }

    /// The server as a future, and the handle that ends it; no signal is listened to.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(self) -> Result<(impl Future<Output = io::Result<()>>, Stopper), StartError> {
        let Self { tokenbooth, listener, port, management } = self;
        let settings = &tokenbooth.state.settings;
        let host = settings.server.host.clone();
        let connections = Connections::new(idle_limit(settings));
        let door = Door::new(listener.try_clone()?, connections.clone());
        let app = tokenbooth.clone();
        let routes = move || app.routes();
        let server = serve(&tokenbooth.state, routes, listener, &connections, workers(settings))?;
        let management = match management {
            None => None,
            Some(listener) => {
                log::info!("management.listen: {}", listener.local_addr()?);
                let app = tokenbooth.clone();
                let routes = move || app.management_routes();
                Some(serve(&tokenbooth.state, routes, listener, &connections, 1)?)
            }
        };
        log::info!("listening on {host}:{port}");
        let handles = (server.handle(), management.as_ref().map(Server::handle));
        let stopper = Stopper { tokenbooth, server: handles.0, management: handles.1, door };
        Ok((run(server, management, connections), stopper))
    }
}

impl Stopper {
    /// `/readyz` says so, connections are asked to close, requests in flight end, then the server does. A request whose body is
    /// still on its way by then is answered 408.
    pub async fn stop(&self) {
        self.tokenbooth.state.stopping.store(true, Ordering::Relaxed);
        self.door.see_everybody_out().await;
        self.tokenbooth.state.drained.send_replace(true);
        self.server.stop(true).await;
        // Last, so that it can be asked until then.
        if let Some(management) = &self.management {
            management.stop(true).await;
        }
    }

    /// Does not wait for anybody.
    pub async fn stop_at_once(&self) {
        drop(self.door.take());
        self.server.stop(false).await;
        if let Some(management) = &self.management {
            management.stop(false).await;
        }
    }
}

/// # Errors
/// [`StartError::ListenForManagement`].
fn listen_for_management(address: &ListenAddress) -> Result<TcpListener, StartError> {
    listener::listen(&address.host, address.port)
        .map_err(|reason| StartError::ListenForManagement { address: address.to_string(), reason })
}

/// Two more than there are cores: while a core is with the database's threads, the connections of a worker that has no core
/// would wait (docs/PERFORMANCE.md).
fn workers(settings: &Settings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    settings.server.workers.unwrap_or_else(|| cores() + 2)
}

/// SIGTERM or Ctrl-C, from this call on.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn migrate_or_refuse(settings: &Settings) -> Result<(), StartError> {
    let database = &settings.database;
    if db::copy::is_marked(&mut db::connect(&database.url)?)? {
        return Err(StartError::HalfCopied);
    }
    if !database.migrate_on_start {
        let pending = db::pending_migrations(&database.url)?.len();
        if pending > 0 {
            return Err(StartError::Unmigrated(pending));
        }
    }
    // Not before: a service that cannot use its database says so in the one line to read.
    for line in settings.read_from.lines() {
        log::info!("settings: {line}");
    }
    if database.migrate_on_start {
        for name in db::migrate(&database.url)? {
            log::info!("migration {name} done");
        }
    }
    Ok(())
}

/// Stores the issuers of providers that are used for the first time.
fn register_issuers(settings: &Settings, now: Timestamp) -> Result<(), StartError> {
    let (conn, origin) = (&mut db::connect(&settings.database.url)?, Origin::command_line(now));
    let configured = settings.providers.issuers();
    Ok(db::change(conn, |conn| providers::register(conn, &configured, &origin))??)
}

/// The pool's size is chosen by backend: SQLite has one writer, and its readers share the machine with us.
pub(crate) fn db_options(database: &DatabaseSettings) -> DbOptions {
    let by_backend = if database.url.file().is_some() { 4 } else { 8 };
    DbOptions {
        url: database.url.clone(),
        prepared_statements: database.prepared_statements,
        pool_size: database.pool_size.unwrap_or(by_backend),
        timeout: database.timeout,
        max_lifetime: database.max_lifetime,
        synchronous: database.synchronous,
    }
}

/// The client every provider shares.
pub(crate) fn provider_client(
    settings: &Settings,
    metrics: &Metrics,
    clock: &SharedClock,
) -> Result<ProviderClient, StartError> {
    ProviderClient::new(settings.http_client.timeout, metrics.provider_latency.clone(), clock)
        .map_err(|error| StartError::Client(with_causes(&error)))
}

/// An error and what caused it: the outermost one says "builder error" and no more.
fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What signs and verifies our tokens by these settings.
pub(crate) fn tokens(settings: &Settings, now: Timestamp) -> Result<Tokens, StartError> {
    Ok(keys::load(settings, &secrets(settings)?, now)?.0)
}

pub(crate) fn secrets(settings: &Settings) -> Result<Secrets, StartError> {
    Secrets::of(settings).map_err(|(path, reason)| StartError::SecretFile { path, reason })
}
