//! `[providers.*]`: Google and GitHub by their names, any other name an OpenID Connect provider.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::oidc::{NoncePolicy, OidcSettings};
use super::values;

/// All providers. One without client ids does not exist: its routes answer 404.
#[derive(Debug, Clone)]
pub struct ProvidersSettings {
    /// `[providers.google]`
    pub google: GoogleSettings,
    /// `[providers.github]`
    pub github: GithubSettings,
    /// `[providers.<name>]`, each with its `kind`.
    pub oidc: BTreeMap<String, OidcSettings>,
}

impl ProvidersSettings {
    /// Nobody can sign in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let oidc = self.oidc.values().all(|oidc| oidc.client_ids.is_empty());
        self.google.client_ids.is_empty() && self.github.client_id.is_none() && oidc
    }
}

/// `[providers.google]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleSettings {
    /// The app's client ids; a token's `aud` must be one of them.
    #[serde(deserialize_with = "values::list")]
    pub client_ids: Vec<String>,
    /// The secret of the first client id, for the redirect flow; without it there is none.
    #[serde(default, deserialize_with = "values::secret")]
    pub client_secret: Option<SecretString>,
    /// Google's OpenID Connect discovery document.
    pub discovery_url: String,
    /// Tells whose access token a token is.
    pub tokeninfo_url: String,
    /// What is asked of a nonce.
    pub nonce: NoncePolicy,
    /// Accept each ID token once.
    pub single_use: bool,
}

/// `[providers.github]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubSettings {
    /// The app's client id.
    pub client_id: Option<String>,
    /// The app's client secret; GitHub is asked with both whether a token is this app's.
    #[serde(default, deserialize_with = "values::secret")]
    pub client_secret: Option<SecretString>,
    /// GitHub's REST API.
    pub api_url: String,
    /// GitHub's pages, for the redirect flow.
    pub web_url: String,
}

/// By hand, since serde's `flatten` forgets which key a value belongs to and with it the place in the error.
impl<'de> Deserialize<'de> for ProvidersSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Providers;

        impl<'de> Visitor<'de> for Providers {
            type Value = ProvidersSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of providers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut google, mut github, mut oidc) = (None, None, BTreeMap::new());
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "google" => google = Some(map.next_value()?),
                        "github" => github = Some(map.next_value()?),
                        _ => {
                            oidc.insert(name, map.next_value()?);
                        }
                    }
                }
                let missing = serde::de::Error::missing_field;
                Ok(ProvidersSettings {
                    google: google.ok_or_else(|| missing("google"))?,
                    github: github.ok_or_else(|| missing("github"))?,
                    oidc,
                })
            }
        }

        deserializer.deserialize_map(Providers)
    }
}
