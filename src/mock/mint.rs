//! Putting tokens together: well-formed ones from claims, and anything at all from raw text.
//!
//! The raw door ([`compact`]) signs what it is given, JSON or not, so that a test can send
//! duplicate members, a lying `alg`, or a signature made with the wrong kind of key.

use aws_lc_rs::hmac;

use super::SigningKey;
use super::values::base64url;

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
pub fn compact(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>, signature: Signature<'_>) -> String {
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
