//! `userinfo`: who has an access token, by the provider's own word (OpenID Connect Core §5.3). It names no audience, so that alone
//! it proves nothing: its `sub` must be one that was proved otherwise.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::Refusal;
use super::client::ProviderClient;
use super::discovery::{self, Discovery};
use super::identity::Profile;
use crate::settings::EmailVerified;

/// The answer (OpenID Connect Core §5.3.2). All but `sub` is decoration.
#[derive(Deserialize)]
pub(super) struct UserInfo {
    pub sub: String,
    #[serde(default)]
    email: Value,
    #[serde(default)]
    email_verified: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    picture: Value,
}

impl UserInfo {
    pub(super) fn profile(&self, word: EmailVerified) -> Profile<'_> {
        Profile::of_claims(&self.email, &self.email_verified, &self.name, &self.picture, word)
    }
}

/// Whose token this is.
///
/// # Errors
/// [`Refusal::InvalidToken`] when the provider takes it for none of its own.
pub(super) async fn ask(
    client: &ProviderClient,
    provider: &str,
    discovery: Discovery,
    token: &str,
) -> Result<UserInfo, Refusal> {
    let url = discovery::named(provider, "userinfo_endpoint", discovery.userinfo_endpoint)?;
    let answer = client.send(provider, client.get(&url).bearer_auth(token)).await?;
    match answer.status {
        StatusCode::OK => Ok(answer.json()?),
        StatusCode::UNAUTHORIZED => {
            Err(Refusal::InvalidToken(format!("{provider}'s userinfo refuses this access token")))
        }
        _ => Err(answer.unexpected().into()),
    }
}
