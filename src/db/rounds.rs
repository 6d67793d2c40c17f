//! Rounds: what waits for the database at the same moment shares one trip to it.
//!
//! A thread of its own, with a [`LastingConnection`], takes whatever waits in a bounded queue and does it together. The next
//! round gathers while this one is under way, so nobody waits for company: alone, a request is a round of one.
//!
//! One thread, not several: two make rounds half as large, and a round costs the same, large or small (docs/PERFORMANCE.md).

use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::mpsc;

use super::connection::Connector;
use super::{DbConn, DbError, stopped};

/// Those who may wait; more are answered 503, which is better than memory that grows.
const QUEUE: usize = 4096;
/// Those who share a round.
const LARGEST_ROUND: usize = 128;
/// After a failed connect, how long everybody is told so without another try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The queue's entrance. The thread ends when it is dropped.
pub(super) struct Queue<T> {
    entrance: mpsc::Sender<T>,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts the thread, which calls `round` with its connection and those who wait.
    pub(super) fn start(
        name: &str,
        connector: &Connector,
        sizes: &Histogram,
        round: impl Fn(&mut LastingConnection, Vec<T>) + Send + 'static,
    ) -> Result<Self, DbError> {
        let (entrance, mut waiting) = mpsc::channel(QUEUE);
        let sizes = sizes.clone();
        let mut conn = LastingConnection { connector: connector.clone(), conn: None, failed: None };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Some(together) = next_round(&mut waiting) {
                    sizes.observe(f64::from(u32::try_from(together.len()).unwrap_or(u32::MAX)));
                    round(&mut conn, together);
                }
            })
            .map_err(|error| DbError::Unavailable(format!("no thread for the database: {error}")))?;
        Ok(Self { entrance })
    }

    /// Takes a place in the queue, or says at once that there is none.
    pub(super) fn push(&self, item: T) -> Result<(), DbError> {
        self.entrance.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DbError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })
    }
}

/// Waits for one, then takes all that came meanwhile. `None` when the entrance is gone.
fn next_round<T>(waiting: &mut mpsc::Receiver<T>) -> Option<Vec<T>> {
    let mut together = vec![waiting.blocking_recv()?];
    while together.len() < LARGEST_ROUND {
        match waiting.try_recv() {
            Ok(next) => together.push(next),
            Err(_) => break,
        }
    }
    Some(together)
}

/// A thread's own connection: made when it is first needed, replaced when it failed.
pub(super) struct LastingConnection {
    connector: Connector,
    conn: Option<DbConn>,
    failed: Option<(Instant, DbError)>,
}

impl LastingConnection {
    /// Whether there is one, so that a failure may be its fault.
    pub(super) fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Uses the connection. One that is unavailable is given up; the next use makes another.
    pub(super) fn with<T>(
        &mut self,
        queries: impl FnOnce(&mut DbConn) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let conn = if let Some(conn) = &mut self.conn {
            conn
        } else {
            let conn = self.reconnect()?;
            self.conn.insert(conn)
        };
        let result = queries(conn);
        if let Err(error @ DbError::Unavailable(_)) = &result {
            log::warn!("{}: {error}", std::thread::current().name().unwrap_or_default());
            self.conn = None;
        }
        result
    }

    fn reconnect(&mut self) -> Result<DbConn, DbError> {
        if let Some((at, error)) = &self.failed
            && at.elapsed() < RECONNECT_PAUSE
        {
            return Err(error.clone());
        }
        let connected = self.connector.connect();
        self.failed = connected.as_ref().err().map(|error| (Instant::now(), error.clone()));
        connected
    }
}
