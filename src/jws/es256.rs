//! Private keys for ES256 as they are handed out in files: PKCS #8 in PEM (RFC 5958, RFC 7468).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

/// The key of a PEM text; an environment variable may have its line breaks as `\n`. `None` when it is no private key for
/// ES256.
///
/// Not `jsonwebtoken`'s own reader, which would add an ASN.1 parser for files that have one shape.
#[must_use]
pub fn es256_key(pem: &str) -> Option<EncodingKey> {
    let lines = pem.replace("\\n", "\n");
    let (_, rest) = lines.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    let key = EncodingKey::from_ec_der(&BASE64_STANDARD.decode(body).ok()?);
    crypto::sign(b"a try", &key, Algorithm::ES256).ok()?;
    Some(key)
}
