//! A compact JWS (RFC 7515 §3.1), read strictly: the one door through which every signed token comes, ours or a
//! provider's.
//!
//! `jsonwebtoken` reads keys and signs, `aws-lc-rs` verifies with keys prepared once. `jsonwebtoken::decode` is not used:
//! it accepts an unknown `crit`, `b64: false`, any `typ`, a missing `aud` or `iss`, an `iat` in the future and
//! `exp = u64::MAX` (measured on 11.1.0), and it decodes eight megabytes before it looks at a signature. Here the cheapest
//! refusal comes first, the algorithm is a property of our key and never of the token, and the claims come out only after
//! the signature was checked.

mod es256;
mod signing_key;
mod verification_key;

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use memchr::memchr_iter;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};

pub use self::es256::es256_key;
pub use self::signing_key::{SigningError, SigningKey};
pub use self::verification_key::{UnusableKey, VerificationKey};

/// What a token's header says of itself. Only good for choosing a key.
#[derive(Debug, Clone, Deserialize)]
pub struct UnverifiedHeader {
    /// The algorithm, as text: an unknown one is a refusal with its name, not a parse error.
    pub alg: String,
    /// Key id.
    #[serde(default, deserialize_with = "present")]
    pub kid: Option<String>,
    /// Media type (RFC 7515 §4.1.9), for our own tokens `at+jwt`.
    #[serde(default, deserialize_with = "present")]
    pub typ: Option<String>,
    /// Extensions that must be understood (RFC 7515 §4.1.11). We understand none.
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    /// Unencoded payload (RFC 7797). Not for a JWT.
    #[serde(default, deserialize_with = "present")]
    b64: Option<IgnoredAny>,
}

/// Why a compact JWS was refused. The text is for the caller; it never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than the limit, in bytes.
    #[error("the token has {length} bytes, at most {limit} are accepted")]
    TooLong {
        /// What was received.
        length: usize,
        /// What is accepted.
        limit: usize,
    },
    /// Not `header.payload.signature`.
    #[error("a JWT has three parts separated by dots, this has {0}")]
    NotThreeParts(String),
    /// The header is not base64url, not JSON, or repeats a member.
    #[error("the token's header is not a JSON object in base64url without padding: {0}")]
    Header(String),
    /// `crit` or `b64`.
    #[error("the token's header has \"{0}\", an extension that is not accepted here")]
    Extension(&'static str),
    /// The token names another algorithm than the key's.
    #[error("the token's algorithm is {received}, this key is for {expected} only")]
    Algorithm {
        /// The header's `alg`, shortened.
        received: String,
        /// The key's.
        expected: &'static str,
    },
    /// The signature is not by this key over these bytes.
    #[error("the token's signature is wrong")]
    Signature,
    /// The payload is not a JSON object with the claims it must have, each of its type and at most once.
    #[error("the token's claims are not as they must be: {0}")]
    Claims(String),
}

/// The parts of a compact JWS, none of them read.
#[derive(Debug, Clone, Copy)]
pub struct JwsParts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// Header and payload, as they were signed.
    signing_input: &'a str,
}

impl<'a> JwsParts<'a> {
    /// Takes the token apart. Costs nothing that grows with a token longer than `limit` bytes.
    ///
    /// # Errors
    /// [`JwsError::TooLong`], [`JwsError::NotThreeParts`].
    pub fn split(token: &'a str, limit: usize) -> Result<Self, JwsError> {
        if token.len() > limit {
            return Err(JwsError::TooLong { length: token.len(), limit });
        }
        let not_three = || {
            let parts = token.split('.').count();
            JwsError::NotThreeParts(if parts > 3 { "more".to_owned() } else { parts.to_string() })
        };
        let mut dots = memchr_iter(b'.', token.as_bytes());
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(not_three());
        };
        Ok(Self {
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
            signing_input: &token[..second],
        })
    }

    /// The header as it stands, in base64url.
    #[must_use]
    pub fn header(&self) -> &'a str {
        self.header
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`JwsError::Header`], [`JwsError::Extension`].
    pub fn read_header(self) -> Result<UnverifiedJws<'a>, JwsError> {
        let header: UnverifiedHeader = from_base64url_json(self.header).map_err(JwsError::Header)?;
        if header.crit.is_some() {
            return Err(JwsError::Extension("crit"));
        }
        if header.b64.is_some() {
            return Err(JwsError::Extension("b64"));
        }
        Ok(UnverifiedJws { header, parts: self })
    }

    /// Checks the signature, and only then decodes the payload. For callers that know already that the header names this
    /// key's algorithm; [`UnverifiedJws::verify`] checks that too.
    ///
    /// # Errors
    /// Returns [`JwsError::Signature`], or [`JwsError::Claims`] for a payload that is not base64url.
    pub fn verify(&self, key: &VerificationKey) -> Result<VerifiedPayload, JwsError> {
        let signature = BASE64_URL_SAFE_NO_PAD.decode(self.signature).map_err(|_| JwsError::Signature)?;
        if !key.accepts(self.signing_input.as_bytes(), &signature) {
            return Err(JwsError::Signature);
        }
        from_base64url(self.payload).map(VerifiedPayload).map_err(JwsError::Claims)
    }
}

/// The payload of a token whose signature was checked.
pub struct VerifiedPayload(Vec<u8>);

impl VerifiedPayload {
    /// Reads the claims; they may borrow their text from the payload.
    ///
    /// # Errors
    /// Returns [`JwsError::Claims`] if they do not fit `C`.
    pub fn claims<'a, C: Deserialize<'a>>(&'a self) -> Result<C, JwsError> {
        from_json(&self.0).map_err(JwsError::Claims)
    }
}

/// A compact JWS whose form is right and of which nothing is verified.
#[derive(Debug)]
pub struct UnverifiedJws<'a> {
    header: UnverifiedHeader,
    parts: JwsParts<'a>,
}

impl<'a> UnverifiedJws<'a> {
    /// Takes the token apart and reads its header.
    ///
    /// # Errors
    /// Everything that can be said without a key: length, parts, header, extensions.
    pub fn parse(token: &'a str, limit: usize) -> Result<Self, JwsError> {
        JwsParts::split(token, limit)?.read_header()
    }

    /// What the token says of itself, to choose a key by.
    #[must_use]
    pub fn header(&self) -> &UnverifiedHeader {
        &self.header
    }

    /// Checks algorithm and signature, and only then decodes the payload.
    ///
    /// # Errors
    /// Returns [`JwsError::Algorithm`], [`JwsError::Signature`], or [`JwsError::Claims`].
    pub fn verify(&self, key: &VerificationKey) -> Result<VerifiedPayload, JwsError> {
        let algorithm = key.algorithm();
        if self.header.alg != algorithm {
            let received = Quoted(&self.header.alg).to_string();
            return Err(JwsError::Algorithm { received, expected: algorithm });
        }
        self.parts.verify(key)
    }

    /// The claims as they stand, to *explain* a token to its owner. Nothing may be decided by them.
    ///
    /// # Errors
    /// [`JwsError::Claims`] when they do not fit `C`.
    pub fn unverified_claims<C: DeserializeOwned>(&self) -> Result<C, JwsError> {
        from_base64url_json(self.parts.payload).map_err(JwsError::Claims)
    }

    /// The header with all its members, to explain a token.
    ///
    /// # Errors
    /// [`JwsError::Header`]; not after a successful [`UnverifiedJws::parse`].
    pub fn unverified_header(&self) -> Result<serde_json::Value, JwsError> {
        from_base64url_json(self.parts.header).map_err(JwsError::Header)
    }
}

/// Whether `token` has the outer shape of a signed JWT, to tell an ID token from an opaque access token.
/// Google's opaque tokens have dots too, so the first part must be a JSON object.
#[must_use]
pub fn looks_like_a_jwt(token: &str) -> bool {
    let mut parts = token.split('.');
    let header = parts.next().unwrap_or_default();
    parts.count() == 2 && header.len() <= 4096 && from_base64url_json::<serde_json::Map<_, _>>(header).is_ok()
}

/// For `Option` members: a member that is there must have the right type. Serde alone reads `"exp": null` as absent,
/// which is how a wrongly typed claim slips through (CVE-2026-25537).
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Text from a token, for a message: in quotes, without control characters, at most 80 characters.
pub(crate) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        let shown: String = characters.by_ref().take(80).collect();
        let more = if characters.next().is_some() { "…" } else { "" };
        write!(f, "\"{}{more}\"", shown.escape_debug())
    }
}

/// Canonical base64url without padding, then a JSON object of the wanted shape. The error says where, never what.
fn from_base64url_json<T: DeserializeOwned>(part: &str) -> Result<T, String> {
    from_json(&from_base64url(part)?)
}

fn from_base64url(part: &str) -> Result<Vec<u8>, String> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| "not base64url without padding".to_owned())
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    // Serde passes over what is no UTF-8 in a member that nobody reads; and it reads a struct from an array of its
    // members' values, which is no header and no claims set.
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    // Read again only to name the member that is wrong: the usual token does not pay for it.
    serde_json::from_str(text).map_err(|_| json_problem::<T>(bytes))
}

/// What is wrong with a JSON text that is no `T`, without any of its values: serde's own message quotes them.
pub(crate) fn json_problem<'a, T: Deserialize<'a>>(text: &'a [u8]) -> String {
    let deserializer = &mut serde_json::Deserializer::from_slice(text);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(deserializer) else {
        return "something follows the JSON value".to_owned();
    };
    let (path, error) = (error.path().to_string(), error.into_inner());
    if error.classify() != serde_json::error::Category::Data {
        return format!("not JSON (line {}, column {})", error.line(), error.column());
    }
    let message = error.to_string();
    let message = message.split(" at line").next().unwrap_or_default();
    if message.starts_with("unknown field ") {
        return message.split(", ").next().unwrap_or_default().replace('`', "\"");
    }
    // "invalid type: string "…", expected i64": what was met is left out, what was expected is kept.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => {
            let expected = expected.replace("i64", "an integer").replace('`', "\"");
            format!("\"{path}\" has the wrong type, expected {expected}")
        }
        None => message.replace('`', "\""),
    }
}
