//! The key that signs our own tokens.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::UnusableKey;

/// The token could not be signed: claims that are no JSON, or the cryptographic library failed.
#[derive(Debug, thiserror::Error)]
#[error("the token cannot be signed: {0}")]
pub struct SigningError(String);

/// A key to sign with, prepared once, under a header that is always the same and is encoded once; `jsonwebtoken::encode` does
/// both for each token.
pub struct SigningKey {
    algorithm: Algorithm,
    key: Arc<Prepared>,
    /// In base64url already.
    header: String,
}

enum Prepared {
    Secret(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl SigningKey {
    /// Binds `key` to the header's algorithm: HS256, `EdDSA` or ES256.
    ///
    /// # Errors
    /// [`UnusableKey`] when the key does not fit the header's algorithm, or it is another one.
    #[expect(clippy::needless_pass_by_value, reason = "no second copy of the key is left behind")]
    pub fn new(header: &Header, key: EncodingKey) -> Result<Self, UnusableKey> {
        if key.family() != header.alg.family() {
            return Err(UnusableKey);
        }
        let bytes = key.as_bytes();
        let prepared = match header.alg {
            Algorithm::HS256 => Prepared::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes))),
            Algorithm::EdDSA => Prepared::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)?),
            Algorithm::ES256 => {
                Prepared::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)?)
            }
            _ => return Err(UnusableKey),
        };
        Ok(Self { algorithm: header.alg, key: Arc::new(prepared), header: encoded(header)? })
    }

    /// The same key under another header of its algorithm.
    ///
    /// # Errors
    /// [`UnusableKey`] when the header names another algorithm.
    pub fn under(&self, header: &Header) -> Result<Self, UnusableKey> {
        if header.alg != self.algorithm {
            return Err(UnusableKey);
        }
        Ok(Self { algorithm: self.algorithm, key: Arc::clone(&self.key), header: encoded(header)? })
    }

    /// The header of what this key signs, in base64url.
    #[must_use]
    pub fn header(&self) -> &str {
        &self.header
    }

    /// A compact JWS of `claims`.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign<C: Serialize>(&self, claims: &C) -> Result<String, SigningError> {
        let claims = serde_json::to_vec(claims).map_err(failed)?;
        let mut jws = String::with_capacity(self.header.len() + 2 * claims.len());
        jws.push_str(&self.header);
        jws.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut jws);
        let signature = self.key.signature(jws.as_bytes())?;
        jws.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
        Ok(jws)
    }
}

impl Prepared {
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        Ok(match self {
            Self::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::Ed25519(pair) => pair.try_sign(message).map_err(failed)?.as_ref().to_vec(),
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec(),
        })
    }
}

fn encoded(header: &Header) -> Result<String, UnusableKey> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(header).map_err(|_| UnusableKey)?))
}

fn failed(error: impl std::fmt::Display) -> SigningError {
    SigningError(error.to_string())
}
