//! Time is an argument: whoever needs "now" is handed a [`Clock`], so a test can set it.
//! The only call to the system's wall clock is here (`clippy.toml` bans it elsewhere).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use chrono::Utc;
use serde::{Serialize, Serializer};

/// Whole seconds since 1970-01-01T00:00:00Z, as in a JWT (RFC 7519 `NumericDate`) and in every table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment `seconds` later (earlier when negative), without overflow.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This moment and a while, to the second, without overflow.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        self.plus(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
    }

    /// This moment less a while, to the second, without overflow.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        self.plus(-i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Timestamp {
    /// RFC 3339 in UTC, to the second: `2026-11-21T05:00:00Z`. Before 1970 and after 9999 only a hostile claim is, and it is
    /// shown as the number it is.
    fn to_rfc3339(self) -> String {
        const YEAR_10000: u64 = 253_402_300_800;
        match u64::try_from(self.0) {
            Ok(seconds) if seconds < YEAR_10000 => {
                // Two of these are in each answer of `/api/me`; chrono's formatting takes 1 300 instructions for one.
                humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
            }
            _ => self.0.to_string(),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

/// Where "now" comes from.
pub trait Clock: Send + Sync {
    /// The current moment.
    fn now(&self) -> Timestamp;

    /// Whether it shows the present time, so that the database server's clock must agree with it. One that a test moves does not.
    fn is_wall_clock(&self) -> bool {
        false
    }

    /// The current moment in Unix milliseconds, for what is too short to be counted in seconds.
    fn now_in_milliseconds(&self) -> i64 {
        self.now().0.saturating_mul(1000)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp())
    }

    fn is_wall_clock(&self) -> bool {
        true
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now_in_milliseconds(&self) -> i64 {
        Utc::now().timestamp_millis()
    }
}

/// A clock handed around.
pub type SharedClock = Arc<dyn Clock>;
