//! A session: what lets one device of one user stay signed in, and the family that its refresh tokens make. Stored only
//! for clients that ask for it (`offline_access`).

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use uuid::Uuid;

use crate::authentication::Authentication;
use crate::clock::Timestamp;
use crate::user::UserId;

/// A token as it is stored: SHA-256 of it in hex. The tokens are random enough to need no slower hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedToken(pub String);

impl HashedToken {
    /// How a token is stored.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        Self(hex::encode(digest::digest(&digest::SHA256, token)))
    }

    /// Whether both are of one token. The time it takes does not depend on where they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

/// A row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its own id, a UUIDv7; `sid` of the access tokens issued with it. Nothing of it is in a refresh token.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: UserId,
    /// The user's `token_version` when it began. Once they differ it is dead.
    pub token_version: i64,
    /// What every token of the family has in common.
    pub handle: HashedToken,
    /// What only the current token has.
    pub secret: HashedToken,
    /// The token before it, and when it was exchanged for the current one, in Unix milliseconds.
    pub previous: Option<(HashedToken, i64)>,
    /// Where it was last used from.
    pub place: Place,
    /// The sign-in.
    pub created_at: Timestamp,
    /// The last refresh.
    pub last_used_at: Timestamp,
    /// How and when its user signed in; unknown of a session that an earlier version began.
    pub authentication: Option<Authentication>,
    /// How often the previous token was presented again from another address than that of the last refresh.
    pub repeats: i64,
}

/// Which client a request came from, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`, cut to 200 characters.
    pub device: Option<String>,
}
