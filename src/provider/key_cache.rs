//! A provider's public keys, kept out of the way of logins.
//!
//! One task per provider fetches discovery document and key set: at start, before `max-age` ends, and when a login asks
//! for a key id that is not there. A request never fetches itself, so there is one fetch at a time by construction, and
//! an attacker who makes up key ids causes one per `jwks.cooldown`. A set is replaced as a whole, so a key the provider
//! removed is gone; when the provider fails, the old set stays for `jwks.max_stale`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap};
use tokio::sync::{Notify, watch};

use super::Outage;
use super::client::ProviderClient;
use super::discovery::Discovery;
use super::jwks::{JwkSet, ProviderKey};
use crate::settings::JwksSettings;

/// Used when the provider sends no `max-age`.
const DEFAULT_MAX_AGE: Duration = Duration::from_hours(1);
/// No set is kept longer without asking, whatever the provider says.
const LONGEST_MAX_AGE: Duration = Duration::from_hours(24);
/// Endpoints change once in years; asking again with every key set would double the requests.
const DISCOVERY_LIFE: Duration = Duration::from_hours(24);
/// The first pause after a failure while there are no keys at all; it doubles up to `jwks.cooldown`.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// A key set, and where it came from.
struct KeySet {
    /// The document that led to it.
    discovery: Discovery,
    keys: HashMap<String, ProviderKey>,
    fetched_at: Instant,
    usable_until: Instant,
}

/// Why there is no key.
pub enum KeyError {
    /// The provider was asked, and has no such key.
    Unknown,
    /// The provider cannot be asked.
    Outage(Outage),
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
    pub fn start(source: KeySource, client: ProviderClient, settings: JwksSettings) -> Self {
        let progress =
            Progress { in_flight: true, completed: 0, next_allowed: Instant::now(), failure: None };
        let shared = Arc::new(Shared {
            current: ArcSwapOption::empty(),
            wanted: Notify::new(),
            progress: watch::Sender::new(progress),
        });
        let provider = source.provider.clone();
        let keeper =
            Keeper { source, client, settings, shared: Arc::clone(&shared), discovery: None, failures: 0 };
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
        let failure = self.refreshed().await;
        match (self.current().and_then(|set| set.keys.get(kid).cloned()), failure) {
            (Some(key), _) => Ok(key),
            (None, Some(outage)) => Err(KeyError::Outage(outage)),
            (None, None) => Err(KeyError::Unknown),
        }
    }

    /// The discovery document behind the current set; waits for the first one.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn discovery(&self) -> Result<Discovery, Outage> {
        if self.current().is_none()
            && let Some(outage) = self.refreshed().await
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

    /// Waits for the fetch under way, or for a new one when the cool-down allows it, and answers how the last one failed.
    async fn refreshed(&self) -> Option<Outage> {
        let mut progress = self.shared.progress.subscribe();
        let seen = progress.borrow_and_update().clone();
        if !seen.in_flight {
            let now = Instant::now();
            if now < seen.next_allowed {
                return seen.failure.map(|outage| outage.retry_in(seen.next_allowed - now));
            }
            self.shared.wanted.notify_one();
        }
        match progress.wait_for(|progress| progress.completed > seen.completed).await {
            Ok(progress) => progress.failure.clone(),
            // The task is gone: the service is stopping.
            Err(_) => Some(Outage::unreachable(&self.provider)),
        }
    }
}

impl Drop for KeyCache {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task.
struct Keeper {
    source: KeySource,
    client: ProviderClient,
    settings: JwksSettings,
    shared: Arc<Shared>,
    discovery: Option<(Discovery, Instant)>,
    failures: u32,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            self.shared.progress.send_modify(|progress| progress.in_flight = true);
            let fetched = self.fetch().await;
            let now = Instant::now();
            let (wait, failure) = match fetched {
                Ok((set, refresh_in)) => {
                    log::debug!(
                        "{}: {} keys, next fetch in {refresh_in:?}",
                        self.source.provider,
                        set.keys.len()
                    );
                    self.shared.current.store(Some(Arc::new(set)));
                    self.failures = 0;
                    (refresh_in, None)
                }
                Err(outage) => {
                    log::warn!("{}: keys could not be fetched: {outage}", self.source.provider);
                    self.discovery = None;
                    self.failures += 1;
                    (self.pause_after_failure(), Some(outage))
                }
            };
            let next_allowed = now + if failure.is_some() { wait } else { self.settings.cooldown };
            self.shared.progress.send_modify(|progress| {
                progress.in_flight = false;
                progress.completed += 1;
                progress.next_allowed = next_allowed;
                progress.failure = failure;
            });
            self.wait(now + wait, next_allowed).await;
        }
    }

    /// Until the next fetch is due, or wanted and allowed.
    async fn wait(&self, due: Instant, allowed: Instant) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => return,
                () = self.shared.wanted.notified() => if Instant::now() >= allowed { return },
            }
        }
    }

    /// With keys in hand there is no hurry; without any, logins wait for this.
    fn pause_after_failure(&self) -> Duration {
        let cooldown = self.settings.cooldown.max(Duration::from_millis(100));
        if self.shared.current.load().is_some() {
            return cooldown;
        }
        FIRST_RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(cooldown)
    }

    async fn fetch(&mut self) -> Result<(KeySet, Duration), Outage> {
        let provider = self.source.provider.as_str();
        let discovery = match &self.discovery {
            Some((discovery, at)) if at.elapsed() < DISCOVERY_LIFE => discovery.clone(),
            _ => {
                let discovery = self.discover().await?;
                self.discovery = Some((discovery.clone(), Instant::now()));
                discovery
            }
        };
        let answer = self.client.send(provider, self.client.get(&discovery.jwks_uri)).await?;
        if !answer.status.is_success() {
            return Err(answer.unexpected());
        }
        let keys = answer.json::<JwkSet>()?.usable_keys();
        if keys.is_empty() {
            return Err(Outage::bad_answer(provider, "there is no usable key in its key set"));
        }
        let max_age = max_age(&answer.headers);
        let fetched_at = Instant::now();
        let usable_until = fetched_at + max_age + self.settings.max_stale;
        let refresh_in = refresh_in(max_age, self.settings.cooldown);
        Ok((KeySet { discovery, keys, fetched_at, usable_until }, refresh_in))
    }

    async fn discover(&self) -> Result<Discovery, Outage> {
        let provider = self.source.provider.as_str();
        let answer = self.client.send(provider, self.client.get(&self.source.discovery_url)).await?;
        if !answer.status.is_success() {
            return Err(answer.unexpected());
        }
        let discovery: Discovery = answer.json()?;
        discovery.check(provider, &self.source.issuers)?;
        Ok(discovery)
    }
}

/// Before `max-age` ends: a fifth of it is left for the provider to come back before anyone notices. An answer that may
/// not be kept at all would have us ask without end; it is kept for a cool-down.
fn refresh_in(max_age: Duration, cooldown: Duration) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    if max_age < LEAST { cooldown.max(LEAST) } else { (max_age * 4 / 5).max(LEAST) }
}

/// How long the answer may be kept (RFC 9111 §5.2.2.1), less what it has aged on the way (§5.1).
fn max_age(headers: &HeaderMap) -> Duration {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let max_age = text(CACHE_CONTROL)
        .into_iter()
        .flat_map(|value| value.split(','))
        .find_map(|directive| directive.trim().to_ascii_lowercase().strip_prefix("max-age=")?.parse().ok())
        .map_or(DEFAULT_MAX_AGE, Duration::from_secs);
    let age = text(AGE).and_then(|value| value.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
    max_age.saturating_sub(age).min(LONGEST_MAX_AGE)
}
