//! Refresh tokens: opaque, 256 bits of secret, known to us by hashes only.
//!
//! A token is `tbr_` and base64url of
//!
//! - the *handle* (16 random bytes), the same in every token of a family: what the family is found by, even when the token is
//!   an old one, so that reuse is noticed without keeping every token there ever was;
//! - the *secret* (32 bytes), different in each;
//! - a *checksum* (4 bytes): a token cut or mistyped is no token, rather than an old one whose reuse ends the family.
//!
//! The first secret is random. Each next one is an HMAC of the one before under a key derived from `token.secret`: a request
//! that is repeated gets the same successor on every replica, although no token is stored. Rejected: keeping the successor,
//! even sealed, until the grace is over.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::{DerivedKeys, NoRandomness};
use crate::session::HashedToken;

const PREFIX: &str = "tbr_";
const HANDLE_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
const BYTES: usize = HANDLE_BYTES + SECRET_BYTES + CHECKSUM_BYTES;

/// A refresh token in the clear: on its way to a client or just come from one.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    handle: [u8; HANDLE_BYTES],
    secret: [u8; SECRET_BYTES],
}

impl RefreshToken {
    /// The first token of a new family.
    ///
    /// # Errors
    /// Without a source of randomness.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut token = Self { handle: [0; HANDLE_BYTES], secret: [0; SECRET_BYTES] };
        rand::fill(&mut token.handle).map_err(|_| NoRandomness)?;
        rand::fill(&mut token.secret).map_err(|_| NoRandomness)?;
        Ok(token)
    }

    /// A token as a client sends it. `None`: we cannot have issued it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; BYTES];
        let encoded = text.strip_prefix(PREFIX)?;
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()?;
        let (handle, rest) = bytes.get(..length)?.split_first_chunk::<HANDLE_BYTES>()?;
        let (secret, checksum) = rest.split_first_chunk::<SECRET_BYTES>()?;
        let token = Self { handle: *handle, secret: *secret };
        (token.checksum() == checksum).then_some(token)
    }

    /// The text for the client. It must not be logged nor stored.
    #[must_use]
    pub fn expose(&self) -> String {
        let bytes = [&self.handle[..], &self.secret, &self.checksum()].concat();
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What its family is stored under.
    #[must_use]
    pub fn handle_hash(&self) -> HashedToken {
        HashedToken::of(&self.handle)
    }

    /// What itself is stored as. What is looked up or compared is the hash, so a timing tells nothing of the token.
    #[must_use]
    pub fn secret_hash(&self) -> HashedToken {
        HashedToken::of(&self.secret)
    }

    /// The token that replaces this one.
    #[must_use]
    pub fn successor(&self, keys: &DerivedKeys) -> Self {
        Self { handle: self.handle, secret: keys.tag(&self.secret) }
    }

    /// The successor that was stored as `hash`: the same as [`RefreshToken::successor`], unless `token.secret` was changed
    /// a moment ago.
    #[must_use]
    pub fn successor_stored_as(&self, hash: &HashedToken, keys: &DerivedKeys) -> Option<Self> {
        keys.tags(&self.secret)
            .map(|secret| Self { handle: self.handle, secret })
            .find(|successor| successor.secret_hash() == *hash)
    }

    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let text = [b"tokenbooth refresh token\0", &self.handle[..], &self.secret].concat();
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&digest::digest(&digest::SHA256, &text).as_ref()[..CHECKSUM_BYTES]);
        checksum
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: &str, previous: &[&str]) -> DerivedKeys {
        let previous: Vec<_> = previous.iter().map(|secret| (*secret).into()).collect();
        DerivedKeys::new(&current.into(), &previous, "refresh")
    }

    fn token() -> RefreshToken {
        RefreshToken::generate().expect("randomness")
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_not_otherwise() {
        let token = token();
        let text = token.expose();
        assert_eq!(RefreshToken::parse(&text), Some(token));
        for (index, byte) in text.bytes().enumerate() {
            let other = if byte == b'A' { "B" } else { "A" };
            let mut changed = text.clone();
            changed.replace_range(index..=index, other);
            assert_eq!(RefreshToken::parse(&changed), None, "character {index}");
        }
        for odd in [
            "",
            "tbr_",
            &text[..text.len() - 1],
            &format!("{text}A"),
            &format!("{text}="),
            &format!(" {text}"),
        ] {
            assert_eq!(RefreshToken::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_successor_is_the_same_every_time_and_of_the_same_family() {
        let (token, keys) = (token(), keys("one", &[]));
        let next = token.successor(&keys);
        assert_eq!(next, token.successor(&keys));
        assert_eq!(next.handle_hash(), token.handle_hash());
        assert_ne!(next.secret_hash(), token.secret_hash());
        assert_ne!(next.successor(&keys), next);
    }

    #[test]
    fn a_successor_made_under_the_previous_secret_is_known_again() {
        let token = token();
        let made = token.successor(&keys("old", &[]));
        let hash = made.secret_hash();
        assert_eq!(token.successor_stored_as(&hash, &keys("new", &["old"])), Some(made));
        assert_eq!(token.successor_stored_as(&hash, &keys("new", &[])), None);
    }

    #[test]
    fn nobody_sees_a_token_by_accident() {
        assert_eq!(format!("{:?}", token()), "RefreshToken(..)");
    }
}
