//! The task that looks at the ring again and again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::assemble;
use super::store::{KeyRecords, Store, StoreError};
use crate::db::{Db, DbError};
use crate::token::{Keyring, Tokens};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// After a look that failed: whoever is away is not helped by being asked.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(3);
/// How long a token waits for a look. A look takes milliseconds, or the store is in trouble.
const PATIENCE: Duration = Duration::from_secs(3);

/// The task; it ends when this is dropped.
pub(crate) struct KeyWatch {
    looks: Arc<Looks>,
    task: tokio::task::JoinHandle<()>,
}

/// How far the looks have come.
struct Looks {
    begun: AtomicU64,
    /// The number of the last one that ended, and whether it saw anything.
    ended: watch::Sender<(u64, bool)>,
}

impl KeyWatch {
    /// Starts the task. Needs a Tokio runtime.
    pub(crate) fn start(db: &Db, store: Store, tokens: &Arc<Tokens>) -> Self {
        let looks = Arc::new(Looks { begun: AtomicU64::new(0), ended: watch::Sender::new((0, true)) });
        let observer = Observer {
            db: db.clone(),
            store,
            tokens: Arc::clone(tokens),
            seen: KeyRecords::default(),
            told: HashSet::new(),
            blind: false,
        };
        let task = tokio::spawn(observer.look_for_ever(Arc::clone(&looks)));
        Self { looks, task }
    }

    /// Waits until the ring was looked at anew, for a token whose `kid` is not known: another replica may know a key that this
    /// one does not. However many wait, none of them asks: the next look is under way within a second anyway.
    ///
    /// # Errors
    /// When the ring cannot be looked at, and so nobody can say whether the token is good.
    pub(crate) async fn look_again(&self) -> Result<(), DbError> {
        let begun = self.looks.begun.load(Ordering::SeqCst);
        let mut ended = self.looks.ended.subscribe();
        // One that had begun before the token came may have missed the key.
        let look = timeout(PATIENCE, ended.wait_for(|(number, _)| *number > begun)).await;
        match look {
            Ok(Ok(look)) if look.1 => Ok(()),
            _ => Err(DbError::Unavailable("the ring of keys cannot be looked at".to_owned())),
        }
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the task knows.
struct Observer {
    db: Db,
    store: Store,
    tokens: Arc<Tokens>,
    /// The ring in use, as it is stored.
    seen: KeyRecords,
    /// Keys of which it was said that they are of no use.
    told: HashSet<String>,
    /// The last look failed.
    blind: bool,
}

impl Observer {
    async fn look_for_ever(mut self, looks: Arc<Looks>) {
        loop {
            let number = looks.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let look = self.store.look(&self.db).await;
            let saw = look.is_ok();
            self.take(look);
            looks.ended.send_replace((number, saw));
            sleep(if saw { PAUSE } else { PAUSE_AFTER_FAILURE }).await;
        }
    }

    /// Takes what was seen into use. What is wrong is said once.
    fn take(&mut self, look: Result<KeyRecords, StoreError>) {
        let records = match look {
            Ok(records) => records,
            Err(error) => {
                if !self.blind {
                    log::warn!("the ring of keys cannot be looked at, and stays as it is: {error}");
                }
                self.blind = true;
                return;
            }
        };
        if std::mem::take(&mut self.blind) {
            log::info!("the ring of keys can be looked at again");
        }
        if records == self.seen {
            return;
        }
        let told = Keyring::clone(&self.tokens.keyring()).knowing(records.activations.clone());
        self.tokens.use_keyring(told);
        match assemble(&self.tokens, &self.store, &records.rows) {
            Ok((keyring, unreadable)) => {
                self.tokens.use_keyring(keyring);
                for (kid, reason) in unreadable {
                    if self.told.insert(kid.clone()) {
                        log::error!(
                            "the key {kid}: {reason}. Tokens signed with it are refused here: set token.secret and token.previous_secrets as on the other replicas, and restart"
                        );
                    }
                }
            }
            Err(error) => log::error!("the ring of keys stays as it is: {error}"),
        }
        self.seen = records;
    }
}
