//! Provider trouble: said of the provider, never of the token.

use std::time::Duration;

/// Seconds a client is asked to wait when the provider named none.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The longest wait of the provider's that is passed on.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageKind {
    /// No answer in time: 504.
    Timeout,
    /// No connection, or asked to come back later: 503.
    Unavailable,
    /// An answer that is none: 502.
    BadAnswer,
}

/// The provider cannot be asked now. The text is for the client and for the log: no URL, no token.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Outage {
    /// What kind of trouble.
    pub kind: OutageKind,
    /// When trying again may help.
    pub retry_after: Duration,
    detail: String,
}

impl Outage {
    /// No answer within `limit`.
    #[must_use]
    pub fn timeout(provider: &str, limit: Duration) -> Self {
        let detail = format!("{provider} did not answer within {limit:?} (http_client.timeout)");
        Self { kind: OutageKind::Timeout, retry_after: RETRY_AFTER, detail }
    }

    /// No connection.
    #[must_use]
    pub fn unreachable(provider: &str) -> Self {
        let detail = format!("{provider} cannot be reached");
        Self { kind: OutageKind::Unavailable, retry_after: RETRY_AFTER, detail }
    }

    /// The provider wants fewer requests; it may have said for how long.
    #[must_use]
    pub fn rate_limited(provider: &str, retry_after: Option<Duration>) -> Self {
        let retry_after = retry_after.unwrap_or(RETRY_AFTER).clamp(Duration::from_secs(1), MAX_RETRY_AFTER);
        let detail = format!("{provider} limits how often it may be asked");
        Self { kind: OutageKind::Unavailable, retry_after, detail }
    }

    /// An answer that is not what the provider documents.
    #[must_use]
    pub fn bad_answer(provider: &str, problem: impl std::fmt::Display) -> Self {
        let detail = format!("{provider}'s answer cannot be used: {problem}");
        Self { kind: OutageKind::BadAnswer, retry_after: RETRY_AFTER, detail }
    }

    /// A token may be signed by a key that is newer than the keys we have, and the provider was asked for them a moment ago.
    #[must_use]
    pub fn keys_may_be_newer(provider: &str, retry_in: Duration) -> Self {
        let detail = format!(
            "The token names a key that {provider} did not have when it was last asked, and the token is newer. {provider} is \
             not asked again before jwks.cooldown has passed."
        );
        Self { kind: OutageKind::Unavailable, retry_after: RETRY_AFTER, detail }.retry_in(retry_in)
    }

    /// The same trouble, with the time until it is worth asking again.
    #[must_use]
    pub fn retry_in(mut self, wait: Duration) -> Self {
        self.retry_after = wait.max(Duration::from_secs(1));
        self
    }
}
