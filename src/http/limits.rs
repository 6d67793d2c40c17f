//! Who asks too often is refused (`[rate_limit]`). Limited is what tries a credential, by taking [`WithinAddressLimit`];
//! `/healthz`, `/readyz` and what a bearer reads never are: an orchestrator must not be told that a busy process is ill, and
//! who has a token was let in already.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::peer::client_address;
use crate::error::ApiError;
use crate::rate_limit::{Account, Exceeded};
use crate::state::AppState;

/// The request's address is within its limit. Taking it as the *first* argument is the check: it comes before the body is
/// read and before anything else is said of the request, so that guesses at providers, tokens and bodies count alike. There
/// is one bucket for all routes.
#[derive(Debug)]
pub(super) struct WithinAddressLimit(());

impl FromRequest for WithinAddressLimit {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(count_address(request).map(Self))
    }
}

fn count_address(request: &HttpRequest) -> Result<(), ApiError> {
    // Not `AppState::of`, which clones: without a state the next argument says what is wrong.
    let Some(state) = request.app_data::<Data<AppState>>() else { return Ok(()) };
    let Some(limits) = &state.rate_limits else { return Ok(()) };
    // Only a Unix socket has no address, and who speaks there is on this machine.
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    let address = client_address(peer, request.headers(), &state.settings.server);
    limits.address(address).map_err(|exceeded| refuse(state, exceeded))
}

/// Counts an attempt at an account, beside the address: a guesser has many addresses. To be called when the body was parsed
/// and before its credential is looked at.
///
/// # Errors
/// 429 `rate_limited`.
pub(super) fn within_account_limit(state: &AppState, account: Account<'_>) -> Result<(), ApiError> {
    let Some(limits) = &state.rate_limits else { return Ok(()) };
    limits.account(account).map_err(|exceeded| refuse(state, exceeded))
}

/// Counts a request over a limit, and makes the response of it.
pub(super) fn refuse(state: &AppState, exceeded: Exceeded) -> ApiError {
    state.metrics.rate_limited(exceeded.policy.as_str());
    exceeded.into()
}
