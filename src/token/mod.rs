//! Our own tokens: a short-lived JWT with the internal user id as `sub`, issued here, verified here, by a ring of keys; the
//! opaque refresh token that gets the next one; and sealed values, which clients carry for us.

mod claims;
mod client_secret;
mod derived;
mod jwk;
mod keyring;
mod one_time_code;
mod pkce;
mod random;
mod refresh;
mod schedule;
mod sealed;
mod subject;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use uuid::Uuid;

pub use self::claims::Claims;
pub use self::client_secret::ClientSecret;
pub use self::derived::DerivedKeys;
pub use self::jwk::{PrivateJwk, PublicJwk};
pub use self::keyring::{ACCESS_TOKEN_TYPE, Keyring, NoSigningKey, REVOCATIONS_TYPE, RingKey};
pub use self::one_time_code::OneTimeCode;
pub use self::pkce::CodeChallenge;
pub use self::random::{NoRandomness, unguessable};
pub use self::refresh::RefreshToken;
pub use self::schedule::{KeyState, Schedule};
pub use self::sealed::{SealError, SealingKeys};
pub use self::subject::{NoSubject, Subject};
use crate::client::{Client, ClientId, NoScopes, Scopes};
use crate::clock::Timestamp;
use crate::jws::{JwsError, JwsParts, Quoted, SigningError, UnverifiedJws};
use crate::stored_key::KeyAlgorithm;
use crate::user::{User, UserId};

/// Longest access token that is looked at, in bytes. Ours has about 400.
pub const MAX_ACCESS_TOKEN_BYTES: usize = 8 * 1024;

/// How far ahead another replica's clock may be, in seconds, before its tokens are refused as issued in the future.
const REPLICA_CLOCK_SKEW: i64 = 60;

/// Issues and verifies access tokens.
#[derive(Debug)]
pub struct Tokens {
    keyring: ArcSwap<Keyring>,
    issuer: String,
    audience: String,
    /// Seconds.
    life: i64,
}

/// A token just issued.
pub struct IssuedToken {
    /// The JWT.
    pub jwt: String,
    /// Seconds until it ends.
    pub expires_in: i64,
}

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

impl TryFrom<Claims> for VerifiedClaims {
    type Error = TokenError;

    fn try_from(claims: Claims) -> Result<Self, TokenError> {
        let missing = |name| TokenError::Jws(JwsError::Claims(format!("missing field \"{name}\"")));
        match claims.sub {
            Subject::User(user_id) => {
                let token_version = claims.ver.ok_or_else(|| missing("ver"))?;
                Ok(Self::User(UserClaims { user_id, token_version, session_id: claims.sid }))
            }
            Subject::Client(client_id) => {
                let scope = claims.scope.ok_or_else(|| missing("scope"))?;
                Ok(Self::Client(ClientClaims { client_id, scope }))
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
        let scopes = self.scope.parse();
        let scopes =
            scopes.map_err(|error: NoScopes| TokenError::Jws(JwsError::Claims(error.to_string())))?;
        Ok((client, scopes))
    }
}

impl UserClaims {
    /// The row has the last word on a token that is good in itself: this is what ends tokens nobody stored. `user` is
    /// the row of [`UserClaims::user_id`], read after the token came in.
    ///
    /// # Errors
    /// Deleted, revoked or disabled.
    pub fn admit(self, user: Option<User>) -> Result<User, TokenError> {
        let user = user.ok_or(TokenError::UserDeleted)?;
        if user.token_version != self.token_version {
            return Err(TokenError::Revoked);
        }
        if user.disabled {
            return Err(TokenError::UserDisabled);
        }
        Ok(user)
    }
}

impl Tokens {
    /// Tokens of `issuer` for `audience` that live for `life` (whole seconds).
    #[must_use]
    pub fn new(keyring: Keyring, issuer: String, audience: String, life: Duration) -> Self {
        let life = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        Self { keyring: ArcSwap::from_pointee(keyring), issuer, audience, life }
    }

    /// The keys as they are now.
    #[must_use]
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// Takes another ring into use, for the next token and for every one that comes.
    pub fn use_keyring(&self, keyring: Keyring) {
        self.keyring.store(Arc::new(keyring));
    }

    /// How long a token lives, in seconds.
    #[must_use]
    pub fn life(&self) -> i64 {
        self.life
    }

    /// `token.issuer`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token for `user`, from `now` on; of the session, when one was begun with it.
    ///
    /// # Errors
    /// When the cryptographic library fails; it does not with an HMAC key.
    pub fn issue(
        &self,
        user: &User,
        session_id: Option<Uuid>,
        now: Timestamp,
    ) -> Result<IssuedToken, SigningError> {
        let claims = Claims {
            ver: Some(user.token_version),
            sid: session_id,
            ..self.claims(Subject::User(user.id), now)
        };
        self.sign(&claims, now)
    }

    /// A token for a client, from `now` on. `scope` is what it may do, separated by spaces.
    ///
    /// # Errors
    /// As [`Tokens::issue`].
    pub fn issue_to_client(
        &self,
        client_id: &ClientId,
        scope: String,
        now: Timestamp,
    ) -> Result<IssuedToken, SigningError> {
        let claims = Claims {
            scope: Some(scope),
            client_id: Some(client_id.to_string()),
            ..self.claims(Subject::Client(client_id.clone()), now)
        };
        self.sign(&claims, now)
    }

    /// What every token of ours says.
    fn claims(&self, sub: Subject, now: Timestamp) -> Claims {
        Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub,
            iat: now.0,
            exp: now.plus(self.life).0,
            jti: Uuid::new_v4().simple().to_string(),
            ver: None,
            sid: None,
            scope: None,
            client_id: None,
        }
    }

    fn sign(&self, claims: &Claims, now: Timestamp) -> Result<IssuedToken, SigningError> {
        let jwt = self.keyring.load().signing_key(now).sign(claims)?;
        Ok(IssuedToken { jwt, expires_in: self.life })
    }

    /// Checks a token that came as a bearer credential.
    ///
    /// # Errors
    /// The first thing that is wrong with it, cheapest first.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<VerifiedClaims, TokenError> {
        self.verify_in_full(token, now)?.try_into()
    }

    /// As [`Tokens::verify`], for whoever wants to see all that the token says.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub fn verify_in_full(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let parts = JwsParts::split(token, MAX_ACCESS_TOKEN_BYTES)?;
        let keyring = self.keyring.load();
        let claims: Claims = match keyring.find_by_header(parts.header(), now) {
            Some(key) => parts.verify(key)?,
            // Another library may have written the same header in another order.
            None => verify_with_header(&keyring, &parts.read_header()?, now)?,
        };
        self.check(&claims, now)?;
        Ok(claims)
    }

    /// Whether a token that was refused with [`TokenError::UnknownKey`] may be signed with a key that another replica knows
    /// already: it looks like one of ours in everything but that. Nothing but another look at the ring may follow from it.
    #[must_use]
    pub fn may_be_by_a_new_key(&self, token: &str, now: Timestamp) -> bool {
        let Ok(jws) = UnverifiedJws::parse(token, MAX_ACCESS_TOKEN_BYTES) else { return false };
        jws.header().alg.parse::<KeyAlgorithm>().is_ok()
            && jws.unverified_claims().is_ok_and(|claims| self.check(&claims, now).is_ok())
    }

    fn check(&self, claims: &Claims, now: Timestamp) -> Result<(), TokenError> {
        if claims.iss != self.issuer {
            return Err(TokenError::Issuer(Quoted(&claims.iss).to_string()));
        }
        if claims.aud != self.audience {
            return Err(TokenError::Audience(Quoted(&claims.aud).to_string()));
        }
        let ahead = Timestamp(claims.iat).since(now);
        if ahead > REPLICA_CLOCK_SKEW {
            return Err(TokenError::FromTheFuture(ahead));
        }
        let past = now.since(Timestamp(claims.exp));
        if past >= 0 {
            return Err(TokenError::Expired(past));
        }
        let received = Timestamp(claims.exp).since(Timestamp(claims.iat));
        if !(1..=self.life).contains(&received) {
            return Err(TokenError::Life { received, allowed: self.life });
        }
        Ok(())
    }
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "missing".to_owned(), |text| Quoted(text).to_string())
}

fn verify_with_header(
    keyring: &Keyring,
    jws: &UnverifiedJws<'_>,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let header = jws.header();
    if header.typ.as_deref() != Some(ACCESS_TOKEN_TYPE) {
        return Err(TokenError::Type(shown(header.typ.as_deref())));
    }
    let key = header
        .kid
        .as_deref()
        .and_then(|kid| keyring.find(kid, now))
        .ok_or_else(|| TokenError::UnknownKey(shown(header.kid.as_deref())))?;
    Ok(jws.verify(key)?)
}
