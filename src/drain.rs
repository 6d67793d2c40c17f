//! Stopping without losing a request.
//!
//! actix-web lets a request end that it has begun to read. It drops connections that wait for a worker, whatever was
//! sent on them; it closes kept connections of which the client does not know yet that they end; and the kernel resets
//! those that nobody has accepted when the listener goes. So, before it is told to stop: answers say
//! `Connection: close` for a moment ([`crate::http::observe`]), then no new connection is let in, and those already
//! there are served.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::connections::Connections;

/// How long clients that keep their connection have to meet an answer that says `Connection: close`.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long the connections that were let in last have to come through the handshake, the acceptor and the queue of a
/// worker: until then they are not among the open ones we count. Generous, for a machine that is busy with much else.
const TURN: Duration = Duration::from_millis(250);
/// How long they then have to be served.
const LAST_CALL: Duration = Duration::from_secs(1);

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

    /// Returns when the server can be stopped, after [`Door::longest`] at most. Answers must already say
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

/// A filter that drops the first packet of every new connection: who knocks now is not answered, knocks again after a
/// second and is refused. Connections already made, accepted or not, live on. Only the first packet: the last one of a
/// handshake goes to the listening socket too, and a client whose handshake stopped half-way believes that it is
/// connected, sends its request, and is reset.
#[cfg(target_os = "linux")]
fn let_nobody_in(listener: &TcpListener) -> std::io::Result<()> {
    // `linux/bpf_common.h`: load a byte, mask it, compare it, end with so many bytes of the packet kept.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // RFC 9293 §3.1: the flags are byte 13 of the TCP header, at which such a filter's packet begins.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let step = socket2::SockFilter::new;
    socket2::SockRef::from(listener).attach_filter(&[
        step(LOAD_BYTE, 0, 0, FLAGS),
        step(AND, 0, 0, SYN | ACK),
        step(JUMP_IF_EQUAL, 0, 1, SYN),
        step(RETURN, 0, 0, 0),
        step(RETURN, 0, 0, u32::MAX),
    ])
}

/// Elsewhere a connection that comes in the very moment of the stop may be reset.
#[cfg(not(target_os = "linux"))]
fn let_nobody_in(_: &TcpListener) -> std::io::Result<()> {
    Ok(())
}
