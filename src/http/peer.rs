//! Whose request it is: the peer's address, or what a proxy we trust says of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::settings::ServerSettings;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// An entry that cannot be read is logged once in this time: anybody can send them.
const LOG_PERIOD: Duration = Duration::from_mins(1);
/// As much of such an entry is shown, in bytes. An IPv6 address with a port has at most 47.
const SHOWN_BYTES: usize = 47;

/// Returns the client's address. From a trusted proxy it is the right-most `X-Forwarded-For` entry that is not itself trusted:
/// anyone could have written what stands left of that one. From any other peer the header is ignored. An IPv4 address in IPv6
/// notation (`::ffff:10.0.0.1`, what a socket on `::` sees) is the IPv4 address.
///
/// The header is read as bytes, from the right and entry by entry, so that nothing a client writes on the left can hide the entry
/// that our proxy appended. An entry that cannot be read counts against the proxy that handed it on, and is logged.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, settings: &ServerSettings) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if !settings.trusts(nearest) {
        return nearest;
    }
    let mut values: Vec<&[u8]> = headers.get_all(&FORWARDED_FOR).map(HeaderValue::as_bytes).collect();
    values.reverse();
    let entries = values.iter().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for entry in entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()) {
        let Some(address) = parse_entry(entry) else {
            log_unreadable(nearest, entry);
            break;
        };
        nearest = address.to_canonical();
        if !settings.trusts(nearest) {
            break;
        }
    }
    nearest
}

/// Parses `address`, `address:port`, `[address]` or `[address]:port`.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn log_unreadable(proxy: IpAddr, entry: &[u8]) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_some_and(|last| last.elapsed() < LOG_PERIOD) {
        return;
    }
    *last = Some(Instant::now());
    drop(last);
    let shown = entry.get(..SHOWN_BYTES).unwrap_or(entry).escape_ascii();
    log::warn!(
        "X-Forwarded-For from {proxy} has the entry \"{shown}\", which is not an IP address with or without a port; the request \
         counts against {proxy}. Check how that proxy sets the header. This is logged at most once a minute"
    );
}

#[cfg(test)]
mod tests;
