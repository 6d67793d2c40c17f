//! Where the buckets of one limit are: a map of bounded size that forgets whom it has not seen for longest.

use std::sync::{Mutex, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;
use lru::LruCache;

/// How many buckets are kept, some 5 MB when there are so many. The attacker chooses how many keys there are (addresses, invented
/// e-mails), so something must bound them: `governor`'s own maps grow until somebody calls `retain_recent`, which walks
/// all keys under the locks that requests wait for, and keeps every key of a flood that is still going on.
///
/// When it is full, the bucket seen least recently is forgotten and so full again. To open a bucket in that way, an
/// attacker has to send 65 536 requests from other addresses, or for other accounts, before it would have filled by itself.
const MAX_BUCKETS: usize = 65_536;

/// The buckets by the hashes of their keys: all of one size, and no e-mail or address is kept. Two of 65 536 keys share a
/// bucket with a probability of 10⁻¹⁰, and then share a limit and nothing else.
// One mutex, held for a look-up or an insertion, which is nothing beside an exchange. A sharded map (`dashmap`) would save
// the wait for it, and has no common order in which to forget.
#[derive(Debug)]
pub(super) struct Buckets(Mutex<LruCache<u64, Nanos>>);

impl Default for Buckets {
    fn default() -> Self {
        // Not `LruCache::new(MAX_BUCKETS)`, which takes the memory of a full one at once.
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl StateStore for Buckets {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Nothing in here panics half-way: what is behind a poisoned lock is whole.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A refused key is seen as well, so hammering does not make it old.
        if let Some(bucket) = buckets.get_mut(key) {
            let (outcome, full_at) = measure(Some(*bucket))?;
            *bucket = full_at;
            return Ok(outcome);
        }
        let (outcome, full_at) = measure(None)?;
        if buckets.len() >= MAX_BUCKETS {
            buckets.pop_lru();
        }
        buckets.put(*key, full_at);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;
    use governor::middleware::NoOpMiddleware;
    use governor::{Quota, RateLimiter};

    use super::*;

    type Limiter = RateLimiter<u64, Buckets, FakeRelativeClock, NoOpMiddleware<Nanos>>;

    /// Three at once and one a second.
    fn limiter(clock: &FakeRelativeClock) -> Limiter {
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(NonZeroU32::new(3).unwrap());
        RateLimiter::new(quota, Buckets::default(), clock.clone())
    }

    /// How many of ten requests are let through.
    fn allowed(limiter: &Limiter, key: u64) -> usize {
        (0..10).filter(|_| limiter.check_key(&key).is_ok()).count()
    }

    #[test]
    fn a_bucket_fills_again_at_its_rate_and_never_over_its_burst() {
        let clock = FakeRelativeClock::default();
        let limiter = limiter(&clock);
        assert_eq!(allowed(&limiter, 1), 3);
        assert_eq!(allowed(&limiter, 1), 0);
        clock.advance(Duration::from_millis(999));
        assert_eq!(allowed(&limiter, 1), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(allowed(&limiter, 1), 1);
        clock.advance(Duration::from_hours(1));
        assert_eq!(allowed(&limiter, 1), 3);
    }

    #[test]
    fn a_refused_request_does_not_put_the_next_one_off() {
        let clock = FakeRelativeClock::default();
        let limiter = limiter(&clock);
        for _ in 0..10 {
            allowed(&limiter, 1);
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!(allowed(&limiter, 1), 1);
    }

    #[test]
    fn a_million_keys_take_the_memory_of_the_bound_and_do_not_open_a_hammered_one() {
        let limiter = limiter(&FakeRelativeClock::default());
        let hammered = u64::MAX;
        assert_eq!(allowed(&limiter, hammered), 3);
        for key in 0..1_000_000 {
            assert!(limiter.check_key(&key).is_ok());
            // Once in a while: the others are never all newer than it is.
            if key % 60_000 == 0 {
                assert!(limiter.check_key(&hammered).is_err(), "after {key}");
            }
        }
        assert_eq!(limiter.into_state_store().0.into_inner().unwrap().len(), MAX_BUCKETS);
    }

    #[test]
    fn a_full_store_forgets_whom_it_has_not_seen_for_longest() {
        let limiter = limiter(&FakeRelativeClock::default());
        for key in 0..=MAX_BUCKETS as u64 {
            assert_eq!(allowed(&limiter, key), 3);
        }
        assert_eq!(allowed(&limiter, 1), 0, "the second oldest is still there");
        assert_eq!(allowed(&limiter, 0), 3, "the oldest was forgotten");
    }
}
