//! What a client sends to `POST /auth/{provider}`: JSON or a form, with exactly one credential.

use std::collections::HashMap;
use std::fmt;

use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::read_bytes;
use crate::error::{ApiError, Code};
use crate::jws::looks_like_a_jwt;
use crate::provider::{Credential, CredentialKind, Provider};
use crate::token::{ClientSecret, RefreshToken};

/// A body that was read: one credential, and perhaps a nonce and a scope.
#[derive(Debug)]
pub(super) struct ExchangeRequest {
    /// The member it came in.
    member: &'static str,
    /// What that member holds; `None` for `token`, which takes either kind.
    kind: Option<CredentialKind>,
    token: SecretString,
    nonce: Option<String>,
    scope: Option<String>,
    mode: Option<Mode>,
    redirect_to: Option<String>,
    google_csrf_token: Option<String>,
}

/// How a client asks for browser mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The tokens in cookies, and none in the body.
    Cookie,
}

/// Exactly one of `id_token`, `credential`, `access_token`, `token`. Other members are ignored.
// For OpenAPI only: a body is read by `Members`, which tells its errors apart.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!({ "id_token": "eyJhbGciOiJSUzI1NiIs…" }))]
pub enum ExchangeBody {
    /// A signed ID token (google, oidc).
    IdToken {
        /// The token.
        #[schema(min_length = 1)]
        id_token: String,
        /// The nonce the client used, if any.
        nonce: Option<String>,
        /// `offline_access` asks for a refresh token.
        scope: Option<String>,
        /// A page of our own asks for cookies instead of tokens.
        mode: Option<Mode>,
    },
    /// The same, under the name Google's own button posts.
    Credential {
        /// The token.
        #[schema(min_length = 1)]
        credential: String,
        /// The nonce the client used, if any.
        nonce: Option<String>,
        /// `offline_access` asks for a refresh token.
        scope: Option<String>,
        /// A page of our own asks for cookies instead of tokens.
        mode: Option<Mode>,
    },
    /// An opaque access token (google, github, gitlab).
    AccessToken {
        /// The token.
        #[schema(min_length = 1)]
        access_token: String,
        /// `offline_access` asks for a refresh token.
        scope: Option<String>,
        /// A page of our own asks for cookies instead of tokens.
        mode: Option<Mode>,
    },
    /// Either kind, told apart by its shape.
    Token {
        /// The token.
        #[schema(min_length = 1)]
        token: String,
        /// The nonce the client used, if any.
        nonce: Option<String>,
        /// `offline_access` asks for a refresh token.
        scope: Option<String>,
        /// A page of our own asks for cookies instead of tokens.
        mode: Option<Mode>,
    },
}

/// Our members, each at most once and a string; `null` is as good as absent.
#[derive(Default)]
struct Members(Vec<(&'static str, Option<String>)>);

const CREDENTIAL_MEMBERS: [&str; 4] = ["id_token", "credential", "access_token", "token"];
const OTHER_MEMBERS: [&str; 5] = ["nonce", "scope", "mode", "redirect_to", "g_csrf_token"];

impl ExchangeRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// 400, 408, 413, 415.
    pub(super) async fn read(request: &HttpRequest, body: Payload) -> Result<Self, ApiError> {
        // RFC 9110 §8.3.1: the case of a media type does not matter.
        let content_type = request.content_type().to_ascii_lowercase();
        let read: fn(&[u8]) -> Result<Members, ApiError> = match content_type.as_str() {
            "application/json" => from_json,
            "application/x-www-form-urlencoded" => from_form,
            _ => {
                let detail = "Content-Type must be application/json or application/x-www-form-urlencoded";
                return Err(ApiError::new(Code::UnsupportedMediaType, detail));
            }
        };
        read(&read_bytes(request, body).await?)?.try_into()
    }

    /// What the client asks for beside an access token (RFC 6749 §3.3).
    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// How the client asks to be answered.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Where a page's form wants to go on to.
    pub(super) fn redirect_to(&self) -> Option<&str> {
        self.redirect_to.as_deref()
    }

    /// What Google's button adds to its form.
    pub(super) fn google_csrf_token(&self) -> Option<&str> {
        self.google_csrf_token.as_deref()
    }

    /// The credential for this provider.
    ///
    /// # Errors
    /// 400 when the provider takes no credential of that kind.
    pub(super) fn into_credential(self, provider: &dyn Provider) -> Result<Credential, ApiError> {
        refuse_our_own(self.token.expose_secret(), self.member)?;
        let accepted = provider.accepts();
        let kind = self.kind.unwrap_or_else(|| match accepted {
            [only] => *only,
            _ if looks_like_a_jwt(self.token.expose_secret()) => CredentialKind::IdToken,
            _ => CredentialKind::AccessToken,
        });
        if !accepted.contains(&kind) {
            let expected = match accepted {
                [CredentialKind::IdToken] => "id_token, credential or token",
                _ => "access_token or token",
            };
            let name = provider.name();
            return Err(bad_request(format!("provider {name} takes {expected}, not {}", self.member)));
        }
        Ok(Credential { kind, token: self.token, nonce: self.nonce })
    }
}

/// Refuses what is a secret of ours: passed on to a provider, it would be one in somebody else's log.
///
/// # Errors
/// 400 `invalid_request`, which names the member it came in.
pub(super) fn refuse_our_own(token: &str, member: &str) -> Result<(), ApiError> {
    if RefreshToken::parse(token).is_some() {
        return Err(bad_request(format!(
            "{member} is a refresh token of ours, which POST /auth/refresh takes"
        )));
    }
    if ClientSecret::is_one(token) {
        return Err(bad_request(format!(
            "{member} is the secret of a client of ours, which POST /oauth/token takes with its client_id"
        )));
    }
    Ok(())
}

impl TryFrom<Members> for ExchangeRequest {
    type Error = ApiError;

    fn try_from(members: Members) -> Result<Self, ApiError> {
        let expected = "expected exactly one of id_token, credential, access_token, token";
        let sent = members.0.into_iter().filter_map(|(member, value)| Some((member, value?)));
        let (mut credentials, others): (Vec<_>, Vec<_>) =
            sent.partition(|(member, _)| CREDENTIAL_MEMBERS.contains(member));
        let mut others: HashMap<&str, String> = others.into_iter().collect();
        let (member, token) = match credentials.len() {
            1 => credentials.swap_remove(0),
            0 => {
                return Err(bad_request(format!("the body has no credential, {expected}")));
            }
            _ => {
                let names: Vec<&str> = credentials.iter().map(|(name, _)| *name).collect();
                return Err(bad_request(format!("the body has {}, {expected}", names.join(" and "))));
            }
        };
        if token.is_empty() {
            return Err(bad_request(format!("{member} is empty")));
        }
        let kind = match member {
            "id_token" | "credential" => Some(CredentialKind::IdToken),
            "access_token" => Some(CredentialKind::AccessToken),
            _ => None,
        };
        let mode = match others.remove("mode").as_deref() {
            None => None,
            Some("cookie") => Some(Mode::Cookie),
            Some(_) => return Err(bad_request("mode can only be \"cookie\"".to_owned())),
        };
        Ok(Self {
            member,
            kind,
            token: token.into(),
            nonce: others.remove("nonce"),
            scope: others.remove("scope"),
            mode,
            redirect_to: others.remove("redirect_to"),
            google_csrf_token: others.remove("g_csrf_token"),
        })
    }
}

fn from_json(body: &[u8]) -> Result<Members, ApiError> {
    serde_json::from_slice(body).map_err(|_| {
        bad_request(format!(
            "the body is not the JSON object expected: {}",
            crate::jws::json_problem::<Members>(body)
        ))
    })
}

fn from_form(body: &[u8]) -> Result<Members, ApiError> {
    // The message of a form error may quote the value; ours begin with "member".
    serde_urlencoded::from_bytes(body).map_err(|error: serde_urlencoded::de::Error| {
        let text = error.to_string();
        let problem =
            if text.starts_with("member ") { text } else { "it is not form-urlencoded UTF-8".to_owned() };
        bad_request(format!("the form cannot be read: {problem}"))
    })
}

fn bad_request(detail: String) -> ApiError {
    ApiError::new(Code::InvalidRequest, detail)
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some(key) = map.next_key::<String>()? {
                    let ours = CREDENTIAL_MEMBERS.iter().chain(&OTHER_MEMBERS).find(|name| **name == key);
                    let Some(name) = ours else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if members.0.iter().any(|(seen, _)| seen == name) {
                        return Err(A::Error::custom(format!("member {name} is there twice")));
                    }
                    let value: Option<String> = map
                        .next_value()
                        .map_err(|_| A::Error::custom(format!("member {name} must be a string")))?;
                    members.0.push((name, value));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}
