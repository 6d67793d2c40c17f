//! Putting it together: [`Tokenbooth`] for an app of one's own, [`App`] for the whole server.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::middleware::{Condition, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::account::AccountRules;
use crate::account::housekeeping::Housekeeping;
use crate::account::providers::{self, OtherIssuer};
use crate::account::revocation_feed::RevocationFeed;
use crate::clock::{SharedClock, SystemClock, Timestamp};
use crate::db::{self, Db, DbError, DbOptions};
use crate::drain::{Connections, Door};
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
use crate::service_manager;
use crate::settings::{DatabaseSettings, PublicUrl, Settings, SettingsError};
use crate::state::AppState;
use crate::token::{CarriedSeal, CursorKeys, Tokens};

/// An idle connection is closed after this, so that a stopping process need not wait longer for it.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

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
        migrate_or_refuse(&settings)?;
        register_issuers(&settings, clock.now())?;
        let metrics = Metrics::default();
        metrics.started(clock.now());
        let db = Db::connect(db_options(&settings.database), &metrics.rounds)?;
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
        let stopping = AtomicBool::new(false);
        let state = Data::new(AppState {
            cursor_keys: CursorKeys::new(&tokens, &clock),
            attempt_keys: CarriedSeal::of_transactions(&tokens, &clock),
            code_keys: CarriedSeal::of_codes(&tokens, &clock),
            tokens,
            key_watch,
            revocation_feed: RevocationFeed::default(),
            public_url: PublicUrl::of(&settings),
            rules,
            settings,
            db,
            providers,
            passwords,
            clock,
            metrics,
            rate_limits,
            openapi: LazyLock::new(openapi::document),
            stopping,
            housekeeping,
        });
        Ok(Self { state })
    }

    /// Everything of `POST /auth/{provider}` to `/docs`, for `App::configure` or for a scope. After it,
    /// [`crate::CurrentUser`] and [`crate::AdminUser`] work in every handler beside them.
    ///
    /// Of two services for one path actix-web takes the first: an app with a `/` or an `/account` of its own registers it before
    /// these. Mounted in a scope, `server.public_url` ends with the scope's path.
    pub fn routes(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let state = self.state.clone();
        move |config| {
            config.app_data(state).configure(http::routes);
        }
    }
}

/// The whole server.
pub struct App {
    tokenbooth: Tokenbooth,
    listener: TcpListener,
    port: u16,
}

/// Stops a running [`App`] from elsewhere.
#[derive(Clone)]
pub struct Stopper {
    tokenbooth: Tokenbooth,
    server: ServerHandle,
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
        Ok(Self { tokenbooth: Tokenbooth::build_with_clock(settings, clock)?, listener, port })
    }

    /// The port that was got; interesting when `server.port` was 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until SIGTERM or Ctrl-C, then lets the requests in flight end.
    ///
    /// # Errors
    /// When the server cannot run.
    pub async fn run_until_stopped(self) -> Result<(), StartError> {
        // Before anything says that we listen: who reads that may stop us at once, and must meet more than the default,
        // which is to die.
        let stop_signal = stop_signal()?;
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
        Ok(result?)
    }

    /// The server as a future, and the handle that ends it; no signal is listened to.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(self) -> Result<(impl Future<Output = io::Result<()>>, Stopper), StartError> {
        let Self { tokenbooth, listener, port } = self;
        let settings = &tokenbooth.state.settings;
        let (host, workers, timeout) =
            (settings.server.host.clone(), workers(settings), settings.server.shutdown_timeout);
        let connections = Connections::default();
        let door = Door::new(listener.try_clone()?, connections.clone());
        let app = tokenbooth.clone();
        let server = HttpServer::new(move || {
            let cors_settings = &app.state.settings.cors;
            let has_cors = !cors_settings.allowed_origins.is_empty();
            actix_web::App::new()
                .app_data(app.state.clone())
                .configure(app.routes())
                .default_service(web::route().to(http::not_found))
                .wrap(Condition::new(has_cors, http::cors(cors_settings)))
                // The last one is the outermost: preflights and 404 are observed too.
                .wrap(from_fn(http::observe))
        })
        .on_connect(connections.counter())
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(timeout.saturating_sub(Door::longest()).as_secs())
        .disable_signals();
        let server = server.workers(workers).listen(listener)?.run();
        log::info!("listening on {host}:{port}");
        let stopper = Stopper { tokenbooth, server: server.handle(), door };
        Ok((server, stopper))
    }
}

impl Stopper {
    /// `/readyz` says so, connections are asked to close, requests in flight end, then the server does.
    pub async fn stop(&self) {
        self.tokenbooth.state.stopping.store(true, Ordering::Relaxed);
        self.door.see_everybody_out().await;
        self.server.stop(true).await;
    }

    /// Does not wait for anybody.
    pub async fn stop_at_once(&self) {
        drop(self.door.take());
        self.server.stop(false).await;
    }
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
    // Not before: a service that finds no database says so in the one line to read.
    for line in settings.read_from.lines() {
        log::info!("settings: {line}");
    }
    if database.migrate_on_start {
        for name in db::migrate(&database.url)? {
            log::info!("migration {name} done");
        }
        return Ok(());
    }
    match db::pending_migrations(&database.url)?.len() {
        0 => Ok(()),
        pending => Err(StartError::Unmigrated(pending)),
    }
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
