//! Keys for what is not a JWT, derived from a key of the key set: one secret to keep, and no key serves two purposes.

use std::fmt;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

/// HMAC-SHA256 keys for one purpose: of the current secret, and of those that are still accepted.
pub struct DerivedKeys {
    /// The current one first.
    keys: Vec<hmac::Key>,
}

impl DerivedKeys {
    /// Keys for `purpose`, a short text that no other purpose has.
    #[must_use]
    pub fn new(secret: &SecretString, previous: &[SecretString], purpose: &str) -> Self {
        let key = |secret: &SecretString| hmac_key(secret.expose_secret().as_bytes(), purpose);
        Self { keys: std::iter::once(secret).chain(previous).map(key).collect() }
    }

    /// The key for `purpose` that is derived from this key material alone.
    pub(super) fn of_material(material: &[u8], purpose: &str) -> Self {
        Self { keys: vec![hmac_key(material, purpose)] }
    }

    /// The message's tag (32 bytes) under the current key.
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        tag(&self.keys[0], message)
    }

    /// The message's tag under each key, the current one first: while `token.secret` is being changed, one replica makes
    /// what another has to know again.
    pub fn tags<'a>(&'a self, message: &'a [u8]) -> impl Iterator<Item = [u8; 32]> + 'a {
        self.keys.iter().map(|key| tag(key, message))
    }
}

fn hmac_key(material: &[u8], purpose: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &derive(material, purpose))
}

/// Derives 32 bytes that tell nothing of the key material, nor of those for another purpose.
pub(super) fn derive(material: &[u8], purpose: &str) -> [u8; 32] {
    let master = hmac::Key::new(hmac::HMAC_SHA256, material);
    // A token of ours is an HMAC under the same master, but of a text that begins with base64url.
    tag(&master, format!("\0tokenbooth {purpose}").as_bytes())
}

fn tag(key: &hmac::Key, message: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hmac::sign(key, message).as_ref());
    bytes
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKeys(..)")
    }
}
