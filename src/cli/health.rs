//! `tokenbooth health`: asks the service on this machine whether it is ready, for where nothing else could: a container
//! without a shell.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use super::CommandError;
use crate::settings::{ListenAddress, Settings};

/// For each step: connecting, sending, and every part of the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Ours has some hundred; whoever listens there may be somebody else.
const MOST_BYTES: u64 = 16 * 1024;

/// Exit code 0 and what `/readyz` says when it is ready, else 1. By hand and not with the client for the providers: that one wants
/// certificates, and goes by the proxy of the environment, which is no way to oneself.
pub(super) fn run(settings: &Settings) -> Result<(), CommandError> {
    let (host, port) = match &settings.management.listen {
        Some(ListenAddress { host, port }) => (host, *port),
        None => (&settings.server.host, settings.server.port),
    };
    let answer = ask(host, port).map_err(|reason| {
        CommandError::Other(format!(
            "nobody answers on {host}:{port}: {reason}. Is `tokenbooth serve` running?"
        ))
    })?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let readiness: Value = serde_json::from_str(body).unwrap_or_default();
    match readiness["status"].as_str() {
        Some("ready") => Ok(writeln!(io::stdout(), "{body}")?),
        Some(_) => Err(CommandError::Other(format!("not ready: {body}"))),
        None => Err(CommandError::Other(format!("on {host}:{port} answers something else than tokenbooth"))),
    }
}

fn ask(host: &str, port: u16) -> io::Result<String> {
    let mut last = io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&reachable(address), PATIENCE) {
            Ok(stream) => return talk(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn talk(mut stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// "Every address" can be listened on and not be connected to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
