//! Any OpenID Connect issuer, configured by its discovery URL.

use std::sync::Arc;

use async_trait::async_trait;

use super::client::ProviderClient;
use super::code_flow::CodeFlow;
use super::id_token::IdTokens;
use super::key_cache::{KeySource, KeysStatus};
use super::{Credential, CredentialKind, Outage, Provider, RedirectFlow, Refusal, VerifiedIdentity};
use crate::clock::SharedClock;
use crate::settings::{JwksSettings, OidcSettings};

/// Where a discovery document is, seen from its issuer (OpenID Connect Discovery §4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// A provider configured by its discovery URL.
pub(super) struct OpenIdProvider {
    id_tokens: Arc<IdTokens>,
    redirect: Option<CodeFlow>,
    display_name: String,
}

impl OpenIdProvider {
    pub(super) fn new(
        name: &str,
        settings: &OidcSettings,
        jwks: JwksSettings,
        client: &ProviderClient,
        clock: &SharedClock,
    ) -> Self {
        // The issuer is ours to know, not the document's to choose.
        let belonging =
            settings.discovery_url.strip_suffix(DISCOVERY_PATH).unwrap_or(&settings.discovery_url);
        let issuer = settings.issuer.clone().unwrap_or_else(|| belonging.to_owned());
        let source = KeySource {
            provider: name.to_owned(),
            discovery_url: settings.discovery_url.clone(),
            issuer: Some(issuer.clone()),
        };
        let id_tokens =
            IdTokens::new(source, &settings.client_ids, vec![issuer], settings.nonce, jwks, client, clock);
        let id_tokens = Arc::new(id_tokens);
        let redirect =
            CodeFlow::new(&id_tokens, &settings.client_ids, settings.client_secret.as_ref(), client);
        let display_name = settings.display_name.clone().unwrap_or_else(|| name.to_owned());
        Self { id_tokens, redirect, display_name }
    }
}

#[async_trait]
impl Provider for OpenIdProvider {
    fn name(&self) -> &str {
        self.id_tokens.provider()
    }

    fn display_name(&self) -> &str {
        &self.display_name
    }

    fn redirect_flow(&self) -> Option<&dyn RedirectFlow> {
        self.redirect.as_ref().map(|flow| flow as &dyn RedirectFlow)
    }

    fn accepts(&self) -> &'static [CredentialKind] {
        &[CredentialKind::IdToken]
    }

    async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        self.id_tokens.verify(credential).await
    }

    fn keys(&self) -> Option<KeysStatus> {
        Some(self.id_tokens.keys.status())
    }

    async fn check(&self) -> Result<String, Outage> {
        self.id_tokens.check().await
    }
}
