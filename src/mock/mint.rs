//! Putting tokens together: well-formed ones from claims, and anything at all from raw text.
//!
//! The raw door ([`compact`]) signs what it is given, JSON or not, so that a test can send
//! duplicate members, a lying `alg`, or a signature made with the wrong kind of key.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::SigningKey;
use super::keys::base64url;

/// What goes into the third part of a JWS.
#[derive(Debug, Clone, Copy)]
pub enum Signature<'a> {
    /// A true signature, RS256 or ES256 by the kind of key.
    Key(&'a SigningKey),
    /// HMAC-SHA256 over these secret bytes, for instance a public key's PEM, DER or JWK text.
    Hs256(&'a [u8]),
    /// These bytes, whatever they are.
    Bytes(&'a [u8]),
    /// Nothing: the third part is empty, as with `alg: none` (RFC 7515, appendix A.5).
    Empty,
}

/// `base64url(header) . base64url(payload) . base64url(signature)` (RFC 7515 §7.1), with header and
/// payload taken as they are.
///
/// ```
/// use tokenbooth::mock::{Signature, compact};
///
/// let forged = compact(r#"{"alg":"none"}"#, r#"{"sub":"1","sub":"2"}"#, Signature::Empty);
/// assert!(forged.ends_with('.'));
/// ```
pub fn compact(
    header: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    signature: Signature<'_>,
) -> String {
    let signed = format!("{}.{}", base64url(header), base64url(payload));
    let signature = match signature {
        Signature::Key(key) => key.sign(signed.as_bytes()),
        Signature::Hs256(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        Signature::Bytes(bytes) => bytes.to_vec(),
        Signature::Empty => Vec::new(),
    };
    format!("{signed}.{}", base64url(signature))
}

/// Lays `changes` over `members`: a value replaces, `null` removes, anything but an object changes
/// nothing.
pub(super) fn lay_over(members: &mut Map<String, Value>, changes: Value) {
    let Value::Object(changes) = changes else {
        return;
    };
    for (name, value) in changes {
        match value {
            Value::Null => members.remove(&name),
            value => members.insert(name, value),
        };
    }
}

/// Seconds since 1970: the one place where the mock reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the mock stands on its own, without the crate's `Clock`"
)]
pub(super) fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|age| age.as_secs() as i64)
        .unwrap_or_default()
}

pub(super) fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    digest::digest(&digest::SHA256, bytes.as_ref())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Bytes unlike any before; taken from UUIDs since those cannot fail.
pub(super) fn random_bytes(len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| Uuid::new_v4().into_bytes())
        .flatten()
        .take(len)
        .collect()
}

/// Random text in the alphabet of GitHub's and Google's opaque tokens.
pub(super) fn random_base62(len: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    random_bytes(len)
        .into_iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect()
}
