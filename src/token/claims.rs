//! What is in our JWT, and what must hold of each claim.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Subject;
use crate::jws::present;

/// The claims of an access token (RFC 9068 §2.2), as they stand in it; times are Unix seconds. Those up to `jti` are in every
/// one, `ver` in every user's, `scope` and `client_id` in a client's.
///
/// Unknown claims are let be, so that a replica of the previous version accepts what the next one adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// `token.issuer`.
    pub iss: String,
    /// `token.audience`; one, as a string.
    pub aud: String,
    /// Whose it is.
    pub sub: Subject,
    /// When it was issued.
    pub iat: i64,
    /// When it ends: `iat` + `token.access_ttl`.
    pub exp: i64,
    /// This token's own id.
    pub jti: String,
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
    pub idp: Option<String>,
    /// What a client may do, separated by spaces (RFC 8693 §4.2).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub scope: Option<String>,
    /// The client, again, without a prefix (RFC 8693 §4.3).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub client_id: Option<String>,
}
