//! Refresh tokens: opaque, 256 bits of secret, known to us by hashes only.
//!
//! A token is `tbr_` and base64url of
//!
//! - the *handle* (16 random bytes), the same in every token of a family: what the family is found by, even when the token is
//!   an old one, so that reuse is noticed without keeping every token there ever was;
//! - the *secret* (32 bytes), different in each;
//! - a *checksum* (4 bytes): a token cut or mistyped is no token, rather than an old one whose reuse ends the family.
//!
//! The first secret is random. Each next one is an HMAC of the one before under a key derived from the key that signs: a request
//! that is repeated gets the same successor on every replica, although no token is stored. Rejected: keeping the successor,
//! even sealed, until the grace is over. Its first bytes name that key, so that a successor which somebody could compute who has
//! a leaked key and an old token is rejected once the key was retired.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::carried::SuccessorKeys;
use super::{NoRandomness, RingKey};
use crate::session::HashedToken;

const PREFIX: &str = "tbr_";
const HANDLE_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
/// Of a secret that was derived: the mark of the key.
const MARK_BYTES: usize = 4;
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

    /// Returns the token that replaces this one, made with the key that signs now.
    #[must_use]
    pub fn successor(&self, keys: &SuccessorKeys) -> Option<Self> {
        keys.keys.first().map(|key| self.made_with(key))
    }

    /// Returns the successor that was stored as `hash`: the same as [`RefreshToken::successor`], unless another key began to
    /// sign a moment ago, or a replica of an earlier version made it, without a mark.
    #[must_use]
    pub fn successor_stored_as(&self, hash: &HashedToken, keys: &SuccessorKeys) -> Option<Self> {
        let unmarked =
            |key: &RingKey| Self { secret: key.carried().successors().tag(&self.secret), ..self.clone() };
        keys.keys
            .iter()
            .flat_map(|key| [self.made_with(key), unmarked(key)])
            .find(|successor| successor.secret_hash() == *hash)
    }

    /// Whether this token was made with a key that was retired since. `derived`: it is not the first of its family, which is
    /// random; one that is derived and bears no mark was made by an earlier version, with a secret of the settings.
    #[must_use]
    pub fn is_of_retired_key(&self, derived: bool, keys: &SuccessorKeys) -> bool {
        let mark = self.secret.first_chunk().copied().unwrap_or_default();
        let unmarked = derived && !keys.marks.known.contains(&mark);
        keys.marks.retired.contains(&mark) || (unmarked && keys.marks.a_secret_is_retired)
    }

    fn made_with(&self, key: &RingKey) -> Self {
        let mut secret = key.carried().successors().tag(&self.secret);
        secret[..MARK_BYTES].copy_from_slice(&mark_of(key.id()));
        Self { handle: self.handle, secret }
    }

    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let text = [b"tokenbooth refresh token\0", &self.handle[..], &self.secret].concat();
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&digest::digest(&digest::SHA256, &text).as_ref()[..CHECKSUM_BYTES]);
        checksum
    }
}

/// What names a key within the tokens that were made with it.
pub(super) type KeyMark = [u8; MARK_BYTES];

/// Returns the mark of the key with this id.
pub(super) fn mark_of(kid: &str) -> KeyMark {
    let mut mark = [0; MARK_BYTES];
    let text = [b"tokenbooth key\0", kid.as_bytes()].concat();
    mark.copy_from_slice(&digest::digest(&digest::SHA256, &text).as_ref()[..MARK_BYTES]);
    mark
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::stored_key::{KeyAlgorithm, StoredKey};
    use crate::token::jwk::key_id;
    use crate::token::{DerivedKeys, Keyring};

    const NOW: Timestamp = Timestamp(1_800_000_000);

    /// The key set with this secret and those before it, of which some are retired.
    fn keys(current: &str, previous: &[&str], retired: &[&str]) -> SuccessorKeys {
        let previous: Vec<_> = previous.iter().map(|secret| (*secret).into()).collect();
        let row = |secret: &&str| StoredKey {
            id: key_id(secret.as_bytes()),
            algorithm: KeyAlgorithm::Hs256,
            material: None,
            created_at: NOW,
            signs_from: None,
            retired_at: Some(NOW),
        };
        let rows: Vec<StoredKey> = retired.iter().map(row).collect();
        let keyring = Keyring::new(&current.into(), &previous).expect("a keyring");
        keyring.with(&rows, 1800, |_| None).expect("a keyring").successor_keys(NOW)
    }

    /// A successor as versions before marks made it.
    fn unmarked(token: &RefreshToken, secret: &str) -> RefreshToken {
        let keys = DerivedKeys::new(&secret.into(), &[], "refresh token");
        RefreshToken { handle: token.handle, secret: keys.tag(&token.secret) }
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
        let (token, keys) = (token(), keys("one", &[], &[]));
        let next = token.successor(&keys).expect("a key signs");
        assert_eq!(Some(&next), token.successor(&keys).as_ref());
        assert_eq!(next.handle_hash(), token.handle_hash());
        assert_ne!(next.secret_hash(), token.secret_hash());
        assert_ne!(next.successor(&keys), Some(next));
    }

    #[test]
    fn a_successor_made_under_the_previous_secret_or_by_an_earlier_version_is_known_again() {
        let token = token();
        for made in [token.successor(&keys("old", &[], &[])).expect("a key signs"), unmarked(&token, "old")] {
            let hash = made.secret_hash();
            assert_eq!(token.successor_stored_as(&hash, &keys("new", &["old"], &[])), Some(made));
            assert_eq!(token.successor_stored_as(&hash, &keys("new", &[], &[])), None);
            assert_eq!(token.successor_stored_as(&hash, &keys("new", &["old"], &["old"])), None);
        }
    }

    #[test]
    fn a_token_that_was_made_with_a_retired_key_is_known_by_its_mark() {
        let token = token();
        let after = keys("new", &["old"], &["old"]);
        for made in [token.successor(&keys("old", &[], &[])).expect("a key signs"), unmarked(&token, "old")] {
            assert!(made.is_of_retired_key(true, &after));
            assert!(!made.is_of_retired_key(true, &keys("new", &["old"], &[])));
        }
        assert!(!token.is_of_retired_key(false, &after), "the first of a family is random");
        let made = token.successor(&after).expect("a key signs");
        assert!(!made.is_of_retired_key(true, &after));
    }

    #[test]
    fn nobody_sees_a_token_by_accident() {
        assert_eq!(format!("{:?}", token()), "RefreshToken(..)");
    }
}
