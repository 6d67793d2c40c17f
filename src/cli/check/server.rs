//! Where we listen, and how we are reached.

use std::io;

use ipnet::IpNet;
use url::{Host, Url};

use super::finding::Findings;
use crate::listener;
use crate::settings::{Environment, ListenAddress, Settings, check_provider_url};

pub(super) fn check(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    check_address(findings, &settings.server.host, settings.server.port, "server", "server.port")?;
    if let Some(ListenAddress { host, port }) = &settings.management.listen {
        check_address(findings, host, *port, "management.listen", "management.listen")?;
    }
    let server = &settings.server;
    // We speak http only: whoever reaches us by https, or under another name, does so through a proxy.
    if is_proxied(settings) && settings.rate_limit.enabled && server.trusted_proxies.is_empty() {
        findings.warn(
            "server.trusted_proxies",
            "it is empty, and clients come through a proxy: to rate limits and the audit trail they are all one address",
            "Name the proxy's address or network",
        )?;
    }
    for network in server.trusted_proxies.iter().filter(|network| is_wide(network)) {
        findings.warn(
            "server.trusted_proxies",
            &format!("{network} is a whole network: every client in it can make its own address up in X-Forwarded-For"),
            "Name the addresses of the proxies only, or a network that has nothing else in it",
        )?;
    }
    if check_provider_url(&settings.public_url()).is_err() {
        findings.warn(
            "server.public_url",
            "it is http:// and not this machine: browsers keep no cookie of ours there, so nobody signs in by way of one",
            "Put a proxy that speaks https in front, and set it to https://…",
        )?;
    }
    if settings.environment == Environment::Development {
        return Ok(());
    }
    if server.public_url.is_none() {
        findings.warn(
            "server.public_url",
            "it is made from host and port, and with it token.issuer and the callbacks",
            "Set it to the address that clients use: all replicas must agree on it",
        )?;
    }
    if !settings.rate_limit.enabled {
        findings.warn(
            "rate_limit.enabled",
            "it is off: passwords can be tried without end",
            "Switch it on, unless the proxy limits /auth, /oauth and /api/me/password",
        )?;
    }
    Ok(())
}

fn check_address(
    findings: &mut Findings,
    host: &str,
    port: u16,
    subject: &str,
    setting: &str,
) -> io::Result<()> {
    let address = format!("{host}:{port}");
    match listener::listen(host, port) {
        Ok(_) => findings.good(subject, &format!("{address} is free")),
        Err(reason) if reason.kind() == io::ErrorKind::AddrInUse => {
            findings.good(subject, &format!("{address} is in use: by tokenbooth, or set {setting}"))
        }
        Err(reason) => findings.error(
            subject,
            &format!("cannot listen on {address}: {reason}"),
            listener::remedy(&reason),
        ),
    }
}

/// Whether a block has room for more than the proxies of one installation. Nobody else has an address of loopback.
fn is_wide(network: &IpNet) -> bool {
    let widest = if network.addr().is_ipv4() { 24 } else { 64 };
    let loopback = network.network().is_loopback() && network.broadcast().is_loopback();
    network.prefix_len() < widest && !loopback
}

fn is_proxied(settings: &Settings) -> bool {
    let public = settings.server.public_url.as_deref().and_then(|url| Url::parse(url).ok());
    public.is_some_and(|url| {
        let here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let loopback = matches!(settings.server.host.as_str(), "127.0.0.1" | "::1" | "localhost");
        url.scheme() == "https" || (loopback && !here)
    })
}
