//! How and when a user proved who they are. It travels with access tokens, sessions and one-time codes, so that a sensitive
//! operation can require a recent proof (RFC 9470).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// `idp` of a sign-in with a password; no provider may have this name.
pub const PASSWORD: &str = "password";

/// The latest proof of a user's identity. A refresh of the session keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// When the user was authenticated, in Unix seconds (OpenID Connect Core §2).
    pub auth_time: i64,
    /// The provider's name in the settings, or [`PASSWORD`].
    pub idp: String,
}

/// What an access token says of the authentication behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthenticationClaims {
    /// When the user was authenticated.
    pub at: Timestamp,
    /// The user was authenticated by a provider, not by the password.
    pub by_provider: bool,
}

impl AuthenticationClaims {
    /// Returns the claims of a token with this `auth_time` and `idp`; none if one of them is missing.
    #[must_use]
    pub fn new(auth_time: Option<i64>, idp: Option<&str>) -> Option<Self> {
        let (at, idp) = (Timestamp(auth_time?), idp?);
        Some(Self { at, by_provider: idp != PASSWORD })
    }
}

/// How long a sign-in by a provider replaces the current password where `accounts.fresh_for` is zero: without any such time an
/// owner could not remove a password that a thief has set.
const PASSWORD_RECOVERY: Duration = Duration::from_mins(10);

/// How recent the sign-in behind a request is (RFC 9470).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recency {
    recent: bool,
    recent_by_provider: bool,
    max_age: i64,
}

/// The sign-in behind a request is too old for a sensitive operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sign-in is more than {max_age} s old, which is the limit for this operation (accounts.fresh_for)"
)]
pub struct NotRecent {
    /// How old it may be, in seconds.
    pub max_age: i64,
}

impl Recency {
    /// Judges a sign-in at `now` by `accounts.fresh_for`. An unknown one is never recent, unless the setting is zero.
    #[must_use]
    pub fn new(claims: Option<AuthenticationClaims>, fresh_for: Duration, now: Timestamp) -> Self {
        let within = |limit: Duration| claims.filter(|claims| claims.at >= now.before(limit));
        let recovery = if fresh_for.is_zero() { PASSWORD_RECOVERY } else { fresh_for };
        Self {
            recent: fresh_for.is_zero() || within(fresh_for).is_some(),
            recent_by_provider: within(recovery).is_some_and(|claims| claims.by_provider),
            max_age: i64::try_from(fresh_for.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Returns whether a provider has recently authenticated the user, which replaces the current password.
    #[must_use]
    pub fn replaces_password(&self) -> bool {
        self.recent_by_provider
    }

    /// Accepts a recent sign-in.
    ///
    /// # Errors
    /// Returns [`NotRecent`] for one that is too old.
    pub fn check(&self) -> Result<(), NotRecent> {
        if self.recent { Ok(()) } else { Err(NotRecent { max_age: self.max_age }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn recency(age: Option<i64>, idp: &str, fresh_for: u64) -> (bool, bool) {
        let claims = AuthenticationClaims::new(age.map(|age| NOW.plus(-age).0), Some(idp));
        let recency = Recency::new(claims, Duration::from_secs(fresh_for), NOW);
        (recency.check().is_ok(), recency.replaces_password())
    }

    #[test]
    fn a_sign_in_is_recent_up_to_the_limit() {
        for (age, idp, fresh_for, expected) in [
            (Some(0), "google", 600, (true, true)),
            (Some(600), "google", 600, (true, true)),
            (Some(601), "google", 600, (false, false)),
            (Some(0), PASSWORD, 600, (true, false)),
            (None, "google", 600, (false, false)),
            (Some(100_000), "google", 0, (true, false)),
            (Some(600), "google", 0, (true, true)),
            (Some(0), PASSWORD, 0, (true, false)),
            (None, "google", 0, (true, false)),
        ] {
            assert_eq!(recency(age, idp, fresh_for), expected, "{age:?} {idp} {fresh_for}");
        }
    }
}
