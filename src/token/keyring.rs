//! The keys that sign and verify our own tokens, by `kid`.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};

use super::carried::{CarriedKeys, Marks, SuccessorKeys};
use super::jwk::{PrivateJwk, PublicJwk, key_id};
use super::refresh::mark_of;
use super::schedule::{KeyOrigin, Lifetimes, SINCE_EVER, Schedule, Scheduled};
use crate::clock::Timestamp;
use crate::jws::{SigningKey, UnusableKey, VerificationKey};
use crate::stored_key::StoredKey;

/// The media type of our access tokens (RFC 9068 §2.1), so that no other kind of JWT passes for one.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The media type of the list of what was revoked, so that it and an access token never pass for each other.
pub const REVOCATIONS_TYPE: &str = "revocations+jwt";

/// One key that signs, and every key that is still accepted, at any moment: what changes with time alone is decided when a
/// token comes.
#[derive(Clone)]
pub struct Keyring {
    /// Of `token.secret`: signs while no other one does.
    base: Arc<RingKey>,
    /// Of `token.previous_secrets`.
    previous: Vec<Arc<RingKey>>,
    /// Since when secrets sign, by their `kid`; also those that are not in the settings any more.
    activations: Vec<(String, Timestamp)>,
    /// Seconds that values carried by clients live at most. `None`: no longer than a token.
    carried_life: Option<i64>,
    /// The latest to sign first, then those that only verify. A ring has a few: a list beats a map.
    slots: Vec<Slot>,
    marks: Arc<Marks>,
}

#[derive(Clone)]
struct Slot {
    key: Arc<RingKey>,
    signs_from: Option<Timestamp>,
    /// From then on it verifies no token.
    verifies_until: Option<Timestamp>,
    /// From then on it opens nothing at all.
    opens_until: Option<Timestamp>,
}

/// A key, ready for use.
pub struct RingKey {
    id: String,
    signing: SigningKey,
    verification: VerificationKey,
    /// Of a key with a public half: that half, and the same key for [`REVOCATIONS_TYPE`].
    public: Option<(PublicJwk, SigningKey)>,
    carried: CarriedKeys,
}

/// The ring would have no key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every key is retired or has expired, and none is left to sign with")]
pub struct NoSigningKey;

impl Keyring {
    /// HS256 with `secret`, which also verifies; tokens signed with one of `previous` are still accepted, until
    /// [`Keyring::with`] says since when another key signs.
    /// The bytes of the text are the key, so any other JWT library can be given the same secret.
    ///
    /// # Errors
    /// When the cryptographic library takes no such key; it takes every secret of a byte or more.
    pub fn new(secret: &SecretString, previous: &[SecretString]) -> Result<Self, UnusableKey> {
        let base = Arc::new(RingKey::of_secret(secret)?);
        let previous = previous.iter().map(|secret| RingKey::of_secret(secret).map(Arc::new));
        let mut previous = previous.collect::<Result<Vec<_>, _>>()?;
        // The same secret twice is one key.
        previous.retain(|key| key.id != base.id);
        let first = Slot { signs_from: Some(SINCE_EVER), ..Slot::verifying(&base) };
        let slots = std::iter::once(first).chain(previous.iter().map(Slot::verifying)).collect();
        Ok(Self { base, previous, activations: Vec::new(), carried_life: None, slots, marks: Arc::default() })
    }

    /// The same keyring, told since when secrets sign. Takes effect with the next [`Keyring::with`].
    #[must_use]
    pub fn knowing(self, activations: Vec<(String, Timestamp)>) -> Self {
        Self { activations, ..self }
    }

    /// The same keyring, told for how many seconds values that clients carry are good at most. Takes effect with the next
    /// [`Keyring::with`].
    #[must_use]
    pub fn keeping(self, carried_life: i64) -> Self {
        Self { carried_life: Some(carried_life), ..self }
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
        let ready = |kid: &str| match self.secrets().find(|secret| secret.id == kid) {
            Some(secret) => Some(Arc::clone(secret)),
            None => key(row(kid)?),
        };
        let lifetimes = self.lifetimes(life);
        let slots: Vec<Slot> = self
            .schedule(rows, life)
            .into_turns()
            .into_iter()
            .filter(|turn| !turn.retired)
            .filter_map(|turn| {
                Some(Slot {
                    key: ready(&turn.kid)?,
                    signs_from: turn.signs_from,
                    verifies_until: turn.verifies_until(lifetimes),
                    opens_until: turn.opens_until(lifetimes),
                })
            })
            .collect();
        if slots.iter().all(|slot| slot.signs_from.is_none()) {
            return Err(NoSigningKey);
        }
        Ok(Self { slots, marks: Arc::new(self.marks(rows)), ..self.clone() })
    }

    /// Whose turn it is: the keys of these rows, and before them the secrets. A row of a secret's `kid` can only say that it was
    /// retired. A secret that is not in the settings any more still ends those before it: what expired stays so.
    #[must_use]
    pub fn schedule(&self, rows: &[StoredKey], life: i64) -> Schedule {
        let retired_at = |kid: &str| rows.iter().find(|row| row.id == kid).and_then(|row| row.retired_at);
        let since = |kid: &str| self.activations.iter().find(|(id, _)| id == kid).map(|(_, from)| *from);
        let secret = |kid, signs_from: Option<Timestamp>| {
            let retired = retired_at(kid);
            // A secret that was retired before it signed replaced nothing.
            let signs_from = signs_from.filter(|from| retired.is_none_or(|at| *from <= at));
            Scheduled { kid, origin: KeyOrigin::Secret, signs_from, retired: retired.is_some() }
        };
        let base = secret(self.base_id(), Some(since(self.base_id()).unwrap_or(SINCE_EVER)));
        let previous = self.previous_ids().map(|kid| secret(kid, since(kid)));
        let gone = self.activations.iter().map(|(kid, from)| secret(kid, Some(*from)));
        let gone = gone.filter(|key| self.secrets().all(|secret| secret.id != key.kid));
        let stored = rows.iter().filter(|row| !self.is_secret(&row.id)).map(|row| Scheduled {
            kid: row.id.as_str(),
            origin: KeyOrigin::Stored,
            signs_from: row.signs_from,
            retired: row.retired_at.is_some(),
        });
        let keys = std::iter::once(base).chain(previous).chain(gone).chain(stored);
        Schedule::new(keys, self.lifetimes(life))
    }

    fn lifetimes(&self, life: i64) -> Lifetimes {
        Lifetimes { token: life, carried: self.carried_life.unwrap_or(life) }
    }

    fn marks(&self, rows: &[StoredKey]) -> Marks {
        let stored = rows.iter().map(|row| row.id.as_str());
        let secrets = self.secrets().map(|key| key.id.as_str());
        let activated = self.activations.iter().map(|(kid, _)| kid.as_str());
        let retired = || rows.iter().filter(|row| row.retired_at.is_some());
        Marks {
            known: stored.chain(secrets).chain(activated).map(mark_of).collect(),
            retired: retired().map(|row| mark_of(&row.id)).collect(),
            a_secret_is_retired: retired().any(|row| self.is_secret(&row.id)),
        }
    }

    /// Whether this is the `kid` of a secret that is in the settings, or was.
    fn is_secret(&self, kid: &str) -> bool {
        self.secrets().any(|key| key.id == kid) || self.activations.iter().any(|(id, _)| id == kid)
    }

    fn secrets(&self) -> impl Iterator<Item = &Arc<RingKey>> {
        std::iter::once(&self.base).chain(&self.previous)
    }

    /// The `kid` of `token.secret`.
    #[must_use]
    pub fn base_id(&self) -> &str {
        &self.base.id
    }

    /// Whether the `kid` of `token.secret` was retired. The stored keys are sealed with it all the same.
    #[must_use]
    pub fn base_is_retired(&self) -> bool {
        self.marks.retired.contains(&mark_of(&self.base.id))
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

    /// Whether a key is left to sign with, whose tokens are accepted.
    #[must_use]
    pub fn can_sign(&self, now: Timestamp) -> bool {
        self.slots.iter().any(|slot| slot.signs_from.is_some() && slot.verifies(now))
    }

    /// Since when secrets sign, as far as it is known, by their `kid`.
    #[must_use]
    pub fn activations(&self) -> &[(String, Timestamp)] {
        &self.activations
    }

    /// The key that signs at `now`.
    #[must_use]
    pub fn signing_key(&self, now: Timestamp) -> &SigningKey {
        &self.signing_slot(now).key.signing
    }

    /// The same, with what is derived from it.
    #[must_use]
    pub(super) fn signing_ring_key(&self, now: Timestamp) -> &RingKey {
        &self.signing_slot(now).key
    }

    /// The keys that open what clients carry at `now`: the one that signs, then all others that are neither retired nor expired.
    pub(super) fn opening(&self, now: Timestamp) -> impl Iterator<Item = &RingKey> {
        let signing = &self.signing_slot(now).key;
        let others = self.slots.iter().filter(move |slot| slot.opens(now) && slot.key.id != signing.id);
        std::iter::once(&**signing).chain(others.map(|slot| &*slot.key))
    }

    /// The keys that successors of refresh tokens are made with at `now`.
    #[must_use]
    pub fn successor_keys(&self, now: Timestamp) -> SuccessorKeys {
        let signing = &self.signing_slot(now).key;
        let others = self.slots.iter().filter(|slot| slot.opens(now) && slot.key.id != signing.id);
        let keys = std::iter::once(signing).chain(others.map(|slot| &slot.key)).map(Arc::clone).collect();
        SuccessorKeys { keys, marks: Arc::clone(&self.marks) }
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
        Self { key: Arc::clone(key), signs_from: None, verifies_until: None, opens_until: None }
    }

    fn verifies(&self, now: Timestamp) -> bool {
        self.verifies_until.is_none_or(|end| now < end)
    }

    fn opens(&self, now: Timestamp) -> bool {
        self.opens_until.is_none_or(|end| now < end)
    }
}

impl RingKey {
    /// Makes a key ready.
    ///
    /// # Errors
    /// When its halves do not belong together.
    pub fn new(jwk: &PrivateJwk) -> Result<Self, UnusableKey> {
        let (algorithm, private, public) = jwk.keys()?;
        let mut ready = Self::of(jwk.kid.clone(), algorithm, private, &public, &jwk.material()?)?;
        if let Some(public) = jwk.public() {
            let statements = ready.signing.under(&header(algorithm, REVOCATIONS_TYPE, &jwk.kid))?;
            ready.public = Some((public, statements));
        }
        Ok(ready)
    }

    fn of_secret(secret: &SecretString) -> Result<Self, UnusableKey> {
        let bytes = secret.expose_secret().as_bytes();
        let (private, public) = (EncodingKey::from_secret(bytes), DecodingKey::from_secret(bytes));
        Self::of(key_id(bytes), Algorithm::HS256, private, &public, bytes)
    }

    fn of(
        id: String,
        algorithm: Algorithm,
        private: EncodingKey,
        public: &DecodingKey,
        material: &[u8],
    ) -> Result<Self, UnusableKey> {
        let signing = SigningKey::new(&header(algorithm, ACCESS_TOKEN_TYPE, &id), private)?;
        let verification = VerificationKey::new(algorithm, public)?;
        Ok(Self { id, signing, verification, public: None, carried: CarriedKeys::new(material)? })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn carried(&self) -> &CarriedKeys {
        &self.carried
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
