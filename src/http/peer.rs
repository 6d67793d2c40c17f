//! Whose request it is: the peer's address, or what a proxy we trust says of it.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;

use crate::settings::ServerSettings;

/// The client's address. From a trusted proxy it is the right-most `X-Forwarded-For` entry that is not itself trusted:
/// what stands left of it anyone could have written. From any other peer the header is ignored. An IPv4 address in IPv6
/// clothes (`::ffff:10.0.0.1`, what a socket on `::` sees) is the IPv4 address.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, settings: &ServerSettings) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let mut entries =
        headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
    entries.reverse();
    for entry in entries.iter().flat_map(|value| value.rsplit(',')) {
        if !settings.trusts(nearest) {
            break;
        }
        // An entry that is no address ends the chain of those we can believe.
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
    }
    nearest
}
