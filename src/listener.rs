//! The socket we listen on.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// Connections waiting to be accepted; actix's own default.
const BACKLOG: u32 = 1024;
/// What to do when it cannot be listened on.
pub(crate) fn remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::AddrInUse => "Choose another port, with TOKENBOOTH__SERVER__PORT for example",
        io::ErrorKind::PermissionDenied => {
            "Choose a port from 1024 on, with TOKENBOOTH__SERVER__PORT for example"
        }
        _ => "Set server.host to an address of this machine, 127.0.0.1 or 0.0.0.0 for example",
    }
}

/// Listens on the first address of `host` that can be had.
///
/// # Errors
/// The system's reason for the last one.
pub(crate) fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    // Tokio's socket and not std's listener, whose queue of 128 is short for a burst of new clients.
    let socket =
        if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
