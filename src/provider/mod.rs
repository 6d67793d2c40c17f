//! A provider's token in, a [`VerifiedIdentity`] out. Each provider proves that the token belongs to *this* app.
//!
//! To add one: an OpenID Connect issuer is only a block of settings, with a kind of its own when it has ways of its own
//! (`settings/oidc.rs`). Any other gets a file beside `github.rs` with an
//! implementation of [`Provider`], a line in [`Providers::new`], and a test beside `tests/api/exchange_github.rs`.

mod audience;
mod client;
mod client_secret;
mod code_flow;
mod discovery;
#[cfg(test)]
mod fuzzed;
mod github;
mod github_device;
mod github_flow;
mod github_token;
mod gitlab;
mod google;
mod id_token;
mod identity;
mod issuer;
mod jwks;
mod key_cache;
mod oauth_error;
mod oidc;
mod outage;
mod redirect;
mod refused;
mod userinfo;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

pub use self::client::ProviderClient;
use self::github::Github;
pub(crate) use self::github_device::{DeviceError, DeviceFlow};
use self::gitlab::Gitlab;
use self::google::Google;
pub(crate) use self::id_token::MAX_ID_TOKEN_LIFE;
pub use self::identity::{SingleUse, VerifiedIdentity};
pub(crate) use self::identity::{clean_name, is_subject};
pub use self::key_cache::KeysStatus;
use self::oidc::OpenIdProvider;
pub use self::outage::{Outage, OutageKind};
pub use self::redirect::{AuthorizationRequest, RedirectFlow, ReturnedCode};
pub(crate) use self::refused::RefusedCredentials;
use crate::clock::SharedClock;
use crate::settings::{OidcKind, Settings};

/// What a client can prove itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A signed OpenID Connect ID token.
    IdToken,
    /// An opaque OAuth 2.0 access token.
    AccessToken,
}

/// A credential as the client sent it. Nothing in it is believed.
#[derive(Debug)]
pub struct Credential {
    /// What it is taken for.
    pub kind: CredentialKind,
    /// The token. Kept from logs by its type.
    pub token: SecretString,
    /// The nonce the client says it used.
    pub nonce: Option<String>,
}

/// Why no identity was proved. The text says what was received, what was expected and which setting decides.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// Not a token of this provider, or not a good one.
    #[error("{0}")]
    InvalidToken(String),
    /// Made for another app.
    #[error("{0}")]
    AudienceMismatch(String),
    /// Made by another issuer.
    #[error("{0}")]
    IssuerMismatch(String),
    /// Past its end.
    #[error("{0}")]
    TokenExpired(String),
    /// Not the nonce that was asked for.
    #[error("{0}")]
    NonceMismatch(String),
    /// The code that came back from the provider is not one it takes (any more).
    #[error("{0}")]
    CodeRefused(String),
    /// Nothing can be said of the token now.
    #[error(transparent)]
    Outage(#[from] Outage),
}

/// Somebody who can vouch for a user.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name in the settings and in `/auth/{provider}`.
    fn name(&self) -> &str;

    /// What it is, whatever it is called in the settings: `google`, `github`, `microsoft`, `apple`, `gitlab`, `oidc`.
    fn kind(&self) -> &'static str;

    /// The name people know it by, for a button.
    fn display_name(&self) -> &str;

    /// Signing in by way of a browser, when it is configured for that.
    fn redirect_flow(&self) -> Option<&dyn RedirectFlow>;

    /// The kinds of credential it can prove.
    fn accepts(&self) -> &'static [CredentialKind];

    /// Proves the credential: it is genuine, current, and was made for this app.
    ///
    /// # Errors
    /// [`Refusal`]; an outage is never a refusal of the token, and never a login.
    async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal>;

    /// The state of its key cache, when it has one.
    fn keys(&self) -> Option<KeysStatus>;

    /// Asks the provider whether it would work with us: reachable, and our own credentials accepted.
    ///
    /// # Errors
    /// What is wrong.
    async fn check(&self) -> Result<String, Outage>;
}

/// The configured providers, by name.
pub struct Providers {
    by_name: BTreeMap<String, Arc<dyn Provider>>,
    refused: RefusedCredentials,
    timeout: Duration,
}

impl Providers {
    /// Every provider that has client ids. Key caches begin to fill in the background, so this needs a Tokio runtime.
    #[must_use]
    pub fn new(settings: &Settings, client: &ProviderClient, clock: &SharedClock) -> Self {
        let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
        let configured = &settings.providers;
        if !configured.google.client_ids.is_empty() {
            providers.push(Arc::new(Google::new(&configured.google, settings.jwks, client, clock)));
        }
        if let Some(github) = Github::new(&configured.github, client) {
            providers.push(Arc::new(github));
        }
        for (name, oidc) in configured.oidc.iter().filter(|(_, oidc)| !oidc.client_ids.is_empty()) {
            providers.push(match oidc.kind {
                OidcKind::Gitlab => Arc::new(Gitlab::new(name, oidc, settings.jwks, client, clock)),
                _ => Arc::new(OpenIdProvider::new(name, oidc, settings.jwks, client, clock)),
            });
        }
        let by_name = providers.into_iter().map(|provider| (provider.name().to_owned(), provider)).collect();
        Self { by_name, refused: RefusedCredentials::new(clock), timeout: settings.http_client.timeout }
    }

    /// The provider of this name, when it is configured.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.by_name.values()
    }

    /// Returns the memory of access tokens that were rejected a moment ago.
    pub(crate) fn refused(&self) -> &RefusedCredentials {
        &self.refused
    }

    /// [`Provider::verify`] within `http_client.timeout`, however many requests it takes.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn verify(
        &self,
        provider: &dyn Provider,
        credential: &Credential,
    ) -> Result<VerifiedIdentity, Refusal> {
        tokio::time::timeout(self.timeout, provider.verify(credential))
            .await
            .unwrap_or_else(|_| Err(Outage::timeout(provider.name(), self.timeout).into()))
    }

    /// [`RedirectFlow::redeem`] within `http_client.timeout`, however many requests it takes.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn redeem(
        &self,
        provider: &dyn Provider,
        flow: &dyn RedirectFlow,
        returned: &ReturnedCode<'_>,
    ) -> Result<VerifiedIdentity, Refusal> {
        tokio::time::timeout(self.timeout, flow.redeem(returned))
            .await
            .unwrap_or_else(|_| Err(Outage::timeout(provider.name(), self.timeout).into()))
    }
}
