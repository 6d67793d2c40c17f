//! The authorization code flow with PKCE at an OpenID Connect provider (OpenID Connect Core §3.1, RFC 6749 §4.1, RFC 7636),
//! the same for Google and for any other. The tokens of the answer live as long as the function that reads them.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::client::{Answer, ProviderClient};
use super::client_secret::ClientSecret;
use super::discovery::{self, Discovery};
use super::id_token::IdTokens;
use super::oauth_error::{self, OAuthError};
use super::{AuthorizationRequest, Outage, RedirectFlow, Refusal, ReturnedCode, VerifiedIdentity, userinfo};
use crate::settings::{ClientAuthentication, EmailVerified, Prompt, ResponseMode};

/// OpenID Connect Core §5.4. No `offline_access`: nothing is asked of the provider once the user is known.
const SCOPES: &str = "openid email profile";

/// The flow of one provider.
pub(super) struct CodeFlow {
    id_tokens: Arc<IdTokens>,
    client_id: String,
    client_secret: ClientSecret,
    /// As the discovery document says when absent.
    authentication: Option<ClientAuthentication>,
    scopes: String,
    response_mode: ResponseMode,
    /// As the discovery document says when absent.
    prompt: Option<Prompt>,
    reauthentication: Reauthentication,
    client: ProviderClient,
}

/// How a provider is asked to authenticate a person again (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reauthentication {
    /// By `prompt=login` and `max_age`, which every OpenID Connect provider has to support (§15.1).
    Login,
    /// The provider does not document `login`; it can be made to have the account chosen.
    SelectAccount,
    /// The provider documents neither.
    Unsupported,
}

/// What the token endpoint answers (OpenID Connect Core §3.1.3.3).
#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<SecretString>,
    access_token: Option<SecretString>,
}

impl Reauthentication {
    /// Returns the parameters, without a `prompt` that the provider is known not to support.
    fn parameters(self, max_age: u64, may_prompt: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let prompt = |value: &str| may_prompt(value).then(|| ("prompt", value.to_owned()));
        match self {
            Self::Login => prompt("login").into_iter().chain([("max_age", max_age.to_string())]).collect(),
            Self::SelectAccount => prompt("select_account").into_iter().collect(),
            Self::Unsupported => Vec::new(),
        }
    }
}

impl CodeFlow {
    /// With the first client id; `None` when there is none.
    pub(super) fn new(
        id_tokens: &Arc<IdTokens>,
        client_ids: &[String],
        client_secret: ClientSecret,
        client: &ProviderClient,
    ) -> Option<Self> {
        Some(Self {
            id_tokens: Arc::clone(id_tokens),
            client_id: client_ids.first()?.clone(),
            client_secret,
            authentication: None,
            scopes: SCOPES.to_owned(),
            response_mode: ResponseMode::Query,
            prompt: None,
            reauthentication: Reauthentication::Login,
            client: client.clone(),
        })
    }

    /// For a provider whose documentation has the secret in one place, whatever else its discovery document names.
    pub(super) fn authenticating_by(self, authentication: Option<ClientAuthentication>) -> Self {
        Self { authentication, ..self }
    }

    /// For a provider that is asked for other things, or answers in another way.
    pub(super) fn asking_for(self, scopes: &[String], response_mode: ResponseMode) -> Self {
        Self { scopes: scopes.join(" "), response_mode, ..self }
    }

    /// For a provider whose documentation says how it is made to show a page, or whose settings do.
    pub(super) fn prompting_by(self, prompt: Option<Prompt>) -> Self {
        Self { prompt, ..self }
    }

    /// For a provider that does not document `prompt=login`.
    pub(super) fn reauthenticating_by(self, reauthentication: Reauthentication) -> Self {
        Self { reauthentication, ..self }
    }

    fn token_request(
        &self,
        url: &str,
        discovery: &Discovery,
        returned: &ReturnedCode<'_>,
    ) -> Result<RequestBuilder, Outage> {
        let secret = self.client_secret.now(self.id_tokens.provider())?;
        let in_body = match self.authentication {
            Some(authentication) => authentication == ClientAuthentication::Post,
            None => discovery.wants_secret_in_body(),
        };
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", returned.code.expose_secret()),
            ("redirect_uri", returned.redirect_uri),
            ("code_verifier", returned.code_verifier.expose_secret()),
        ];
        let request = self.client.post(url);
        Ok(match &secret {
            None => {
                form.push(("client_id", &self.client_id));
                request.form(&form)
            }
            Some(secret) if in_body => {
                form.extend([
                    ("client_id", self.client_id.as_str()),
                    ("client_secret", secret.expose_secret()),
                ]);
                request.form(&form)
            }
            // RFC 6749 §2.3.1: both are form-urlencoded before HTTP's own base64, or a colon in the id would end it early and a
            // "+" or "%" in the secret would be read as something else.
            Some(secret) => {
                let secret = urlencoded(secret.expose_secret());
                request.basic_auth(urlencoded(&self.client_id), Some(secret)).form(&form)
            }
        })
    }

    /// Whether more is wanted of this person: address or name. Where no address is looked at, no more is asked either.
    fn is_incomplete(&self, identity: &VerifiedIdentity) -> bool {
        let asks = self.id_tokens.email_verified() != EmailVerified::Never;
        asks && (identity.email.is_none() || identity.name.is_none())
    }

    /// Where an access token comes with the ID token, the address and the name may be at `userinfo` alone (OpenID Connect Core
    /// §5.4), and some providers have them there and nowhere else.
    async fn with_userinfo(
        &self,
        identity: VerifiedIdentity,
        discovery: Discovery,
        access_token: &str,
    ) -> Result<VerifiedIdentity, Refusal> {
        let provider = self.id_tokens.provider();
        let info = match userinfo::ask(&self.client, provider, discovery, access_token).await {
            // A name is decoration, and must not stop a login.
            Err(Refusal::Outage(_)) if identity.email.is_some() => return Ok(identity),
            answer => answer?,
        };
        // OpenID Connect Core §5.3.2, against a token put in another's place.
        if info.sub != identity.provider_id {
            let problem = format!("{provider}'s ID token and userinfo speak of different people");
            return Err(Refusal::InvalidToken(problem));
        }
        let told = VerifiedIdentity::new(provider, &info.sub, &info.profile(self.id_tokens.email_verified()));
        // What is signed goes before what is only said.
        let (email, email_verified) = match identity.email {
            Some(email) => (Some(email), identity.email_verified),
            None => (told.email, told.email_verified),
        };
        Ok(VerifiedIdentity {
            email,
            email_verified,
            name: told.name.or(identity.name),
            avatar_url: told.avatar_url.or(identity.avatar_url),
            ..identity
        })
    }

    /// Why there is no token. `error_description` is for people at the provider's side of the matter, and may repeat the code:
    /// it is not read.
    fn refusal(&self, answer: &Answer) -> Refusal {
        let provider = self.id_tokens.provider();
        let error = answer.json::<OAuthError>().map(|body| body.error).unwrap_or_default();
        match (answer.status, error.as_str()) {
            // RFC 6749 §5.2. What differs from one request to the next is the code, so it is the code that is malformed when a
            // request is called that.
            (_, "invalid_grant" | "invalid_request") => Refusal::CodeRefused(format!(
                "{provider} does not take this code ({error}): it was used before, is too old, or was made for somebody else; \
                 start again"
            )),
            (_, "invalid_client" | "unauthorized_client") | (StatusCode::UNAUTHORIZED, _) => {
                Outage::bad_answer(
                    provider,
                    format!(
                        "it refuses our own credentials, the first of providers.{provider}.client_ids and {}",
                        self.client_secret.settings()
                    ),
                )
                .into()
            }
            (_, "redirect_uri_mismatch") => oauth_error::unregistered_callback(provider).into(),
            (_, "") => answer.unexpected().into(),
            (_, other) => oauth_error::unexpected(provider, other).into(),
        }
    }
}

#[async_trait]
impl RedirectFlow for CodeFlow {
    async fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url, Outage> {
        let provider = self.id_tokens.provider();
        let discovery = self.id_tokens.keys.discovery().await?;
        let may_prompt = |value: &str| discovery.may_prompt(value);
        let endpoint =
            discovery::named(provider, "authorization_endpoint", discovery.authorization_endpoint.clone())?;
        let mut url = Url::parse(&endpoint)
            .map_err(|_| Outage::bad_answer(provider, "its authorization_endpoint is not a URL"))?;
        // Beside what its query has already (RFC 6749 §3.1).
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", request.redirect_uri)
            .append_pair("scope", &self.scopes)
            .append_pair("state", request.state)
            .append_pair("nonce", request.nonce)
            .append_pair("code_challenge", request.code_challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(prompt) = request.prompt.and_then(Prompt::as_parameter) {
            url.query_pairs_mut().append_pair("prompt", prompt);
        }
        if let Some(max_age) = request.reauthenticate_within {
            for (name, value) in self.reauthentication.parameters(max_age, may_prompt) {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        if self.returns_by_form() {
            url.query_pairs_mut().append_pair("response_mode", "form_post");
        }
        Ok(url)
    }

    async fn prompt(&self) -> Result<Prompt, Outage> {
        match self.prompt {
            Some(prompt) => Ok(prompt),
            None => Ok(self.id_tokens.keys.discovery().await?.prompt()),
        }
    }

    fn returns_by_form(&self) -> bool {
        self.response_mode == ResponseMode::FormPost
    }

    async fn redeem(&self, returned: &ReturnedCode<'_>) -> Result<VerifiedIdentity, Refusal> {
        let provider = self.id_tokens.provider();
        let discovery = self.id_tokens.keys.discovery().await?;
        let url = discovery::named(provider, "token_endpoint", discovery.token_endpoint.clone())?;
        let request = self.token_request(&url, &discovery, returned)?;
        let answer = self.client.send(provider, request).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(&answer));
        }
        let TokenAnswer { id_token, access_token } = answer.json()?;
        let Some(id_token) = id_token else {
            let problem = "there is no id_token in it: may this client ask for the scope openid?";
            return Err(Outage::bad_answer(provider, problem).into());
        };
        let identity = self.id_tokens.verify_own(id_token.expose_secret(), returned.nonce).await?;
        match access_token {
            Some(token) if self.is_incomplete(&identity) && discovery.userinfo_endpoint.is_some() => {
                self.with_userinfo(identity, discovery, token.expose_secret()).await
            }
            _ => Ok(identity),
        }
    }
}

fn urlencoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
