//! How often one may ask: a bucket for each address and one for each account, in the memory of this process.
//!
//! The rule is GCRA (ITU-T I.371), `governor`'s: a bucket is one number, the time at which it is full again, and so needs
//! no timer that fills it. Time is the monotonic clock, not [`crate::clock::Clock`]: that one is set by people and counts
//! whole seconds, and a limit must neither stop nor open when it is set.

mod buckets;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::{Quota, RateLimiter};

use self::buckets::Buckets;
use crate::settings::RateLimitSettings;
use crate::user::UserId;

/// Both limits, for all workers of a process. Replicas count for themselves.
#[derive(Debug)]
pub struct RateLimits {
    address: Limit,
    account: Limit,
    /// What a bucket is named by. Random in each process, so that nobody can look for two keys that share a bucket.
    seed: RandomState,
}

/// Whose account a request tries.
#[derive(Debug, Clone, Copy)]
pub enum Account<'a> {
    /// The e-mail as it was sent, whether anybody has it or not: a limit for those alone that exist would tell them apart.
    Email(&'a str),
    /// A user who is known already.
    User(UserId),
}

/// One request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// `address` or `account`: the limit's name in headers and metrics, and what its settings begin with.
    pub policy: &'static str,
    /// As many requests as may come at once.
    pub burst: NonZeroU32,
    /// As many as may come in a minute, for ever.
    pub per_minute: NonZeroU32,
    /// After this time one more is let through, if no other came first.
    pub retry_after: Duration,
}

#[derive(Debug)]
struct Limit {
    policy: &'static str,
    burst: NonZeroU32,
    per_minute: NonZeroU32,
    limiter: RateLimiter<u64, Buckets, MonotonicClock>,
}

impl RateLimits {
    /// Both limits, with nothing counted yet.
    #[must_use]
    pub fn new(settings: &RateLimitSettings) -> Self {
        Self {
            address: Limit::new("address", settings.address_burst, settings.address_per_minute),
            account: Limit::new("account", settings.account_burst, settings.account_per_minute),
            seed: RandomState::new(),
        }
    }

    /// Counts a request of this address. IPv6 counts by its /64, which is what one subscriber gets: whoever has one has
    /// 2⁶⁴ addresses. IPv4 in IPv6 clothes (`::ffff:10.0.0.1`) is IPv4, or all of it would be one /64.
    ///
    /// # Errors
    /// [`Exceeded`]; such a request is not counted.
    pub fn address(&self, address: IpAddr) -> Result<(), Exceeded> {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => (4, u64::from(address.to_bits())),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                (6, a << 48 | b << 32 | c << 16 | d)
            }
        };
        self.address.count(self.seed.hash_one(network))
    }

    /// Counts an attempt at this account.
    ///
    /// # Errors
    /// [`Exceeded`]; such an attempt is not counted.
    pub fn account(&self, account: Account<'_>) -> Result<(), Exceeded> {
        self.account.count(self.seed.hash_one(account))
    }
}

impl Hash for Account<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            // Compared without case, as everywhere: or each way to write an address would have a bucket of its own.
            Self::Email(email) => (0, email.to_ascii_lowercase()).hash(state),
            Self::User(id) => (1, id).hash(state),
        }
    }
}

impl Limit {
    fn new(policy: &'static str, burst: NonZeroU32, per_minute: NonZeroU32) -> Self {
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        let limiter = RateLimiter::new(quota, Buckets::default(), MonotonicClock);
        Self { policy, burst, per_minute, limiter }
    }

    fn count(&self, key: u64) -> Result<(), Exceeded> {
        self.limiter.check_key(&key).map_err(|refusal| Exceeded {
            policy: self.policy,
            burst: self.burst,
            per_minute: self.per_minute,
            retry_after: refusal.wait_time_from(self.limiter.clock().now()),
        })
    }
}

impl Exceeded {
    /// The seconds in which a whole burst is regained, rounded up.
    #[must_use]
    pub fn window_seconds(&self) -> u64 {
        (u64::from(self.burst.get()) * 60).div_ceil(u64::from(self.per_minute.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One at once for an address, two for an account, and one a minute for either.
    fn limits() -> RateLimits {
        let one = NonZeroU32::MIN;
        RateLimits::new(&RateLimitSettings {
            enabled: true,
            address_burst: one,
            address_per_minute: one,
            account_burst: NonZeroU32::new(2).unwrap(),
            account_per_minute: one,
        })
    }

    #[test]
    fn an_address_counts_by_what_one_subscriber_has() {
        let limits = limits();
        for (address, allowed) in [
            ("203.0.113.9", true),
            ("203.0.113.9", false),
            ("203.0.113.8", true),
            ("::ffff:203.0.113.9", false),
            ("::ffff:203.0.113.7", true),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff:ffff:ffff:ffff", false),
            ("2001:db8:0:2::1", true),
            ("2001:db8:1:1::1", true),
            // Its first 64 bits are the number that 203.0.113.9 is.
            ("0:0:cb00:7109::", true),
        ] {
            let counted = limits.address(address.parse().unwrap());
            assert_eq!(counted.is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn an_account_is_one_however_its_e_mail_is_written() {
        let limits = limits();
        let ada = UserId::generate();
        let as_text = ada.to_string();
        for (account, allowed) in [
            (Account::Email("ada@mail.com"), true),
            (Account::Email("ADA@mail.com"), true),
            (Account::Email("ada@MAIL.com"), false),
            (Account::Email("bob@mail.com"), true),
            (Account::User(ada), true),
            (Account::User(ada), true),
            (Account::User(ada), false),
            (Account::Email(&as_text), true),
            (Account::User(UserId::generate()), true),
        ] {
            assert_eq!(limits.account(account).is_ok(), allowed, "{account:?}");
        }
    }

    #[test]
    fn a_refusal_names_its_limit_and_when_to_come_again() {
        let limits = limits();
        let address = "203.0.113.9".parse().unwrap();
        let ada = Account::Email("ada@mail.com");
        assert!(
            limits.address(address).is_ok() && limits.account(ada).is_ok() && limits.account(ada).is_ok()
        );
        for (refusal, policy, burst, window) in
            [(limits.address(address), "address", 1, 60), (limits.account(ada), "account", 2, 120)]
        {
            let refusal = refusal.unwrap_err();
            assert_eq!(
                (refusal.policy, refusal.burst.get(), refusal.window_seconds()),
                (policy, burst, window)
            );
            let wait = refusal.retry_after;
            assert!(Duration::from_secs(50) < wait && wait <= Duration::from_mins(1), "{refusal:?}");
        }
    }

    #[test]
    fn the_highest_rates_there_are_do_not_overflow() {
        let highest = NonZeroU32::new(100_000_000).unwrap();
        let limits = RateLimits::new(&RateLimitSettings {
            enabled: true,
            address_burst: highest,
            address_per_minute: NonZeroU32::MIN,
            account_burst: NonZeroU32::MIN,
            account_per_minute: highest,
        });
        let address = "203.0.113.9".parse().unwrap();
        assert!((0..1000).all(|_| limits.address(address).is_ok()));
        assert!(limits.account(Account::Email("ada@mail.com")).is_ok());
    }
}
