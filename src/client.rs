//! Services that sign in for themselves (`client_credentials`, RFC 6749 §4.4).

use std::fmt;
use std::str::FromStr;

/// Longest id that is looked at, in bytes. Ours have 22.
const MAX_ID_BYTES: usize = 64;

/// A client's public id: `[A-Za-z0-9_-]`, random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

/// The text cannot be the id of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client's id has 1 to 64 characters of A-Z, a-z, 0-9, _ and -")]
pub struct NoClientId;

impl ClientId {
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
