//! A sign-in under way, sealed into a cookie of its own: it belongs to this browser, and several tabs do not disturb each other.

use actix_web::HttpRequest;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use cookie::Cookie;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::cookies;
use crate::clock::Timestamp;
use crate::error::{ApiError, Code};
use crate::state::AppState;
use crate::token::{CodeChallenge, REPLICA_CLOCK_SKEW, unguessable};

/// As many as a browser may have under way; one more, and the oldest are let go. A request's head has a limit.
const MAX_ATTEMPTS: usize = 10;
/// Of the 43 characters of `state` these name the cookie; the others, 162 bits, stay between the provider and us.
const ID_CHARACTERS: usize = 16;

/// What a callback is compared with.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    provider: String,
    /// Ours, never the client's own (CVE-2026-121802).
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) code_verifier: String,
    /// Unix seconds.
    expires_at: i64,
    pub(super) aim: Aim,
}

/// What the sign-in is for.
#[derive(Serialize, Deserialize)]
pub(super) enum Aim {
    /// This browser is to be signed in, and goes on to `redirect_to`.
    SignIn {
        redirect_to: String,
        /// The provider is asked to authenticate the person again.
        #[serde(default)]
        reauthenticate: bool,
        /// The account that the sign-in has to belong to: a signed-in person confirms who they are. Any account if it is absent.
        #[serde(default)]
        confirms: Option<Uuid>,
    },
    /// An app is to get a code.
    App(AppReturn),
    /// The user of this session gets one more way in.
    Link { user_id: Uuid, session_id: Option<Uuid> },
}

/// How an app is told the outcome (RFC 6749 §4.1.2).
#[derive(Serialize, Deserialize)]
pub(super) struct AppReturn {
    pub(super) redirect_uri: String,
    /// The app's own, echoed.
    pub(super) state: Option<String>,
    pub(super) code_challenge: CodeChallenge,
    /// The account that the person agreed to; any, when the person asked for another one or was not signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Uuid>,
}

impl Attempt {
    /// Begins one.
    ///
    /// # Errors
    /// 500 without a source of randomness.
    pub(super) fn begin(provider: &str, aim: Aim, state: &AppState) -> Result<Self, ApiError> {
        let unguessable = || unguessable().map_err(ApiError::internal);
        Ok(Self {
            provider: provider.to_owned(),
            state: unguessable()?,
            nonce: unguessable()?,
            code_verifier: unguessable()?,
            expires_at: state.clock.now().after(state.settings.sign_in.state_ttl).0,
            aim,
        })
    }

    /// Returns whether the provider is asked to authenticate the person again.
    pub(super) fn reauthenticate(&self) -> bool {
        matches!(self.aim, Aim::SignIn { reauthenticate: true, .. })
    }

    /// Its cookie, and before that the ones it displaces.
    ///
    /// # Errors
    /// 500 when it cannot be sealed.
    pub(super) fn into_cookies(
        self,
        request: &HttpRequest,
        state: &AppState,
    ) -> Result<Vec<Cookie<'static>>, ApiError> {
        // What does not unseal is the oldest: its key is gone, or it is somebody's invention.
        let mut others: Vec<(i64, &str)> = cookies::all(request)
            .filter(|(name, _)| name.starts_with(cookies::ATTEMPT_PREFIX))
            .map(|(name, sealed)| {
                let attempt: Option<Self> = state.attempt_keys.unseal(sealed);
                (attempt.map_or(0, |attempt| attempt.expires_at), name)
            })
            .collect();
        others.sort_by_key(|(expires_at, _)| *expires_at);
        let surplus = (others.len() + 1).saturating_sub(MAX_ATTEMPTS);
        let mut cookies: Vec<_> = others.drain(..surplus).map(|(_, name)| cleared(name)).collect();
        let sealed = state.attempt_keys.seal(&self).map_err(ApiError::internal)?;
        let name = cookie_name(&self.state);
        cookies.push(cookies::hidden(name, sealed, state.settings.sign_in.state_ttl));
        Ok(cookies)
    }

    /// The attempt that a callback at `provider` finishes.
    ///
    /// # Errors
    /// 400 `invalid_state`; why is for the log, and what to do for the person.
    pub(super) fn find(
        returned_state: Option<&str>,
        provider: &str,
        request: &HttpRequest,
        state: &AppState,
    ) -> Result<Self, ApiError> {
        let returned_state =
            returned_state.ok_or_else(|| invalid_state("the callback has no state", state))?;
        let name = cookie_name(returned_state);
        let sealed = cookies::read(request, &name)
            .ok_or_else(|| invalid_state("this browser has begun no sign-in of this state", state))?;
        let attempt: Self = state.attempt_keys.unseal(sealed).ok_or_else(|| {
            invalid_state("the cookie of the sign-in was not made here, or was changed", state)
        })?;
        // The name of a cookie is the client's word; the sealed content names its own state.
        if verify_slices_are_equal(attempt.state.as_bytes(), returned_state.as_bytes()).is_err() {
            return Err(invalid_state("the state is that of another sign-in", state));
        }
        if attempt.provider != provider {
            return Err(invalid_state("the sign-in was begun at another provider", state));
        }
        if state.clock.now() >= Timestamp(attempt.expires_at) {
            return Err(invalid_state("the sign-in took longer than sign_in.state_ttl", state));
        }
        let latest = state.clock.now().after(state.settings.sign_in.state_ttl).plus(REPLICA_CLOCK_SKEW);
        if Timestamp(attempt.expires_at) > latest {
            return Err(invalid_state(
                "the cookie of the sign-in is good for longer than one of ours",
                state,
            ));
        }
        Ok(attempt)
    }
}

/// The cookie of this state, to be cleared. `None` when the browser has sent none.
pub(super) fn spent_cookie(returned_state: Option<&str>, request: &HttpRequest) -> Option<Cookie<'static>> {
    let name = cookie_name(returned_state?);
    cookies::find(request, &name).is_any().then(|| cleared(&name))
}

/// 400 `invalid_state`, with what helps: most often it is a link from elsewhere, or another name of this machine.
pub(super) fn invalid_state(problem: &str, state: &AppState) -> ApiError {
    let (here, life) = (state.public_url.to("/sign-in"), state.settings.sign_in.state_ttl);
    let advice = format!("begin again at {here}, in this browser, and finish within {life:?}");
    ApiError::new(Code::InvalidState, format!("{problem}: {advice}"))
}

fn cookie_name(state: &str) -> String {
    // A state that a stranger made up must not make a name that no cookie can have.
    let id = state.get(..ID_CHARACTERS).unwrap_or_default();
    format!("{}{id}", cookies::ATTEMPT_PREFIX)
}

fn cleared(name: &str) -> Cookie<'static> {
    cookies::hidden(name, String::new(), std::time::Duration::ZERO)
}
