//! The thread that gives up connections which do not respond.
//!
//! libpq waits for a response without a limit, and a proxy whose server died keeps the connection
//! alive, so that no limit of TCP helps. Its socket cannot be shut down from here: Diesel does not
//! show it, and without `unsafe` nobody else does. So the blocked *thread* is given up. Another one, with another
//! connection, takes its place, and the old one ends when its connection does. How many may be blocked at the same
//! time is bounded. Only for PostgreSQL: SQLite waits at most for `busy_timeout`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::DbError;
use super::renewal::Renewal;

/// Something that may hold connections that do not respond.
pub(super) trait Watched: Send + Sync {
    /// Gives up what has been in use for as many ticks as `limit`.
    fn give_up(self: Arc<Self>, limit: u64);
}

/// The length of a tick, in which a `database.timeout` is counted.
pub(super) fn tick_of(timeout: Duration) -> Duration {
    (timeout / 10).clamp(Duration::from_millis(10), Duration::from_millis(500))
}

/// Starts the thread, which ends when `watched` are gone.
///
/// # Errors
/// Returns [`DbError::Unavailable`] if there is no thread to be had.
pub(super) fn start(
    timeout: Duration,
    renewal: Arc<Renewal>,
    watched: Vec<Weak<dyn Watched>>,
) -> Result<(), DbError> {
    let tick = tick_of(timeout);
    // A round that is given up makes room for those who wait behind it, and they still have time.
    let limit = u64::try_from((timeout * 4 / 5).as_nanos() / tick.as_nanos()).unwrap_or(u64::MAX).max(1);
    let work = move || {
        loop {
            std::thread::sleep(tick);
            renewal.tick();
            for watched in &watched {
                let Some(watched) = watched.upgrade() else { return };
                watched.give_up(limit);
            }
        }
    };
    std::thread::Builder::new()
        .name("db-watch".to_owned())
        .spawn(work)
        .map_err(|error| DbError::Unavailable(format!("no thread for the database: {error}")))?;
    Ok(())
}
