//! JWKs that a verifier must be able to step over: real key sets hold more than one kind of key.
//!
//! None of these has a private half; only their looks matter.

use serde_json::{Value, json};

use super::SigningKey;
use super::values::base64url;
use super::values::random_bytes;

/// A symmetric key (`kty: oct`), which has no business in a public set.
pub fn oct() -> Value {
    json!({ "kty": "oct", "kid": "junk-oct", "alg": "HS256", "k": base64url(random_bytes(32)) })
}

/// A P-384 key (`kty: EC`), labelled ES384.
pub fn ec() -> Value {
    let (x, y) = (base64url(random_bytes(48)), base64url(random_bytes(48)));
    json!({ "kty": "EC", "crv": "P-384", "kid": "junk-ec", "alg": "ES384", "use": "sig",
            "x": x, "y": y })
}

/// A key type nobody has heard of.
pub fn unknown_kind() -> Value {
    json!({ "kty": "QUANTUM", "kid": "junk-unknown", "q": "AQAB" })
}

/// A key for encryption (`use: enc`): `key` under its own `kid`, not to be verified with.
pub fn for_encryption(key: &SigningKey) -> Value {
    let mut jwk = key.jwk();
    jwk["use"] = json!("enc");
    jwk["alg"] = json!("RSA-OAEP");
    jwk
}

/// `key` without its `kid`.
pub fn without_kid(key: &SigningKey) -> Value {
    let mut jwk = key.jwk();
    if let Some(members) = jwk.as_object_mut() {
        members.remove("kid");
    }
    jwk
}

/// An RSA key of 1024 bits, below what RFC 7518 §3.3 allows.
pub fn weak_rsa() -> Value {
    rsa("junk-weak", 128)
}

/// `count` RSA keys of 2048 bits with `kid` `junk-0`, `junk-1`, …; 10 000 are some 4 MB of JSON.
pub fn many(count: usize) -> Vec<Value> {
    (0..count).map(|index| rsa(&format!("junk-{index}"), 256)).collect()
}

fn rsa(kid: &str, modulus_len: usize) -> Value {
    let mut n = random_bytes(modulus_len);
    // A modulus is odd, and its highest bit gives the key its size.
    if let Some(first) = n.first_mut() {
        *first |= 0x80;
    }
    if let Some(last) = n.last_mut() {
        *last |= 1;
    }
    json!({ "kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
            "n": base64url(n), "e": "AQAB" })
}
