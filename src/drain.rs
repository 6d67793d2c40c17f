//! Stopping without losing a request.
//!
//! actix-web lets a request end that it has begun to read. It drops connections that wait for a worker, whatever was
//! sent on them; it closes kept connections of which the client does not know yet that they end; and the kernel resets
//! those that nobody has accepted when the listener goes. So, before it is told to stop: answers say
//! `Connection: close` for a moment ([`crate::http::observe`]), then no new connection is let in, and those already
//! there are served.

use std::any::Any;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;

/// How long clients that keep their connection have to meet an answer that says `Connection: close`.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long the connections that were let in last have to be accepted and served.
const LAST_CALL: Duration = Duration::from_millis(300);
/// The least of it: the acceptor's and the workers' turn.
const TURN: Duration = Duration::from_millis(50);
/// How often we look whether everybody has left.
const LOOK: Duration = Duration::from_millis(10);

/// How many connections are open. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<AtomicUsize>);

/// One connection; kept by actix-web as long as it is open.
struct Open(Connections);

impl Connections {
    /// For `HttpServer::on_connect`.
    pub(crate) fn counter(&self) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + use<> {
        let connections = self.clone();
        move |_, kept| {
            connections.0.fetch_add(1, Ordering::SeqCst);
            kept.insert(Open(connections.clone()));
        }
    }

    async fn all_closed(&self, limit: Duration) {
        let start = Instant::now();
        while self.0.load(Ordering::SeqCst) > 0 && start.elapsed() < limit {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The way in: a second handle on the socket that actix-web listens on.
#[derive(Clone)]
pub(crate) struct Door {
    listener: Arc<Mutex<Option<TcpListener>>>,
    connections: Connections,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, connections: Connections) -> Self {
        Self { listener: Arc::new(Mutex::new(Some(listener))), connections }
    }

    /// Returns when the server can be stopped, after [`FAREWELL`] and [`LAST_CALL`] at most. Answers must already say
    /// `Connection: close`.
    pub(crate) async fn see_everybody_out(&self) {
        self.connections.all_closed(FAREWELL).await;
        let Some(listener) = self.take() else { return };
        if let Err(error) = let_nobody_in(&listener) {
            log::debug!("new connections cannot be kept out: {error}");
        }
        tokio::time::sleep(TURN).await;
        self.connections.all_closed(LAST_CALL).await;
    }

    /// Gives the handle up, or the socket would listen on after actix-web closed its own.
    pub(crate) fn take(&self) -> Option<TcpListener> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener.take()
    }

    /// The longest that [`Door::see_everybody_out`] takes.
    pub(crate) fn longest() -> Duration {
        FAREWELL + TURN + LAST_CALL
    }
}

/// A filter that drops every packet to the listening socket: who knocks now is not answered, knocks again after a second
/// and is refused. Connections already made, accepted or not, are sockets of their own and live on.
#[cfg(target_os = "linux")]
fn let_nobody_in(listener: &TcpListener) -> std::io::Result<()> {
    /// `BPF_RET | BPF_K` of `linux/bpf_common.h`: end, with so many bytes of the packet kept.
    const RETURN: u16 = 0x06;
    let drop_all = socket2::SockFilter::new(RETURN, 0, 0, 0);
    socket2::SockRef::from(listener).attach_filter(&[drop_all])
}

/// Elsewhere a connection that comes in the very moment of the stop may be reset.
#[cfg(not(target_os = "linux"))]
fn let_nobody_in(_: &TcpListener) -> std::io::Result<()> {
    Ok(())
}
