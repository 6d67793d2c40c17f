//! The keys of one issuer: which one signs, which ones its JWKS document shows, and what that
//! document's headers say about caching.

use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use super::keys::KeyOwner;
use super::{MockError, SigningKey, lock};

/// `max-age` of a JWKS answer when nothing else was set; Google's is some hours and varies.
const DEFAULT_MAX_AGE: u64 = 19_845;

/// An issuer's keys. What signs and what is published are set apart, so that a test can sign with
/// a key that nobody can look up, or publish keys that nobody signs with.
pub struct KeySet {
    owner: KeyOwner,
    state: Mutex<State>,
}

struct State {
    signing: SigningKey,
    /// The `keys` of the JWKS document, as they are served.
    published: Vec<Value>,
    /// Index of the next key to make.
    next: usize,
    caching: Caching,
}

/// Caching headers of the JWKS answer; `None` leaves one out.
#[derive(Debug, Clone)]
pub(super) struct Caching {
    pub(super) cache_control: Option<String>,
    pub(super) age: Option<u64>,
}

impl KeySet {
    pub(super) fn new(owner: KeyOwner) -> Result<Self, MockError> {
        let signing = SigningKey::rsa(owner, 0)?;
        let state = State {
            published: vec![signing.jwk()],
            signing,
            next: 1,
            caching: Caching { cache_control: Some(cache_control(DEFAULT_MAX_AGE)), age: None },
        };
        Ok(Self { owner, state: Mutex::new(state) })
    }

    /// The key that signs now.
    pub fn current(&self) -> SigningKey {
        self.state().signing.clone()
    }

    /// Makes the issuer's next RSA key, which is neither published nor used yet.
    ///
    /// # Errors
    /// [`MockError::Key`] when the cryptographic library makes none.
    pub fn next(&self) -> Result<SigningKey, MockError> {
        let index = {
            let mut state = self.state();
            state.next += 1;
            state.next - 1
        };
        SigningKey::rsa(self.owner, index)
    }

    /// Publishes `key` beside the others and signs with it from now on.
    pub fn use_key(&self, key: &SigningKey) {
        let mut state = self.state();
        state.published.push(key.jwk());
        state.signing = key.clone();
    }

    /// Rotates as providers do: a new key is published and signs, the old ones stay published.
    ///
    /// # Errors
    /// [`MockError::Key`] when the cryptographic library makes none.
    pub fn rotate(&self) -> Result<SigningKey, MockError> {
        let key = self.next()?;
        self.use_key(&key);
        Ok(key)
    }

    /// Rotates and withdraws all older keys at once.
    ///
    /// # Errors
    /// [`MockError::Key`] when the cryptographic library makes none.
    pub fn replace(&self) -> Result<SigningKey, MockError> {
        let key = self.rotate()?;
        self.publish_only(vec![key.jwk()]);
        Ok(key)
    }

    /// Signs with `key` from now on without publishing it.
    pub fn sign_with(&self, key: &SigningKey) {
        self.state().signing = key.clone();
    }

    /// Publishes one more JWK, whatever it is (see [`super::junk`]).
    pub fn publish(&self, jwk: Value) {
        self.state().published.push(jwk);
    }

    /// Publishes these JWKs and no others; what signs does not change.
    pub fn publish_only(&self, jwks: Vec<Value>) {
        self.state().published = jwks;
    }

    /// The JWKs published now.
    pub fn published(&self) -> Vec<Value> {
        self.state().published.clone()
    }

    /// Sets the `max-age` of the JWKS answer, in seconds, within Google's `Cache-Control`.
    pub fn set_max_age(&self, seconds: u64) {
        self.state().caching.cache_control = Some(cache_control(seconds));
    }

    /// Sets the JWKS answer's `Cache-Control` to any text; `None` leaves the header out.
    pub fn set_cache_control(&self, value: Option<&str>) {
        self.state().caching.cache_control = value.map(str::to_owned);
    }

    /// Sets the JWKS answer's `Age`, the seconds it spent in caches; `None`, as at first, leaves
    /// the header out.
    pub fn set_age(&self, seconds: Option<u64>) {
        self.state().caching.age = seconds;
    }

    pub(super) fn caching(&self) -> Caching {
        self.state().caching.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Google's `Cache-Control` for its key set, word for word but for the number.
fn cache_control(max_age: u64) -> String {
    format!("public, max-age={max_age}, must-revalidate, no-transform")
}
