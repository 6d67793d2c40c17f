//! Keys, prepared once and used for every token after it.
//!
//! `jsonwebtoken` reads and knows keys; its own verification builds the library's key anew for each token, which is 7 of
//! the 26 µs of an RS256 check.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use aws_lc_rs::{error::KeyRejected, hmac};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

/// A key to verify with, and the one algorithm it may be used with. Cheap to clone.
#[derive(Clone)]
pub struct VerificationKey {
    algorithm: &'static str,
    prepared: Arc<Prepared>,
}

enum Prepared {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// Which of the library's algorithms it is.
enum Scheme {
    Hmac(hmac::Algorithm),
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

/// The bytes are no key of this algorithm: a point that is not on the curve, a modulus that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key does not fit its algorithm")]
pub struct UnusableKey;

impl From<KeyRejected> for UnusableKey {
    fn from(_: KeyRejected) -> Self {
        Self
    }
}

impl VerificationKey {
    /// Binds `key` to `algorithm`. A token that names another algorithm is refused before the key is touched.
    ///
    /// # Errors
    /// [`UnusableKey`].
    pub fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, UnusableKey> {
        let (name, scheme) = scheme(algorithm).ok_or(UnusableKey)?;
        if key.family() != algorithm.family() {
            return Err(UnusableKey);
        }
        let prepared = match (scheme, key.kind()) {
            (Scheme::Hmac(algorithm), DecodingKeyKind::SecretOrDer(secret)) => {
                Prepared::Secret(Box::new(hmac::Key::new(algorithm, secret)))
            }
            (Scheme::Rsa(algorithm), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                Prepared::Public(RsaPublicKeyComponents { n, e }.to_parsed_public_key(algorithm)?)
            }
            (Scheme::Rsa(algorithm), DecodingKeyKind::SecretOrDer(der)) => {
                Prepared::Public(ParsedPublicKey::new(algorithm, der)?)
            }
            (Scheme::Curve(algorithm), DecodingKeyKind::SecretOrDer(point)) => {
                Prepared::Public(ParsedPublicKey::new(algorithm, point)?)
            }
            _ => return Err(UnusableKey),
        };
        Ok(Self { algorithm: name, prepared: Arc::new(prepared) })
    }

    /// The algorithm this key is bound to, as a token's `alg` spells it.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// Whether `signature` is by this key over `message`.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        match &*self.prepared {
            Prepared::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Prepared::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKey({})", self.algorithm)
    }
}

/// The algorithm as RFC 7518 §3.1 and RFC 8037 §3.1 spell it in a token's `alg`, and as the library has it. `None` for one
/// that a later `jsonwebtoken` may know.
fn scheme(algorithm: Algorithm) -> Option<(&'static str, Scheme)> {
    Some(match algorithm {
        Algorithm::HS256 => ("HS256", Scheme::Hmac(hmac::HMAC_SHA256)),
        Algorithm::HS384 => ("HS384", Scheme::Hmac(hmac::HMAC_SHA384)),
        Algorithm::HS512 => ("HS512", Scheme::Hmac(hmac::HMAC_SHA512)),
        Algorithm::RS256 => ("RS256", Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA256)),
        Algorithm::RS384 => ("RS384", Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA384)),
        Algorithm::RS512 => ("RS512", Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA512)),
        Algorithm::PS256 => ("PS256", Scheme::Rsa(&RSA_PSS_2048_8192_SHA256)),
        Algorithm::PS384 => ("PS384", Scheme::Rsa(&RSA_PSS_2048_8192_SHA384)),
        Algorithm::PS512 => ("PS512", Scheme::Rsa(&RSA_PSS_2048_8192_SHA512)),
        Algorithm::ES256 => ("ES256", Scheme::Curve(&ECDSA_P256_SHA256_FIXED)),
        Algorithm::ES384 => ("ES384", Scheme::Curve(&ECDSA_P384_SHA384_FIXED)),
        Algorithm::EdDSA => ("EdDSA", Scheme::Curve(&ED25519)),
        _ => return None,
    })
}
