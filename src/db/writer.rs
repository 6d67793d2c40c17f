//! SQLite's one writer: changes that wait at the same moment share one commit, in [rounds](super::rounds).
//!
//! A SQLite file has one writer at a time. Several connections that want to write sleep until it is their turn; one
//! thread that writes for all need not, and pays for the commit once a round. Each change is still all or nothing, and
//! is answered only after the commit. PostgreSQL has many writers and groups their commits by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::oneshot;

use super::connection::{Connector, on_either};
use super::rounds::{LastingConnection, Queue};
use super::{DbConn, DbError, guard, stopped, transaction};
use crate::clock::SharedClock;
use crate::metrics::{RoundMetrics, Wait};

/// A change: given a connection inside a transaction, or why there is none, it does its part and leaves behind how to
/// tell its caller once the transaction ended.
type Change = Box<dyn FnOnce(Result<&mut DbConn, DbError>) -> Announce + Send>;
type Announce = Box<dyn FnOnce(Result<(), DbError>)>;

/// The queue of changes.
pub(super) struct Writer {
    queue: Queue<Change>,
    waits: Histogram,
}

impl Writer {
    pub(super) fn start(connector: &Connector, metrics: &RoundMetrics) -> Result<Self, DbError> {
        let queue = Queue::start("writer", connector, &metrics.writes, write_together)?;
        Ok(Self { queue, waits: metrics.writer_waits.clone() })
    }

    /// As [`Queue::close`].
    pub(super) fn close(&self, deadline: Instant) {
        self.queue.close(deadline);
    }

    /// Runs `queries` in a transaction: everything or nothing.
    pub(super) async fn write<T, F>(&self, queries: F) -> Result<T, DbError>
    where
        F: FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let wait = Wait::begin(&self.waits);
        self.queue.push(Box::new(move |conn| {
            drop(wait);
            // Inside the round's transaction this one is a savepoint.
            let result = conn.and_then(|conn| transaction(conn, queries));
            Box::new(move |committed| {
                // A closed channel is a client that went away: nobody to tell.
                let _ = answer.send(committed.and(result));
            })
        }))?;
        answered.await.map_err(|_| stopped())?
    }
}

/// One round: one transaction for all, then everybody is told.
fn write_together(conn: &mut LastingConnection, changes: Vec<Change>) {
    let mut changes = changes.into_iter();
    let mut announcements = Vec::with_capacity(changes.len());
    let committed = conn.with(|conn| {
        begin(conn)?;
        for change in changes.by_ref() {
            // A change that panics must not take the writer with it. The connection may be anywhere in a transaction
            // then: it is given up, and so is the round.
            let done = catch_unwind(AssertUnwindSafe(|| change(Ok(&mut *conn))));
            announcements.push(done.map_err(|_| DbError::Unavailable("a change panicked".to_owned()))?);
        }
        commit(conn)
    });
    if let Err(error) = &committed {
        announcements.extend(changes.map(|change| change(Err(error.clone()))));
    }
    for announce in announcements {
        announce(committed.clone());
    }
}

/// `IMMEDIATE`: a transaction that reads before it writes would fail at once when another process was faster, whatever
/// the busy timeout.
pub(super) fn begin(conn: &mut DbConn) -> Result<(), DbError> {
    let begun = match conn {
        DbConn::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        DbConn::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN"),
    };
    Ok(begun?)
}

/// Begins a transaction on PostgreSQL that fails on a server which takes no changes, or whose clock differs, all in one round
/// trip. Who waits for a lock is told before `timeout`, and does nothing later. Not `statement_timeout`: it also ends a
/// commit's wait for a synchronous standby, which then counts as done.
pub(super) fn begin_on_server(
    conn: &mut DbConn,
    timeout: Duration,
    clock: Option<&SharedClock>,
) -> Result<(), DbError> {
    let DbConn::Postgres(conn) = conn else { return begin(conn) };
    let lock_timeout = (timeout * 9 / 10).as_millis().max(1);
    let guard = guard::of(clock);
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {lock_timeout}; {guard}");
    Ok(AnsiTransactionManager::begin_transaction_sql(conn, &begin)?)
}

/// Runs `queries` in the transaction that has begun, and ends it.
pub(super) fn finish<T, E: From<DbError>>(
    conn: &mut DbConn,
    queries: impl FnOnce(&mut DbConn) -> Result<T, E>,
) -> Result<T, E> {
    let done = queries(conn);
    match done {
        Ok(_) => commit(conn)?,
        // Where that fails the connection is gone, and nothing was done either; the reason is the first error.
        Err(_) => drop(roll_back(conn)),
    }
    done
}

pub(super) fn commit(conn: &mut DbConn) -> Result<(), DbError> {
    Ok(on_either!(conn, |conn| AnsiTransactionManager::commit_transaction(conn))?)
}

pub(super) fn roll_back(conn: &mut DbConn) -> Result<(), DbError> {
    Ok(on_either!(conn, |conn| AnsiTransactionManager::rollback_transaction(conn))?)
}
