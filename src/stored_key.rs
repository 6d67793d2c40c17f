//! A key of the ring as it is kept: what it is, and when its turn to sign comes.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;

/// How a key signs, as a token's `alg` spells it (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256: who verifies can sign.
    Hs256,
    /// Ed25519: short and fast.
    EdDsa,
    /// ECDSA on P-256 with SHA-256: where Ed25519 is not known.
    Es256,
}

impl KeyAlgorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 3] = [Self::Hs256, Self::EdDsa, Self::Es256];

    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// Whether it has a public half, which verifiers are told.
    #[must_use]
    pub fn is_asymmetric(self) -> bool {
        self != Self::Hs256
    }
}

/// We sign by no such algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the algorithms are HS256, EdDSA and ES256")]
pub struct UnknownAlgorithm;

impl FromStr for KeyAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text).ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row of `signing_keys`, or a file that stands for one.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// `kid`.
    pub id: String,
    /// How it signs.
    pub algorithm: KeyAlgorithm,
    /// The key itself, sealed in the database; gone when it was retired.
    pub material: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The key that signs is the one with the latest time that is not to come. `None`: it was only added.
    pub signs_from: Option<Timestamp>,
    /// It verifies nothing any more.
    pub retired_at: Option<Timestamp>,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredKey({} {})", self.algorithm, self.id)
    }
}
