//! What is in our JWT, and what must hold of each claim.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The claims of an access token (RFC 9068 §2.2), as they stand in it. All but `sid` are required; times are Unix seconds.
///
/// Unknown claims are let be, so that a replica of the previous version accepts what the next one adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// `token.issuer`.
    pub iss: String,
    /// `token.audience`; one, as a string.
    pub aud: String,
    /// The user's id.
    pub sub: Uuid,
    /// When it was issued.
    pub iat: i64,
    /// When it ends: `iat` + `token.access_ttl`.
    pub exp: i64,
    /// This token's own id.
    pub jti: String,
    /// The user's `token_version` when it was issued. Raising that row's number ends every token of the user.
    pub ver: i64,
    /// The session (family of refresh tokens) it was issued with; absent when none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
}
