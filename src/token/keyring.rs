//! The keys that sign and verify our own tokens, by `kid`.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};

use super::jwk::{PrivateJwk, PublicJwk, key_id};
use super::schedule::Schedule;
use crate::clock::Timestamp;
use crate::jws::{SigningKey, UnusableKey, VerificationKey};
use crate::stored_key::StoredKey;

/// The media type of our access tokens (RFC 9068 §2.1), so that no other kind of JWT passes for one.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The media type of the list of what was revoked, so that it and an access token never pass for each other.
pub const REVOCATIONS_TYPE: &str = "revocations+jwt";

/// One key that signs, and every key that is still accepted, at any moment: what changes with time alone is decided when a
/// token comes.
pub struct Keyring {
    /// Of `token.secret`: signs while no other one does.
    base: Arc<RingKey>,
    /// Of `token.previous_secrets`: verify for as long as they are there.
    previous: Vec<Arc<RingKey>>,
    /// The latest to sign first, then those that only verify. A ring has a few: a list beats a map.
    slots: Vec<Slot>,
}

struct Slot {
    key: Arc<RingKey>,
    signs_from: Option<Timestamp>,
    ends: Option<Timestamp>,
}

/// A key, ready for use.
pub struct RingKey {
    id: String,
    signing: SigningKey,
    verification: VerificationKey,
    /// Of a key with a public half: that half, and the same key for [`REVOCATIONS_TYPE`].
    public: Option<(PublicJwk, SigningKey)>,
}

/// The ring would have no key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every key was retired, and none is left to sign with")]
pub struct NoSigningKey;

impl Keyring {
    /// HS256 with `secret`, which also verifies; tokens signed with one of `previous` are still accepted.
    /// The bytes of the text are the key, so any other JWT library can be given the same secret.
    ///
    /// # Errors
    /// When the cryptographic library takes no such key; it takes every secret of a byte or more.
    pub fn new(secret: &SecretString, previous: &[SecretString]) -> Result<Self, UnusableKey> {
        let base = Arc::new(RingKey::of_secret(secret)?);
        let previous = previous.iter().map(|secret| RingKey::of_secret(secret).map(Arc::new));
        let previous = previous.collect::<Result<Vec<_>, _>>()?;
        let first = Slot { key: Arc::clone(&base), signs_from: Some(Timestamp(i64::MIN)), ends: None };
        let slots = std::iter::once(first).chain(previous.iter().map(Slot::verifying)).collect();
        Ok(Self { base, previous, slots })
    }

    /// The same secrets beside the keys of these rows, of which `key` knows how to make one ready; one that it cannot is left
    /// out. `life` is that of tokens, in seconds.
    ///
    /// # Errors
    /// [`NoSigningKey`].
    pub fn with(
        &self,
        rows: &[StoredKey],
        life: i64,
        key: impl Fn(&StoredKey) -> Option<Arc<RingKey>>,
    ) -> Result<Self, NoSigningKey> {
        let row = |kid: &str| rows.iter().find(|row| row.id == kid);
        let ready =
            |kid: &str| if kid == self.base.id { Some(Arc::clone(&self.base)) } else { key(row(kid)?) };
        let mut slots: Vec<Slot> = self
            .schedule(rows, life)
            .into_turns()
            .into_iter()
            .filter(|turn| !turn.retired)
            .filter_map(|turn| {
                Some(Slot { key: ready(&turn.kid)?, signs_from: turn.signs_from, ends: turn.ends })
            })
            .collect();
        if slots.iter().all(|slot| slot.signs_from.is_none()) {
            return Err(NoSigningKey);
        }
        // One that was retired while it was `token.secret` stays so.
        let accepted = self.previous.iter().filter(|key| row(&key.id).is_none());
        slots.extend(accepted.map(Slot::verifying));
        Ok(Self { base: Arc::clone(&self.base), previous: self.previous.clone(), slots })
    }

    /// Whose turn it is: the keys of these rows, and `token.secret`, which is before them all. A row of its `kid` can only say
    /// that it was retired.
    #[must_use]
    pub fn schedule(&self, rows: &[StoredKey], life: i64) -> Schedule {
        let base = self.base_id();
        let retired = rows.iter().any(|row| row.id == base && row.retired_at.is_some());
        let rows = rows
            .iter()
            .filter(|row| row.id != base)
            .map(|row| (row.id.as_str(), row.signs_from, row.retired_at.is_some()));
        Schedule::new(rows.chain([(base, Some(Timestamp(i64::MIN)), retired)]), life)
    }

    /// The `kid` of `token.secret`.
    #[must_use]
    pub fn base_id(&self) -> &str {
        &self.base.id
    }

    /// The `kid`s of `token.previous_secrets`.
    pub fn previous_ids(&self) -> impl Iterator<Item = &str> {
        self.previous.iter().map(|key| key.id.as_str())
    }

    /// The key of this id, if it is in the ring: ready already.
    #[must_use]
    pub fn key(&self, kid: &str) -> Option<Arc<RingKey>> {
        self.slots.iter().find(|slot| slot.key.id == kid).map(|slot| Arc::clone(&slot.key))
    }

    /// The key that signs at `now`.
    #[must_use]
    pub fn signing_key(&self, now: Timestamp) -> &SigningKey {
        &self.signing_slot(now).key.signing
    }

    /// The `kid` of the key that signs at `now`, and how it does.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> (&str, &'static str) {
        let key = &self.signing_slot(now).key;
        (&key.id, key.verification.algorithm())
    }

    /// Before the time of all of them (a clock that was put back) it is the first one's turn.
    fn signing_slot(&self, now: Timestamp) -> &Slot {
        let signing = |slot: &&Slot| slot.signs_from.is_some_and(|from| from <= now);
        let first = || self.slots.iter().rev().find(|slot| slot.signs_from.is_some());
        // A ring without any is not made.
        self.slots.iter().find(signing).or_else(first).unwrap_or(&self.slots[0])
    }

    /// The key of this id, when it verifies at `now`.
    #[must_use]
    pub fn find(&self, kid: &str, now: Timestamp) -> Option<&VerificationKey> {
        self.verifying(now).find(|key| key.id == kid).map(|key| &key.verification)
    }

    /// The key under which we write exactly this header (in base64url): its `alg`, `typ` and `kid` need not be read then.
    /// Any other header is read in full. The figure is in docs/PERFORMANCE.md.
    #[must_use]
    pub fn find_by_header(&self, header: &str, now: Timestamp) -> Option<&VerificationKey> {
        let slot = self.slots.iter().find(|slot| slot.key.signing.header() == header)?;
        slot.verifies(now).then_some(&slot.key.verification)
    }

    /// What verifiers are told: the public half of every key that signs, will sign, or still verifies.
    pub fn public_keys(&self, now: Timestamp) -> impl Iterator<Item = &PublicJwk> {
        self.verifying(now).filter_map(|key| key.public.as_ref()).map(|(jwk, _)| jwk)
    }

    /// What signs statements for verifiers at `now`: the key that signs tokens, if they can verify it; else the last one that
    /// did and still verifies, else the next one. `None`: there is no key with a public half.
    #[must_use]
    pub fn statement_key(&self, now: Timestamp) -> Option<&SigningKey> {
        let asymmetric = || self.slots.iter().filter(|slot| slot.key.public.is_some() && slot.verifies(now));
        let has_signed = |slot: &&Slot| slot.signs_from.is_some_and(|from| from <= now);
        let slot = asymmetric().find(has_signed).or_else(|| asymmetric().next_back())?;
        slot.key.public.as_ref().map(|(_, signing)| signing)
    }

    fn verifying(&self, now: Timestamp) -> impl Iterator<Item = &RingKey> {
        self.slots.iter().filter(move |slot| slot.verifies(now)).map(|slot| &*slot.key)
    }
}

impl Slot {
    fn verifying(key: &Arc<RingKey>) -> Self {
        Self { key: Arc::clone(key), signs_from: None, ends: None }
    }

    fn verifies(&self, now: Timestamp) -> bool {
        self.ends.is_none_or(|end| now < end)
    }
}

impl RingKey {
    /// Makes a key ready.
    ///
    /// # Errors
    /// When its halves do not belong together.
    pub fn new(jwk: &PrivateJwk) -> Result<Self, UnusableKey> {
        let (algorithm, private, public) = jwk.keys()?;
        let mut ready = Self::of(jwk.kid.clone(), algorithm, private, &public)?;
        if let Some(public) = jwk.public() {
            let statements = ready.signing.under(&header(algorithm, REVOCATIONS_TYPE, &jwk.kid))?;
            ready.public = Some((public, statements));
        }
        Ok(ready)
    }

    fn of_secret(secret: &SecretString) -> Result<Self, UnusableKey> {
        let bytes = secret.expose_secret().as_bytes();
        let (private, public) = (EncodingKey::from_secret(bytes), DecodingKey::from_secret(bytes));
        Self::of(key_id(bytes), Algorithm::HS256, private, &public)
    }

    fn of(
        id: String,
        algorithm: Algorithm,
        private: EncodingKey,
        public: &DecodingKey,
    ) -> Result<Self, UnusableKey> {
        let signing = SigningKey::new(&header(algorithm, ACCESS_TOKEN_TYPE, &id), private)?;
        let verification = VerificationKey::new(algorithm, public)?;
        Ok(Self { id, signing, verification, public: None })
    }
}

fn header(algorithm: Algorithm, media_type: &str, kid: &str) -> Header {
    let mut header = Header::new(algorithm);
    header.typ = Some(media_type.to_owned());
    header.kid = Some(kid.to_owned());
    header
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(..)")
    }
}
