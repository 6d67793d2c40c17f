//! The open connections: how many there are, and closing those on which nothing happens.
//!
//! actix-web limits the time for the first request head of a connection and for the pause between two requests. It does not limit
//! a later head that stops half-way, a chunked body that a handler left unread, or a response that the client does not read: such a
//! connection would stay open until the client goes, and a few thousand of them use up the file descriptors. So each
//! connection has a time at which it is closed unless a request is being handled on it then; [`crate::http::observe`] moves
//! it. Shutting the socket down makes actix-web drop the connection as if the client had gone.

use std::any::Any;
use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};

/// How often we look for connections to close.
const PERIOD: Duration = Duration::from_millis(500);
/// How often we look whether all clients have left, while stopping.
const POLL: Duration = Duration::from_millis(10);
/// A connection with this time is not closed: a request is being handled on it.
const BUSY: u64 = u64::MAX;

/// All open connections of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    open: Mutex<Table>,
    /// How long a connection may be open without a request being handled on it.
    idle_limit: Duration,
    started: Instant,
}

#[derive(Default)]
struct Table {
    next_id: u64,
    connections: HashMap<u64, Arc<Watched>>,
}

/// What is known of one connection.
struct Watched {
    /// A second handle on the socket. Absent when there was no file descriptor left for it.
    socket: Option<Socket>,
    /// When it is to be closed, in milliseconds since [`Shared::started`].
    closes_at: AtomicU64,
}

/// One connection; kept by actix-web as long as it is open.
pub(crate) struct Connection {
    connections: Connections,
    id: u64,
    watched: Arc<Watched>,
}

impl Connections {
    pub(crate) fn new(idle_limit: Duration) -> Self {
        Self(Arc::new(Shared { open: Mutex::default(), idle_limit, started: Instant::now() }))
    }

    /// For `HttpServer::on_connect`.
    pub(crate) fn on_connect(&self) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + use<> {
        let connections = self.clone();
        move |stream, kept| {
            let socket =
                stream.downcast_ref::<TcpStream>().and_then(|stream| SockRef::from(stream).try_clone().ok());
            kept.insert(connections.opened(socket));
        }
    }

    fn opened(&self, socket: Option<Socket>) -> Connection {
        let closes_at = AtomicU64::new(self.time_of(Instant::now() + self.0.idle_limit));
        let watched = Arc::new(Watched { socket, closes_at });
        let mut table = self.table();
        let id = table.next_id;
        table.next_id += 1;
        table.connections.insert(id, Arc::clone(&watched));
        drop(table);
        Connection { connections: self.clone(), id, watched }
    }

    /// Closes idle connections for as long as the future is polled.
    pub(crate) async fn close_idle(self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            let now = self.time_of(Instant::now());
            let table = self.table();
            let overdue = |watched: &&Arc<Watched>| watched.closes_at.load(Ordering::Relaxed) <= now;
            for watched in table.connections.values().filter(overdue) {
                // An error says that the client has gone.
                let _ = watched.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Both));
            }
        }
    }

    /// Returns when no connection is open, after `limit` at most.
    pub(crate) async fn all_closed(&self, limit: Duration) {
        let start = Instant::now();
        while !self.table().connections.is_empty() && start.elapsed() < limit {
            tokio::time::sleep(POLL).await;
        }
    }

    fn time_of(&self, moment: Instant) -> u64 {
        u64::try_from(moment.duration_since(self.0.started).as_millis()).unwrap_or(BUSY)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// A request is being handled: the connection is not closed until [`Connection::done`].
    pub(crate) fn busy(&self) {
        self.watched.closes_at.store(BUSY, Ordering::Relaxed);
    }

    /// The request was handled at this moment. Its response is yet to be sent, and then the next request to come.
    pub(crate) fn done(&self, now: Instant) {
        self.close_at(now + self.connections.0.idle_limit);
    }

    /// The connection is not to be used any more: it is closed as soon as there was time to send the response.
    pub(crate) fn close_soon(&self, now: Instant) {
        self.close_at(now + PERIOD);
    }

    fn close_at(&self, moment: Instant) {
        self.watched.closes_at.store(self.connections.time_of(moment), Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.table().connections.remove(&self.id);
    }
}
