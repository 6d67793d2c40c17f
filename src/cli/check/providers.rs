//! The providers: within reach, and content with our credentials.

use std::sync::Arc;

use secrecy::SecretString;

use super::clock::Clocks;
use super::finding::Findings;
use crate::app;
use crate::cli::CommandError;
use crate::clock::{SharedClock, SystemClock};
use crate::metrics::Metrics;
use crate::provider::{Outage, Provider, Providers, RedirectFlow, Refusal, ReturnedCode};
use crate::settings::{OidcKind, PublicUrl, Settings};

/// As long as a verifier must be (RFC 7636 §4.1), and no secret.
const VERIFIER: &str = "tokenbooth-check-tokenbooth-check-tokenbooth";

pub(super) async fn check(
    findings: &mut Findings,
    settings: &Settings,
    clocks: &mut Clocks,
) -> Result<(), CommandError> {
    if settings.providers.is_empty() {
        let found = "none is configured, nobody can sign in";
        return Ok(findings.warn("providers", found, "Set providers.google.client_ids, for example")?);
    }
    let clock: SharedClock = Arc::new(SystemClock);
    let client = match app::provider_client(settings, &Metrics::default(), &clock) {
        Ok(client) => client,
        Err(error) => {
            let remedy = "Providers speak https, and none can be asked";
            return Ok(findings.error("providers", &error.to_string(), remedy)?);
        }
    };
    let providers = Providers::new(settings, &client, &clock);
    let public_url = PublicUrl::of(settings);
    for provider in providers.iter() {
        let subject = format!("providers.{}", provider.name());
        match provider.check().await {
            Ok(found) => {
                findings.good(&subject, &format!("reachable, {found}"))?;
                check_redirect(findings, settings, &public_url, provider.as_ref(), &subject).await?;
            }
            Err(outage) => {
                let remedy = "Check its settings and this machine's way out";
                findings.error(&subject, &outage.to_string(), remedy)?;
            }
        }
    }
    for (provider, ahead) in client.clock_differences() {
        clocks.add(provider, ahead);
    }
    Ok(())
}

async fn check_redirect(
    findings: &mut Findings,
    settings: &Settings,
    public_url: &PublicUrl,
    provider: &dyn Provider,
    subject: &str,
) -> std::io::Result<()> {
    let name = provider.name();
    let Some(flow) = provider.redirect_flow() else {
        let found = "browsers cannot be sent there, tokens are taken: there is no client_secret";
        return findings.good(subject, found);
    };
    let callback = public_url.to(&format!("/auth/{name}/callback"));
    // An app without a secret may be one that only hands tokens in: then this is nobody's problem.
    let public = settings
        .providers
        .oidc
        .get(name)
        .is_some_and(|oidc| oidc.kind == OidcKind::Oidc && oidc.client_secret.is_none());
    match prove(flow, &callback).await {
        Ok(()) if public => findings
            .good(subject, &format!("browsers may be sent there; the callback to register is {callback}")),
        Ok(()) => findings
            .good(subject, &format!("client credentials accepted; the callback to register is {callback}")),
        Err(outage) if public => {
            let remedy = "Set client_secret, if browsers are to sign in there; tokens are taken all the same";
            findings.warn(subject, &outage.to_string(), remedy)
        }
        Err(outage) => {
            let remedy = "Copy client id and secret from the provider's page of the app, and register the callback there";
            findings.error(subject, &format!("{outage} (callback {callback})"), remedy)
        }
    }
}

/// Brings a code that was never given out: who refuses the code has accepted the credentials (RFC 6749 §5.2).
async fn prove(flow: &dyn RedirectFlow, callback: &str) -> Result<(), Outage> {
    let returned = ReturnedCode {
        code: &SecretString::from("tokenbooth-check"),
        redirect_uri: callback,
        code_verifier: &SecretString::from(VERIFIER),
        nonce: "tokenbooth-check",
    };
    match flow.redeem(&returned).await {
        Err(Refusal::Outage(outage)) => Err(outage),
        Ok(_) | Err(_) => Ok(()),
    }
}
