//! What a client proves itself with (RFC 6749 §2.3.1). Known to us by its hash only.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::{NoRandomness, unguessable};
use crate::session::HashedToken;

/// Tells it apart from every other secret: for scanners that look for what was published by mistake, and for us, where it
/// comes in the place of another one.
const PREFIX: &str = "tbs_";

/// A client's secret in the clear: on its way to an operator or just come from a client.
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// Without a source of randomness.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self(format!("{PREFIX}{}", unguessable()?).into()))
    }

    /// A secret as a client sends it. Not judged: a text that cannot be one has a hash that no client has.
    #[must_use]
    pub fn presented(text: SecretString) -> Self {
        Self(text)
    }

    /// Whether this text is one of ours, in the wrong place.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The text for the operator. It must not be logged nor stored.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What it is stored as.
    #[must_use]
    pub fn hash(&self) -> HashedToken {
        HashedToken::of(self.expose().as_bytes())
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}
