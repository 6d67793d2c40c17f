//! The pool: connections that are lent for one change or one read each.
//!
//! On PostgreSQL each use opens with a statement that fails on a server which takes no changes ([`guard`](super::guard)).
//! Nothing has been done by then, so a connection that died while it was idle is replaced before anybody notices.
//! Rejected: `r2d2`, which asks an idle connection in a round trip of its own, and cannot take back a connection
//! that does not respond.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Connector, LiveConn};
use super::watch::Watched;
use super::{DbConn, DbError, stopped};
use crate::metrics::PoolGauge;

/// Between two tries to connect; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Uses that are given up and still blocked, for each connection of the pool. All of them may be blocked by one fault, and a proxy
/// may keep them until the next fault and the one after it. No more: where commits stall, each is a session on the server.
const MOST_BLOCKED: u32 = 3;

/// Connections that nobody uses, and who uses the others.
pub(super) struct Pool {
    connector: Connector,
    idle: Mutex<Vec<PooledConn>>,
    open: Arc<AtomicU32>,
    /// One for each connection. That of a use which was given up is released.
    permits: Arc<Semaphore>,
    uses: Mutex<Vec<Arc<Use>>>,
    given_up: AtomicU32,
    size: u32,
    /// `database.timeout`
    timeout: Duration,
}

struct PooledConn {
    live: LiveConn,
    #[expect(dead_code, reason = "counts until it is dropped")]
    counted: Counted,
}

struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One use of a connection.
struct Use(Mutex<UseState>);

struct UseState {
    permit: Option<OwnedSemaphorePermit>,
    /// The tick at which the connection was taken in hand; none while connecting, which ends by itself.
    since: Option<u64>,
    given_up: bool,
}

impl Pool {
    pub(super) fn new(connector: Connector, size: u32, timeout: Duration) -> Self {
        Self {
            connector,
            idle: Mutex::default(),
            open: Arc::default(),
            permits: Arc::new(Semaphore::new(size as usize)),
            uses: Mutex::default(),
            given_up: AtomicU32::new(0),
            size,
            timeout,
        }
    }

    /// Opens the first connection, so that it is not a request that waits for it.
    pub(super) fn open_first(&self) -> Result<(), DbError> {
        let first = self.connect()?;
        lock(&self.idle).push(first);
        Ok(())
    }

    /// Waits until a connection may be used.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, DbError> {
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| stopped())
    }

    /// Runs `opening` and then `queries` on a connection. Blocks, also to connect. `ready` is called when there is a connection.
    pub(super) fn with<T>(
        &self,
        permit: OwnedSemaphorePermit,
        opening: impl Fn(&mut DbConn) -> Result<(), DbError>,
        ready: impl FnOnce(),
        queries: impl FnOnce(&mut DbConn) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let guard = UseGuard::new(self, permit);
        let mut pooled = self.opened(&guard, opening)?;
        ready();
        let result = queries(&mut pooled.live.conn);
        let failed = result.as_ref().err().is_some_and(|error| pooled.live.is_spoiled_by(error));
        if let Err(error) = &result {
            self.connector.note(error);
        }
        if !failed && !guard.is_given_up() && !pooled.live.is_broken() && !self.permits.is_closed() {
            lock(&self.idle).push(pooled);
        }
        result
    }

    /// Gives nobody a connection any more, closes the idle ones, and waits until `deadline` for those in use that respond.
    pub(super) fn close(&self, deadline: Instant) {
        self.permits.close();
        drop(std::mem::take(&mut *lock(&self.idle)));
        let is_used = || lock(&self.uses).iter().any(|used| !lock(&used.0).given_up);
        while is_used() && Instant::now() < deadline {
            std::thread::sleep(FIRST_PAUSE / 4);
        }
    }

    /// How full it is.
    pub(super) fn state(&self) -> PoolGauge {
        let idle = u32::try_from(lock(&self.idle).len()).unwrap_or(u32::MAX);
        PoolGauge { open: self.open.load(Ordering::Relaxed), idle, max: self.size }
    }

    /// An idle connection on which `opening` succeeds, or a new one; the time for that is `database.timeout`.
    fn opened(
        &self,
        guard: &UseGuard<'_>,
        opening: impl Fn(&mut DbConn) -> Result<(), DbError>,
    ) -> Result<PooledConn, DbError> {
        let (start, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let idle = self.take_idle();
            let was_idle = idle.is_some();
            let pooled = idle.map_or_else(|| self.connect(), Ok);
            let opened = pooled.and_then(|mut pooled| {
                guard.in_hand(Some(self.connector.renewal().now()));
                opening(&mut pooled.live.conn).map(|()| pooled)
            });
            let (is_late, error) = match opened {
                // The caller was told that nothing was done.
                Ok(_) if guard.is_given_up() || start.elapsed() > self.timeout => {
                    return Err(DbError::Unavailable("the database was too slow".to_owned()));
                }
                Ok(pooled) => return Ok(pooled),
                Err(error) => (guard.is_given_up() || start.elapsed() + pause > self.timeout, error),
            };
            guard.in_hand(None);
            self.connector.note(&error);
            // Not the connection's fault.
            if is_late || matches!(error, DbError::ClockDiffers { .. }) {
                return Err(error);
            }
            if !was_idle {
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    fn take_idle(&self) -> Option<PooledConn> {
        loop {
            // The last one first: the others grow old, and one that is too old is closed without the lock.
            let pooled = lock(&self.idle).pop()?;
            if self.connector.is_current(&pooled.live) {
                return Some(pooled);
            }
        }
    }

    fn connect(&self) -> Result<PooledConn, DbError> {
        let live = self.connector.connect()?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(PooledConn { live, counted: Counted(Arc::clone(&self.open)) })
    }

    fn close_old(&self) {
        let is_old = |pooled: &mut PooledConn| !self.connector.is_current(&pooled.live);
        let old: Vec<_> = lock(&self.idle).extract_if(.., is_old).collect();
        drop(old);
    }
}

impl Watched for Pool {
    fn give_up(self: Arc<Self>, limit: u64) {
        // The whole of `database.timeout`: nobody waits behind it.
        let limit = limit + limit.div_ceil(4) + 1;
        let now = self.connector.renewal().now();
        for used in &*lock(&self.uses) {
            let mut state = lock(&used.0);
            let is_blocked = state.since.is_some_and(|since| now - since >= limit) && !state.given_up;
            if is_blocked && self.given_up.load(Ordering::Relaxed) < self.size * MOST_BLOCKED {
                log::warn!("connection pool: a connection does not respond and is given up");
                self.given_up.fetch_add(1, Ordering::Relaxed);
                state.given_up = true;
                state.permit = None;
                self.connector.renewal().replace_all();
            }
        }
        self.close_old();
    }
}

/// Registers a [`Use`] for as long as it lasts.
struct UseGuard<'a> {
    pool: &'a Pool,
    used: Arc<Use>,
}

impl<'a> UseGuard<'a> {
    fn new(pool: &'a Pool, permit: OwnedSemaphorePermit) -> Self {
        let used = Arc::new(Use(Mutex::new(UseState { permit: Some(permit), since: None, given_up: false })));
        lock(&pool.uses).push(Arc::clone(&used));
        Self { pool, used }
    }

    fn in_hand(&self, since: Option<u64>) {
        lock(&self.used.0).since = since;
    }

    fn is_given_up(&self) -> bool {
        lock(&self.used.0).given_up
    }
}

impl Drop for UseGuard<'_> {
    fn drop(&mut self) {
        lock(&self.pool.uses).retain(|used| !Arc::ptr_eq(used, &self.used));
        if self.is_given_up() {
            self.pool.given_up.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
