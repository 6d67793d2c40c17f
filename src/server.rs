//! Running actix-web's server: its time limits, and the limits of the process.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::Server;
use actix_web::middleware::{Condition, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::connections::Connections;
use crate::drain::Door;
use crate::http;
use crate::settings::Settings;
use crate::state::AppState;

/// An idle connection is closed after this, so that a stopping process need not wait longer for it.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The head of the first request of a connection has to arrive within this time. Of later ones, [`Connections`] sees to it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be open without a request being handled on it: until the next request begins, and for a head, or what
/// is left of a body or a response.
pub(crate) fn idle_limit(settings: &Settings) -> Duration {
    KEEP_ALIVE + settings.server.body_timeout
}

/// Starts a server of these routes. All of ours have their connections counted together.
///
/// # Errors
/// Returns the system's reason if the listener cannot be used.
pub(crate) fn serve<R>(
    state: &Data<AppState>,
    routes: impl Fn() -> R + Clone + Send + 'static,
    listener: TcpListener,
    connections: &Connections,
    workers: usize,
) -> io::Result<Server>
where
    R: FnOnce(&mut ServiceConfig) + 'static,
{
    let state = state.clone();
    let timeout = state.settings.server.shutdown_timeout;
    let server = HttpServer::new(move || {
        let cors_settings = &state.settings.cors;
        let has_cors = !cors_settings.allowed_origins.is_empty();
        actix_web::App::new()
            .app_data(state.clone())
            .configure(routes())
            .default_service(web::route().to(http::not_found))
            .wrap(Condition::new(has_cors, http::cors(cors_settings)))
            // The last one is the outermost: preflights and 404 are observed too.
            .wrap(from_fn(http::observe))
    });
    let server = server
        .on_connect(connections.on_connect())
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(timeout.saturating_sub(Door::longest()).as_secs())
        .disable_signals();
    Ok(server.workers(workers).listen(listener)?.run())
}

/// Runs until the servers end, and closes idle connections meanwhile.
///
/// # Errors
/// Returns the error that a server ended with.
pub(crate) async fn run(
    server: Server,
    management: Option<Server>,
    connections: Connections,
) -> io::Result<()> {
    let both = async {
        match management {
            None => server.await,
            Some(management) => tokio::try_join!(server, management).map(|_| ()),
        }
    };
    tokio::select! {
        ended = both => ended,
        () = connections.close_idle() => Ok(()),
    }
}

/// Raises the soft limit of open files to the hard one. The soft limit is 1024 in most places, for programs that use `select`; each
/// connection takes two descriptors here, and with none left the database cannot be opened either.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => log::debug!("the limit of open files is {:?}, was {:?}", limit.maximum, limit.current),
        Err(error) => log::warn!("the limit of open files stays at {:?}: {error}", limit.current),
    }
}
