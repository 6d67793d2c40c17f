//! Proofs by a provider: what every endpoint that takes a provider's token or code does around asking the provider.

use std::net::{IpAddr, Ipv4Addr};

use super::limits::refuse;
use crate::error::ApiError;
use crate::event::Origin;
use crate::provider::{Credential, Outage, Provider, RedirectFlow, Refusal, ReturnedCode, VerifiedIdentity};
use crate::state::AppState;

/// Proves a credential with its provider. One that the provider has just rejected is rejected from memory; any other is asked about
/// within the budget of failed proofs.
///
/// # Errors
/// Returns the provider's rejection or outage, and 429 `rate_limited` when the budget is used up.
pub(super) async fn prove(
    state: &AppState,
    provider: &dyn Provider,
    credential: &Credential,
    origin: &Origin,
) -> Result<VerifiedIdentity, ApiError> {
    let inquiry = state.providers.refused().inquire(provider.name(), credential).await?;
    let asking = state.providers.verify(provider, credential);
    let result = within_budget(state, provider, origin, asking).await?;
    if let Err(refusal) = &result {
        inquiry.refused(refusal);
    }
    Ok(result?)
}

/// Redeems the code of an authorization response, within the budget of failed proofs. A code can be used once, so a rejection is
/// not remembered.
///
/// # Errors
/// As [`prove`].
pub(super) async fn redeem(
    state: &AppState,
    provider: &dyn Provider,
    flow: &dyn RedirectFlow,
    returned: &ReturnedCode<'_>,
    origin: &Origin,
) -> Result<VerifiedIdentity, ApiError> {
    let asking = state.providers.redeem(provider, flow, returned);
    Ok(within_budget(state, provider, origin, asking).await??)
}

async fn within_budget(
    state: &AppState,
    provider: &dyn Provider,
    origin: &Origin,
    asking: impl Future<Output = Result<VerifiedIdentity, Refusal>>,
) -> Result<Result<VerifiedIdentity, Refusal>, ApiError> {
    let Some(limits) = &state.rate_limits else { return Ok(asking.await) };
    let limit = state.settings.http_client.timeout;
    let begun = limits.begin_proof(provider.name(), client_of(origin));
    let proof = tokio::time::timeout(limit, begun)
        .await
        .map_err(|_| Outage::timeout(provider.name(), limit))?
        .map_err(|exceeded| refuse(state, exceeded))?;
    let result = asking.await;
    match &result {
        Ok(_) | Err(Refusal::Outage(_)) => proof.passed(),
        Err(_) => proof.failed(),
    }
    Ok(result)
}

/// Returns the client's address. A client on a Unix socket has none, and is on this machine.
pub(super) fn client_of(origin: &Origin) -> IpAddr {
    origin.ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
