//! GitHub, which has no ID tokens: it is asked whether an access token is this app's, and whose.
//!
//! Sources: <https://docs.github.com/rest/apps/oauth-applications#check-a-token>,
//! <https://docs.github.com/rest/users/users#get-the-authenticated-user>,
//! <https://docs.github.com/rest/users/emails#list-email-addresses-for-the-authenticated-user>,
//! <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api>.

use async_trait::async_trait;
use futures_util::future::try_join;
use reqwest::header::{ACCEPT, HeaderMap, LINK};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::client::{Answer, ProviderClient, rate_limit_reset, retry_after};
use super::identity::Profile;
use super::key_cache::KeysStatus;
use super::{Credential, CredentialKind, Outage, Provider, RedirectFlow, Refusal, VerifiedIdentity};
use crate::settings::GithubSettings;

pub(super) const NAME: &str = "github";
const API_VERSION: &str = "2022-11-28";
/// Said of us, not of a token or a code.
pub(super) const OUR_CREDENTIALS: &str =
    "it refuses our own credentials, providers.github.client_id and client_secret";
/// GitHub: tokens have up to 255 characters.
const MAX_TOKEN_BYTES: usize = 255;
/// Nobody has more addresses than this many pages of 100; a bound all the same.
const MAX_EMAIL_PAGES: u32 = 5;

pub(super) struct Github {
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    api_url: String,
    pub(super) web_url: String,
    pub(super) client: ProviderClient,
}

/// The answer of "check a token", as far as we use it.
#[derive(Deserialize)]
struct TokenCheck {
    app: App,
    user: Option<Owner>,
}

#[derive(Deserialize)]
struct App {
    client_id: String,
}

#[derive(Deserialize)]
struct Owner {
    id: u64,
}

/// `GET /user`. Its `email` is the public one, which nobody verified for us: it is not read.
#[derive(Deserialize)]
struct GithubUser {
    id: u64,
    login: String,
    name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct EmailEntry {
    email: String,
    primary: bool,
    verified: bool,
}

impl Github {
    pub(super) fn new(settings: &GithubSettings, client: &ProviderClient) -> Option<Self> {
        Some(Self {
            client_id: settings.client_id.clone()?,
            client_secret: settings.client_secret.clone()?,
            api_url: settings.api_url.trim_end_matches('/').to_owned(),
            web_url: settings.web_url.trim_end_matches('/').to_owned(),
            client: client.clone(),
        })
    }

    pub(super) async fn verify_access_token(&self, token: &str) -> Result<VerifiedIdentity, Refusal> {
        check_syntax(token)?;
        let owner = self.check_token(token).await?;
        let (user, email) = try_join(self.user(token), self.primary_email(token)).await?;
        // The numeric id, never the login: a login can be given up and taken by somebody else.
        if user.id != owner.id {
            return Err(Refusal::InvalidToken("github's answers speak of different people".to_owned()));
        }
        let profile = Profile {
            email: email.as_ref().map(|entry| entry.email.as_str()),
            email_verified: email.as_ref().is_some_and(|entry| entry.verified),
            name: user.name.as_deref().or(Some(&user.login)),
            avatar_url: user.avatar_url.as_deref(),
        };
        Ok(VerifiedIdentity::new(NAME, &user.id.to_string(), &profile))
    }

    /// Whether the token was issued to our app, and to whom.
    async fn check_token(&self, token: &str) -> Result<Owner, Refusal> {
        let url = format!("{}/applications/{}/token", self.api_url, self.client_id);
        let request = self
            .client
            .post(&url)
            .basic_auth(&self.client_id, Some(self.client_secret.expose_secret()))
            .json(&serde_json::json!({ "access_token": token }));
        let answer = self.send(request).await?;
        match answer.status {
            StatusCode::OK => {
                let check: TokenCheck = answer.json()?;
                if check.app.client_id != self.client_id {
                    return Err(not_ours());
                }
                check.user.ok_or_else(|| Refusal::InvalidToken("the token belongs to no user".to_owned()))
            }
            StatusCode::NOT_FOUND => Err(not_ours()),
            StatusCode::UNAUTHORIZED => Err(Outage::bad_answer(NAME, OUR_CREDENTIALS).into()),
            _ => Err(trouble(&answer).into()),
        }
    }

    async fn user(&self, token: &str) -> Result<GithubUser, Refusal> {
        let answer = self.send(self.client.get(&format!("{}/user", self.api_url)).bearer_auth(token)).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.json()?),
            StatusCode::UNAUTHORIZED => {
                Err(Refusal::InvalidToken("the token was revoked a moment ago".to_owned()))
            }
            _ => Err(trouble(&answer).into()),
        }
    }

    /// The primary address, `None` when the token may not see addresses.
    async fn primary_email(&self, token: &str) -> Result<Option<EmailEntry>, Refusal> {
        for page in 1..=MAX_EMAIL_PAGES {
            // The page is counted here and not taken from `Link`: no URL of an answer is followed.
            let url = format!("{}/user/emails?per_page=100&page={page}", self.api_url);
            let answer = self.send(self.client.get(&url).bearer_auth(token)).await?;
            match answer.status {
                StatusCode::OK => {}
                // Without the scope GitHub says 404; an app without the permission is told 403.
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::FORBIDDEN if !is_rate_limit(&answer) => return Ok(None),
                StatusCode::UNAUTHORIZED => {
                    return Err(Refusal::InvalidToken("the token was revoked a moment ago".to_owned()));
                }
                _ => return Err(trouble(&answer).into()),
            }
            let more = has_next_page(&answer.headers);
            let entries: Vec<EmailEntry> = answer.json()?;
            let primary = entries.into_iter().find(|entry| entry.primary);
            if primary.is_some() || !more {
                return Ok(primary);
            }
        }
        Ok(None)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, Outage> {
        let request =
            request.header(ACCEPT, "application/vnd.github+json").header("X-GitHub-Api-Version", API_VERSION);
        self.client.send(NAME, request).await
    }
}

/// What is no token of an app is not sent to GitHub: many bad ones would lock good ones out. Personal access tokens are
/// refused here, since a person can make one for anything.
fn check_syntax(token: &str) -> Result<(), Refusal> {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let of_an_app = ["gho_", "ghu_"].iter().any(|prefix| token.strip_prefix(prefix).is_some_and(word));
    // The form before 2021.
    let old_form = token.len() == 40 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if token.len() <= MAX_TOKEN_BYTES && (of_an_app || old_form) {
        return Ok(());
    }
    let personal = ["ghp_", "github_pat_"].iter().any(|prefix| token.starts_with(prefix));
    Err(Refusal::InvalidToken(if personal {
        "a personal access token is not a sign-in with this app: expected a token that begins with gho_ or ghu_".to_owned()
    } else {
        "this is not a GitHub app's user access token: expected one that begins with gho_ or ghu_".to_owned()
    }))
}

fn not_ours() -> Refusal {
    Refusal::AudienceMismatch(
        "github does not know this token as one of the app in providers.github.client_id".to_owned(),
    )
}

/// Anything GitHub says besides 200, 401 and 404 says nothing of the token: rate limits come as 403 or 429, and many
/// bad tokens lock good ones out with a 403 too.
pub(super) fn trouble(answer: &Answer) -> Outage {
    match answer.status {
        StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY => {
            let wait = retry_after(&answer.headers).or_else(|| rate_limit_reset(&answer.headers));
            Outage::rate_limited(NAME, wait)
        }
        _ => answer.unexpected(),
    }
}

fn is_rate_limit(answer: &Answer) -> bool {
    let spent = answer.headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
    spent
        || retry_after(&answer.headers).is_some()
        || answer.says("rate limit")
        || answer.says("maximum number of login")
}

fn has_next_page(headers: &HeaderMap) -> bool {
    headers.get(LINK).and_then(|link| link.to_str().ok()).is_some_and(|link| link.contains("rel=\"next\""))
}

#[async_trait]
impl Provider for Github {
    fn name(&self) -> &str {
        NAME
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    fn display_name(&self) -> &'static str {
        "GitHub"
    }

    fn redirect_flow(&self) -> Option<&dyn RedirectFlow> {
        Some(self)
    }

    fn accepts(&self) -> &'static [CredentialKind] {
        &[CredentialKind::AccessToken]
    }

    async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        self.verify_access_token(credential.token.expose_secret()).await
    }

    fn keys(&self) -> Option<KeysStatus> {
        None
    }

    /// GitHub says 404 to a made-up token when it accepts our credentials, 401 when it does not.
    async fn check(&self) -> Result<String, Outage> {
        match self.check_token(concat!("gho_", "tokenbooth0check0000000000000000000000")).await {
            Ok(_) | Err(Refusal::AudienceMismatch(_)) => Ok("client credentials accepted".to_owned()),
            Err(Refusal::Outage(outage)) => Err(outage),
            Err(other) => Err(Outage::bad_answer(NAME, other)),
        }
    }
}
