//! The bearer's user, read once per request: requests that wait at the same moment share one round to the database.
//!
//! A few threads, each with a connection of its own, take whatever waits in a bounded queue: PostgreSQL gets all ids in
//! one query, SQLite answers them in turn from a cached prepared statement. Nothing is kept beyond the round, so a user
//! disabled before a request arrived is seen disabled by it. Rejected: a connection from the pool for each request,
//! which costs a thread hop and, on PostgreSQL, a round trip each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::connection::connect;
use super::{DatabaseUrl, DbConn, DbError, DbOptions, stopped, users};
use crate::metrics::LoaderMetrics;
use crate::user::{User, UserId};

/// Requests that may wait; more are answered 503, which is better than memory that grows.
const QUEUE: usize = 4096;
/// Requests that share a round.
const BATCH: usize = 128;
/// SQLite is answered in the calling thread: a second one only fights for the same core. PostgreSQL is waited for, so
/// a second thread collects the next batch meanwhile.
const THREADS_SQLITE: usize = 1;
const THREADS_POSTGRES: usize = 2;
/// After a failed connect, how long everybody is told so without another try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

type Answer = Result<Option<User>, DbError>;

struct Waiting {
    id: UserId,
    answer: oneshot::Sender<Answer>,
}

/// The queue's entrance. Its threads end when it is dropped.
pub(super) struct UserLoader {
    queue: mpsc::Sender<Waiting>,
}

impl UserLoader {
    pub(super) fn start(options: &DbOptions, metrics: &LoaderMetrics) -> Result<Self, DbError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = match options.url {
            DatabaseUrl::Sqlite(_) => THREADS_SQLITE,
            DatabaseUrl::Postgres(_) => THREADS_POSTGRES,
        };
        for number in 0..threads {
            let mut worker =
                Worker { url: options.url.clone(), conn: None, failed: None, metrics: metrics.clone() };
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name(format!("user-loader-{number}"))
                .spawn(move || worker.run(&waiting))
                .map_err(|error| DbError::Unavailable(format!("no thread for the loader: {error}")))?;
        }
        Ok(Self { queue })
    }

    /// Waits for a round that begins after this call.
    pub(super) async fn load(&self, id: UserId) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { id, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DbError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        answered.await.map_err(|_| stopped())?
    }
}

struct Worker {
    url: DatabaseUrl,
    conn: Option<DbConn>,
    failed: Option<(Instant, DbError)>,
    metrics: LoaderMetrics,
}

impl Worker {
    fn run(&mut self, waiting: &Mutex<mpsc::Receiver<Waiting>>) {
        while let Some(batch) = next_batch(waiting) {
            self.metrics.batch_size.observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            let ids: Vec<UserId> = batch.iter().map(|waiting| waiting.id).collect();
            match self.load(&ids) {
                Ok(found) => batch.into_iter().for_each(|Waiting { id, answer }| {
                    // A closed channel is a client that went away: nobody to tell.
                    let _ = answer.send(Ok(found.get(&id).cloned()));
                }),
                Err(error) => batch.into_iter().for_each(|Waiting { answer, .. }| {
                    let _ = answer.send(Err(error.clone()));
                }),
            }
        }
    }

    /// One round. A connection that fails is replaced and asked once more, so that a restart of the database between
    /// two requests is not seen by the second: reading twice does no harm.
    fn load(&mut self, ids: &[UserId]) -> Result<HashMap<UserId, User>, DbError> {
        let had_connection = self.conn.is_some();
        match self.query(ids) {
            Err(_) if had_connection => self.query(ids),
            result => result,
        }
    }

    fn query(&mut self, ids: &[UserId]) -> Result<HashMap<UserId, User>, DbError> {
        let conn = if let Some(conn) = &mut self.conn {
            conn
        } else {
            let conn = self.reconnect()?;
            self.conn.insert(conn)
        };
        let result = match conn {
            DbConn::Postgres(_) => users::find_all(conn, ids),
            DbConn::Sqlite(_) => ids.iter().filter_map(|id| users::find(conn, *id).transpose()).collect(),
        };
        if let Err(error @ DbError::Unavailable(_)) = &result {
            log::warn!("user loader: {error}");
            self.conn = None;
        }
        Ok(result?.into_iter().map(|user| (user.id, user)).collect())
    }

    fn reconnect(&mut self) -> Result<DbConn, DbError> {
        if let Some((at, error)) = &self.failed
            && at.elapsed() < RECONNECT_PAUSE
        {
            return Err(error.clone());
        }
        let connected = connect(&self.url);
        self.failed = connected.as_ref().err().map(|error| (Instant::now(), error.clone()));
        connected
    }
}

/// Waits for one request, then takes all that came meanwhile. `None` when the entrance is gone.
fn next_batch(waiting: &Mutex<mpsc::Receiver<Waiting>>) -> Option<Vec<Waiting>> {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut batch = vec![waiting.blocking_recv()?];
    while batch.len() < BATCH {
        match waiting.try_recv() {
            Ok(next) => batch.push(next),
            Err(_) => break,
        }
    }
    Some(batch)
}
