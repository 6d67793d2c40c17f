//! Any OpenID Connect issuer, configured by its discovery URL; Microsoft and Apple are such, with settings of their own.

use std::sync::Arc;

use async_trait::async_trait;

use super::client::ProviderClient;
use super::client_secret::{AppleKey, ClientSecret};
use super::code_flow::{CodeFlow, Reauthentication};
use super::id_token::{IdTokens, Rules};
use super::issuer::{Issuers, Tenants};
use super::key_cache::{KeySource, KeysStatus};
use super::{Credential, CredentialKind, Outage, Provider, RedirectFlow, Refusal, VerifiedIdentity};
use crate::clock::SharedClock;
use crate::settings::{APPLE_ISSUERS, JwksSettings, OidcKind, OidcSettings, Prompt, Tenancy, issuer_of};

/// A provider configured by its discovery URL.
pub(super) struct OpenIdProvider {
    pub(super) id_tokens: Arc<IdTokens>,
    redirect: Option<CodeFlow>,
    kind: &'static str,
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
        let (named, issuers) = issuers(settings);
        let secret = client_secret(settings, named.first().map_or("", String::as_str), clock);
        let source = KeySource {
            provider: name.to_owned(),
            discovery_url: settings.discovery_url.clone(),
            issuers: named,
        };
        let rules = Rules {
            issuers,
            nonce: settings.nonce,
            email_verified: settings.email_verified,
            single_use: settings.single_use,
        };
        let id_tokens = Arc::new(IdTokens::new(source, &settings.client_ids, rules, jwks, client, clock));
        let redirect = secret
            .and_then(|secret| CodeFlow::new(&id_tokens, &settings.client_ids, secret, client))
            .map(|flow| {
                flow.authenticating_by(settings.token_endpoint_auth_method)
                    .asking_for(&settings.scopes, settings.response_mode)
                    .prompting_by(settings.prompt)
                    .reauthenticating_by(reauthentication(settings))
            });
        let kind = match settings.kind {
            OidcKind::Oidc => "oidc",
            OidcKind::Microsoft => "microsoft",
            OidcKind::Apple => "apple",
            OidcKind::Gitlab => "gitlab",
        };
        let display_name = settings.display_name.clone().unwrap_or_else(|| name.to_owned());
        Self { id_tokens, redirect, kind, display_name }
    }
}

/// Returns how the issuer is asked to authenticate a person again. One that has no `prompt` (Apple; GitLab, where `login` signs the
/// person out of GitLab) is not asked.
fn reauthentication(settings: &OidcSettings) -> Reauthentication {
    match settings.prompt {
        Some(Prompt::Unsupported) => Reauthentication::Unsupported,
        _ => Reauthentication::Login,
    }
}

/// The issuers of which the discovery document must name one, and those whose tokens count: ours to know, not the document's
/// to choose.
pub(super) fn issuers(settings: &OidcSettings) -> (Vec<String>, Issuers) {
    if settings.kind == OidcKind::Microsoft {
        let tenancy = Tenancy::of(&settings.discovery_url);
        let tenants = Tenants { tenancy, listed: settings.tenants.clone() };
        return (vec![tenants.tenancy.document_issuer()], Issuers::OfTenants(tenants));
    }
    let url = &settings.discovery_url;
    let names = match &settings.issuer {
        Some(issuer) => vec![issuer.clone()],
        None if settings.kind == OidcKind::Apple => APPLE_ISSUERS.map(str::to_owned).to_vec(),
        None => vec![issuer_of(url).to_owned()],
    };
    (names.clone(), Issuers::Named(names))
}

/// `None` when there can be no redirect flow: Apple has no public clients.
fn client_secret(settings: &OidcSettings, issuer: &str, clock: &SharedClock) -> Option<ClientSecret> {
    if settings.kind == OidcKind::Apple {
        let client_id = settings.client_ids.first()?;
        return AppleKey::new(&settings.apple, client_id, issuer, clock).map(ClientSecret::Made);
    }
    Some(settings.client_secret.clone().map_or(ClientSecret::None, ClientSecret::Fixed))
}

#[async_trait]
impl Provider for OpenIdProvider {
    fn name(&self) -> &str {
        self.id_tokens.provider()
    }

    fn kind(&self) -> &'static str {
        self.kind
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
