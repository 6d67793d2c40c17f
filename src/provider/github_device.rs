//! GitHub's device flow (RFC 8628), for `tokenbooth login`: somebody at a terminal types a code at GitHub, and the terminal gets a
//! token of the app. It needs no secret of the app, which is why it can run on anybody's machine.
//!
//! Source: <https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow>.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::client::ProviderClient;
use super::github::NAME;
use super::github_token::{self, SCOPE, TokenAnswer, our_mistake};
use super::{Outage, OutageKind};
use crate::settings::check_provider_url;

/// RFC 8628 §3.2: when no interval is given.
const INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 §3.5: what `slow_down` adds when it names no interval of its own.
const SLOWER: Duration = Duration::from_secs(5);
/// Whatever the answer says: zero would be a loop without a pause.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// The device flow of one app.
pub(crate) struct DeviceFlow {
    client: ProviderClient,
    client_id: String,
    web_url: String,
}

/// What somebody has to type at GitHub, and where.
#[derive(Debug)]
pub(crate) struct DeviceCode {
    /// As it is to be typed.
    pub user_code: String,
    /// Where; checked as a provider's URL is.
    pub verification_uri: Url,
    /// How long both codes are good.
    pub expires_in: Duration,
    for_polling: SecretString,
    interval: Duration,
}

/// Why there is no token. One sentence each, with what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// Somebody said no.
    #[error("somebody answered \"Cancel\" at github: run it again to be asked again")]
    Denied,
    /// Nobody typed the code.
    #[error("the code was not entered in time: run it again for a new one")]
    Expired,
    /// The app's owner has to allow this.
    #[error(
        "the device flow is switched off for this app: its owner switches \"Enable Device Flow\" on in the app's settings at github"
    )]
    Disabled,
    /// No such app.
    #[error(
        "github does not know this client id: give --client-id, or set providers.github.client_id (and web_url, for a server of your own)"
    )]
    UnknownApp,
    /// Nothing can be said now.
    #[error(transparent)]
    Outage(#[from] Outage),
}

/// RFC 8628 §3.2, or an error.
#[derive(Deserialize)]
struct Members {
    device_code: Option<SecretString>,
    user_code: Option<String>,
    verification_uri: Option<String>,
    expires_in: Option<u64>,
    interval: Option<u64>,
    error: Option<String>,
}

impl DeviceFlow {
    pub(crate) fn new(client: ProviderClient, client_id: String, web_url: &str) -> Self {
        Self { client, client_id, web_url: web_url.trim_end_matches('/').to_owned() }
    }

    /// Asks for a code.
    ///
    /// # Errors
    /// [`DeviceError`], of which [`DeviceError::Denied`] and [`DeviceError::Expired`] come later.
    pub(crate) async fn begin(&self) -> Result<DeviceCode, DeviceError> {
        let form = [("client_id", self.client_id.as_str()), ("scope", SCOPE)];
        let answer =
            github_token::post(&self.client, &format!("{}/login/device/code", self.web_url), &form).await?;
        if answer.status == reqwest::StatusCode::NOT_FOUND {
            return Err(DeviceError::UnknownApp);
        }
        let members: Members = github_token::understood(&answer)?;
        if let Some(error) = members.error {
            return Err(failure(&error));
        }
        let missing = |name| Outage::bad_answer(NAME, format!("there is no {name} in it"));
        let uri = members.verification_uri.ok_or_else(|| missing("verification_uri"))?;
        // Somebody is about to open it: no file, no other program's scheme.
        let verification_uri = check_provider_url(&uri)
            .map_err(|problem| Outage::bad_answer(NAME, format!("its verification_uri: {problem}")))?;
        let user_code = members.user_code.ok_or_else(|| missing("user_code"))?;
        Ok(DeviceCode {
            // It is shown on a terminal, where a control character is a command.
            user_code: user_code.chars().filter(|character| !character.is_control()).collect(),
            verification_uri,
            for_polling: members.device_code.ok_or_else(|| missing("device_code"))?,
            expires_in: Duration::from_secs(members.expires_in.ok_or_else(|| missing("expires_in"))?),
            interval: members.interval.map_or(INTERVAL, Duration::from_secs).max(LEAST_INTERVAL),
        })
    }

    /// Waits until somebody has typed the code, and answers with the access token.
    ///
    /// # Errors
    /// [`DeviceError`]; while GitHub cannot be reached it goes on asking, ever more seldom (RFC 8628 §3.5).
    pub(crate) async fn wait(&self, code: DeviceCode) -> Result<SecretString, DeviceError> {
        // GitHub says when it is over, too; this is for one that is away, or that would have us ask for ever.
        tokio::time::timeout(code.expires_in, self.poll(&code)).await.unwrap_or(Err(DeviceError::Expired))
    }

    async fn poll(&self, code: &DeviceCode) -> Result<SecretString, DeviceError> {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("device_code", code.for_polling.expose_secret()),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ];
        let mut interval = code.interval;
        loop {
            tokio::time::sleep(interval).await;
            match github_token::ask(&self.client, &self.web_url, &form).await {
                Ok(TokenAnswer::Granted(token)) => return Ok(token),
                Ok(TokenAnswer::Refused { error, interval: asked }) => match error.as_str() {
                    "authorization_pending" => {}
                    "slow_down" => {
                        interval = asked.unwrap_or(interval.saturating_add(SLOWER)).max(LEAST_INTERVAL);
                    }
                    other => return Err(failure(other)),
                },
                Err(outage) if outage.kind != OutageKind::BadAnswer => {
                    interval = interval.saturating_mul(2).max(outage.retry_after);
                }
                Err(outage) => return Err(outage.into()),
            }
        }
    }
}

fn failure(error: &str) -> DeviceError {
    match error {
        "access_denied" => DeviceError::Denied,
        // The second is said of a code that is forgotten already.
        "expired_token" | "incorrect_device_code" => DeviceError::Expired,
        "device_flow_disabled" => DeviceError::Disabled,
        // No secret is sent: of the credentials only the id can be wrong.
        "incorrect_client_credentials" => DeviceError::UnknownApp,
        other => our_mistake(other).into(),
    }
}
