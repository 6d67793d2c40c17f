//! How much hashing there may be at once. Each computation takes a core and `password.memory_kib` for its time, so
//! without a bound a few hundred sign-ins at once would take all memory, and every thread.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::PasswordError;
use super::memory::Memory;

/// How many may wait for each that is computed. At 20 to 40 ms each the last one waits for about a second: a longer
/// queue would have people wait for an answer they have given up on, a shorter one refuse a burst that fits in a second.
const WAITING_PER_PERMIT: usize = 32;

/// How long somebody waits for a turn. On a machine so slow that the queue takes longer, trying again later is of more use.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Threads that may block, at most so many at a time, and a bounded queue before them.
#[derive(Debug)]
pub(super) struct HashingPool {
    permits: Arc<Semaphore>,
    longest_wait: Duration,
    room: Arc<Room>,
}

/// Those who compute and those who wait, and the memory they hand on.
#[derive(Debug)]
struct Room {
    concurrency: usize,
    inside: AtomicUsize,
    spare: Mutex<Vec<Memory>>,
}

/// One who computes or waits. Goes with the request that is given up, or with the work once that has begun.
struct Place(Arc<Room>);

impl HashingPool {
    pub(super) fn new(concurrency: usize) -> Self {
        let room = Room { concurrency, inside: AtomicUsize::new(0), spare: Mutex::default() };
        Self {
            permits: Arc::new(Semaphore::new(concurrency)),
            longest_wait: LONGEST_WAIT,
            room: Arc::new(room),
        }
    }

    /// Does the work in a thread that may block, in turn.
    ///
    /// # Errors
    /// Returns [`PasswordError::Overloaded`] at once if the queue is full, or after 5 s without a turn, and
    /// [`PasswordError::Failed`] if the process stops.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, PasswordError>
    where
        F: FnOnce(&mut Memory) -> T + Send + 'static,
        T: Send + 'static,
    {
        let stopped = || PasswordError::Failed("the process is stopping".to_owned());
        let place = Place::enter(&self.room)?;
        let permit = timeout(self.longest_wait, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| PasswordError::Overloaded)?.map_err(|_| stopped())?;
        let work = move || {
            // Both are held to the end even when nobody waits for the result any more: the memory is in use till then.
            let (place, _permit) = (place, permit);
            let mut memory = place.0.spare().pop().unwrap_or_default();
            let result = work(&mut memory);
            place.0.spare().push(memory);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| stopped())
    }
}

impl Place {
    fn enter(room: &Arc<Room>) -> Result<Self, PasswordError> {
        // From here on the guard counts back, whatever comes of it.
        let place = Self(Arc::clone(room));
        let others = room.inside.fetch_add(1, Ordering::AcqRel);
        if others < room.concurrency * (1 + WAITING_PER_PERMIT) {
            Ok(place)
        } else {
            Err(PasswordError::Overloaded)
        }
    }
}

impl Drop for Place {
    /// Memory is handed on while somebody waits for it, and given back when nobody does: fresh pages cost 13 ms of the
    /// system's time for 19 MiB, half as much again as the hashing itself.
    fn drop(&mut self) {
        let others = self.0.inside.fetch_sub(1, Ordering::AcqRel) - 1;
        if others < self.0.concurrency {
            let unused = mem::take(&mut *self.0.spare());
            drop(unused);
        }
    }
}

impl Room {
    fn spare(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
