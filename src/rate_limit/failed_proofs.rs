//! The budget of failed proofs. A provider counts the tokens and codes that we ask it about in vain, and stops answering us
//! when they are too many; so an address has a small number of them, and the proofs that succeed cost nothing.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::sync::Notify;

use super::last_minute::LastMinute;
use super::network::Networks;
use super::{Exceeded, Policy};
use crate::settings::RateLimitSettings;

/// How many networks are remembered, about 8 MB. When there are more, those that were seen least recently are forgotten.
const MAX_NETWORKS: usize = 65_536;
/// How long an address that failed is held back when a provider sees too many failures.
const HELD_BACK: Duration = Duration::from_mins(10);

/// Counts failed proofs by address and by provider. One for all workers of a process.
#[derive(Debug)]
pub struct FailedProofs {
    per_address: NonZeroU32,
    in_all: NonZeroU32,
    counts: Mutex<Counts>,
    /// Wakes those who wait because too many proofs of their address are under way.
    ended: Notify,
}

#[derive(Debug)]
struct Counts {
    networks: LruCache<u64, Network>,
    /// By name. The caller passes names of configured providers only, so they are few.
    providers: HashMap<String, LastMinute>,
}

/// What is known of the proofs of one network.
#[derive(Debug, Clone, Copy)]
struct Network {
    failed: LastMinute,
    last_failed: Option<Instant>,
    under_way: u32,
}

/// A proof that is under way. Dropped before its end is known, because the client went away, it counts against the address
/// alone: otherwise a client could ask for nothing by disconnecting early.
#[derive(Debug)]
#[must_use = "a proof that is dropped counts as failed"]
pub struct PendingProof<'a> {
    budget: &'a FailedProofs,
    provider: &'a str,
    networks: Networks,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Unknown,
    Passed,
    Failed,
}

#[derive(Debug, PartialEq, Eq)]
enum Blocked {
    Exceeded(Exceeded),
    /// It depends on how the proofs under way end.
    Undecided,
}

impl FailedProofs {
    pub(super) fn new(settings: &RateLimitSettings) -> Self {
        Self {
            per_address: settings.failed_per_minute,
            in_all: settings.failed_in_all_per_minute,
            counts: Mutex::new(Counts { networks: LruCache::unbounded(), providers: HashMap::new() }),
            ended: Notify::new(),
        }
    }

    /// Begins a proof. Proofs under way count as failed until they end, so that sending many at once does not exceed the budget;
    /// a caller who would be rejected for them alone waits until enough of them have ended.
    pub(super) async fn begin<'a>(
        &'a self,
        provider: &'a str,
        address: IpAddr,
        seed: &RandomState,
    ) -> Result<PendingProof<'a>, Exceeded> {
        let networks = Networks::of(address, seed);
        loop {
            // Before the look, or an end in between would be missed.
            let ended = self.ended.notified();
            match self.try_begin(provider, networks, Instant::now()) {
                Ok(()) => return Ok(PendingProof { budget: self, provider, networks, end: End::Unknown }),
                Err(Blocked::Exceeded(exceeded)) => return Err(exceeded),
                Err(Blocked::Undecided) => ended.await,
            }
        }
    }

    fn try_begin(&self, provider: &str, networks: Networks, now: Instant) -> Result<(), Blocked> {
        let mut counts = self.lock();
        let Counts { networks: known, providers } = &mut *counts;
        if let Some(in_all) = providers.get(provider)
            && in_all.count(now) > self.in_all.get()
            && known.peek(&networks.own).is_some_and(|network| network.is_held_back(now))
        {
            let retry_after = in_all.until_at_most(self.in_all.get(), now);
            return Err(exceeded(Policy::FailedProofsInAll, self.in_all, retry_after));
        }
        for (key, factor) in networks.keys() {
            let Some(network) = known.get(&key) else { continue };
            let (limit, failed) = (self.per_address.get().saturating_mul(factor), network.failed.count(now));
            if failed >= limit {
                let retry_after = network.failed.until_at_most(limit - 1, now);
                let limit = NonZeroU32::new(limit).unwrap_or(self.per_address);
                return Err(exceeded(Policy::FailedProofs, limit, retry_after));
            }
            if failed.saturating_add(network.under_way) >= limit {
                return Err(Blocked::Undecided);
            }
        }
        for (key, _) in networks.keys() {
            known.entry_or_new(key, now).under_way += 1;
        }
        Ok(())
    }

    fn end(&self, provider: &str, networks: Networks, end: End, now: Instant) {
        let mut counts = self.lock();
        let Counts { networks: known, providers } = &mut *counts;
        for (key, _) in networks.keys() {
            // Forgotten meanwhile, a network that has not failed need not be remembered.
            if end == End::Passed && known.peek(&key).is_none() {
                continue;
            }
            let network = known.entry_or_new(key, now);
            network.under_way = network.under_way.saturating_sub(1);
            if end != End::Passed {
                network.failed.add(now);
            }
            if end == End::Failed {
                network.last_failed = Some(now);
            }
            if network.is_unremarkable(now) {
                known.pop(&key);
            }
        }
        if end == End::Failed {
            if let Some(in_all) = providers.get_mut(provider) {
                in_all.add(now);
            } else {
                let mut in_all = LastMinute::new(now);
                in_all.add(now);
                providers.insert(provider.to_owned(), in_all);
            }
        }
        drop(counts);
        self.ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics between two writes that belong together.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exceeded(policy: Policy, limit: NonZeroU32, retry_after: Duration) -> Blocked {
    Blocked::Exceeded(Exceeded { policy, burst: limit, per_minute: limit, retry_after })
}

/// An entry that is made when it is not there, within the bound.
trait EntryOrNew {
    fn entry_or_new(&mut self, key: u64, now: Instant) -> &mut Network;
}

impl EntryOrNew for LruCache<u64, Network> {
    fn entry_or_new(&mut self, key: u64, now: Instant) -> &mut Network {
        if self.len() >= MAX_NETWORKS && !self.contains(&key) {
            self.pop_lru();
        }
        self.get_or_insert_mut(key, || Network {
            failed: LastMinute::new(now),
            last_failed: None,
            under_way: 0,
        })
    }
}

impl Network {
    fn is_held_back(&self, now: Instant) -> bool {
        self.last_failed.is_some_and(|at| now.saturating_duration_since(at) < HELD_BACK)
    }

    fn is_unremarkable(&self, now: Instant) -> bool {
        self.under_way == 0 && self.failed.count(now) == 0 && !self.is_held_back(now)
    }
}

impl PendingProof<'_> {
    /// Ends a proof that failed, because the provider or we ourselves rejected the credential.
    pub fn failed(mut self) {
        self.end = End::Failed;
    }

    /// Ends a proof that succeeded, or about which the provider could not be asked.
    pub fn passed(mut self) {
        self.end = End::Passed;
    }
}

impl Drop for PendingProof<'_> {
    fn drop(&mut self) {
        self.budget.end(self.provider, self.networks, self.end, Instant::now());
    }
}

#[cfg(test)]
#[path = "failed_proofs/tests.rs"]
mod tests;
