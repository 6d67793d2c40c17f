//! Values that a client carries for us and can neither read nor change: authenticated encryption instead of a table.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::derived::derive;

/// Longest text that is looked at, in bytes. A browser keeps no longer cookie (RFC 6265 §6.1).
const MAX_SEALED_BYTES: usize = 4096;

/// Seals and unseals values for one purpose. What was sealed for another does not unseal.
///
/// AES-256-GCM-SIV (RFC 8452), not GCM: anybody may have as many values sealed as he likes, and here two random nonces that
/// meet tell no more than that two values are equal.
pub struct SealingKeys {
    /// The current one first; the others only unseal.
    keys: Vec<RandomizedNonceKey>,
}

/// The cryptographic library did not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("a value could not be sealed")]
pub struct SealError;

impl SealingKeys {
    /// Keys for `purpose`, a short text that no other purpose has.
    ///
    /// # Errors
    /// When the library takes no such key; it takes every 32 bytes.
    pub fn new(secret: &SecretString, previous: &[SecretString], purpose: &str) -> Result<Self, SealError> {
        let key = |secret: &SecretString| nonce_key(secret.expose_secret().as_bytes(), purpose);
        Ok(Self { keys: std::iter::once(secret).chain(previous).map(key).collect::<Result<_, _>>()? })
    }

    /// The key for `purpose` that is derived from this key material alone.
    pub(super) fn of_material(material: &[u8], purpose: &str) -> Result<Self, SealError> {
        Ok(Self { keys: vec![nonce_key(material, purpose)?] })
    }

    /// The value under the current key: nonce, ciphertext and tag in base64url.
    ///
    /// # Errors
    /// Without a source of randomness.
    pub fn seal(&self, value: &impl Serialize) -> Result<String, SealError> {
        let mut text = serde_json::to_vec(value).map_err(|_| SealError)?;
        let nonce = self.keys[0].seal_in_place_append_tag(Aad::empty(), &mut text).map_err(|_| SealError)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&nonce.as_ref()[..], &text].concat()))
    }

    /// The value that was sealed, under any of the keys. `None`: not by us, not for this purpose, or changed.
    #[must_use]
    pub fn unseal<T: DeserializeOwned>(&self, sealed: &str) -> Option<T> {
        if sealed.len() > MAX_SEALED_BYTES {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut text = rest.to_vec();
            let text = key.open_in_place(Nonce::from(nonce), Aad::empty(), &mut text).ok()?;
            serde_json::from_slice(text).ok()
        })
    }
}

fn nonce_key(material: &[u8], purpose: &str) -> Result<RandomizedNonceKey, SealError> {
    RandomizedNonceKey::new(&AES_256_GCM_SIV, &derive(material, purpose)).map_err(|_| SealError)
}

impl SealingKeys {
    /// Whether it was sealed under the current key, and needs none of the earlier ones.
    #[must_use]
    pub fn is_current(&self, sealed: &str) -> bool {
        let opens = |bytes: Vec<u8>| {
            let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
            self.keys
                .first()?
                .open_in_place(Nonce::from(nonce), Aad::empty(), &mut text.to_vec())
                .ok()
                .map(drop)
        };
        BASE64_URL_SAFE_NO_PAD.decode(sealed).ok().and_then(opens).is_some()
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[&str], purpose: &str) -> SealingKeys {
        let secrets: Vec<SecretString> = secrets.iter().map(|text| SecretString::from(*text)).collect();
        SealingKeys::new(&secrets[0], &secrets[1..], purpose).expect("keys")
    }

    #[test]
    fn a_value_comes_back_only_unchanged_and_for_its_purpose() {
        let ours = keys(&["a secret"], "one");
        let sealed = ours.seal(&("alice", 7)).expect("sealed");
        assert_eq!(ours.unseal::<(String, i64)>(&sealed), Some(("alice".to_owned(), 7)));
        assert_ne!(ours.seal(&("alice", 7)).expect("sealed"), sealed);
        assert_eq!(keys(&["a secret"], "two").unseal::<(String, i64)>(&sealed), None);
        assert_eq!(keys(&["another"], "one").unseal::<(String, i64)>(&sealed), None);
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("text");
            // The last character may hold bits that are no part of the value, and then it is not accepted either.
            assert_eq!(ours.unseal::<(String, i64)>(&changed), None, "changed at {at}");
        }
        for length in 0..sealed.len() {
            assert_eq!(ours.unseal::<(String, i64)>(&sealed[..length]), None);
        }
    }

    #[test]
    fn a_previous_secret_still_unseals() {
        let sealed = keys(&["old"], "one").seal(&1).expect("sealed");
        assert_eq!(keys(&["new", "old"], "one").unseal(&sealed), Some(1));
        assert!(
            keys(&["old"], "one").is_current(&sealed) && !keys(&["new", "old"], "one").is_current(&sealed)
        );
        let by_new = keys(&["new", "old"], "one").seal(&1).expect("sealed");
        assert_eq!(keys(&["old"], "one").unseal::<i32>(&by_new), None);
    }
}
