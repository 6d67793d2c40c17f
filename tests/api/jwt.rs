//! A JWT from the outside.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// base64url without padding.
pub fn bytes(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// Header (0) or claims (1).
pub fn decoded(jwt: &str, index: usize) -> Value {
    let part = jwt.split('.').nth(index).expect("a part");
    serde_json::from_slice(&bytes(part)).expect("JSON")
}

/// The key it says it was signed with.
pub fn kid_of(jwt: &str) -> String {
    decoded(jwt, 0)["kid"].as_str().expect("a kid").to_owned()
}
