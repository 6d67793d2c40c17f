//! What is in our JWT, and what must hold of each claim.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Subject;
use crate::jws::present;

/// The claims of an access token (RFC 9068 §2.2), as they stand in it; times are Unix seconds. Those up to `jti` are in every
/// one, `ver` in every user's, `scope` and `client_id` in a client's.
///
/// Unknown claims are let be, so that a replica of the previous version accepts what the next one adds.
///
/// `T` is their text: each request reads [`Text`], which borrows it from the token, and each new token is written from `&str`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Claims<T = String> {
    /// `token.issuer`.
    pub iss: T,
    /// `token.audience`; one, as a string.
    pub aud: T,
    /// Whose it is.
    pub sub: Subject,
    /// When it was issued.
    pub iat: i64,
    /// When it ends: `iat` + `token.access_ttl`.
    pub exp: i64,
    /// This token's own id.
    pub jti: T,
    /// The user's `token_version` when it was issued. Raising that row's number ends every token of the user.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub ver: Option<i64>,
    /// The session (family of refresh tokens) it was issued with; absent when none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// When the user was last authenticated, in Unix seconds (RFC 9068 §2.2.1). A refresh keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub auth_time: Option<i64>,
    /// How: the provider's name in the settings, or `password`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub idp: Option<T>,
    /// What a client may do, separated by spaces (RFC 8693 §4.2).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub scope: Option<T>,
    /// The client, again, without a prefix (RFC 8693 §4.3).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub client_id: Option<T>,
}

/// A text of the claims, borrowed from the JSON unless that has escapes in it. (Serde reads a `Cow` inside an `Option` as owned.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;

        impl<'de> Visitor<'de> for Borrowed {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowed)
    }
}
