//! A provider's public keys, kept out of the way of logins.
//!
//! One task per provider fetches discovery document and key set: at start, before `max-age` ends, and when a login asks
//! for a key id that is not there. A request never fetches itself, so there is one fetch at a time by construction, and
//! an attacker who makes up key ids causes one per `jwks.cooldown`. A set is replaced as a whole, so a key the provider
//! removed is gone; when the provider fails, the old set stays for `jwks.max_stale`.

mod keeper;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use self::keeper::Keeper;
use super::Outage;
use super::client::ProviderClient;
use super::discovery::Discovery;
use super::jwks::ProviderKey;
use crate::clock::{SharedClock, Timestamp};
use crate::settings::JwksSettings;

/// A key set, and where it came from.
struct KeySet {
    /// The document that led to it.
    discovery: Discovery,
    keys: HashMap<String, ProviderKey>,
    fetched_at: Instant,
    /// When the fetch began, by the clock that tokens are judged by.
    asked_at: Timestamp,
    usable_until: Instant,
}

/// Why there is no key.
pub enum KeyError {
    /// The provider had no such key when it was last asked.
    Unknown(LastAsked),
    /// The provider cannot be asked.
    Outage(Outage),
}

/// When the provider was last asked for its keys.
#[derive(Debug, Clone, Copy)]
pub enum LastAsked {
    /// After the token had come: what it says of the key is final.
    Since,
    /// Before, at this time. It cannot be asked again until `retry_in` has passed.
    Before {
        /// By the clock that tokens are judged by.
        at: Timestamp,
        /// What is left of `jwks.cooldown`.
        retry_in: Duration,
    },
}

/// The state of a key cache, for `/readyz` and for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysStatus {
    /// Keys in use; 0 before the first fetch and after `jwks.max_stale`.
    pub keys: usize,
    /// How old the set is.
    pub age: Option<Duration>,
    /// The first fetch has ended, well or badly.
    pub attempted: bool,
}

/// Where a provider's keys come from, and what its discovery document must say.
#[derive(Debug, Clone)]
pub struct KeySource {
    /// The provider's name.
    pub provider: String,
    /// The discovery document.
    pub discovery_url: String,
    /// The issuers of which it must name one; none when that is left to the caller.
    pub issuers: Vec<String>,
}

/// The cache. Its task ends when it is dropped.
pub struct KeyCache {
    provider: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    current: ArcSwapOption<KeySet>,
    wanted: Notify,
    progress: watch::Sender<Progress>,
}

/// What the task has done so far.
#[derive(Clone)]
struct Progress {
    in_flight: bool,
    completed: u64,
    /// Before this moment a missing key is not asked for again.
    next_allowed: Instant,
    failure: Option<Outage>,
}

impl KeyCache {
    /// Starts the task, which fetches at once. Needs a Tokio runtime.
    #[must_use]
    pub fn start(
        source: KeySource,
        client: ProviderClient,
        settings: JwksSettings,
        clock: &SharedClock,
    ) -> Self {
        let progress =
            Progress { in_flight: true, completed: 0, next_allowed: Instant::now(), failure: None };
        let shared = Arc::new(Shared {
            current: ArcSwapOption::empty(),
            wanted: Notify::new(),
            progress: watch::Sender::new(progress),
        });
        let provider = source.provider.clone();
        let keeper = Keeper {
            source,
            client,
            settings,
            clock: SharedClock::clone(clock),
            shared: Arc::clone(&shared),
            discovery: None,
            failures: 0,
        };
        Self { provider, shared, task: tokio::spawn(keeper.run()) }
    }

    /// The key of this id. Only an id that is not in the set waits for the network, and only once per cool-down.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn key(&self, kid: &str) -> Result<ProviderKey, KeyError> {
        if let Some(key) = self.current().and_then(|set| set.keys.get(kid).cloned()) {
            return Ok(key);
        }
        let refreshed = self.refreshed().await;
        let set = self.current();
        match (set.as_ref().and_then(|set| set.keys.get(kid).cloned()), refreshed, set) {
            (Some(key), _, _) => Ok(key),
            (None, Refreshed::Failed(outage), _) => Err(KeyError::Outage(outage)),
            (None, Refreshed::Since, _) => Err(KeyError::Unknown(LastAsked::Since)),
            (None, Refreshed::Before { retry_in }, Some(set)) => {
                Err(KeyError::Unknown(LastAsked::Before { at: set.asked_at, retry_in }))
            }
            // It has just become too old.
            (None, Refreshed::Before { .. }, None) => {
                Err(KeyError::Outage(Outage::unreachable(&self.provider)))
            }
        }
    }

    /// The discovery document behind the current set; waits for the first one.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn discovery(&self) -> Result<Discovery, Outage> {
        if self.current().is_none()
            && let Refreshed::Failed(outage) = self.refreshed().await
            && self.current().is_none()
        {
            return Err(outage);
        }
        self.current().map(|set| set.discovery.clone()).ok_or_else(|| Outage::unreachable(&self.provider))
    }

    /// The cache's state.
    #[must_use]
    pub fn status(&self) -> KeysStatus {
        let set = self.current();
        let attempted = self.shared.progress.borrow().completed > 0;
        KeysStatus {
            keys: set.as_ref().map_or(0, |set| set.keys.len()),
            age: set.map(|set| set.fetched_at.elapsed()),
            attempted,
        }
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        self.shared.current.load_full().filter(|set| Instant::now() < set.usable_until)
    }

    /// Waits for the fetch under way, or for a new one when the cool-down allows it, and answers how the last one ended.
    async fn refreshed(&self) -> Refreshed {
        let mut progress = self.shared.progress.subscribe();
        let seen = progress.borrow_and_update().clone();
        if !seen.in_flight {
            let left = seen.next_allowed.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return match seen.failure {
                    Some(outage) => Refreshed::Failed(outage.retry_in(left)),
                    None => Refreshed::Before { retry_in: left },
                };
            }
            self.shared.wanted.notify_one();
        }
        match progress.wait_for(|progress| progress.completed > seen.completed).await {
            Ok(progress) => match &progress.failure {
                Some(outage) => Refreshed::Failed(outage.clone()),
                // It had begun before the token came, so it may have missed a key that is newer.
                None if seen.in_flight => {
                    let retry_in = progress.next_allowed.saturating_duration_since(Instant::now());
                    Refreshed::Before { retry_in }
                }
                None => Refreshed::Since,
            },
            // The task is gone: the service is stopping.
            Err(_) => Refreshed::Failed(Outage::unreachable(&self.provider)),
        }
    }
}

/// How the last fetch ended, and when it began.
enum Refreshed {
    Failed(Outage),
    /// Well, and it began after this request.
    Since,
    /// Well, and it began before this request.
    Before {
        retry_in: Duration,
    },
}

impl Drop for KeyCache {
    fn drop(&mut self) {
        self.task.abort();
    }
}
