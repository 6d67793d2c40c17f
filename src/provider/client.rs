//! The one HTTP client towards providers: timeouts, no redirects, bounded bodies, a `User-Agent`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::Outage;
use crate::clock::{SharedClock, Timestamp};
use crate::metrics::{ProviderLabels, ProviderLatency};

/// Longest answer that is read, in bytes. Microsoft's key set, the largest known, has 30 KiB.
const MAX_BODY_BYTES: usize = 512 * 1024;
/// GitHub refuses requests without one (403).
const USER_AGENT: &str = concat!("tokenbooth/", env!("CARGO_PKG_VERSION"));

/// Sends requests to providers. Cheap to clone.
#[derive(Clone)]
pub struct ProviderClient {
    http: Client,
    timeout: Duration,
    latency: Arc<ProviderLatency>,
    clock: SharedClock,
    clock_differences: Arc<Mutex<BTreeMap<String, i64>>>,
}

/// An answer, read to its end: a provider's has any status but a redirect, 429 and 5xx.
pub struct Answer {
    /// As received.
    pub status: StatusCode,
    /// As received.
    pub headers: HeaderMap,
    provider: String,
    body: Vec<u8>,
}

impl ProviderClient {
    /// A client whose every request ends within `timeout`.
    ///
    /// # Errors
    /// When the TLS library cannot start (no root certificates, say).
    #[expect(clippy::disallowed_methods, reason = "the one place that builds a client")]
    pub fn new(
        timeout: Duration,
        latency: ProviderLatency,
        clock: &SharedClock,
    ) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            // A code is good once, and a second attempt may make the provider withdraw what the first one got (RFC 6749 §4.1.2).
            .retry(reqwest::retry::never())
            .user_agent(USER_AGENT)
            .build()?;
        let clock = SharedClock::clone(clock);
        Ok(Self { http, timeout, latency: Arc::new(latency), clock, clock_differences: Arc::default() })
    }

    /// Seconds our clock was ahead of each provider's when it answered last, by its `Date` header; negative when behind.
    #[must_use]
    pub fn clock_differences(&self) -> BTreeMap<String, i64> {
        self.clock_differences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A request to be finished and then [`sent`](Self::send).
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.http.get(url)
    }

    /// As [`get`](Self::get), with `POST`.
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.http.post(url)
    }

    /// Sends, and reads the answer up to the limit.
    ///
    /// # Errors
    /// Everything that says nothing of the token: no connection, no time, 3xx, 429, 5xx, too long, cut off.
    pub async fn send(&self, provider: &str, request: RequestBuilder) -> Result<Answer, Outage> {
        let start = Instant::now();
        let result = self.exchange(provider, request).await;
        let outcome = match &result {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(_) => "refused",
            Err(_) => "outage",
        };
        let labels = ProviderLabels { provider: provider.to_owned(), outcome };
        self.latency.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
        result
    }

    async fn exchange(&self, provider: &str, request: RequestBuilder) -> Result<Answer, Outage> {
        let response = self.head(provider, request).await?;
        let (status, headers) = (response.status(), response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            let wait = retry_after(headers).or_else(|| rate_limit_reset(headers));
            return Err(Outage::rate_limited(provider, wait));
        }
        if !(status.is_success() || status.is_client_error()) {
            return Err(Outage::bad_answer(provider, format!("status {}", status.as_u16())));
        }
        self.read(provider, response).await
    }

    /// The answer of another tokenbooth: whatever its status, since it explains itself at every one.
    ///
    /// # Errors
    /// No answer: no connection, no time, too long, cut off.
    pub async fn send_to_tokenbooth(&self, name: &str, request: RequestBuilder) -> Result<Answer, Outage> {
        let response = self.head(name, request).await?;
        self.read(name, response).await
    }

    async fn head(&self, provider: &str, request: RequestBuilder) -> Result<Response, Outage> {
        let response = request.send().await.map_err(|error| self.failed(provider, &error))?;
        if let Some(date) = date(response.headers()) {
            let ahead = self.clock.now().since(date);
            let mut differences = self.clock_differences.lock().unwrap_or_else(PoisonError::into_inner);
            match differences.get_mut(provider) {
                Some(known) => *known = ahead,
                None => drop(differences.insert(provider.to_owned(), ahead)),
            }
        }
        Ok(response)
    }

    async fn read(&self, provider: &str, mut response: Response) -> Result<Answer, Outage> {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(provider, &error))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(Outage::bad_answer(provider, format!("more than {MAX_BODY_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, provider: provider.to_owned(), body })
    }

    /// The error's own text shows the URL, which for tokeninfo holds the token.
    fn failed(&self, provider: &str, error: &reqwest::Error) -> Outage {
        if error.is_timeout() {
            Outage::timeout(provider, self.timeout)
        } else if error.is_connect() || error.is_request() {
            Outage::unreachable(provider)
        } else {
            Outage::bad_answer(provider, "it broke off")
        }
    }
}

impl Answer {
    /// The body as JSON of the documented shape.
    ///
    /// # Errors
    /// A content type that is not JSON, not JSON, or another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Outage> {
        if self.content_type().is_some_and(|content_type| !content_type.contains("json")) {
            return Err(Outage::bad_answer(&self.provider, "it is not JSON by its Content-Type"));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| Outage::bad_answer(&self.provider, crate::jws::json_problem::<T>(&self.body)))
    }

    /// As [`json`](Self::json), unless the content type says that it is a form.
    ///
    /// # Errors
    /// As there, or a form of another shape.
    pub fn json_or_form<T: DeserializeOwned>(&self) -> Result<T, Outage> {
        if self.content_type().is_none_or(|name| !name.starts_with("application/x-www-form-urlencoded")) {
            return self.json();
        }
        // The error's own text may quote a value.
        serde_urlencoded::from_bytes(&self.body)
            .map_err(|_| Outage::bad_answer(&self.provider, "it is not the form expected"))
    }

    /// RFC 9110 §8.3.1: its case does not matter.
    fn content_type(&self) -> Option<String> {
        Some(self.headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase())
    }

    /// Whether the body says this, ignoring case: GitHub tells its rate limits apart in words only.
    #[must_use]
    pub fn says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.body).to_ascii_lowercase().contains(words)
    }

    /// The answer is one that this request cannot have by the provider's documentation.
    #[must_use]
    pub fn unexpected(&self) -> Outage {
        Outage::bad_answer(&self.provider, format!("status {}", self.status.as_u16()))
    }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); a date is left to the default.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// When GitHub's primary rate limit ends, by GitHub's own clock
/// (<https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#checking-the-status-of-your-rate-limit>).
pub(super) fn rate_limit_reset(headers: &HeaderMap) -> Option<Duration> {
    let spent = headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
    let reset = headers.get("x-ratelimit-reset")?.to_str().ok()?.parse().ok()?;
    let wait = Timestamp(reset).since(date(headers)?);
    u64::try_from(wait).ok().filter(|_| spent).map(Duration::from_secs)
}

/// RFC 9110 §6.6.1. Its format is RFC 2822's with the zone spelled out.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|date| Timestamp(date.timestamp()))
}
