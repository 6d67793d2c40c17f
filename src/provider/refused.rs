//! Access tokens that a provider has just rejected. Such a token is rejected from memory for a while, in the same words, so that
//! a client that sends it again and again does not use up what the provider allows us to ask.
//!
//! Only access tokens: an ID token is judged here, without asking anybody, and may become valid when the provider's keys are
//! fetched again; an authorization code can be used only once anyway.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use secrecy::ExposeSecret;
use tokio::sync::Notify;

use super::{Credential, CredentialKind, Refusal};
use crate::clock::{SharedClock, Timestamp};

/// How long, in seconds.
const REMEMBERED: i64 = 60;
/// How many, about 5 MB. When there are more, those that were presented least recently are forgotten.
const MAX_TOKENS: usize = 16_384;

/// The memory. It holds keyed hashes of 64 bits, of which two tokens share one with a probability of 10⁻¹⁵ when the memory is full.
pub(crate) struct RefusedCredentials {
    clock: SharedClock,
    seed: RandomState,
    known: Mutex<Known>,
    ended: Notify,
}

struct Known {
    refused: LruCache<u64, (Refusal, Timestamp)>,
    /// Tokens that a provider is being asked about.
    asking: HashSet<u64>,
}

/// A credential that the provider may be asked about now.
#[must_use = "the outcome is to be reported"]
pub(crate) struct Inquiry<'a> {
    memory: &'a RefusedCredentials,
    /// `None` for a credential that is not remembered.
    key: Option<u64>,
    /// Others wait for the end of this one.
    awaited: bool,
}

impl RefusedCredentials {
    pub(super) fn new(clock: &SharedClock) -> Self {
        let known = Known { refused: LruCache::unbounded(), asking: HashSet::new() };
        Self {
            clock: SharedClock::clone(clock),
            seed: RandomState::new(),
            known: Mutex::new(known),
            ended: Notify::new(),
        }
    }

    /// Begins to ask a provider about a credential. While the provider is being asked about the same one, it waits for the outcome:
    /// a rejection is then known for all who sent it at the same moment.
    ///
    /// # Errors
    /// Returns the [`Refusal`] if the provider rejected this credential less than a minute ago.
    pub(crate) async fn inquire(
        &self,
        provider: &str,
        credential: &Credential,
    ) -> Result<Inquiry<'_>, Refusal> {
        if credential.kind != CredentialKind::AccessToken {
            return Ok(Inquiry { memory: self, key: None, awaited: false });
        }
        let key = self.seed.hash_one((provider, credential.token.expose_secret()));
        let mut waited = false;
        loop {
            // Before the look, or an end in between would be missed.
            let ended = self.ended.notified();
            if let Some(inquiry) = self.look(key, waited)? {
                return Ok(inquiry);
            }
            ended.await;
            waited = true;
        }
    }

    /// `None`: the provider is being asked already.
    fn look(&self, key: u64, waited: bool) -> Result<Option<Inquiry<'_>>, Refusal> {
        let now = self.clock.now();
        let mut known = self.lock();
        if let Some((refusal, at)) = known.refused.get(&key) {
            // A clock that was set back does not prolong it.
            if (0..REMEMBERED).contains(&now.since(*at)) {
                return Err(refusal.clone());
            }
            known.refused.pop(&key);
        }
        if known.asking.contains(&key) {
            return Ok(None);
        }
        // Who has waited for an outcome that was no rejection asks beside the others, or they would ask one after the other.
        let awaited = !waited && known.asking.insert(key);
        Ok(Some(Inquiry { memory: self, key: Some(key), awaited }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing panics between two writes that belong together.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inquiry<'_> {
    /// Remembers that the provider rejected the credential. An outage says nothing of it.
    pub(crate) fn refused(self, refusal: &Refusal) {
        let Some(key) = self.key else { return };
        if matches!(refusal, Refusal::Outage(_)) {
            return;
        }
        let now = self.memory.clock.now();
        let mut known = self.memory.lock();
        if known.refused.len() >= MAX_TOKENS && !known.refused.contains(&key) {
            known.refused.pop_lru();
        }
        known.refused.put(key, (refusal.clone(), now));
    }
}

impl Drop for Inquiry<'_> {
    fn drop(&mut self) {
        if let (true, Some(key)) = (self.awaited, self.key) {
            self.memory.lock().asking.remove(&key);
            self.memory.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::clock::Clock;
    use crate::provider::Outage;

    struct Second(AtomicI64);

    impl Clock for Second {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }

    fn memory() -> RefusedCredentials {
        RefusedCredentials::new(&(Arc::new(Second(AtomicI64::new(0))) as SharedClock))
    }

    #[actix_web::test]
    async fn it_lasts_a_minute_and_a_clock_that_is_set_back_does_not_prolong_it() {
        let clock = Arc::new(Second(AtomicI64::new(1000)));
        let memory = RefusedCredentials::new(&(Arc::clone(&clock) as SharedClock));
        for (second, remembered) in [(1000, true), (1059, true), (1060, false), (1059, false)] {
            if second == 1000 {
                memory.inquire("github", &token("a")).await.unwrap().refused(&refusal());
            }
            clock.0.store(second, Ordering::Relaxed);
            assert_eq!(memory.inquire("github", &token("a")).await.is_err(), remembered, "{second}");
        }
        memory.inquire("github", &token("a")).await.unwrap().refused(&refusal());
        clock.0.store(1000, Ordering::Relaxed);
        assert!(memory.inquire("github", &token("a")).await.is_ok());
    }

    fn token(text: &str) -> Credential {
        Credential { kind: CredentialKind::AccessToken, token: text.to_owned().into(), nonce: None }
    }

    fn refusal() -> Refusal {
        Refusal::InvalidToken("no such token".to_owned())
    }

    #[actix_web::test]
    async fn a_refusal_is_remembered_for_its_provider_and_token_and_an_outage_is_not() {
        let memory = memory();
        memory.inquire("github", &token("a")).await.unwrap().refused(&refusal());
        assert_eq!(memory.inquire("github", &token("a")).await.err().unwrap().to_string(), "no such token");
        assert!(memory.inquire("google", &token("a")).await.is_ok());
        assert!(memory.inquire("github", &token("b")).await.is_ok());
        let outage = Refusal::Outage(Outage::unreachable("github"));
        memory.inquire("github", &token("c")).await.unwrap().refused(&outage);
        assert!(memory.inquire("github", &token("c")).await.is_ok());
        let id_token = Credential { kind: CredentialKind::IdToken, ..token("d") };
        memory.inquire("google", &id_token).await.unwrap().refused(&refusal());
        assert!(memory.inquire("google", &id_token).await.is_ok());
    }

    #[actix_web::test]
    async fn it_is_bounded() {
        let memory = memory();
        for number in 0..40_000 {
            memory.inquire("github", &token(&number.to_string())).await.unwrap().refused(&refusal());
        }
        let known = memory.lock();
        assert_eq!((known.refused.len(), known.asking.len()), (MAX_TOKENS, 0));
    }

    #[actix_web::test]
    async fn of_those_who_ask_at_once_one_asks_the_provider_and_a_client_that_goes_away_keeps_nobody_waiting()
    {
        let memory = memory();
        let (first, key) = (memory.inquire("github", &token("a")).await.unwrap(), token("a"));
        let waiting = memory.inquire("github", &key);
        let later = async {
            tokio::task::yield_now().await;
            first.refused(&refusal());
        };
        let (waited, ()) = futures_util::future::join(waiting, later).await;
        assert!(waited.is_err());
        let gone = memory.inquire("github", &token("b")).await.unwrap();
        drop(gone);
        assert!(memory.inquire("github", &token("b")).await.is_ok());
    }
}
