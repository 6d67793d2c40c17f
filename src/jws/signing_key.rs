//! The key that signs our own tokens.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto};
use serde::Serialize;

use super::UnusableKey;

/// The token could not be signed: claims that are no JSON, or the cryptographic library failed.
#[derive(Debug, thiserror::Error)]
#[error("the token cannot be signed: {0}")]
pub struct SigningError(String);

/// A key to sign with, under a header that is always the same and is encoded once; `jsonwebtoken::encode` does so for each
/// token.
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
    /// In base64url already.
    header: String,
}

impl SigningKey {
    /// Binds `key` to the header's algorithm.
    ///
    /// # Errors
    /// [`UnusableKey`] when the key does not fit the header's algorithm.
    pub fn new(header: &Header, key: EncodingKey) -> Result<Self, UnusableKey> {
        crypto::sign(b"a try", &key, header.alg).map_err(|_| UnusableKey)?;
        let encoded = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(header).map_err(|_| UnusableKey)?);
        Ok(Self { algorithm: header.alg, key, header: encoded })
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
        let signature = crypto::sign(jws.as_bytes(), &self.key, self.algorithm).map_err(failed)?;
        jws.push('.');
        jws.push_str(&signature);
        Ok(jws)
    }
}

fn failed(error: impl std::fmt::Display) -> SigningError {
    SigningError(error.to_string())
}
