//! The keys that sign and verify our own tokens, by `kid`.

use std::fmt;

use aws_lc_rs::digest;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};

use crate::jws::{SigningKey, UnusableKey, VerificationKey};

/// The media type of our access tokens (RFC 9068 §2.1), so that no other kind of JWT passes for one.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// One key that signs, and every key that is still accepted.
pub struct Keyring {
    /// The first one signs. A ring has one and perhaps a few old ones: a list beats a map.
    keys: Vec<Key>,
}

struct Key {
    id: String,
    signing: SigningKey,
    verification: VerificationKey,
}

impl Keyring {
    /// HS256 with `secret`, which also verifies; tokens signed with one of `previous` are still accepted.
    /// The bytes of the text are the key, so any other JWT library can be given the same secret.
    ///
    /// # Errors
    /// When the cryptographic library takes no such key; it takes every secret of a byte or more.
    pub fn new(secret: &SecretString, previous: &[SecretString]) -> Result<Self, UnusableKey> {
        let keys = std::iter::once(secret).chain(previous).map(Key::new).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The key that signs.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.keys[0].signing
    }

    /// The key of this id, when we know it.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&VerificationKey> {
        self.keys.iter().find(|key| key.id == kid).map(|key| &key.verification)
    }

    /// The key under which we write exactly this header (in base64url): its `alg`, `typ` and `kid` need not be read then.
    /// Any other header is read in full. The figure is in docs/PERFORMANCE.md.
    #[must_use]
    pub fn find_by_header(&self, header: &str) -> Option<&VerificationKey> {
        self.keys.iter().find(|key| key.signing.header() == header).map(|key| &key.verification)
    }
}

impl Key {
    fn new(secret: &SecretString) -> Result<Self, UnusableKey> {
        let (id, bytes) = (key_id(secret), secret.expose_secret().as_bytes());
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(ACCESS_TOKEN_TYPE.to_owned());
        header.kid = Some(id.clone());
        let signing = SigningKey::new(&header, EncodingKey::from_secret(bytes))?;
        let verification = VerificationKey::new(Algorithm::HS256, &DecodingKey::from_secret(bytes))?;
        Ok(Self { id, signing, verification })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(..)")
    }
}

/// A short name for a secret, the same on every replica: the first 8 bytes of a labelled SHA-256, in hex. It tells no
/// more than a token does, which holds an HMAC of the same secret.
fn key_id(secret: &SecretString) -> String {
    let labelled = [b"tokenbooth kid\0", secret.expose_secret().as_bytes()].concat();
    let digest = digest::digest(&digest::SHA256, &labelled);
    hex::encode(digest.as_ref().get(..8).unwrap_or_default())
}
