//! `[providers.<name>]`: an OpenID Connect provider. Each kind is a set of defaults for the same settings, so that what is
//! special about a provider is a setting and not a branch; `docs/PROVIDERS.md` says why each default is what it is.

mod check;
mod tenancy;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

pub use self::tenancy::{Tenancy, TenantScope, is_tenant_id};
use super::values;

/// `[providers.<name>]`, with what its kind says filled in.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// Spelled out so that a mistyped `[providers.gogle]` is an error and not a provider.
    pub kind: OidcKind,
    /// The provider's discovery document.
    pub discovery_url: String,
    /// The app's client ids there.
    pub client_ids: Vec<String>,
    /// The secret of the first of them, for the redirect flow; an app without one has PKCE alone.
    pub client_secret: Option<SecretString>,
    /// Apple's: what a client secret is made of.
    pub apple: AppleSettings,
    /// What people know it by; its name in the settings when absent.
    pub display_name: Option<String>,
    /// The `iss` of its tokens; when absent the one that belongs to `discovery_url`, at Apple one of Apple's.
    pub issuer: Option<String>,
    /// Microsoft's: the tenants whose people may sign in; all that `discovery_url` stands for when empty.
    pub tenants: Vec<String>,
    /// What is asked of a nonce.
    pub nonce: NoncePolicy,
    /// Accept each ID token once.
    pub single_use: bool,
    /// When its word on an e-mail address is believed.
    pub email_verified: EmailVerified,
    /// What is asked for in the redirect flow.
    pub scopes: Vec<String>,
    /// How browsers come back from it.
    pub response_mode: ResponseMode,
    /// How it is asked to show a page before an app gets a code; when absent, what its discovery document supports.
    pub prompt: Option<Prompt>,
    /// How its token endpoint wants the client secret; as its discovery document says when absent.
    pub token_endpoint_auth_method: Option<ClientAuthentication>,
}

/// What Apple's client secrets are made of
/// (<https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret>).
#[derive(Debug, Clone)]
pub struct AppleSettings {
    /// The ten characters of the developer team.
    pub team_id: Option<String>,
    /// The ten characters of the key.
    pub key_id: Option<String>,
    /// The key's `.p8` file: PKCS #8 in PEM.
    pub private_key: Option<SecretString>,
}

/// Which provider it is, as far as we know their ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OidcKind {
    /// OpenID Connect with discovery, and no ways of its own.
    Oidc,
    /// Microsoft Entra ID, personal accounts included: an issuer for each tenant, addresses that nobody verified.
    Microsoft,
    /// Sign in with Apple: truth as text, callbacks as forms, secrets made of a key.
    Apple,
    /// GitLab.com or an instance of one's own: its access tokens are taken, too.
    Gitlab,
}

impl<'de> Deserialize<'de> for OidcKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kinds = [
            ("oidc", Self::Oidc),
            ("microsoft", Self::Microsoft),
            ("apple", Self::Apple),
            ("gitlab", Self::Gitlab),
        ];
        values::one_of(deserializer, &kinds)
    }
}

/// When an address counts as verified by the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailVerified {
    /// `email_verified` is `true`, and no text (OpenID Connect Core §5.1).
    Boolean,
    /// Or the text `"true"`.
    Text,
    /// Never, whatever it says: the address is not even looked at.
    Never,
}

impl<'de> Deserialize<'de> for EmailVerified {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = [("boolean", Self::Boolean), ("text", Self::Text), ("never", Self::Never)];
        values::one_of(deserializer, &words)
    }
}

/// How the answer to an authorization request comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of a redirect, as RFC 6749 §4.1.2 has it.
    Query,
    /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

impl<'de> Deserialize<'de> for ResponseMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::one_of(deserializer, &[("query", Self::Query), ("form_post", Self::FormPost)])
    }
}

/// How a provider is asked to show the person a page although it knows who that is (`prompt`, OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// The person chooses the account.
    SelectAccount,
    /// The person signs in again.
    Login,
    /// The person consents again.
    Consent,
    /// The provider has no such parameter: a page of ours asks instead.
    Unsupported,
}

impl Prompt {
    /// The value of the parameter, unless it is not sent.
    #[must_use]
    pub fn as_parameter(self) -> Option<&'static str> {
        match self {
            Self::SelectAccount => Some("select_account"),
            Self::Login => Some("login"),
            Self::Consent => Some("consent"),
            Self::Unsupported => None,
        }
    }
}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let prompts = [
            ("select_account", Self::SelectAccount),
            ("login", Self::Login),
            ("consent", Self::Consent),
            ("unsupported", Self::Unsupported),
        ];
        values::one_of(deserializer, &prompts)
    }
}

/// Where a client secret goes (OpenID Connect Core §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// Into HTTP Basic.
    Basic,
    /// Into the body.
    Post,
}

impl<'de> Deserialize<'de> for ClientAuthentication {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let methods = [("client_secret_basic", Self::Basic), ("client_secret_post", Self::Post)];
        values::one_of(deserializer, &methods)
    }
}

/// What is asked of an ID token's `nonce` (OpenID Connect Core §3.1.3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoncePolicy {
    /// Compared when the client sends one: some native sign-in libraries cannot.
    #[default]
    Optional,
    /// The client must send one and the token must carry it.
    Required,
}

impl<'de> Deserialize<'de> for NoncePolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::one_of(deserializer, &[("optional", Self::Optional), ("required", Self::Required)])
    }
}

/// What a kind says where the settings say nothing.
struct Preset {
    discovery_url: Option<&'static str>,
    display_name: Option<&'static str>,
    email_verified: EmailVerified,
    scopes: &'static [&'static str],
    response_mode: ResponseMode,
    prompt: Option<Prompt>,
    token_endpoint_auth_method: Option<ClientAuthentication>,
}

/// The protocol as it is written.
const OIDC: Preset = Preset {
    discovery_url: None,
    display_name: None,
    email_verified: EmailVerified::Boolean,
    scopes: &["openid", "email", "profile"],
    response_mode: ResponseMode::Query,
    prompt: None,
    token_endpoint_auth_method: None,
};

impl OidcKind {
    fn preset(self) -> Preset {
        match self {
            Self::Oidc => OIDC,
            Self::Microsoft => Preset {
                discovery_url: Some(
                    "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
                ),
                display_name: Some("Microsoft"),
                email_verified: EmailVerified::Never,
                // What is not looked at is not asked for.
                scopes: &["openid", "profile"],
                // <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#request-an-authorization-code>
                prompt: Some(Prompt::SelectAccount),
                token_endpoint_auth_method: Some(ClientAuthentication::Post),
                ..OIDC
            },
            Self::Apple => Preset {
                discovery_url: Some("https://appleid.apple.com/.well-known/openid-configuration"),
                display_name: Some("Apple"),
                email_verified: EmailVerified::Text,
                // Without "name", which comes in a form that the browser can change and is not taken from it.
                scopes: &["openid", "email"],
                // Whenever something is asked for, Apple takes no other.
                response_mode: ResponseMode::FormPost,
                // Its documentation lists every parameter that it takes, and this is not one of them.
                prompt: Some(Prompt::Unsupported),
                token_endpoint_auth_method: Some(ClientAuthentication::Post),
            },
            Self::Gitlab => Preset {
                discovery_url: Some("https://gitlab.com/.well-known/openid-configuration"),
                display_name: Some("GitLab"),
                // Undocumented. The library that GitLab uses answers `select_account` with an error unless it is configured for
                // it, which GitLab does not do, and `login` signs the person out of GitLab.
                prompt: Some(Prompt::Unsupported),
                ..OIDC
            },
        }
    }
}

/// The block as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: OidcKind,
    discovery_url: Option<String>,
    #[serde(deserialize_with = "values::list")]
    client_ids: Vec<String>,
    #[serde(default, deserialize_with = "values::secret")]
    client_secret: Option<SecretString>,
    team_id: Option<String>,
    key_id: Option<String>,
    #[serde(default, deserialize_with = "values::secret")]
    private_key: Option<SecretString>,
    #[serde(default, deserialize_with = "values::secret_in_file")]
    private_key_file: Option<SecretString>,
    display_name: Option<String>,
    issuer: Option<String>,
    #[serde(default, deserialize_with = "values::list")]
    tenants: Vec<String>,
    #[serde(default)]
    nonce: NoncePolicy,
    #[serde(default)]
    single_use: bool,
    email_verified: Option<EmailVerified>,
    #[serde(default, deserialize_with = "values::list")]
    scopes: Vec<String>,
    response_mode: Option<ResponseMode>,
    prompt: Option<Prompt>,
    token_endpoint_auth_method: Option<ClientAuthentication>,
}

impl<'de> Deserialize<'de> for OidcSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let preset = written.kind.preset();
        let or =
            |written: Option<String>, preset: Option<&str>| written.or_else(|| preset.map(str::to_owned));
        let scopes = if written.scopes.is_empty() {
            preset.scopes.iter().map(|&scope| scope.to_owned()).collect()
        } else {
            written.scopes
        };
        Ok(Self {
            kind: written.kind,
            discovery_url: or(written.discovery_url, preset.discovery_url)
                .ok_or_else(|| D::Error::missing_field("discovery_url"))?,
            client_ids: written.client_ids,
            client_secret: written.client_secret,
            apple: AppleSettings {
                team_id: written.team_id,
                key_id: written.key_id,
                private_key: written.private_key.or(written.private_key_file),
            },
            display_name: or(written.display_name, preset.display_name),
            issuer: written.issuer,
            tenants: written.tenants,
            nonce: written.nonce,
            single_use: written.single_use,
            email_verified: written.email_verified.unwrap_or(preset.email_verified),
            scopes,
            response_mode: written.response_mode.unwrap_or(preset.response_mode),
            prompt: written.prompt.or(preset.prompt),
            token_endpoint_auth_method: written
                .token_endpoint_auth_method
                .or(preset.token_endpoint_auth_method),
        })
    }
}
