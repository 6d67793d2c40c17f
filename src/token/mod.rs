//! Our own tokens: a short-lived JWT with the internal user id as `sub`, issued here, verified here, by a ring of keys; the
//! opaque refresh token that gets the next one; and sealed values, which clients carry for us.

mod carried;
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
mod verified;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use uuid::Uuid;

pub use self::carried::{CarriedSeal, CursorKeys, SuccessorKeys};
pub use self::claims::{Claims, Text};
pub use self::client_secret::ClientSecret;
pub use self::derived::DerivedKeys;
pub use self::jwk::{PrivateJwk, PublicJwk};
pub use self::keyring::{ACCESS_TOKEN_TYPE, Keyring, NoSigningKey, REVOCATIONS_TYPE, RingKey};
pub use self::one_time_code::OneTimeCode;
pub use self::pkce::CodeChallenge;
pub use self::random::{NoRandomness, unguessable};
pub use self::refresh::RefreshToken;
pub use self::schedule::{KeyOrigin, KeyState, Lifetimes, Schedule, Scheduled};
pub use self::sealed::{SealError, SealingKeys};
pub use self::subject::{NoSubject, Subject};
pub use self::verified::{ClientClaims, TokenError, UserClaims, VerifiedClaims};
use crate::authentication::Authentication;
use crate::client::ClientId;
use crate::clock::Timestamp;
use crate::jws::{JwsParts, Quoted, SigningError, UnverifiedJws, VerifiedPayload};
use crate::stored_key::KeyAlgorithm;
use crate::user::User;

/// Longest access token that is looked at, in bytes. Ours has about 400.
pub const MAX_ACCESS_TOKEN_BYTES: usize = 8 * 1024;

/// How far ahead another replica's clock may be, in seconds, before its tokens are refused as issued in the future.
pub(crate) const REPLICA_CLOCK_SKEW: i64 = 60;

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

    /// Issues a token for `user`, valid from `now` on: of the session, if one was begun with it, and with the authentication behind
    /// it, if that is known.
    ///
    /// # Errors
    /// When the cryptographic library fails; it does not with an HMAC key.
    pub fn issue(
        &self,
        user: &User,
        session_id: Option<Uuid>,
        authentication: Option<&Authentication>,
        now: Timestamp,
    ) -> Result<IssuedToken, SigningError> {
        let mut jti = Uuid::encode_buffer();
        let jti = Uuid::new_v4().simple().encode_lower(&mut jti);
        let claims = Claims {
            ver: Some(user.token_version),
            sid: session_id,
            auth_time: authentication.map(|authentication| authentication.auth_time),
            idp: authentication.map(|authentication| authentication.idp.as_str()),
            ..self.claims(Subject::User(user.id), jti, now)
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
        scope: &str,
        now: Timestamp,
    ) -> Result<IssuedToken, SigningError> {
        let mut jti = Uuid::encode_buffer();
        let jti = Uuid::new_v4().simple().encode_lower(&mut jti);
        let claims = Claims {
            scope: Some(scope),
            client_id: Some(client_id.as_str()),
            ..self.claims(Subject::Client(client_id.clone()), jti, now)
        };
        self.sign(&claims, now)
    }

    /// What every token of ours says.
    fn claims<'a>(&'a self, sub: Subject, jti: &'a str, now: Timestamp) -> Claims<&'a str> {
        Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub,
            iat: now.0,
            exp: now.plus(self.life).0,
            jti,
            ver: None,
            sid: None,
            auth_time: None,
            idp: None,
            scope: None,
            client_id: None,
        }
    }

    fn sign(&self, claims: &Claims<&str>, now: Timestamp) -> Result<IssuedToken, SigningError> {
        let jwt = self.keyring.load().signing_key(now).sign(claims)?;
        Ok(IssuedToken { jwt, expires_in: self.life })
    }

    /// Checks a token that came as a bearer credential.
    ///
    /// # Errors
    /// The first thing that is wrong with it, cheapest first.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<VerifiedClaims, TokenError> {
        let payload = self.verified_payload(token, now)?;
        let claims: Claims<Text<'_>> = payload.claims()?;
        self.check(&claims, now)?;
        (&claims).try_into()
    }

    /// As [`Tokens::verify`], for whoever wants to see all that the token says.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub fn verify_in_full(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let claims: Claims = self.verified_payload(token, now)?.claims()?;
        self.check(&claims, now)?;
        Ok(claims)
    }

    fn verified_payload(&self, token: &str, now: Timestamp) -> Result<VerifiedPayload, TokenError> {
        let parts = JwsParts::split(token, MAX_ACCESS_TOKEN_BYTES)?;
        let keyring = self.keyring.load();
        match keyring.find_by_header(parts.header(), now) {
            Some(key) => Ok(parts.verify(key)?),
            // Another library may have written the same header in another order.
            None => verify_with_header(&keyring, &parts.read_header()?, now),
        }
    }

    /// Whether a token that was refused with [`TokenError::UnknownKey`] may be signed with a key that another replica knows
    /// already: it looks like one of ours in everything but that. Nothing but another look at the ring may follow from it.
    #[must_use]
    pub fn may_be_by_a_new_key(&self, token: &str, now: Timestamp) -> bool {
        let Ok(jws) = UnverifiedJws::parse(token, MAX_ACCESS_TOKEN_BYTES) else { return false };
        jws.header().alg.parse::<KeyAlgorithm>().is_ok()
            && jws.unverified_claims().is_ok_and(|claims: Claims| self.check(&claims, now).is_ok())
    }

    fn check<T: AsRef<str>>(&self, claims: &Claims<T>, now: Timestamp) -> Result<(), TokenError> {
        let (issuer, audience) = (claims.iss.as_ref(), claims.aud.as_ref());
        if issuer != self.issuer {
            return Err(TokenError::Issuer(Quoted(issuer).to_string()));
        }
        if audience != self.audience {
            return Err(TokenError::Audience(Quoted(audience).to_string()));
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
) -> Result<VerifiedPayload, TokenError> {
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
