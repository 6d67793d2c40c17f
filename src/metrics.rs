//! Every metric of `/metrics`, declared in one place (Prometheus text format, OpenMetrics names).

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

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

/// A request over a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RateLimitLabels {
    /// `address` or `account`.
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
    /// How old they are.
    pub age: Duration,
}

/// The state of the database's pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolGauge {
    /// Connections.
    pub open: u32,
    /// Those nobody uses.
    pub idle: u32,
}

/// Seconds each provider takes to answer, by provider and outcome.
pub type ProviderLatency = Family<ProviderLabels, Histogram, fn() -> Histogram>;

/// How many requests share a round to the database, for each kind of round.
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
}

impl Default for RoundMetrics {
    fn default() -> Self {
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 8));
        Self { users: sizes(), identities: sizes(), clients: sizes(), writes: sizes() }
    }
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
    rate_limited: Family<RateLimitLabels, Counter>,
    /// Given to [`crate::provider::ProviderClient`].
    pub provider_latency: ProviderLatency,
    /// Given to [`crate::db::Db`].
    pub rounds: RoundMetrics,
    keys: Family<KeysLabels, Gauge>,
    keys_age: Family<KeysLabels, Gauge>,
    pool: Family<PoolLabels, Gauge>,
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

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::new_with_constructor(request_seconds as fn() -> Histogram);
        let (exchanges, rate_limited) = (Family::default(), Family::default());
        let provider_latency: ProviderLatency =
            Family::new_with_constructor(provider_seconds as fn() -> Histogram);
        let rounds = RoundMetrics::default();
        let (keys, keys_age, pool) = (Family::default(), Family::default(), Family::default());
        let mut registry = Registry::with_prefix("tokenbooth");
        registry.register_with_unit(
            "http_request",
            "Time to answer a request",
            Unit::Seconds,
            requests.clone(),
        );
        registry.register("exchanges", "Exchanges by provider and result", exchanges.clone());
        registry.register("rate_limited", "Requests refused by a rate limit", rate_limited.clone());
        let help = "Time a provider takes to answer";
        registry.register_with_unit("provider_request", help, Unit::Seconds, provider_latency.clone());
        for (name, help, sizes) in [
            ("user_loader_batch", "Bearer requests that shared one read", &rounds.users),
            ("identity_loader_batch", "Exchanges that shared one read", &rounds.identities),
            ("client_loader_batch", "Requests of clients that shared one read", &rounds.clients),
            ("writer_batch", "Changes that shared one commit", &rounds.writes),
        ] {
            registry.register(name, help, sizes.clone());
        }
        registry.register("jwks_keys", "Usable provider keys", keys.clone());
        registry.register_with_unit("jwks_age", "Age of the provider keys", Unit::Seconds, keys_age.clone());
        registry.register("database_connections", "Connections of the pool", pool.clone());
        let registry = std::sync::Arc::new(registry);
        Self { requests, exchanges, rate_limited, provider_latency, rounds, keys, keys_age, pool, registry }
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
            self.keys_age.get_or_create(&labels).set(number(set.age.as_secs()));
        }
        self.pool.get_or_create(&PoolLabels { state: "open" }).set(i64::from(pool.open));
        self.pool.get_or_create(&PoolLabels { state: "idle" }).set(i64::from(pool.idle));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
