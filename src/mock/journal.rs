//! What the mock was asked: a counter per endpoint, and the last requests with what tests want to
//! know of them. Tokens and other header values are not kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderName};
use serde::Serialize;

use super::{Endpoint, lock};

/// How many requests [`Journal::seen`] remembers, so that a long benchmark does not fill memory.
const REMEMBERED: usize = 10_000;

/// One request to a mock provider, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// Whether there was a query: a token does not belong in one.
    pub has_query: bool,
    /// `prompt` in the query, which an authorization endpoint is asked with.
    pub prompt: Option<String>,
    /// The `User-Agent`, which GitHub demands.
    pub user_agent: Option<String>,
    /// The `Accept`.
    pub accept: Option<String>,
    /// The scheme of `Authorization` in lower case: `bearer`, `basic`, `token`, else `other`.
    pub authorization: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct Journal {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: u64,
    by_endpoint: HashMap<Endpoint, u64>,
    seen: VecDeque<SeenRequest>,
}

impl Journal {
    pub(super) fn record(&self, endpoint: Option<Endpoint>, request: &ServiceRequest) {
        let seen = SeenRequest {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            has_query: !request.query_string().is_empty(),
            prompt: prompt(request.query_string()),
            user_agent: text(request, header::USER_AGENT),
            accept: text(request, header::ACCEPT),
            authorization: text(request, header::AUTHORIZATION).map(|value| scheme(&value)),
        };
        let mut state = lock(&self.state);
        state.total += 1;
        if let Some(endpoint) = endpoint {
            *state.by_endpoint.entry(endpoint).or_default() += 1;
        }
        if state.seen.len() == REMEMBERED {
            state.seen.pop_front();
        }
        state.seen.push_back(seen);
    }

    pub(super) fn count(&self, endpoint: Endpoint) -> u64 {
        let state = lock(&self.state);
        state.by_endpoint.get(&endpoint).copied().unwrap_or_default()
    }

    pub(super) fn total(&self) -> u64 {
        lock(&self.state).total
    }

    pub(super) fn seen(&self) -> Vec<SeenRequest> {
        lock(&self.state).seen.iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        *lock(&self.state) = State::default();
    }
}

fn text(request: &ServiceRequest, name: HeaderName) -> Option<String> {
    let value = request.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn prompt(query: &str) -> Option<String> {
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    parameters.find(|(name, _)| name == "prompt").map(|(_, value)| value.into_owned())
}

fn scheme(authorization: &str) -> &'static str {
    let word = authorization.split(' ').next().unwrap_or_default();
    ["bearer", "basic", "token"].into_iter().find(|known| known.eq_ignore_ascii_case(word)).unwrap_or("other")
}
