//! The discovery document of an OpenID Connect provider (OpenID Connect Discovery §3 and §4.3, RFC 8414 §2).

use serde::Deserialize;

use super::Outage;
use crate::settings::{Prompt, check_provider_url};

/// The document, as far as we use it.
#[derive(Debug, Clone, Deserialize)]
pub struct Discovery {
    /// The issuer's name for itself.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where an access token is answered with its owner.
    pub userinfo_endpoint: Option<String>,
    /// Where browsers are sent.
    pub authorization_endpoint: Option<String>,
    /// Where a code is exchanged for tokens.
    pub token_endpoint: Option<String>,
    /// How a client may prove itself there; `client_secret_basic` alone when absent.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// What `prompt` may be (OpenID Connect Prompt Create §4.2); nothing is known of it when absent.
    pub prompt_values_supported: Option<Vec<String>>,
}

impl Discovery {
    /// Whether the document may be used: it is one of these issuers', where some are expected, and what it leads to is safe to ask.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, provider: &str, issuers: &[String]) -> Result<(), Outage> {
        if !issuers.is_empty() && !issuers.contains(&self.issuer) {
            // OpenID Connect Discovery §4.3: another issuer's document must not be used.
            let problem =
                format!("its discovery document names another issuer than providers.{provider} expects");
            return Err(Outage::bad_answer(provider, problem));
        }
        let others = [&self.userinfo_endpoint, &self.authorization_endpoint, &self.token_endpoint];
        for url in std::iter::once(&self.jwks_uri).chain(others.into_iter().flatten()) {
            check_provider_url(url).map_err(|problem| {
                Outage::bad_answer(provider, format!("a URL in its discovery document: {problem}"))
            })?;
        }
        Ok(())
    }

    /// What makes this provider show a page: the choice of the account unless the document supports only another value.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        let Some(supported) = &self.prompt_values_supported else { return Prompt::SelectAccount };
        let supports = |prompt: &Prompt| supported.iter().any(|value| prompt.as_parameter() == Some(value));
        [Prompt::SelectAccount, Prompt::Login, Prompt::Consent]
            .into_iter()
            .find(supports)
            .unwrap_or(Prompt::Unsupported)
    }

    /// Returns whether the provider may be asked with this `prompt`: a value that it does not support may be an error to it.
    #[must_use]
    pub fn may_prompt(&self, value: &str) -> bool {
        self.prompt_values_supported
            .as_ref()
            .is_none_or(|supported| supported.iter().any(|known| known == value))
    }

    /// `client_secret_basic` is the default (§3), and what every server must take that gave out a secret (RFC 6749 §2.3.1): the
    /// body only where it is named and that is not.
    #[must_use]
    pub fn wants_secret_in_body(&self) -> bool {
        self.token_endpoint_auth_methods_supported.as_ref().is_some_and(|methods| {
            let takes = |method: &str| methods.iter().any(|name| name == method);
            takes("client_secret_post") && !takes("client_secret_basic")
        })
    }
}

/// An endpoint that a document may leave out.
///
/// # Errors
/// It does.
pub fn named(provider: &str, name: &str, url: Option<String>) -> Result<String, Outage> {
    url.ok_or_else(|| Outage::bad_answer(provider, format!("its discovery document names no {name}")))
}
