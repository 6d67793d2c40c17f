//! The task that fetches a provider's keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap};

use super::super::Outage;
use super::super::client::ProviderClient;
use super::super::discovery::Discovery;
use super::super::jwks::JwkSet;
use super::{KeySet, KeySource, Shared};
use crate::clock::SharedClock;
use crate::settings::JwksSettings;

/// Used when the provider sends no `max-age`.
const DEFAULT_MAX_AGE: Duration = Duration::from_hours(1);
/// No set is kept longer without asking, whatever the provider says.
const LONGEST_MAX_AGE: Duration = Duration::from_hours(24);
/// Endpoints change once in years; asking again with every key set would double the requests.
const DISCOVERY_LIFE: Duration = Duration::from_hours(24);
/// The first pause after a failure while there are no keys at all; it doubles up to `jwks.cooldown`.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The task.
pub(super) struct Keeper {
    pub(super) source: KeySource,
    pub(super) client: ProviderClient,
    pub(super) settings: JwksSettings,
    pub(super) clock: SharedClock,
    pub(super) shared: Arc<Shared>,
    pub(super) discovery: Option<(Discovery, Instant)>,
    pub(super) failures: u32,
}

impl Keeper {
    pub(super) async fn run(mut self) {
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
        let asked_at = self.clock.now();
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
        Ok((KeySet { discovery, keys, fetched_at, asked_at, usable_until }, refresh_in))
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
