//! Rows by key, read anew for each request, in [rounds](super::rounds): the bearer's user or client, and the identity behind
//! an exchange.
//!
//! Nothing is kept beyond the round, so a user disabled before a request arrived is seen disabled by it. Rejected: a
//! connection from the pool for each request, which costs a thread hop and, on PostgreSQL, a round trip each.

use std::sync::Weak;
use std::time::Instant;

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::oneshot;

use super::connection::Connector;
use super::rounds::{LastingConnection, Queue};
use super::watch::Watched;
use super::{DbConn, DbError, stopped};

/// Reads the rows of these keys, of which no two are the same and which are in order. The rows may come in any order.
pub(super) type FindAll<K, R> = fn(&mut DbConn, &[K]) -> Result<Vec<(K, R)>, DbError>;

type Answer<R> = Result<Option<R>, DbError>;

struct Waiting<K, R> {
    key: K,
    answer: oneshot::Sender<Answer<R>>,
}

/// Answers keys with rows.
pub(super) struct Loader<K, R> {
    queue: Queue<Waiting<K, R>>,
}

impl<K, R> Loader<K, R>
where
    K: Clone + Ord + Send + 'static,
    R: Clone + Send + 'static,
{
    pub(super) fn start(
        name: &str,
        connector: &Connector,
        round_sizes: &Histogram,
        find_all: FindAll<K, R>,
    ) -> Result<Self, DbError> {
        let queue = Queue::start(name, connector, round_sizes, move |conn, waiting| {
            answer_all(waiting, |keys| find_patiently(conn, keys, find_all));
        })?;
        Ok(Self { queue })
    }

    /// As [`Queue::close`].
    pub(super) fn close(&self, deadline: Instant) {
        self.queue.close(deadline);
    }

    /// For [`super::watch`].
    pub(super) fn watched(&self) -> Weak<dyn Watched> {
        self.queue.watched()
    }

    /// The row of this key, read in a round that begins after this call.
    pub(super) async fn load(&self, key: K) -> Answer<R> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Waiting { key, answer })?;
        answered.await.map_err(|_| stopped())?
    }
}

/// A connection that fails is replaced and asked once more, so that a restart of the database between two requests is not
/// seen by the second: reading twice does no harm.
fn find_patiently<K, R>(
    conn: &mut LastingConnection,
    keys: &[K],
    find_all: FindAll<K, R>,
) -> Result<Vec<(K, R)>, DbError> {
    let was_open = conn.is_open();
    match conn.with(|conn| find_all(conn, keys)) {
        Err(_) if was_open => conn.with(|conn| find_all(conn, keys)),
        result => result,
    }
}

/// One round: each key is read once, however many wait for it. Only those who wait for the same row get copies of it.
fn answer_all<K: Clone + Ord, R: Clone>(
    mut waiting: Vec<Waiting<K, R>>,
    find_all: impl FnOnce(&[K]) -> Result<Vec<(K, R)>, DbError>,
) {
    waiting.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    let mut keys: Vec<K> = waiting.iter().map(|waiting| waiting.key.clone()).collect();
    keys.dedup();
    let mut found = find_all(&keys);
    if let Ok(rows) = &mut found {
        // The last one first, to be taken off the end.
        rows.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
    }
    let mut waiting = waiting.into_iter().peekable();
    while let Some(Waiting { key, answer }) = waiting.next() {
        let is_last = waiting.peek().is_none_or(|next| next.key != key);
        let row = found.as_mut().map(|rows| row_of(rows, &key, is_last)).map_err(|error| error.clone());
        // A closed channel is a client that went away: nobody to tell.
        let _ = answer.send(row);
    }
}

/// Returns the row of this key if it is at the end, and takes it off for the last one who waits for it.
fn row_of<K: Ord, R: Clone>(rows: &mut Vec<(K, R)>, key: &K, is_last: bool) -> Option<R> {
    if is_last {
        rows.pop_if(|(found, _)| found == key).map(|(_, row)| row)
    } else {
        rows.last().filter(|(found, _)| found == key).map(|(_, row)| row.clone())
    }
}
