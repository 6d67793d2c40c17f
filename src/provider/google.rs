//! Google: ID tokens as any OpenID Connect issuer, and access tokens by asking Google whose they are.
//!
//! Sources: <https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken>, and for access
//! tokens the `tokeninfo` and `userinfo` endpoints.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use super::client::ProviderClient;
use super::client_secret::ClientSecret;
use super::code_flow::{CodeFlow, Reauthentication};
use super::id_token::{IdTokens, Rules};
use super::identity::is_subject;
use super::issuer::Issuers;
use super::key_cache::{KeySource, KeysStatus};
use super::{
    Credential, CredentialKind, Outage, Provider, RedirectFlow, Refusal, VerifiedIdentity, userinfo,
};
use crate::clock::{SharedClock, Timestamp};
use crate::jws::looks_like_a_jwt;
use crate::settings::{ClientAuthentication, EmailVerified, GoogleSettings, JwksSettings, Prompt};

const NAME: &str = "google";
/// Google signs under either name, whichever discovery document led to its keys.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// Google: "access tokens … 2048 bytes".
const MAX_ACCESS_TOKEN_BYTES: usize = 2048;

pub(super) struct Google {
    id_tokens: Arc<IdTokens>,
    /// Google gives a web client no token without its secret, PKCE or not.
    redirect: Option<CodeFlow>,
    tokeninfo_url: String,
    client: ProviderClient,
    clock: SharedClock,
}

/// What `tokeninfo` says. All its scalars are JSON strings.
#[derive(Deserialize)]
struct TokenInfo {
    aud: String,
    azp: Option<String>,
    sub: Option<String>,
    /// Seconds since 1970; a string in the real answer, a number in older documentation.
    exp: Option<Value>,
    expires_in: Option<Value>,
}

impl Google {
    pub(super) fn new(
        settings: &GoogleSettings,
        jwks: JwksSettings,
        client: &ProviderClient,
        clock: &SharedClock,
    ) -> Self {
        let source = KeySource {
            provider: NAME.to_owned(),
            discovery_url: settings.discovery_url.clone(),
            issuers: Vec::new(),
        };
        let rules = Rules {
            issuers: Issuers::Named(ISSUERS.map(str::to_owned).to_vec()),
            nonce: settings.nonce,
            email_verified: EmailVerified::Boolean,
            single_use: settings.single_use,
        };
        let ids = &settings.client_ids;
        let id_tokens = IdTokens::new(source, ids, rules, jwks, client, clock);
        let id_tokens = Arc::new(id_tokens);
        let secret = settings.client_secret.as_ref();
        Self {
            // <https://developers.google.com/identity/openid-connect/openid-connect#exchangecode>
            redirect: secret
                .map(|secret| ClientSecret::Fixed(secret.clone()))
                .and_then(|secret| CodeFlow::new(&id_tokens, ids, secret, client))
                .map(|flow| {
                    // <https://developers.google.com/identity/openid-connect/openid-connect#authenticationuriparameters>
                    // lists `none`, `consent` and `select_account`.
                    flow.authenticating_by(Some(ClientAuthentication::Post))
                        .prompting_by(Some(Prompt::SelectAccount))
                        .reauthenticating_by(Reauthentication::SelectAccount)
                }),
            id_tokens,
            tokeninfo_url: settings.tokeninfo_url.clone(),
            client: client.clone(),
            clock: SharedClock::clone(clock),
        }
    }

    /// `userinfo` alone proves nothing: it names no audience. `tokeninfo` tells whose token it is, then both must
    /// speak of the same person.
    async fn verify_access_token(&self, token: &str) -> Result<VerifiedIdentity, Refusal> {
        check_syntax(token)?;
        let info = self.tokeninfo(token).await?;
        self.id_tokens.audience.check_client_id("audience", &info.aud)?;
        if let Some(azp) = &info.azp {
            self.id_tokens.audience.check_client_id("azp", azp)?;
        }
        check_not_expired(&info, self.clock.now())?;
        let discovery = self.id_tokens.keys.discovery().await?;
        let user = userinfo::ask(&self.client, NAME, discovery, token).await?;
        match info.sub {
            Some(sub) if sub == user.sub && is_subject(&sub) => {}
            Some(_) => {
                return Err(Refusal::InvalidToken(
                    "google's tokeninfo and userinfo speak of different people".to_owned(),
                ));
            }
            None => {
                let problem =
                    "the access token has no sub: ask Google for the scopes openid, email and profile";
                return Err(Refusal::InvalidToken(problem.to_owned()));
            }
        }
        Ok(VerifiedIdentity::new(NAME, &user.sub, &user.profile(EmailVerified::Boolean)))
    }

    async fn tokeninfo(&self, token: &str) -> Result<TokenInfo, Refusal> {
        let request = self.client.get(&self.tokeninfo_url).query(&[("access_token", token)]);
        let answer = self.client.send(NAME, request).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.json()?),
            StatusCode::BAD_REQUEST => Err(Refusal::InvalidToken(
                "google does not know this access token, or it has expired".to_owned(),
            )),
            _ => Err(answer.unexpected().into()),
        }
    }
}

/// What cannot be an access token is not sent to Google.
fn check_syntax(token: &str) -> Result<(), Refusal> {
    let problem = if token.len() > MAX_ACCESS_TOKEN_BYTES {
        format!("the access token has {} bytes, Google's have at most {MAX_ACCESS_TOKEN_BYTES}", token.len())
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        "the access token has characters that none of Google's has".to_owned()
    } else if looks_like_a_jwt(token) {
        "this is a signed JWT, not an access token: send an ID token as \"id_token\"".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::InvalidToken(problem))
}

fn check_not_expired(info: &TokenInfo, now: Timestamp) -> Result<(), Refusal> {
    let number = |value: &Option<Value>| match value {
        Some(Value::String(text)) => text.parse::<i64>().ok(),
        Some(value) => value.as_i64(),
        None => None,
    };
    // `expires_in` is Google's own reckoning and so free of clock skew; `exp` is for answers without it.
    let left = number(&info.expires_in).or_else(|| Some(Timestamp(number(&info.exp)?).since(now)));
    match left {
        Some(left) if left > 0 => Ok(()),
        Some(left) => {
            Err(Refusal::TokenExpired(format!("google says that the access token expired {} s ago", -left)))
        }
        None => Err(Outage::bad_answer(NAME, "tokeninfo names no end of the token's life").into()),
    }
}

#[async_trait]
impl Provider for Google {
    fn name(&self) -> &str {
        self.id_tokens.provider()
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    fn display_name(&self) -> &'static str {
        "Google"
    }

    fn redirect_flow(&self) -> Option<&dyn RedirectFlow> {
        self.redirect.as_ref().map(|flow| flow as &dyn RedirectFlow)
    }

    fn accepts(&self) -> &'static [CredentialKind] {
        &[CredentialKind::IdToken, CredentialKind::AccessToken]
    }

    async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        match credential.kind {
            CredentialKind::IdToken => self.id_tokens.verify(credential).await,
            CredentialKind::AccessToken => self.verify_access_token(credential.token.expose_secret()).await,
        }
    }

    fn keys(&self) -> Option<KeysStatus> {
        Some(self.id_tokens.keys.status())
    }

    async fn check(&self) -> Result<String, Outage> {
        self.id_tokens.check().await
    }
}
