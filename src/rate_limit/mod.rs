//! How often one may ask: a bucket for each address and one for each account, in the memory of this process, and the budget of
//! failed proofs.
//!
//! The rule is GCRA (ITU-T I.371), `governor`'s: a bucket is one number, the time at which it is full again, and so needs
//! no timer that fills it. Time is the monotonic clock, not [`crate::clock::Clock`]: that one is set by people and counts
//! whole seconds, and a limit must neither stop nor open when it is set.

mod buckets;
mod failed_proofs;
mod last_minute;
mod network;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::{Quota, RateLimiter};

use self::buckets::Buckets;
use self::failed_proofs::FailedProofs;
pub use self::failed_proofs::PendingProof;
use self::network::{Networks, SITE_FACTOR};
use crate::session::HashedToken;
use crate::settings::RateLimitSettings;
use crate::user::UserId;

/// The limits of an e-mail address or a user are this many times those of an account: attempts from all addresses together.
const EVERYWHERE_FACTOR: u32 = 10;

/// All limits, for all workers of a process. Replicas count for themselves.
#[derive(Debug)]
pub struct RateLimits {
    address: Limit,
    site: Limit,
    // Anonymous callers choose how many e-mail addresses and sessions there are, so each kind has buckets of its own: a flood
    // of one kind must not make another kind's buckets be forgotten.
    email_at_address: Limit,
    email: Limit,
    session: Limit,
    user_at_address: Limit,
    user: Limit,
    failed_proofs: FailedProofs,
    /// What a bucket is named by. Random in each process, so that nobody can look for two keys that share a bucket.
    seed: RandomState,
}

/// Whose account a request tries.
#[derive(Debug, Clone, Copy)]
pub enum Account<'a> {
    /// The e-mail address as it was sent, whether a user has it or not: a limit for existing ones alone would tell them apart.
    Email {
        /// In the form that addresses are compared in.
        folded: &'a str,
        /// The client's address. Attempts from elsewhere must not keep the owner out.
        from: IpAddr,
    },
    /// The handle of a session, which is known without asking the database whether there is such a session.
    Session(&'a HashedToken),
    /// A user who is known already.
    User {
        /// Whose account it is.
        id: UserId,
        /// The client's address. Whoever holds a stolen token must not use up the attempts of the owner.
        from: IpAddr,
    },
}

/// Which limit it is. [`Policy::as_str`] is its name in headers and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Requests of one address, IPv6: of one /64.
    Address,
    /// Requests of one IPv6 /48.
    Site,
    /// Attempts at one session, or from one client address at one user or one e-mail address.
    Account,
    /// Attempts at one e-mail address from everywhere.
    Email,
    /// Attempts at one user from everywhere.
    User,
    /// Failed proofs of one address.
    FailedProofs,
    /// Failed proofs of one provider.
    FailedProofsInAll,
}

impl Policy {
    /// Returns the name of the limit: stable, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Site => "site",
            Self::Account => "account",
            Self::Email => "email",
            Self::User => "user",
            Self::FailedProofs => "failed",
            Self::FailedProofsInAll => "failed_in_all",
        }
    }
}

/// One request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which limit.
    pub policy: Policy,
    /// As many requests as may come at once.
    pub burst: NonZeroU32,
    /// As many as may come in a minute, for ever.
    pub per_minute: NonZeroU32,
    /// After this time one more is let through, if no other came first.
    pub retry_after: Duration,
}

#[derive(Debug)]
struct Limit {
    policy: Policy,
    burst: NonZeroU32,
    per_minute: NonZeroU32,
    limiter: RateLimiter<u64, Buckets, MonotonicClock>,
}

impl RateLimits {
    /// All limits, with nothing counted yet.
    #[must_use]
    pub fn new(settings: &RateLimitSettings) -> Self {
        let by_address =
            |policy, factor| Limit::new(policy, settings.address_burst, settings.address_per_minute, factor);
        let by_account =
            |policy, factor| Limit::new(policy, settings.account_burst, settings.account_per_minute, factor);
        Self {
            address: by_address(Policy::Address, 1),
            site: by_address(Policy::Site, SITE_FACTOR),
            email_at_address: by_account(Policy::Account, 1),
            email: by_account(Policy::Email, EVERYWHERE_FACTOR),
            session: by_account(Policy::Account, 1),
            user_at_address: by_account(Policy::Account, 1),
            user: by_account(Policy::User, EVERYWHERE_FACTOR),
            failed_proofs: FailedProofs::new(settings),
            seed: RandomState::new(),
        }
    }

    /// Counts a request of this address.
    ///
    /// # Errors
    /// Returns [`Exceeded`] if the address, its /64 or its /48 has no request left. A request that its /64 has none left for does
    /// not count for the /48.
    pub fn address(&self, address: IpAddr) -> Result<(), Exceeded> {
        let networks = Networks::of(address, &self.seed);
        self.address.count(networks.own)?;
        networks.site.map_or(Ok(()), |site| self.site.count(site))
    }

    /// Counts an attempt at this account.
    ///
    /// # Errors
    /// Returns [`Exceeded`] if there is no attempt left. An attempt for which the client address has none left does not count for
    /// other client addresses.
    pub fn account(&self, account: Account<'_>) -> Result<(), Exceeded> {
        match account {
            Account::Email { folded, from } => {
                let from = Networks::of(from, &self.seed).own;
                self.email_at_address.count(self.seed.hash_one((folded, from)))?;
                self.email.count(self.seed.hash_one(folded))
            }
            Account::Session(handle) => self.session.count(self.seed.hash_one(&handle.0)),
            Account::User { id, from } => {
                let from = Networks::of(from, &self.seed).own;
                self.user_at_address.count(self.seed.hash_one((id, from)))?;
                self.user.count(self.seed.hash_one(id))
            }
        }
    }

    /// Begins the proof of a token or code with this provider, within the budget of failed proofs. It waits while proofs of the
    /// same address are under way that would use up the budget if they failed.
    ///
    /// # Errors
    /// Returns [`Exceeded`] if the budget of the address is used up, or if the provider saw too many failures and the address was
    /// among those that caused them.
    pub async fn begin_proof<'a>(
        &'a self,
        provider: &'a str,
        address: IpAddr,
    ) -> Result<PendingProof<'a>, Exceeded> {
        self.failed_proofs.begin(provider, address, &self.seed).await
    }
}

impl Limit {
    fn new(policy: Policy, burst: NonZeroU32, per_minute: NonZeroU32, factor: u32) -> Self {
        let factor = NonZeroU32::new(factor).unwrap_or(NonZeroU32::MIN);
        let (burst, per_minute) = (burst.saturating_mul(factor), per_minute.saturating_mul(factor));
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
mod tests;
