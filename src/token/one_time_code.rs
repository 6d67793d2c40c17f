//! The code that an app gets instead of a token in a URL (RFC 8252 §7), and exchanges at `POST /oauth/token`.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CodeChallenge, SealError, SealingKeys};
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
    /// The text for the app.
    ///
    /// # Errors
    /// Without a source of randomness.
    pub fn seal(&self, keys: &SealingKeys) -> Result<SecretString, SealError> {
        Ok(keys.seal(self)?.into())
    }

    /// The code behind a text, when it is one of ours and its time is not over.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub fn unseal(text: &str, keys: &SealingKeys, now: Timestamp) -> Result<Self, &'static str> {
        let code: Self = keys.unseal(text).ok_or("it is no code of ours")?;
        if now >= Timestamp(code.expires_at) {
            return Err("it is older than sign_in.code_ttl");
        }
        Ok(code)
    }
}
