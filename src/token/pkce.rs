//! Proof Key for Code Exchange (RFC 7636): whoever redeems a code is who asked for it. Only `S256`; `plain` proves nothing to
//! whoever saw the request.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// SHA-256 of a verifier in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// A challenge as a client sends it: 43 characters of base64url. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (text.len() == 43 && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The challenge that belongs to a verifier (RFC 7636 §4.2).
    #[must_use]
    pub fn of(verifier: &str) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes())))
    }

    /// Whether this is the verifier's. One of another length than 43 to 128, or with other characters, is none (§4.1).
    #[must_use]
    pub fn is_of(&self, verifier: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        (43..=128).contains(&verifier.len())
            && verifier.bytes().all(plain)
            && verify_slices_are_equal(Self::of(verifier).0.as_bytes(), self.0.as_bytes()).is_ok()
    }

    /// As it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn a_challenge_is_of_its_verifier_and_of_no_other() {
        let challenge = CodeChallenge::parse(CHALLENGE).expect("a challenge");
        assert_eq!(CodeChallenge::of(VERIFIER), challenge);
        assert!(challenge.is_of(VERIFIER));
        for other in ["", CHALLENGE, &VERIFIER[1..], &VERIFIER.to_lowercase(), &format!("{VERIFIER}a")] {
            assert!(!challenge.is_of(other), "{other}");
        }
        for length in [42, 129] {
            let verifier = "a".repeat(length);
            assert!(!CodeChallenge::of(&verifier).is_of(&verifier), "{length}");
        }
        assert!(CodeChallenge::of(&"~".repeat(128)).is_of(&"~".repeat(128)));
        let odd = format!("{}+", "a".repeat(43));
        assert!(!CodeChallenge::of(&odd).is_of(&odd));
    }

    #[test]
    fn what_is_no_challenge_is_refused() {
        for text in [
            "",
            VERIFIER.get(1..).unwrap_or_default(),
            &format!("{CHALLENGE}="),
            &CHALLENGE.replace('-', "+"),
        ] {
            assert_eq!(CodeChallenge::parse(text), None, "{text}");
        }
    }
}
