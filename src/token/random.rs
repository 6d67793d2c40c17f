//! Texts that nobody guesses.

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// There is no source of randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system's random generator does not answer")]
pub struct NoRandomness;

/// 256 random bits as 43 characters of base64url: a `state`, a `nonce`, a `code_verifier` (RFC 7636 §4.1 wants 43 to 128).
///
/// # Errors
/// Without a source of randomness.
pub fn unguessable() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
