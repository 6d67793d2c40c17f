//! Whose request it is: the peer's address, or what a proxy we trust says of it.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;

use crate::settings::ServerSettings;

/// The client's address. From a trusted proxy it is the right-most `X-Forwarded-For` entry that is not itself trusted:
/// what stands left of it anyone could have written. From any other peer the header is ignored.
pub(super) fn client_address(
    peer: IpAddr,
    headers: &HeaderMap,
    settings: &ServerSettings,
) -> IpAddr {
    if !settings.trusts(peer) {
        return peer;
    }
    let entries: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut nearest = peer;
    for entry in entries.iter().rev() {
        // An entry that is no address ends the chain of those we can believe.
        let Ok(address) = entry.trim().parse() else {
            break;
        };
        nearest = address;
        if !settings.trusts(address) {
            break;
        }
    }
    nearest
}
