//! Where we listen, and how we are reached.

use std::io;

use url::{Host, Url};

use super::finding::Findings;
use crate::listener;
use crate::settings::{Environment, Settings, check_provider_url};

pub(super) fn check(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    check_address(findings, settings)?;
    let server = &settings.server;
    // We speak http only: whoever reaches us by https, or under another name, does so through a proxy.
    if is_proxied(settings) && settings.rate_limit.enabled && server.trusted_proxies.is_empty() {
        findings.warn(
            "server.trusted_proxies",
            "it is empty, and clients come through a proxy: to rate limits and the audit trail they are all one address",
            "Name the proxy's address or network",
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

fn check_address(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    let (host, port) = (settings.server.host.as_str(), settings.server.port);
    let address = format!("{host}:{port}");
    match listener::listen(host, port) {
        Ok(_) => findings.good("server", &format!("{address} is free")),
        Err(reason) if reason.kind() == io::ErrorKind::AddrInUse => {
            findings.good("server", &format!("{address} is in use: by tokenbooth, or set server.port"))
        }
        Err(reason) => findings.error(
            "server",
            &format!("cannot listen on {address}: {reason}"),
            listener::remedy(&reason),
        ),
    }
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
