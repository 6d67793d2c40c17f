//! What a good token of ours says of its bearer, and why another is not good.

use uuid::Uuid;

use super::{Claims, Subject};
use crate::authentication::AuthenticationClaims;
use crate::client::{Client, ClientId, NoScopes, Scopes};
use crate::clock::Timestamp;
use crate::jws::JwsError;
use crate::user::{Bearer, BearerKey, User, UserId};

/// What a token said of its bearer, after signature, issuer, audience and times were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedClaims {
    /// It is a user's.
    User(UserClaims),
    /// It is a client's.
    Client(ClientClaims),
}

/// What a client's token said, verified. The client's row has the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientClaims {
    /// The client it was issued to.
    pub client_id: ClientId,
    /// What it may do, separated by spaces; empty for nothing.
    pub scope: String,
    /// When it was issued.
    pub issued_at: Timestamp,
}

/// What a user's token said, verified. The user's row has the last word: see [`crate::http::CurrentUser`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserClaims {
    /// The user it was issued to.
    pub user_id: UserId,
    /// The `token_version` it was issued under.
    pub token_version: i64,
    /// The session it was issued with, when there is one.
    pub session_id: Option<Uuid>,
    /// The authentication behind it; unknown for tokens that an earlier version issued.
    pub authentication: Option<AuthenticationClaims>,
}

/// Why an access token was refused. For the log and for `explain-token`: a client is told only that it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its form, its algorithm or its signature.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The header's `typ` is not `at+jwt`.
    #[error("its typ is {0}, expected \"at+jwt\"")]
    Type(String),
    /// No key of ours has the header's `kid`.
    #[error("its kid is {0}, no key of ours (was token.secret changed, or the key retired?)")]
    UnknownKey(String),
    /// Another issuer.
    #[error("its iss is {0}, not token.issuer")]
    Issuer(String),
    /// Another audience.
    #[error("its aud is {0}, not token.audience")]
    Audience(String),
    /// Past its end.
    #[error("it expired {0} s ago")]
    Expired(i64),
    /// Issued later than now.
    #[error("it was issued {0} s in the future (do the replicas' clocks agree?)")]
    FromTheFuture(i64),
    /// Lives longer than we let a token live, or ends before it begins.
    #[error("it lives {received} s, token.access_ttl allows {allowed} s")]
    Life {
        /// Seconds from `iat` to `exp`.
        received: i64,
        /// `token.access_ttl` in seconds.
        allowed: i64,
    },
    /// It is no user's.
    #[error("it is the token of a client, and a user's is expected")]
    NotAUser,
    /// It is no client's.
    #[error("it is the token of a user, and a client's is expected")]
    NotAClient,
    /// There is no such row any more.
    #[error("its user was deleted")]
    UserDeleted,
    /// There is no such row.
    #[error("its client is not there")]
    NoSuchClient,
    /// The row says so.
    #[error("the client is disabled")]
    ClientDisabled,
    /// Its session was ended, by its user or because a used refresh token was presented again.
    #[error("its session has ended")]
    SessionEnded,
    /// The client was disabled and enabled since.
    #[error("the client was disabled after it was issued")]
    ClientWasDisabled,
    /// The row's `token_version` moved on.
    #[error("the user's tokens were revoked")]
    Revoked,
    /// The row says so.
    #[error("the user is disabled")]
    UserDisabled,
}

impl VerifiedClaims {
    /// A user's claims.
    ///
    /// # Errors
    /// [`TokenError::NotAUser`].
    pub fn of_user(self) -> Result<UserClaims, TokenError> {
        match self {
            Self::User(claims) => Ok(claims),
            Self::Client(_) => Err(TokenError::NotAUser),
        }
    }

    /// A client's claims.
    ///
    /// # Errors
    /// [`TokenError::NotAClient`].
    pub fn of_client(self) -> Result<ClientClaims, TokenError> {
        match self {
            Self::Client(claims) => Ok(claims),
            Self::User(_) => Err(TokenError::NotAClient),
        }
    }
}

impl<T: AsRef<str>> TryFrom<&Claims<T>> for VerifiedClaims {
    type Error = TokenError;

    fn try_from(claims: &Claims<T>) -> Result<Self, TokenError> {
        let missing = |name| TokenError::Jws(JwsError::Claims(format!("missing field \"{name}\"")));
        match &claims.sub {
            Subject::User(user_id) => {
                let token_version = claims.ver.ok_or_else(|| missing("ver"))?;
                let authentication =
                    AuthenticationClaims::new(claims.auth_time, claims.idp.as_ref().map(T::as_ref));
                let (user_id, session_id) = (*user_id, claims.sid);
                Ok(Self::User(UserClaims { user_id, token_version, session_id, authentication }))
            }
            Subject::Client(client_id) => {
                let scope = claims.scope.as_ref().ok_or_else(|| missing("scope"))?.as_ref().to_owned();
                let client_id = client_id.clone();
                Ok(Self::Client(ClientClaims { client_id, scope, issued_at: Timestamp(claims.iat) }))
            }
        }
    }
}

impl ClientClaims {
    /// As [`UserClaims::admit`]: the client, and what this token of its is for.
    ///
    /// # Errors
    /// Not there, or disabled; scopes that none of ours are.
    pub fn admit(self, client: Option<Client>) -> Result<(Client, Scopes), TokenError> {
        let client = client.ok_or(TokenError::NoSuchClient)?;
        if client.disabled {
            return Err(TokenError::ClientDisabled);
        }
        if client.tokens_from.is_some_and(|from| self.issued_at < from) {
            return Err(TokenError::ClientWasDisabled);
        }
        let scopes = self.scope.parse();
        let scopes =
            scopes.map_err(|error: NoScopes| TokenError::Jws(JwsError::Claims(error.to_string())))?;
        Ok((client, scopes))
    }
}

impl UserClaims {
    /// Returns what the bearer's rows are found by.
    #[must_use]
    pub fn bearer_key(&self) -> BearerKey {
        BearerKey { user_id: self.user_id, session_id: self.session_id }
    }

    /// Decides on a token that is valid in itself: this is what ends tokens that are stored nowhere. `bearer` are the rows of
    /// [`UserClaims::bearer_key`], read after the token came in.
    ///
    /// # Errors
    /// Returns the [`TokenError`] for a user who was deleted, revoked or disabled, or a session that has ended.
    pub fn admit(self, bearer: Option<Bearer>) -> Result<User, TokenError> {
        let Bearer { user, session_alive } = bearer.ok_or(TokenError::UserDeleted)?;
        if user.token_version != self.token_version {
            return Err(TokenError::Revoked);
        }
        if user.disabled {
            return Err(TokenError::UserDisabled);
        }
        if self.session_id.is_some() && !session_alive {
            return Err(TokenError::SessionEnded);
        }
        Ok(user)
    }
}
