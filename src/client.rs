//! Services that sign in for themselves (`client_credentials`, RFC 6749 §4.4).

mod audiences;
mod scopes;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

pub use self::audiences::{Audiences, NoAudiences};
pub use self::scopes::{NoScopes, Scopes, is_scope};
use crate::clock::Timestamp;
use crate::session::HashedToken;

/// Longest id that is looked at, in bytes. Ours have 32.
const MAX_ID_BYTES: usize = 64;
/// Longest name of a client, in characters.
const MAX_NAME_CHARACTERS: usize = 200;

/// A row of `clients`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its public id.
    pub id: ClientId,
    /// For people; two clients may share it.
    pub name: ClientName,
    /// What it may ask for.
    pub scopes: Scopes,
    /// The secret that it should use.
    pub secret: HashedToken,
    /// The secret before, which works for `clients.previous_secret_ttl` after the rotation, or until the next one.
    pub previous_secret: Option<HashedToken>,
    /// It may not sign in, and is refused with every token already out.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its secret was last replaced.
    pub rotated_at: Option<Timestamp>,
    /// The audiences whose tokens it may introspect; all if there are none.
    pub audiences: Audiences,
    /// When it was last enabled: tokens issued before are invalid.
    pub tokens_from: Option<Timestamp>,
}

impl Client {
    /// Returns the previous secret, if it still works: for `ttl` after the rotation.
    #[must_use]
    pub fn usable_previous_secret(&self, ttl: Duration, now: Timestamp) -> Option<&HashedToken> {
        let rotated_at = self.rotated_at?;
        self.previous_secret.as_ref().filter(|_| now < rotated_at.after(ttl))
    }
}

/// A client's public id: `[A-Za-z0-9_-]`, random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

/// The text cannot be the id of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client's id has 1 to 64 characters of A-Z, a-z, 0-9, _ and -")]
pub struct NoClientId;

impl ClientId {
    /// A new id: 122 random bits in hex. Not in base64url, where one of 64 ids begins with `-` and is taken for an option by
    /// every command line.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// As it stands in URLs, answers and tables.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = NoClientId;

    fn from_str(text: &str) -> Result<Self, NoClientId> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(good);
        if fits { Ok(Self(text.to_owned())) } else { Err(NoClientId) }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What people call a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName(String);

/// The text cannot be the name of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client's name has 1 to 200 characters, none of them a control character, and not only spaces")]
pub struct NoClientName;

impl ClientName {
    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientName {
    type Err = NoClientName;

    fn from_str(text: &str) -> Result<Self, NoClientName> {
        let fits = !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARACTERS;
        if fits && !text.contains(char::is_control) { Ok(Self(text.to_owned())) } else { Err(NoClientName) }
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
