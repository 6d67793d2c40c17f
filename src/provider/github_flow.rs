//! Signing in at GitHub by way of a browser. Its access token is proved like one that a client hands in, and dropped.
//!
//! Source: <https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#web-application-flow>.

use async_trait::async_trait;
use secrecy::ExposeSecret;
use url::Url;

use super::github::{Github, NAME};
use super::github_token::{self, SCOPE, TokenAnswer, our_mistake};
use super::{AuthorizationRequest, Outage, RedirectFlow, Refusal, ReturnedCode, VerifiedIdentity};
use crate::settings::Prompt;

#[async_trait]
impl RedirectFlow for Github {
    /// Without the nonce: there is no ID token that could carry it, and `state` and the verifier tie the answer to the request.
    async fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url, Outage> {
        let mut parameters = vec![
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", request.redirect_uri),
            ("scope", SCOPE),
            ("state", request.state),
            ("code_challenge", request.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        parameters.extend(request.prompt.and_then(Prompt::as_parameter).map(|prompt| ("prompt", prompt)));
        // GitHub documents no other value. A GitHub Enterprise Server that is older than the parameter ignores it.
        parameters.extend(request.reauthenticate_within.map(|_| ("prompt", "select_account")));
        Url::parse_with_params(&format!("{}/login/oauth/authorize", self.web_url), parameters)
            .map_err(|_| Outage::bad_answer(NAME, "providers.github.web_url is not a URL"))
    }

    /// Documented with the other parameters. A GitHub Enterprise Server that is older than the parameter ignores it.
    async fn prompt(&self) -> Result<Prompt, Outage> {
        Ok(Prompt::SelectAccount)
    }

    async fn redeem(&self, returned: &ReturnedCode<'_>) -> Result<VerifiedIdentity, Refusal> {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose_secret()),
            ("code", returned.code.expose_secret()),
            ("redirect_uri", returned.redirect_uri),
            ("code_verifier", returned.code_verifier.expose_secret()),
        ];
        match github_token::ask(&self.client, &self.web_url, &form).await? {
            TokenAnswer::Granted(token) => self.verify_access_token(token.expose_secret()).await,
            TokenAnswer::Refused { error, .. } => Err(refusal(&error)),
        }
    }
}

fn refusal(error: &str) -> Refusal {
    match error {
        // The second is what RFC 7636 §4.6 has for a wrong verifier; GitHub's documentation names no error for that.
        "bad_verification_code" | "invalid_grant" => Refusal::CodeRefused(format!(
            "github does not take this code ({error}): it was used before, is too old, or was made for somebody else; start again"
        )),
        "unverified_user_email" => Refusal::CodeRefused(
            "github gives no token to somebody whose primary e-mail address is not verified: verify it there, then start again"
                .to_owned(),
        ),
        other => our_mistake(other).into(),
    }
}
