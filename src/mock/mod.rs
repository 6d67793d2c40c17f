//! A mock Google, GitHub, Microsoft, Apple and GitLab and a generic OpenID Connect issuer on loopback: real RSA keys,
//! real tokens, the real APIs' shapes. `tokenbooth demo` runs it, and the tests talk to it. People sign in there with a
//! browser, too: at a page that asks who to be, or without the page when the URL has `mock_person=<name>`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tokenbooth::mock::MockError> {
//! use serde_json::json;
//! use tokenbooth::mock::{Endpoint, Fault, MockProviders, Person};
//!
//! let mock = MockProviders::start().await?;
//! let expired = mock.google().id_token(json!({ "iat": 1_000_000_000 }));
//! let bobs = mock.google().access_token(Person::named("bob"));
//! mock.set_fault(Endpoint::Jwks, Fault::Hang);
//! assert_eq!(mock.total_requests(), 0);
//! # Ok(())
//! # }
//! ```

pub mod apple;
mod authorize;
mod codes;
mod control;
mod distort;
mod faults;
pub mod github;
mod github_answers;
mod github_api;
mod github_device;
mod github_login;
pub mod gitlab;
pub mod google;
mod grant;
mod issuer;
mod journal;
pub mod junk;
mod key_set;
mod keys;
pub mod microsoft;
mod middleware;
mod mint;
pub mod oidc;
mod page;
mod params;
mod person;
mod server;
mod token_endpoint;
mod values;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use faults::{Endpoint, Fault};
pub use github::{Github, GithubApp, GithubGrant};
pub use grant::Grant;
pub use issuer::Issuer;
pub use journal::SeenRequest;
pub use key_set::KeySet;
pub use keys::SigningKey;
pub use mint::{Signature, compact};
pub use person::{GithubEmail, GithubUser, Person};

/// A handle on one running mock. Clones share it; dropping the last one stops the server.
#[derive(Clone)]
pub struct MockProviders {
    running: Arc<server::Running>,
}

/// Why the mock did not start, or could not do as told.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    /// Everyone can mint tokens at the mock, so it must never stand beside real accounts.
    #[error("the mock providers do not start with TOKENBOOTH_ENV=production: they sign in anyone")]
    Production,
    /// No port, or no thread.
    #[error("the mock providers could not start")]
    Start(#[source] std::io::Error),
    /// No key could be made.
    #[error("the mock providers could not make a signing key")]
    Key,
    /// The server's thread is gone.
    #[error("the mock providers stopped unexpectedly")]
    Stopped,
}

impl MockProviders {
    /// Starts a mock on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`MockError::Production`], or why there is no port.
    pub async fn start() -> Result<Self, MockError> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts a mock on a given address, which should be a loopback one.
    ///
    /// # Errors
    /// [`MockError::Production`], or why there is no port.
    pub async fn start_on(address: SocketAddr) -> Result<Self, MockError> {
        refuse_production(std::env::var("TOKENBOOTH_ENV").ok().as_deref())?;
        Ok(Self { running: Arc::new(server::start(address).await?) })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn base_url(&self) -> &str {
        &self.world().base_url
    }

    /// The settings, as keys and values, that make tokenbooth use the mock Google and GitHub.
    /// Lists have commas.
    pub fn settings(&self) -> Vec<(String, String)> {
        let base = self.base_url();
        let client_ids = [google::WEB_CLIENT_ID, google::IOS_CLIENT_ID].join(",");
        [
            ("google.client_ids", client_ids),
            ("google.client_secret", google::CLIENT_SECRET.into()),
            ("google.discovery_url", self.url_of(Endpoint::Discovery)),
            ("google.tokeninfo_url", self.url_of(Endpoint::Tokeninfo)),
            ("github.client_id", github::CLIENT_ID.into()),
            ("github.client_secret", github::CLIENT_SECRET.into()),
            ("github.api_url", format!("{base}/github/api")),
            ("github.web_url", format!("{base}/github")),
        ]
        .map(|(key, value)| (format!("providers.{key}"), value))
        .into()
    }

    /// The settings that make the generic issuer the provider `name`.
    pub fn oidc_settings(&self, name: &str) -> Vec<(String, String)> {
        [
            ("kind", "oidc".into()),
            ("discovery_url", self.url_of(Endpoint::OidcDiscovery)),
            ("client_ids", oidc::CLIENT_ID.into()),
            ("client_secret", oidc::CLIENT_SECRET.into()),
        ]
        .map(|(key, value)| (format!("providers.{name}.{key}"), value))
        .into()
    }

    /// The settings that make the mock Microsoft the provider `name`, for people of any tenant.
    pub fn microsoft_settings(&self, name: &str) -> Vec<(String, String)> {
        let discovery = self.url_of(Endpoint::MicrosoftDiscovery).replace("{tenant}", "common");
        [
            ("kind", "microsoft".into()),
            ("discovery_url", discovery),
            ("client_ids", microsoft::CLIENT_ID.into()),
            ("client_secret", microsoft::CLIENT_SECRET.into()),
        ]
        .map(|(key, value)| (format!("providers.{name}.{key}"), value))
        .into()
    }

    /// The settings that make the mock Apple the provider `name`, for the web page and for the app.
    pub fn apple_settings(&self, name: &str) -> Vec<(String, String)> {
        [
            ("kind", "apple".into()),
            ("discovery_url", self.url_of(Endpoint::AppleDiscovery)),
            ("client_ids", [apple::SERVICES_ID, apple::BUNDLE_ID].join(",")),
            ("team_id", apple::TEAM_ID.into()),
            ("key_id", apple::KEY_ID.into()),
            ("private_key", self.apple().private_key().to_owned()),
        ]
        .map(|(key, value)| (format!("providers.{name}.{key}"), value))
        .into()
    }

    /// The settings that make the mock GitLab the provider `name`.
    pub fn gitlab_settings(&self, name: &str) -> Vec<(String, String)> {
        [
            ("kind", "gitlab".into()),
            ("discovery_url", self.url_of(Endpoint::GitlabDiscovery)),
            ("client_ids", gitlab::CLIENT_ID.into()),
            ("client_secret", gitlab::CLIENT_SECRET.into()),
        ]
        .map(|(key, value)| (format!("providers.{name}.{key}"), value))
        .into()
    }

    /// The mock Microsoft.
    pub fn microsoft(&self) -> &Issuer {
        &self.world().microsoft
    }

    /// The mock Apple.
    pub fn apple(&self) -> &Issuer {
        &self.world().apple
    }

    /// The mock GitLab.
    pub fn gitlab(&self) -> &Issuer {
        &self.world().gitlab
    }

    /// The mock Google.
    pub fn google(&self) -> &Issuer {
        &self.world().google
    }

    /// The generic OpenID Connect issuer.
    pub fn oidc(&self) -> &Issuer {
        &self.world().oidc
    }

    /// The mock GitHub.
    pub fn github(&self) -> &Github {
        &self.world().github
    }

    /// Makes `endpoint` misbehave until [`Self::clear_faults`]; replaces an earlier order for it.
    pub fn set_fault(&self, endpoint: Endpoint, fault: Fault) {
        self.world().faults.order(endpoint, fault, None);
    }

    /// Makes `endpoint` misbehave for its next `times` requests.
    pub fn set_fault_times(&self, endpoint: Endpoint, fault: Fault, times: u64) {
        self.world().faults.order(endpoint, fault, Some(times));
    }

    /// Makes every endpoint behave again.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// How many requests `endpoint` had, those that met a fault included.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.world().journal.count(endpoint)
    }

    /// How many requests there were at any URL but the mock's own controls.
    pub fn total_requests(&self) -> u64 {
        self.world().journal.total()
    }

    /// The requests counted by [`Self::total_requests`], oldest first, the last 10 000 at most.
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.world().journal.seen()
    }

    /// Sets all counters to zero and forgets what was seen.
    pub fn forget_requests(&self) {
        self.world().journal.forget();
    }

    fn world(&self) -> &world::World {
        &self.running.world
    }

    fn url_of(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.base_url(), endpoint.path())
    }
}

fn refuse_production(environment: Option<&str>) -> Result<(), MockError> {
    match environment {
        Some(name) if name.trim().eq_ignore_ascii_case("production") => Err(MockError::Production),
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mock_refuses_to_start_in_production() {
        assert!(matches!(refuse_production(Some("production")), Err(MockError::Production)));
        assert!(refuse_production(Some("development")).is_ok());
        assert!(refuse_production(None).is_ok());
    }
}
