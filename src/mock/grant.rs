//! Opaque access tokens of the OpenID Connect issuers, and what each stands for.

use std::collections::HashMap;
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::Value;

use super::values::{random_base62, unix_now};
use super::{Person, lock};

/// The web client of the application under test: `aud` of every token unless set otherwise.
pub const WEB_CLIENT_ID: &str = "demo-web.apps.googleusercontent.com";

/// Lifetime of ID tokens and access tokens in seconds, as at Google.
pub(super) const LIFETIME: i64 = 3600;

/// What one access token stands for.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Grant {
    /// The person who granted it.
    #[serde(flatten)]
    pub person: Person,
    /// The client it was issued to, by default [`WEB_CLIENT_ID`].
    pub aud: String,
    /// The client that asked for it; `None` is the same as `aud`.
    pub azp: Option<String>,
    /// Space-separated scopes.
    pub scope: String,
    /// Seconds until it expires. With zero or less tokeninfo still answers 200, with an `exp` in
    /// the past, to show whether the reader looks; Google answers as for an unknown token.
    pub expires_in: i64,
    /// Members laid over the tokeninfo answer; `null` removes.
    pub tokeninfo: Value,
    /// Members laid over the userinfo answer; `null` removes.
    pub userinfo: Value,
}

impl Default for Grant {
    fn default() -> Self {
        Self {
            person: Person::default(),
            aud: WEB_CLIENT_ID.into(),
            azp: None,
            scope: "openid https://www.googleapis.com/auth/userinfo.email \
                    https://www.googleapis.com/auth/userinfo.profile"
                .into(),
            expires_in: LIFETIME,
            tokeninfo: Value::Null,
            userinfo: Value::Null,
        }
    }
}

impl From<Person> for Grant {
    fn from(person: Person) -> Self {
        Self { person, ..Self::default() }
    }
}

/// The access tokens that one issuer gave out.
pub(super) struct AccessTokens {
    prefix: &'static str,
    issued: Mutex<HashMap<String, Issued>>,
}

/// A grant and when its token expires, in Unix seconds.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) grant: Grant,
    pub(super) expires_at: i64,
}

impl AccessTokens {
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, issued: Mutex::default() }
    }

    pub(super) fn issue(&self, grant: Grant) -> String {
        let token = format!("{}{}", self.prefix, random_base62(160));
        let expires_at = unix_now().saturating_add(grant.expires_in);
        lock(&self.issued).insert(token.clone(), Issued { grant, expires_at });
        token
    }

    pub(super) fn find(&self, token: &str) -> Option<Issued> {
        lock(&self.issued).get(token).cloned()
    }

    pub(super) fn revoke(&self, token: &str) {
        lock(&self.issued).remove(token);
    }
}
