//! GitHub's token endpoint, for the code of a browser and for that of a device: it answers 200 to what it refuses, and with a
//! form when nobody asks for JSON, or a proxy loses the asking.
//!
//! Source: <https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors>.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Outage;
use super::client::{Answer, ProviderClient};
use super::github::{NAME, OUR_CREDENTIALS, trouble};
use super::oauth_error;

/// What is asked for: the name, and the addresses with whether they are verified. Somebody may grant less.
pub(super) const SCOPE: &str = "read:user user:email";

/// A token, or why there is none.
pub(super) enum TokenAnswer {
    /// An access token.
    Granted(SecretString),
    /// One of GitHub's error codes, and how long to wait before asking again, where it says so.
    Refused { error: String, interval: Option<Duration> },
}

#[derive(Deserialize)]
struct Members {
    access_token: Option<SecretString>,
    error: Option<String>,
    /// Seconds, with `slow_down`.
    interval: Option<u64>,
}

/// `POST {web_url}/login/oauth/access_token`, once.
///
/// # Errors
/// Everything that says nothing of the code.
pub(super) async fn ask(
    client: &ProviderClient,
    web_url: &str,
    form: &[(&str, &str)],
) -> Result<TokenAnswer, Outage> {
    let answer = post(client, &format!("{web_url}/login/oauth/access_token"), form).await?;
    let Members { access_token, error, interval } = understood(&answer)?;
    match (access_token, error) {
        (_, Some(error)) => Ok(TokenAnswer::Refused { error, interval: interval.map(Duration::from_secs) }),
        (Some(token), None) => Ok(TokenAnswer::Granted(token)),
        (None, None) => Err(Outage::bad_answer(NAME, "there is neither a token nor an error in it")),
    }
}

/// A form to GitHub's pages, and the answer as JSON if possible.
pub(super) async fn post(
    client: &ProviderClient,
    url: &str,
    form: &[(&str, &str)],
) -> Result<Answer, Outage> {
    client.send(NAME, client.post(url).header(ACCEPT, "application/json").form(form)).await
}

/// The body of a 200, or of a 400 or 401, which say what they refuse in the same shape.
pub(super) fn understood<T: DeserializeOwned>(answer: &Answer) -> Result<T, Outage> {
    match answer.status {
        StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => answer.json_or_form(),
        StatusCode::NOT_FOUND => {
            let problem =
                "it knows no such app, or is somewhere else: providers.github.client_id and web_url";
            Err(Outage::bad_answer(NAME, problem))
        }
        _ => Err(trouble(answer)),
    }
}

/// An error that says something of us, or nothing that has a meaning here.
pub(super) fn our_mistake(error: &str) -> Outage {
    match error {
        "incorrect_client_credentials" => Outage::bad_answer(NAME, OUR_CREDENTIALS),
        "redirect_uri_mismatch" => oauth_error::unregistered_callback(NAME),
        other => oauth_error::unexpected(NAME, other),
    }
}
