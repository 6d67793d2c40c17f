//! Rejected sign-ins in the audit trail. Anonymous callers decide how many there are, so those of one address, method, error code
//! and minute are counted in one row, on all replicas together, and there are at most `events.refused_rows` rows.
//!
//! A process writes one batch at a time. What is rejected while a batch is being written makes the next one, so that a flood costs
//! others at the database one small transaction and not one for each request.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::housekeeping;
use crate::db::events::RefusedSignIn;
use crate::db::{Db, DbError, events};
use crate::event::{Event, EventKind, Origin};
use crate::user::UserId;

/// How long the response to a rejected sign-in waits for its row. The response needs no database, and a slow one must not hold it
/// up; the row is written all the same.
const PATIENCE: Duration = Duration::from_millis(500);
/// Rows that wait to be written, about 5 MB. The database is slower than the flood when there are more; the rest is not recorded.
const MAX_WAITING: usize = 10_000;
/// Rows of one transaction: whoever else wants to write waits for milliseconds.
const BATCH: usize = 200;

/// The recorder. Cheap to clone, one for all workers.
#[derive(Clone)]
pub(crate) struct RefusedSignIns {
    shared: Arc<Shared>,
}

struct Shared {
    db: Db,
    max_rows: u32,
    waiting: Mutex<Waiting>,
    /// The number of the last batch that has been written, or could not be.
    done: watch::Sender<u64>,
}

/// What is not written yet.
#[derive(Default)]
struct Waiting {
    rows: BTreeMap<String, RefusedSignIn>,
    /// The number of the batch that these rows will be in.
    batch: u64,
    writing: bool,
    not_recorded: u64,
    /// Rows that this process has inserted since it last enforced `events.refused_rows`.
    inserted: usize,
}

impl RefusedSignIns {
    pub(crate) fn new(db: &Db, max_rows: u32) -> Self {
        let waiting = Mutex::new(Waiting { batch: 1, ..Waiting::default() });
        Self { shared: Arc::new(Shared { db: db.clone(), max_rows, waiting, done: watch::Sender::new(0) }) }
    }

    /// Records a rejected sign-in. `user_id` only when the credential was proved. If it cannot be written, that is logged and changes
    /// nothing for the client.
    pub(crate) async fn record(&self, method: &str, code: &str, user_id: Option<UserId>, origin: &Origin) {
        let key = key(method, code, user_id, origin);
        let (batch, begin) = self.shared.add(key, || {
            let detail = json!({ "method": method, "code": code });
            origin.event(EventKind::SignInRefused, user_id, detail)
        });
        if begin {
            // Not as a part of the request: a client that goes away must not end it.
            tokio::spawn(Arc::clone(&self.shared).write_all());
        }
        let mut done = self.shared.done.subscribe();
        let _ = tokio::time::timeout(PATIENCE, done.wait_for(|done| *done >= batch)).await;
    }
}

impl Shared {
    /// Adds one, and returns its batch and whether the caller has to begin writing.
    fn add(&self, key: String, event: impl FnOnce() -> Event) -> (u64, bool) {
        let mut waiting = self.lock();
        let full = waiting.rows.len() >= MAX_WAITING;
        match waiting.rows.get_mut(&key) {
            Some(row) => row.count += 1,
            None if full => waiting.not_recorded += 1,
            None => {
                let row = RefusedSignIn { key: key.clone(), event: event(), count: 1 };
                waiting.rows.insert(key, row);
            }
        }
        let begin = !std::mem::replace(&mut waiting.writing, true);
        (waiting.batch, begin)
    }

    /// Writes until nothing waits.
    async fn write_all(self: Arc<Self>) {
        let mut writing = Writing { shared: &self, ended: false };
        while let Some((batch, rows)) = self.take() {
            let rejected: u64 = rows.iter().map(|row| u64::from(row.count)).sum();
            let written = self.write(rows).await;
            self.done.send_replace(batch);
            match written {
                Ok(inserted) => self.trim(inserted).await,
                Err(error) => {
                    log::warn!("{rejected} rejected sign-ins are not in the audit trail: {error}");
                }
            }
        }
        writing.ended = true;
    }

    fn take(&self) -> Option<(u64, Vec<RefusedSignIn>)> {
        let mut waiting = self.lock();
        let not_recorded = std::mem::take(&mut waiting.not_recorded);
        if not_recorded > 0 {
            log::warn!("{not_recorded} rejected sign-ins are not in the audit trail: there are too many");
        }
        if waiting.rows.is_empty() {
            waiting.writing = false;
            return None;
        }
        let batch = waiting.batch;
        waiting.batch += 1;
        Some((batch, std::mem::take(&mut waiting.rows).into_values().collect()))
    }

    /// Writes rows, sorted by key as they are: two replicas lock the same rows in the same order.
    async fn write(&self, mut rows: Vec<RefusedSignIn>) -> Result<usize, DbError> {
        let mut inserted = 0;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(BATCH));
            let batch = std::mem::replace(&mut rows, rest);
            inserted += self
                .db
                .write(move |conn| {
                    let mut inserted = 0;
                    for row in &batch {
                        inserted += usize::from(events::add_refused(conn, row)?);
                    }
                    Ok(inserted)
                })
                .await?;
        }
        Ok(inserted)
    }

    /// Enforces `events.refused_rows` once in a while. Housekeeping does so hourly, which is too late in a flood.
    async fn trim(&self, inserted: usize) {
        let often_enough = usize::try_from(self.max_rows / 100).unwrap_or(usize::MAX).clamp(1, 1000);
        {
            let mut waiting = self.lock();
            waiting.inserted += inserted;
            if waiting.inserted < often_enough {
                return;
            }
            waiting.inserted = 0;
        }
        if let Err(error) = housekeeping::trim_refused(&self.db, self.max_rows).await {
            log::warn!("the oldest rejected sign-ins could not be deleted: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics between two writes that belong together.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that writes. When it is cancelled, with the worker that it runs on, the next rejected sign-in begins another one.
struct Writing<'a> {
    shared: &'a Shared,
    /// It has ended by itself, and said so where the next one looks.
    ended: bool,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.lock().writing = false;
        }
    }
}

/// What is counted together. Of IPv6 it is the /64: one subscriber has that many addresses, and must not have as many rows.
fn key(method: &str, code: &str, user_id: Option<UserId>, origin: &Origin) -> String {
    let minute = origin.at.0.div_euclid(60);
    let network = match origin.ip.map(|ip| ip.to_canonical()) {
        None => "-".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    };
    let user = user_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    format!("{minute} {network} {method} {code} {user}")
}
