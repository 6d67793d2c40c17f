//! Signing in by way of a browser: the authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636), as far as a provider
//! has to do with it.

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use super::{Outage, Refusal, VerifiedIdentity};
use crate::settings::Prompt;

/// What a browser is sent to the provider with.
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// Our callback, as it is registered there.
    pub redirect_uri: &'a str,
    /// Comes back with the answer, unchanged.
    pub state: &'a str,
    /// Comes back in the ID token, where there is one (OpenID Connect Core §3.1.2.1).
    pub nonce: &'a str,
    /// SHA-256 of the verifier in base64url: `S256` (RFC 7636 §4.2), and no other method.
    pub code_challenge: &'a str,
    /// What [`RedirectFlow::prompt`] said, when the provider must show a page although it knows the person.
    pub prompt: Option<Prompt>,
    /// The provider is asked to authenticate the person again, or at least to have the account chosen, although it may know who the
    /// person is: how many seconds old an authentication may be.
    pub reauthenticate_within: Option<u64>,
}

/// The code that a browser brought back, and what shows that it is ours.
#[derive(Debug)]
pub struct ReturnedCode<'a> {
    /// As it came in the callback. Kept from logs by its type.
    pub code: &'a SecretString,
    /// The callback that the code was sent to.
    pub redirect_uri: &'a str,
    /// What the challenge was made of.
    pub code_verifier: &'a SecretString,
    /// What the ID token must carry.
    pub nonce: &'a str,
}

/// A provider that browsers can be sent to.
#[async_trait]
pub trait RedirectFlow: Send + Sync {
    /// Where the browser is sent.
    ///
    /// # Errors
    /// When the provider's discovery document cannot be had.
    async fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url, Outage>;

    /// How this provider is made to show the person a page before the browser comes back. Unless it says otherwise it cannot be,
    /// and a page of ours asks.
    ///
    /// # Errors
    /// When the provider's discovery document cannot be had.
    async fn prompt(&self) -> Result<Prompt, Outage> {
        Ok(Prompt::Unsupported)
    }

    /// Whether the provider has the browser post the answer as a form (OAuth 2.0 Form Post Response Mode), and not follow a
    /// redirect with it.
    fn returns_by_form(&self) -> bool {
        false
    }

    /// Exchanges the code for the provider's token, proves that, and forgets it.
    ///
    /// # Errors
    /// [`Refusal::CodeRefused`] when it is no code of ours or was used; otherwise as [`super::Provider::verify`].
    async fn redeem(&self, returned: &ReturnedCode<'_>) -> Result<VerifiedIdentity, Refusal>;
}
