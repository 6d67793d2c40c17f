//! Authorization codes: whom each stands for, what it was asked for with, and that it works once.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_lc_rs::digest;

use super::authorize::AuthorizationRequest;
use super::lock;
use super::values::{base64url, unix_now};

/// How long a code lives, in seconds: what RFC 6749 §4.1.2 recommends at most, and what GitHub says of its own.
const LIFETIME: i64 = 600;

/// The codes that one provider gave out and that were not redeemed.
#[derive(Default)]
pub(super) struct Codes {
    outstanding: Mutex<HashMap<String, Code>>,
}

/// What a code stands for.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) request: AuthorizationRequest,
    /// The name of the person who agreed.
    pub(super) person: String,
    expires_at: i64,
}

/// What a client shows to get a code's token.
pub(super) struct Redemption<'a> {
    pub(super) code: &'a str,
    /// `None` is no mismatch: whether it may be left out is the provider's rule.
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) verifier: Option<&'a str>,
}

/// Why a code was not redeemed; it stays good for whoever can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCode {
    /// Never given out, spent, or too old.
    Unknown,
    OtherRedirectUri,
    WrongVerifier,
}

impl Codes {
    pub(super) fn issue(&self, code: &str, request: AuthorizationRequest, person: String) {
        let expires_at = unix_now().saturating_add(LIFETIME);
        lock(&self.outstanding).insert(code.to_owned(), Code { request, person, expires_at });
    }

    /// Checks and spends the code in one step, so that of many who try at once one succeeds.
    pub(super) fn redeem(&self, shown: &Redemption<'_>) -> Result<Code, BadCode> {
        let mut outstanding = lock(&self.outstanding);
        let code = outstanding.get(shown.code).ok_or(BadCode::Unknown)?;
        if code.expires_at <= unix_now() {
            return Err(BadCode::Unknown);
        }
        if shown.redirect_uri.is_some_and(|uri| uri != code.request.redirect_uri) {
            return Err(BadCode::OtherRedirectUri);
        }
        if !answers(code.request.challenge.as_deref(), shown.verifier) {
            return Err(BadCode::WrongVerifier);
        }
        outstanding.remove(shown.code).ok_or(BadCode::Unknown)
    }

    pub(super) fn forget(&self) {
        lock(&self.outstanding).clear();
    }
}

/// Whether the verifier is the challenge's (RFC 7636 §4.6). One without a challenge is refused, since somebody took the
/// challenge away (RFC 9700 §4.8.2).
fn answers(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            is_verifier(verifier)
                && base64url(digest::digest(&digest::SHA256, verifier.as_bytes())) == challenge
        }
        _ => false,
    }
}

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_rfc_7636_answers_its_challenge() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(answers(Some(challenge), Some(verifier)));
        assert!(!answers(Some(challenge), Some(challenge)));
        assert!(!answers(Some(challenge), None));
        assert!(!answers(None, Some(verifier)));
        assert!(answers(None, None));
    }

    #[test]
    fn a_code_is_spent_by_the_first_who_can_redeem_it() {
        let codes = Codes::default();
        let request = AuthorizationRequest { redirect_uri: "http://here/".into(), ..Default::default() };
        codes.issue("code", request, "alice".into());
        let with = |redirect_uri, verifier| Redemption { code: "code", redirect_uri, verifier };
        let tried = |redirect_uri, verifier| codes.redeem(&with(redirect_uri, verifier)).err();
        assert_eq!(tried(Some("http://there/"), None), Some(BadCode::OtherRedirectUri));
        assert_eq!(tried(Some("http://here/"), Some("short")), Some(BadCode::WrongVerifier));
        assert_eq!(tried(Some("http://here/"), None), None);
        assert_eq!(tried(Some("http://here/"), None), Some(BadCode::Unknown));
    }
}
