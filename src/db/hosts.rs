//! Addresses of PostgreSQL that name several hosts, each with a port of its own. libpq takes them
//! (PostgreSQL's documentation, "Specifying Multiple Hosts"), and a URL has no place for them: here
//! they become the parameters `host` and `port`, which mean the same.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use url::ParseError;

/// Returns `postgres:///name?host=h1,h2&port=5432,5433&…` for `postgres://h1:5432,h2:5433/name?…`,
/// and `None` for an address that does not name several hosts.
///
/// # Errors
/// Returns [`ParseError`] if a host is empty or a port is not a port.
pub(super) fn as_parameters(text: &str) -> Result<Option<String>, ParseError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (account, servers) = match authority.rsplit_once('@') {
        Some((account, servers)) => (Some(account), servers),
        None => (None, authority),
    };
    if !servers.contains(',') {
        return Ok(None);
    }
    let (hosts, ports): (Vec<_>, Vec<_>) =
        servers.split(',').map(host_and_port).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let mut parameters = vec![("host", hosts.join(","))];
    // An empty port is the default one.
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.push(("port", ports.join(",")));
    }
    if let Some(account) = account {
        let (user, password) =
            account.split_once(':').map_or((account, None), |(user, password)| (user, Some(password)));
        parameters.push(("user", user.to_owned()));
        parameters.extend(password.map(|password| ("password", password.to_owned())));
    }
    let parameters: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let separator = if query.is_empty() { "" } else { "&" };
    let path = if path.is_empty() { "/" } else { path };
    Ok(Some(format!("{scheme}://{path}?{}{separator}{query}", parameters.join("&"))))
}

/// Splits `host:5432`, `host`, `[::1]:5432` or `[::1]`; the port is empty if there is none, and an
/// address of IPv6 loses its brackets, as the parameter `host` wants it.
fn host_and_port(server: &str) -> Result<(&str, &str), ParseError> {
    let (host, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, ""),
        Some((host, rest)) => (host, rest.strip_prefix(':').ok_or(ParseError::InvalidIpv6Address)?),
        None => server.split_once(':').unwrap_or((server, "")),
    };
    if host.is_empty() {
        return Err(ParseError::EmptyHost);
    }
    let is_port = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_port { Ok((host, port)) } else { Err(ParseError::InvalidPort) }
}

/// Encodes a part that may be percent-encoded already. Not as a form does: libpq takes `+` for itself.
fn encoded(part: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(part).collect();
    percent_encode(&bytes, NON_ALPHANUMERIC).to_string()
}
