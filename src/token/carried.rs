//! What clients carry for us besides access tokens: cookies of sign-ins under way, one-time codes, the successors of refresh tokens,
//! cursors. Each is made with a key that is derived from the key that signs at that moment, and is accepted as long as that key is
//! in the key set. So one command, `tokenbooth keys retire`, ends all that was made with a key, and there is no second set of keys
//! that has to be rotated. Rejected: deriving them from `token.secret`, which has to stay in the settings after its own `kid`
//! was retired, because the stored keys are sealed with it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::refresh::KeyMark;
use super::{DerivedKeys, RingKey, SealError, SealingKeys, Tokens};
use crate::clock::SharedClock;
use crate::jws::UnusableKey;

/// The keys that are derived from one key of the key set.
pub struct CarriedKeys {
    transactions: SealingKeys,
    codes: SealingKeys,
    successors: DerivedKeys,
    cursors: DerivedKeys,
}

impl CarriedKeys {
    /// Derives them from the private half of a key, or from the bytes of a secret.
    pub(super) fn new(material: &[u8]) -> Result<Self, UnusableKey> {
        let sealing = |purpose| SealingKeys::of_material(material, purpose).map_err(|_| UnusableKey);
        Ok(Self {
            transactions: sealing("sign-in attempt")?,
            codes: sealing("one-time code")?,
            successors: DerivedKeys::of_material(material, "refresh token"),
            cursors: DerivedKeys::of_material(material, "cursor"),
        })
    }

    pub(super) fn successors(&self) -> &DerivedKeys {
        &self.successors
    }
}

/// Seals values for one purpose with the key set as it is at that moment.
pub struct CarriedSeal {
    tokens: Arc<Tokens>,
    clock: SharedClock,
    keys: fn(&CarriedKeys) -> &SealingKeys,
}

impl CarriedSeal {
    /// For the cookies of sign-ins under way.
    #[must_use]
    pub fn of_transactions(tokens: &Arc<Tokens>, clock: &SharedClock) -> Self {
        Self { tokens: Arc::clone(tokens), clock: SharedClock::clone(clock), keys: |keys| &keys.transactions }
    }

    /// For one-time codes.
    #[must_use]
    pub fn of_codes(tokens: &Arc<Tokens>, clock: &SharedClock) -> Self {
        Self { tokens: Arc::clone(tokens), clock: SharedClock::clone(clock), keys: |keys| &keys.codes }
    }

    /// Seals the value with the key that signs now.
    ///
    /// # Errors
    /// Without a source of randomness.
    pub fn seal(&self, value: &impl Serialize) -> Result<String, SealError> {
        let keyring = self.tokens.keyring();
        (self.keys)(keyring.signing_ring_key(self.clock.now()).carried()).seal(value)
    }

    /// Returns the value that was sealed, by any key that is neither retired nor expired. `None`: not by us, not for this
    /// purpose, changed, or sealed by a key that is out of use.
    #[must_use]
    pub fn unseal<T: DeserializeOwned>(&self, sealed: &str) -> Option<T> {
        let keyring = self.tokens.keyring();
        keyring.opening(self.clock.now()).find_map(|key| (self.keys)(key.carried()).unseal(sealed))
    }
}

/// Authenticates cursors with the key set as it is at that moment.
pub struct CursorKeys {
    tokens: Arc<Tokens>,
    clock: SharedClock,
}

impl CursorKeys {
    /// For the lists of a service.
    #[must_use]
    pub fn new(tokens: &Arc<Tokens>, clock: &SharedClock) -> Self {
        Self { tokens: Arc::clone(tokens), clock: SharedClock::clone(clock) }
    }

    /// Returns the message's tag (32 bytes) under the key that signs now.
    #[must_use]
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        self.tokens.keyring().signing_ring_key(self.clock.now()).carried().cursors.tag(message)
    }

    /// Whether any key that is neither retired nor expired gives the message a tag that is accepted.
    #[must_use]
    pub fn any_tag(&self, message: &[u8], mut accepted: impl FnMut([u8; 32]) -> bool) -> bool {
        let keyring = self.tokens.keyring();
        keyring.opening(self.clock.now()).any(|key| accepted(key.carried().cursors.tag(message)))
    }
}

/// The keys that successors of refresh tokens are made with, as the key set was at one moment.
pub struct SuccessorKeys {
    /// The one that signs first.
    pub(super) keys: Vec<Arc<RingKey>>,
    pub(super) marks: Arc<Marks>,
}

/// By which key a refresh token was made is marked in it; this is what is known of those keys.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) known: Vec<KeyMark>,
    pub(super) retired: Vec<KeyMark>,
    /// Tokens that versions before this one made have no mark, and were made with a secret.
    pub(super) a_secret_is_retired: bool,
}

impl fmt::Debug for CarriedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarriedKeys(..)")
    }
}

impl fmt::Debug for SuccessorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuccessorKeys(..)")
    }
}
