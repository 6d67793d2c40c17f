//! The small values everything here is made of: digests, random text, JSON members, the time.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use uuid::Uuid;

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
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
#[expect(clippy::disallowed_methods, reason = "the mock stands on its own, without the crate's `Clock`")]
pub(super) fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_secs()).ok())
        .unwrap_or_default()
}

pub(super) fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes.as_ref()))
}

/// Bytes unlike any before; taken from UUIDs since those cannot fail.
pub(super) fn random_bytes(len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| Uuid::new_v4().into_bytes()).flatten().take(len).collect()
}

/// Random text in the alphabet of GitHub's and Google's opaque tokens.
pub(super) fn random_base62(len: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    random_bytes(len)
        .into_iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect()
}
