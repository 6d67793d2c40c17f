//! Waiting, at the start of the service, for a server that takes changes.

use std::time::{Duration, Instant};

use super::{DatabaseUrl, DbConn, DbError, assert_on_server, connect, guard};
use crate::clock::SharedClock;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two lines in the log.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Waits until a server takes changes, at most for `limit`: a replica may start in the middle of a
/// failover, and one that ended would be started again by somebody who knows less of the reason. A
/// clock that differs is logged, and `/readyz` says it from then on. An SQLite file is not waited for.
///
/// # Errors
/// Returns [`DbError::ReadOnly`] or [`DbError::Unavailable`] if there is none in time.
pub fn wait_for_primary(url: &DatabaseUrl, limit: Duration, clock: &SharedClock) -> Result<(), DbError> {
    if url.file().is_some() {
        return Ok(());
    }
    let (start, mut said) = (Instant::now(), None::<Instant>);
    loop {
        let clock = Some(clock).filter(|clock| clock.is_wall_clock());
        let error = match connect(url).and_then(|mut conn| compare(&mut conn, clock)) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(error);
        }
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            log::warn!("waiting for a database server that takes changes (database.start_timeout): {error}");
            said = Some(Instant::now());
        }
        std::thread::sleep(PAUSE.min(left));
    }
}

fn compare(conn: &mut DbConn, clock: Option<&SharedClock>) -> Result<(), DbError> {
    match assert_on_server(conn, &guard::of(clock)) {
        Err(error @ DbError::ClockDiffers { .. }) => {
            log::error!("not ready: {error}");
            Ok(())
        }
        result => result,
    }
}
