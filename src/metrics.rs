//! Every metric of `/metrics`, declared in one place (Prometheus text format, OpenMetrics names).

use std::borrow::Cow;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Timestamp;

/// A finished request. The route is its pattern: a path may hold anything a stranger typed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `GET` …, or `OTHER`.
    pub method: &'static str,
    /// `/auth/{provider}` …
    pub route: Cow<'static, str>,
    /// The status.
    pub status: u16,
}

/// An exchange, by provider and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExchangeLabels {
    /// The provider's name.
    pub provider: String,
    /// `ok`, `created`, or the error's code.
    pub result: &'static str,
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// The stable code of the refusal.
    pub code: &'static str,
}

/// A request over a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RateLimitLabels {
    /// The name of the limit: [`crate::rate_limit::Policy::as_str`].
    pub policy: &'static str,
}

/// A request to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderLabels {
    /// The provider's name.
    pub provider: String,
    /// `ok`, `refused` or `outage`.
    pub outcome: &'static str,
}

/// The state of one provider's key cache.
#[derive(Debug, Clone, Copy)]
pub struct KeysGauge<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// Usable keys.
    pub keys: usize,
    /// How old they are, when there are any.
    pub age: Option<Duration>,
}

/// The state of the database's pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolGauge {
    /// Connections.
    pub open: u32,
    /// Those nobody uses.
    pub idle: u32,
    /// As many as there may be.
    pub max: u32,
}

/// Seconds each provider takes to answer, by provider and outcome.
pub type ProviderLatency = Family<ProviderLabels, Histogram, fn() -> Histogram>;

/// What [`crate::db::Db`] observes of those who wait for it: how many share a round, for each kind of round, and how long it
/// takes until it is one's turn where everybody has a turn of their own.
#[derive(Debug, Clone)]
pub struct RoundMetrics {
    /// Reads of the bearer's user.
    pub users: Histogram,
    /// Reads of the identity behind an exchange.
    pub identities: Histogram,
    /// Reads of the client that a bearer is, or that proves itself.
    pub clients: Histogram,
    /// Changes, where the database has one writer.
    pub writes: Histogram,
    /// Seconds until there was a connection of the pool, or nobody wanted it any more.
    pub pool_waits: Histogram,
    /// Seconds until the one writer began a change, where there is one.
    pub writer_waits: Histogram,
}

impl Default for RoundMetrics {
    fn default() -> Self {
        Self::with_waits(&Family::new_with_constructor(wait_seconds as fn() -> Histogram))
    }
}

impl RoundMetrics {
    fn with_waits(waits: &Waits) -> Self {
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 8));
        let waits = |queue| waits.get_or_create_owned(&WaitLabels { queue });
        Self {
            users: sizes(),
            identities: sizes(),
            clients: sizes(),
            writes: sizes(),
            pool_waits: waits("pool"),
            writer_waits: waits("writer"),
        }
    }
}

/// Somebody who waits. Observed when it is over, however it ends: those who gave up waited longest.
pub(crate) struct Wait {
    since: Instant,
    waits: Histogram,
}

impl Wait {
    /// From now on.
    pub(crate) fn begin(waits: &Histogram) -> Self {
        Self { since: Instant::now(), waits: waits.clone() }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.observe(self.since.elapsed().as_secs_f64());
    }
}

type Waits = Family<WaitLabels, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabels {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeysLabels {
    provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    state: &'static str,
}

/// Handles to the metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    exchanges: Family<ExchangeLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    rate_limited: Family<RateLimitLabels, Counter>,
    /// Given to [`crate::provider::ProviderClient`].
    pub provider_latency: ProviderLatency,
    /// Given to [`crate::db::Db`].
    pub rounds: RoundMetrics,
    keys: Family<KeysLabels, Gauge>,
    keys_age: Family<KeysLabels, Gauge>,
    pool: Family<PoolLabels, Gauge>,
    pool_max: Gauge,
    start_time: Gauge,
    registry: std::sync::Arc<Registry>,
}

/// 0.1 ms to 3 s.
fn request_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 3.0, 10))
}

/// 1 ms to 8 s.
fn provider_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 14))
}

/// 0.1 ms to 6 s, a little more than `database.timeout`.
fn wait_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 3.0, 11))
}

impl Default for Metrics {
    fn default() -> Self {
        let waits: Waits = Family::new_with_constructor(wait_seconds as fn() -> Histogram);
        let mut metrics = Self {
            requests: Family::new_with_constructor(request_seconds as fn() -> Histogram),
            exchanges: Family::default(),
            refusals: Family::default(),
            rate_limited: Family::default(),
            provider_latency: Family::new_with_constructor(provider_seconds as fn() -> Histogram),
            rounds: RoundMetrics::with_waits(&waits),
            keys: Family::default(),
            keys_age: Family::default(),
            pool: Family::default(),
            pool_max: Gauge::default(),
            start_time: Gauge::default(),
            registry: std::sync::Arc::default(),
        };
        metrics.registry = std::sync::Arc::new(metrics.registered(waits));
        metrics
    }
}

impl Metrics {
    /// Every name, with what it says: docs/METRICS.md has the same table, and a test compares the two.
    fn registered(&self, waits: Waits) -> Registry {
        let mut all = Registry::default();
        // A name of Prometheus's own, which its tools know.
        let help = "When the service began, as Unix time";
        all.register_with_unit("process_start_time", help, Unit::Seconds, self.start_time.clone());
        let ours = all.sub_registry_with_prefix("tokenbooth");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "What is running", version);
        let help = "Time to answer a request";
        ours.register_with_unit("http_request", help, Unit::Seconds, self.requests.clone());
        ours.register("exchanges", "Exchanges by provider and result", self.exchanges.clone());
        ours.register("refusals", "Requests refused, by the code of the refusal", self.refusals.clone());
        ours.register("rate_limited", "Requests refused by a rate limit", self.rate_limited.clone());
        let help = "Time a provider takes to answer";
        ours.register_with_unit("provider_request", help, Unit::Seconds, self.provider_latency.clone());
        for (name, help, sizes) in [
            ("user_loader_batch", "Bearer requests that shared one read", &self.rounds.users),
            ("identity_loader_batch", "Exchanges that shared one read", &self.rounds.identities),
            ("client_loader_batch", "Requests of clients that shared one read", &self.rounds.clients),
            ("writer_batch", "Changes that shared one commit", &self.rounds.writes),
        ] {
            ours.register(name, help, sizes.clone());
        }
        ours.register("jwks_keys", "Usable provider keys", self.keys.clone());
        ours.register_with_unit("jwks_age", "Age of the provider keys", Unit::Seconds, self.keys_age.clone());
        ours.register("database_connections", "Connections of the pool", self.pool.clone());
        ours.register("database_connections_max", "Connections the pool may have", self.pool_max.clone());
        let help = "Time until it is one's turn at the database";
        ours.register_with_unit("database_wait", help, Unit::Seconds, waits);
        all
    }
}

impl Metrics {
    /// Counts a finished request.
    pub fn request(&self, labels: &RequestLabels, took: Duration) {
        self.requests.get_or_create(labels).observe(took.as_secs_f64());
    }

    /// Counts an exchange.
    pub fn exchange(&self, provider: &str, result: &'static str) {
        self.exchanges.get_or_create(&ExchangeLabels { provider: provider.to_owned(), result }).inc();
    }

    /// Counts a refusal.
    pub fn refusal(&self, code: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { code }).inc();
    }

    /// Says when the service began.
    pub fn started(&self, at: Timestamp) {
        self.start_time.set(at.0);
    }

    /// Counts a request over a limit.
    pub fn rate_limited(&self, policy: &'static str) {
        self.rate_limited.get_or_create(&RateLimitLabels { policy }).inc();
    }

    /// All metrics as text. What is a state and no event is handed in, as it is now.
    ///
    /// # Errors
    /// None in practice: writing to a `String` does not fail.
    pub fn render(&self, keys: &[KeysGauge<'_>], pool: PoolGauge) -> Result<String, std::fmt::Error> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for set in keys {
            let labels = KeysLabels { provider: set.provider.to_owned() };
            self.keys.get_or_create(&labels).set(number(set.keys as u64));
            // Keys that are gone have no age; 0 would say that they are new.
            match set.age {
                Some(age) => _ = self.keys_age.get_or_create(&labels).set(number(age.as_secs())),
                None => _ = self.keys_age.remove(&labels),
            }
        }
        self.pool.get_or_create(&PoolLabels { state: "open" }).set(i64::from(pool.open));
        self.pool.get_or_create(&PoolLabels { state: "idle" }).set(i64::from(pool.idle));
        self.pool_max.set(i64::from(pool.max));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
