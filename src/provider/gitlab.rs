//! GitLab: ID tokens as any OpenID Connect issuer, and access tokens by asking GitLab which app they are of, and whose.
//!
//! Sources: <https://docs.gitlab.com/integration/openid_connect_provider/>,
//! <https://docs.gitlab.com/api/oauth2/#retrieve-the-token-information>.

use async_trait::async_trait;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::client::ProviderClient;
use super::key_cache::KeysStatus;
use super::oidc::{OpenIdProvider, issuers};
use super::{
    Credential, CredentialKind, Outage, Provider, RedirectFlow, Refusal, VerifiedIdentity, userinfo,
};
use crate::clock::SharedClock;
use crate::jws::looks_like_a_jwt;
use crate::settings::{JwksSettings, OidcSettings};

/// GitLab's have 64 characters; room for a prefix that a later version may add.
const MAX_ACCESS_TOKEN_BYTES: usize = 255;
/// What is no access token of an application, by its prefix
/// (<https://docs.gitlab.com/security/tokens/#token-prefixes>): personal and impersonation tokens, application secrets, deploy,
/// runner, job, trigger, feed, mail, agent, workspace and SCIM tokens, and feature flag clients'.
const OTHER_TOKENS: [&str; 13] = [
    "glpat-", "gloas-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-",
    "glwt-", "glsoat-", "glffct-",
];

pub(super) struct Gitlab {
    oidc: OpenIdProvider,
    token_info_url: String,
    client: ProviderClient,
}

/// What GitLab says of an access token, as far as we use it.
#[derive(Deserialize)]
struct TokenInfo {
    /// The number of who granted it; absent for a token that an app got for itself.
    resource_owner_id: Option<u64>,
    application: Option<Application>,
    #[serde(default)]
    scope: Vec<String>,
}

#[derive(Deserialize)]
struct Application {
    uid: String,
}

impl Gitlab {
    pub(super) fn new(
        name: &str,
        settings: &OidcSettings,
        jwks: JwksSettings,
        client: &ProviderClient,
        clock: &SharedClock,
    ) -> Self {
        // Not in the discovery document; below the instance's own URL, which is its issuer.
        let (named, _) = issuers(settings);
        let instance = named.first().map_or("", String::as_str).trim_end_matches('/');
        let token_info_url = format!("{instance}/oauth/token/info");
        let oidc = OpenIdProvider::new(name, settings, jwks, client, clock);
        Self { oidc, token_info_url, client: client.clone() }
    }

    /// `userinfo` alone proves nothing: it names no audience. The token's own information tells which app it is of, then
    /// both must speak of the same person.
    async fn verify_access_token(&self, token: &str) -> Result<VerifiedIdentity, Refusal> {
        let provider = self.name();
        let invalid = |problem: &str| Err(Refusal::InvalidToken(format!("{provider}: {problem}")));
        check_syntax(token)?;
        let info = self.token_info(token).await?;
        let Some(Application { uid }) = info.application else {
            return invalid("the access token is of no application");
        };
        self.oidc.id_tokens.audience.check_client_id("application", &uid)?;
        let Some(owner) = info.resource_owner_id else {
            return invalid("the access token belongs to no user");
        };
        if !info.scope.iter().any(|scope| scope == "openid") {
            return invalid(
                "the access token cannot tell whose it is: ask for the scopes openid, email and profile",
            );
        }
        let discovery = self.oidc.id_tokens.keys.discovery().await?;
        let user = userinfo::ask(&self.client, provider, discovery, token).await?;
        if user.sub != owner.to_string() {
            return invalid("token information and userinfo speak of different people");
        }
        let profile = user.profile(self.oidc.id_tokens.email_verified());
        Ok(VerifiedIdentity::new(provider, &user.sub, &profile))
    }

    async fn token_info(&self, token: &str) -> Result<TokenInfo, Refusal> {
        let provider = self.name();
        // In the header, not the query: a URL is in too many logs.
        let request = self.client.get(&self.token_info_url).bearer_auth(token);
        let answer = self.client.send(provider, request).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.json()?),
            // Older versions say 400.
            StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST => Err(Refusal::InvalidToken(format!(
                "{provider} knows no such access token of an application, or it has expired"
            ))),
            _ => Err(answer.unexpected().into()),
        }
    }
}

/// What cannot be an app's access token is not sent anywhere. Whoever has a personal access token of somebody's is not
/// thereby that person here.
fn check_syntax(token: &str) -> Result<(), Refusal> {
    let problem = if token.len() > MAX_ACCESS_TOKEN_BYTES {
        format!("the access token has {} bytes, GitLab's have at most {MAX_ACCESS_TOKEN_BYTES}", token.len())
    } else if let Some(prefix) = OTHER_TOKENS.iter().find(|prefix| token.starts_with(*prefix)) {
        format!(
            "a token that begins with {prefix} is no access token of your application: only those are taken"
        )
    } else if looks_like_a_jwt(token) {
        "this is a signed JWT, not an access token: send an ID token as \"id_token\"".to_owned()
    } else if !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        "the access token has characters that none of GitLab's has".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::InvalidToken(problem))
}

#[async_trait]
impl Provider for Gitlab {
    fn name(&self) -> &str {
        self.oidc.name()
    }

    fn kind(&self) -> &'static str {
        self.oidc.kind()
    }

    fn display_name(&self) -> &str {
        self.oidc.display_name()
    }

    fn redirect_flow(&self) -> Option<&dyn RedirectFlow> {
        self.oidc.redirect_flow()
    }

    fn accepts(&self) -> &'static [CredentialKind] {
        &[CredentialKind::IdToken, CredentialKind::AccessToken]
    }

    async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        match credential.kind {
            CredentialKind::IdToken => self.oidc.verify(credential).await,
            CredentialKind::AccessToken => self.verify_access_token(credential.token.expose_secret()).await,
        }
    }

    fn keys(&self) -> Option<KeysStatus> {
        self.oidc.keys()
    }

    async fn check(&self) -> Result<String, Outage> {
        self.oidc.check().await
    }
}
