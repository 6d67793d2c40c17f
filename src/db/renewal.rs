//! When a connection that lasts is replaced: after `database.max_lifetime`, and after a fault of any connection.
//!
//! A server that froze, or became a standby, has all connections made before. One of them that meets
//! the fault is enough: none of the others is used again, or each would cost a request of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared by all connections of a [`super::Db`]. Time is counted in ticks of [`super::watch`]: to read it
/// costs a load, where a clock would cost every read more.
#[derive(Debug)]
pub(super) struct Renewal {
    ticks: AtomicU64,
    faults: AtomicU64,
    lifetime: u64,
}

/// When a connection was made, and how long it may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    faults: u64,
    expires: u64,
}

impl Renewal {
    /// Connections are used for `lifetime`, or up to a quarter less.
    pub(super) fn new(lifetime: Duration, tick: Duration) -> Self {
        let lifetime = u64::try_from(lifetime.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u64::MAX);
        Self { ticks: AtomicU64::new(0), faults: AtomicU64::new(0), lifetime: lifetime.max(1) }
    }

    /// To be called before connecting, so that a fault meanwhile counts. The quarter is at random, or
    /// connections that were made together would be replaced together, on all replicas.
    pub(super) fn begin(&self) -> Made {
        let spread = self.lifetime / 4;
        let early = if spread == 0 { 0 } else { uuid::Uuid::new_v4().as_u64_pair().1 % spread };
        let expires = self.now().saturating_add(self.lifetime - early);
        Made { faults: self.faults.load(Ordering::Relaxed), expires }
    }

    /// Whether a connection may still be used.
    pub(super) fn is_current(&self, made: Made) -> bool {
        made.faults == self.faults.load(Ordering::Relaxed) && self.now() < made.expires
    }

    /// Has every connection that was made before replaced at its next use.
    pub(super) fn replace_all(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// Ticks so far.
    pub(super) fn now(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Counts a tick.
    pub(super) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }
}
