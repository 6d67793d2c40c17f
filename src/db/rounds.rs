//! Rounds: what waits for the database at the same moment shares one trip to it.
//!
//! A thread of its own, with a [`LastingConnection`], takes whatever waits in a bounded queue and does it together. The next
//! round gathers while this one is under way, so nobody waits for company: alone, a request is a round of one.
//!
//! One thread, not several: two make rounds half as large, and a round costs the same, large or small (docs/PERFORMANCE.md).
//! A thread whose connection does not respond is replaced by another one ([`watch`](super::watch)).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::mpsc;

use super::connection::{Connector, LiveConn};
use super::watch::Watched;
use super::{DbConn, DbError, stopped};

/// Those who may wait; more are answered 503, which is better than memory that grows.
const QUEUE: usize = 4096;
/// Those who share a round.
const LARGEST_ROUND: usize = 128;
/// After a failed connect, how long everybody is told so without another try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Threads of one queue that may be blocked at the same time by connections that do not respond.
const MOST_BLOCKED: usize = 8;

/// The queue's entrance. The thread ends when it is dropped.
pub(super) struct Queue<T> {
    /// `None` ends the thread.
    entrance: mpsc::Sender<Option<T>>,
    line: Arc<Line<T>>,
}

type Round<T> = Box<dyn Fn(&mut LastingConnection, Vec<T>) + Send + Sync>;

/// What the threads of one queue share, of which one takes rounds at a time.
struct Line<T> {
    name: String,
    waiting: Mutex<mpsc::Receiver<Option<T>>>,
    round: Round<T>,
    sizes: Histogram,
    connector: Connector,
    /// The number of the thread that takes rounds.
    current: AtomicU64,
    progress: Mutex<Progress>,
    /// Threads that were replaced and have not ended.
    blocked: AtomicUsize,
    /// Threads that have not ended.
    threads: Mutex<usize>,
    thread_ended: Condvar,
}

/// What was last seen of the current thread.
struct Progress {
    /// Its [`LastingConnection::beat`].
    beat: Arc<AtomicU64>,
    seen: u64,
    since: u64,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts the thread, which calls `round` with its connection and those who wait.
    pub(super) fn start(
        name: &str,
        connector: &Connector,
        sizes: &Histogram,
        round: impl Fn(&mut LastingConnection, Vec<T>) + Send + Sync + 'static,
    ) -> Result<Self, DbError> {
        let (entrance, waiting) = mpsc::channel(QUEUE);
        let line = Arc::new(Line {
            name: name.to_owned(),
            waiting: Mutex::new(waiting),
            round: Box::new(round),
            sizes: sizes.clone(),
            connector: connector.clone(),
            current: AtomicU64::new(0),
            progress: Mutex::new(Progress { beat: Arc::default(), seen: 0, since: 0 }),
            blocked: AtomicUsize::new(0),
            threads: Mutex::new(0),
            thread_ended: Condvar::new(),
        });
        let beat = Arc::clone(&lock(&line.progress).beat);
        spawn(&line, 0, beat)?;
        Ok(Self { entrance, line })
    }

    /// Takes a place in the queue, or says at once that there is none.
    pub(super) fn push(&self, item: T) -> Result<(), DbError> {
        self.entrance.try_send(Some(item)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DbError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })
    }

    /// Ends the thread and its connection, after those who wait already. Waits for that until `deadline`.
    pub(super) fn close(&self, deadline: Instant) {
        if self.entrance.try_send(None).is_err() {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let is_alive = |threads: &mut usize| *threads > self.line.blocked.load(Ordering::Relaxed);
        drop(self.line.thread_ended.wait_timeout_while(lock(&self.line.threads), left, is_alive));
    }

    /// For [`super::watch`].
    pub(super) fn watched(&self) -> Weak<dyn Watched> {
        let line: Arc<dyn Watched> = Arc::<Line<T>>::clone(&self.line);
        Arc::downgrade(&line)
    }
}

impl<T> Line<T> {
    /// Waits for one, then takes all that came meanwhile. `None` when the entrance is gone, or another thread has taken over.
    fn next_round(&self, thread: u64) -> Option<Vec<T>> {
        // Before the lock, which the other thread has while it waits.
        if self.current.load(Ordering::Acquire) != thread {
            return None;
        }
        let mut waiting = lock(&self.waiting);
        let mut together = vec![waiting.blocking_recv()??];
        while together.len() < LARGEST_ROUND {
            match waiting.try_recv() {
                Ok(Some(next)) => together.push(next),
                // The next look finds that it is closed.
                Ok(None) => waiting.close(),
                Err(_) => break,
            }
        }
        Some(together)
    }
}

impl<T: Send + 'static> Watched for Line<T> {
    fn give_up(self: Arc<Self>, limit: u64) {
        let renewal = self.connector.renewal();
        let mut progress = lock(&self.progress);
        let beat = progress.beat.load(Ordering::Relaxed);
        if beat.is_multiple_of(2) || beat != progress.seen {
            (progress.seen, progress.since) = (beat, renewal.now());
            return;
        }
        let blocked = self.blocked.load(Ordering::Relaxed);
        if renewal.now() - progress.since < limit || blocked >= MOST_BLOCKED {
            return;
        }
        log::warn!("{}: its connection does not respond and is given up", self.name);
        renewal.replace_all();
        *progress = Progress { beat: Arc::default(), seen: 0, since: renewal.now() };
        self.blocked.fetch_add(1, Ordering::Relaxed);
        let next = self.current.fetch_add(1, Ordering::AcqRel) + 1;
        if let Err(error) = spawn(&self, next, Arc::clone(&progress.beat)) {
            log::error!("{}: {error}", self.name);
        }
    }
}

fn spawn<T: Send + 'static>(line: &Arc<Line<T>>, thread: u64, beat: Arc<AtomicU64>) -> Result<(), DbError> {
    let line = Arc::clone(line);
    let name = line.name.clone();
    *lock(&line.threads) += 1;
    let counted = Arc::clone(&line);
    let work = move || {
        let mut conn = LastingConnection::new(line.connector.clone(), beat);
        while let Some(together) = line.next_round(thread) {
            line.sizes.observe(f64::from(u32::try_from(together.len()).unwrap_or(u32::MAX)));
            // Those in a round that panics are told by their closed channels; the others must not wait for ever.
            if catch_unwind(AssertUnwindSafe(|| (line.round)(&mut conn, together))).is_err() {
                conn.close();
            }
        }
        if line.current.load(Ordering::Relaxed) != thread {
            line.blocked.fetch_sub(1, Ordering::Relaxed);
        }
        drop(conn);
        *lock(&line.threads) -= 1;
        line.thread_ended.notify_all();
    };
    std::thread::Builder::new().name(name).spawn(work).map(drop).map_err(|error| {
        *lock(&counted.threads) -= 1;
        DbError::Unavailable(format!("no thread for the database: {error}"))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's own connection: made when it is first needed, replaced when it failed and when it is old.
pub(super) struct LastingConnection {
    connector: Connector,
    live: Option<LiveConn>,
    failed: Option<(Instant, DbError)>,
    /// Goes up when queries begin and when they end: odd while they are under way. Connecting ends by itself.
    beat: Arc<AtomicU64>,
}

impl LastingConnection {
    fn new(connector: Connector, beat: Arc<AtomicU64>) -> Self {
        Self { connector, live: None, failed: None, beat }
    }

    /// Whether there is one, so that a failure may be its fault.
    pub(super) fn is_open(&self) -> bool {
        self.live.is_some()
    }

    /// Uses the connection. One that fails is given up; the next use makes another.
    pub(super) fn with<T>(
        &mut self,
        queries: impl FnOnce(&mut DbConn) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        if self.live.as_ref().is_some_and(|live| !self.connector.is_current(live)) {
            self.live = None;
        }
        let live = if let Some(live) = &mut self.live {
            live
        } else {
            let live = self.reconnect()?;
            self.live.insert(live)
        };
        // Nobody else writes it.
        let beat = self.beat.load(Ordering::Relaxed) | 1;
        self.beat.store(beat, Ordering::Relaxed);
        let result = queries(&mut live.conn);
        self.beat.store(beat + 1, Ordering::Relaxed);
        if let Err(error @ (DbError::Unavailable(_) | DbError::ReadOnly)) = &result {
            log::warn!("{}: {error}", std::thread::current().name().unwrap_or_default());
            self.connector.note(error);
            self.live = None;
        }
        result
    }

    fn close(&mut self) {
        self.live = None;
        let beat = self.beat.load(Ordering::Relaxed);
        self.beat.store(beat + beat % 2, Ordering::Relaxed);
    }

    fn reconnect(&mut self) -> Result<LiveConn, DbError> {
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
