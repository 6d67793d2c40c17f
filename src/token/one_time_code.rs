//! The code that an app gets instead of a token in a URL (RFC 8252 §7), and exchanges at `POST /oauth/token`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CodeChallenge, REPLICA_CLOCK_SKEW};
use crate::authentication::Authentication;
use crate::clock::Timestamp;

/// What a code says, sealed: no replica has to have heard of it. That it was exchanged is stored, under `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeCode {
    /// Its own id.
    pub id: Uuid,
    /// Who signed in.
    pub user_id: Uuid,
    /// The user's `token_version` then: what ends tokens ends codes.
    pub token_version: i64,
    /// It was the user's first sign-in.
    pub created: bool,
    /// How and when the user signed in; absent in a code that a replica of an earlier version sealed.
    #[serde(default)]
    pub authentication: Option<Authentication>,
    /// Where the code was sent (RFC 6749 §4.1.3).
    pub redirect_uri: String,
    /// What its verifier must give.
    pub code_challenge: CodeChallenge,
    /// Unix seconds.
    pub expires_at: i64,
}

impl OneTimeCode {
    /// Checks when the code expires.
    ///
    /// # Errors
    /// Says what is wrong, for the client. No code of ours expires later than `code_ttl` from now: such a one was forged, or made
    /// before the setting was lowered.
    pub fn check_expiry(&self, now: Timestamp, code_ttl: Duration) -> Result<(), &'static str> {
        if now >= Timestamp(self.expires_at) {
            return Err("it is older than sign_in.code_ttl");
        }
        if Timestamp(self.expires_at) > now.after(code_ttl).plus(REPLICA_CLOCK_SKEW) {
            return Err("it expires later than sign_in.code_ttl allows");
        }
        Ok(())
    }
}
