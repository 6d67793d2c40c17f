//! The people and what is known of them. No type here knows where it is stored.

use std::fmt;
use std::str::FromStr;

use url::Url;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::recent_sign_ins::RecentSignIns;

/// A user's internal id, a UUIDv7: unguessable enough, and in order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Uuid);

impl UserId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl From<Uuid> for UserId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<UserId> for Uuid {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl FromStr for UserId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A row of `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "columns, and no state in four parts")]
pub struct User {
    /// The internal id, `sub` of our tokens.
    pub id: UserId,
    /// Only ever an address that a provider has verified.
    pub email: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// An `https://` URL.
    pub avatar_url: Option<String>,
    /// May use the administrators' routes.
    pub admin: bool,
    /// May not sign in, and is refused with every token already out.
    pub disabled: bool,
    /// Tokens issued under another number are refused.
    pub token_version: i64,
    /// When the row was made.
    pub created_at: Timestamp,
    /// The last sign-in, to the hour.
    pub last_login_at: Option<Timestamp>,
    /// The user chose the name: the provider's does not replace it.
    pub own_name: bool,
    /// The user chose the picture.
    pub own_avatar: bool,
    /// A password is set.
    pub has_password: bool,
    /// When all tokens and sessions were last ended.
    pub revoked_at: Option<Timestamp>,
}

/// What the bearer of an access token is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BearerKey {
    /// The token's `sub`.
    pub user_id: UserId,
    /// The token's `sid`.
    pub session_id: Option<Uuid>,
}

/// What is stored of the bearer of an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The user.
    pub user: User,
    /// The session of [`BearerKey::session_id`] exists and is the user's.
    pub session_alive: bool,
}

/// A row of `identities`: one way in, proved by one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its own id, a UUIDv7.
    pub id: Uuid,
    /// Whom it lets in.
    pub user_id: UserId,
    /// The provider's name in our settings.
    pub provider: String,
    /// The provider's id of this person: OpenID Connect `sub`, GitHub's numeric id.
    pub provider_id: String,
    /// The address as the provider last gave it, verified or not.
    pub email: Option<String>,
    /// The same address, when the provider says that it is this person's.
    pub verified_email: Option<String>,
    /// The user's e-mail follows this identity.
    pub gives_email: bool,
    /// When it was first proved.
    pub created_at: Timestamp,
    /// When it was last proved, to the hour.
    pub last_used_at: Timestamp,
    /// From where it was used within the last hour.
    pub recent_sign_ins: RecentSignIns,
}

/// What an identity is found by: whose word, and for whom. Nothing else a provider says of a person is unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityKey {
    /// The provider's name in our settings.
    pub provider: String,
    /// The provider's id of this person.
    pub provider_id: String,
}

impl Identity {
    /// What this identity is found by.
    #[must_use]
    pub fn key(&self) -> IdentityKey {
        IdentityKey { provider: self.provider.clone(), provider_id: self.provider_id.clone() }
    }
}

/// Longest display name, in characters.
pub const MAX_NAME_CHARACTERS: usize = 200;
const MAX_AVATAR_URL_BYTES: usize = 2048;

/// Whether a picture may be stored and shown: an `https://` URL. The text is stored as it came, so it must be clean as it
/// came: a parser forgives what PostgreSQL cannot store (U+0000) and what ends a line.
#[must_use]
pub fn is_avatar_url(text: &str) -> bool {
    text.len() <= MAX_AVATAR_URL_BYTES
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
        && Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}
