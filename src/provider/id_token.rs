//! The rules for ID tokens, the same for Google and for any other OpenID Connect issuer: signature, issuer, audience,
//! time, nonce (OpenID Connect Core §3.1.3.7).

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::audience::Audience;
use super::client::ProviderClient;
use super::identity::{Profile, is_subject};
use super::key_cache::{KeyCache, KeyError, KeySource};
use super::{Credential, Outage, Refusal, VerifiedIdentity};
use crate::clock::{SharedClock, Timestamp};
use crate::jws::{JwsError, Quoted, UnverifiedJws, VerificationKey, present};
use crate::settings::{JwksSettings, NoncePolicy};

/// Longest ID token that is looked at, in bytes.
const MAX_ID_TOKEN_BYTES: usize = 16 * 1024;
/// How far the provider's clock may be from ours, in seconds. One leeway for every time claim.
const LEEWAY: i64 = 60;
/// The longest life of an ID token that is believed, in seconds: Apple's day is the longest known.
const MAX_LIFE: i64 = 24 * 60 * 60 + LEEWAY;

/// The rules for one issuer's ID tokens.
pub(super) struct IdTokens {
    provider: String,
    pub(super) audience: Audience,
    /// For the tokens that we ask for ourselves.
    own_audience: Audience,
    issuers: Vec<String>,
    nonce: NoncePolicy,
    pub(super) keys: KeyCache,
    clock: SharedClock,
}

/// An ID token's claims. Who it is for and when it ends must be of the right type or it is refused; name and picture
/// are decoration, and one of another type is left out.
#[derive(Deserialize)]
struct IdTokenClaims {
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    aud: Value,
    #[serde(default, deserialize_with = "present")]
    azp: Option<String>,
    sub: String,
    exp: i64,
    iat: i64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    nonce: Option<String>,
    /// Only in security event tokens (RFC 8417 §2.2), a logout token for one.
    #[serde(default, deserialize_with = "present")]
    events: Option<IgnoredAny>,
    #[serde(default)]
    email: Value,
    #[serde(default)]
    email_verified: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    picture: Value,
}

/// Only for naming a foreign issuer to somebody who sent its token here.
#[derive(Deserialize)]
struct UnverifiedIssuer {
    iss: String,
}

impl IdTokens {
    pub(super) fn new(
        source: KeySource,
        client_ids: &[String],
        issuers: Vec<String>,
        nonce: NoncePolicy,
        jwks: JwksSettings,
        client: &ProviderClient,
        clock: &SharedClock,
    ) -> Self {
        Self {
            audience: Audience::any_of(&source.provider, client_ids),
            own_audience: Audience::first_of(&source.provider, client_ids),
            provider: source.provider.clone(),
            issuers,
            nonce,
            keys: KeyCache::start(source, client.clone(), jwks),
            clock: SharedClock::clone(clock),
        }
    }

    /// Proves an ID token that a client handed in.
    pub(super) async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        let claims = self.proven_claims(credential.token.expose_secret(), &self.audience).await?;
        self.check_nonce(claims.nonce.as_deref(), credential.nonce.as_deref())?;
        Ok(self.identity(&claims))
    }

    /// Proves an ID token that the token endpoint gave us for a code. TLS alone would show whose it is (OpenID Connect Core
    /// §3.1.3.7, point 6); one set of rules for all tokens is easier to trust than an exception. The nonce must be the one
    /// that the browser was sent with, whatever `nonce` in the settings asks of others: nothing else ties the token to it.
    pub(super) async fn verify_own(&self, id_token: &str, nonce: &str) -> Result<VerifiedIdentity, Refusal> {
        let claims = self.proven_claims(id_token, &self.own_audience).await?;
        let problem = match claims.nonce.as_deref() {
            Some(claim) if !nonce.is_empty() && claim == nonce => return Ok(self.identity(&claims)),
            Some(_) => "is not the one that this sign-in began with",
            None => "is missing, and this sign-in began with one",
        };
        Err(Refusal::NonceMismatch(format!("the nonce in {}'s ID token {problem}", self.provider)))
    }

    /// The claims of a token that is genuine, current and for one of these clients, the cheapest refusal first. The nonce
    /// is left.
    async fn proven_claims(&self, id_token: &str, audience: &Audience) -> Result<IdTokenClaims, Refusal> {
        let jws = UnverifiedJws::parse(id_token, MAX_ID_TOKEN_BYTES).map_err(invalid)?;
        let key = self.key(&jws).await?;
        check_type(jws.header().typ.as_deref())?;
        let claims: IdTokenClaims = jws.verify(&key).map_err(invalid)?;
        if claims.events.is_some() {
            return Err(Refusal::InvalidToken(
                "the token has the claim \"events\", so it is a logout token or another security event, no ID token"
                    .to_owned(),
            ));
        }
        self.check_issuer(&claims.iss)?;
        audience.check(&claims.aud, claims.azp.as_deref())?;
        check_time(&claims, self.clock.now())?;
        if !is_subject(&claims.sub) {
            return Err(Refusal::InvalidToken(
                "the token's sub is empty, longer than 255 bytes or not text".to_owned(),
            ));
        }
        Ok(claims)
    }

    fn identity(&self, claims: &IdTokenClaims) -> VerifiedIdentity {
        let profile =
            Profile::of_claims(&claims.email, &claims.email_verified, &claims.name, &claims.picture);
        VerifiedIdentity::new(&self.provider, &claims.sub, &profile)
    }

    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    pub(super) async fn check(&self) -> Result<String, Outage> {
        self.keys.discovery().await?;
        Ok(format!("{} keys", self.keys.status().keys))
    }

    async fn key(&self, jws: &UnverifiedJws<'_>) -> Result<VerificationKey, Refusal> {
        let kid = jws.header().kid.as_deref().ok_or_else(|| {
            Refusal::InvalidToken("the token's header has no kid, so no key can be chosen for it".to_owned())
        })?;
        self.keys.key(kid).await.map_err(|error| match error {
            KeyError::Outage(outage) => Refusal::Outage(outage),
            KeyError::Unknown => match jws.unverified_claims::<UnverifiedIssuer>() {
                Ok(UnverifiedIssuer { iss }) if !self.issuers.contains(&iss) => self.foreign_issuer(&iss),
                _ => Refusal::InvalidToken(format!(
                    "the token's kid {} is not among {}'s keys",
                    Quoted(kid),
                    self.provider
                )),
            },
        })
    }

    fn check_issuer(&self, iss: &Value) -> Result<(), Refusal> {
        match iss {
            Value::String(iss) if self.issuers.contains(iss) => Ok(()),
            Value::String(iss) => Err(self.foreign_issuer(iss)),
            _ => Err(Refusal::IssuerMismatch("the token's iss is not a string".to_owned())),
        }
    }

    fn foreign_issuer(&self, iss: &str) -> Refusal {
        let expected: Vec<String> = self.issuers.iter().map(|issuer| Quoted(issuer).to_string()).collect();
        Refusal::IssuerMismatch(format!(
            "token issuer {} is not {}'s, expected {}",
            Quoted(iss),
            self.provider,
            expected.join(" or ")
        ))
    }

    /// Clients hash the nonce or not, as their library likes: raw, SHA-256 in hex, SHA-256 in base64url.
    fn check_nonce(&self, claim: Option<&str>, sent: Option<&str>) -> Result<(), Refusal> {
        let setting = format!("providers.{}.nonce", self.provider);
        let problem = match (claim, sent) {
            // An empty nonce is known to everybody: it ties the token to no request.
            (Some(claim), Some(sent))
                if !sent.is_empty() && nonce_forms(sent).iter().any(|form| form == claim) =>
            {
                return Ok(());
            }
            (Some(_), Some(_)) => {
                "the token's nonce is neither the nonce sent nor its SHA-256 in hex or base64url".to_owned()
            }
            (None, Some(_)) => "a nonce was sent, the token carries none".to_owned(),
            (_, None) if self.nonce == NoncePolicy::Optional => return Ok(()),
            (Some(_), None) => {
                format!("the token carries a nonce, none was sent; {setting} is \"required\"")
            }
            (None, None) => {
                format!("neither the token nor the request has a nonce; {setting} is \"required\"")
            }
        };
        Err(Refusal::NonceMismatch(problem))
    }
}

/// The provider's keys sign more than ID tokens: logout tokens (`logout+jwt`), access tokens (`at+jwt`), all with our
/// client id perhaps. An ID token's `typ` is absent or `JWT`; what names itself something else is not one (RFC 8725 §3.11).
fn check_type(typ: Option<&str>) -> Result<(), Refusal> {
    match typ {
        None => Ok(()),
        Some(typ) if typ.eq_ignore_ascii_case("JWT") => Ok(()),
        Some(typ) => Err(Refusal::InvalidToken(format!(
            "the token's typ is {}, that of an ID token is \"JWT\" or absent",
            Quoted(typ)
        ))),
    }
}

fn nonce_forms(nonce: &str) -> [String; 3] {
    let hash = digest::digest(&digest::SHA256, nonce.as_bytes());
    [nonce.to_owned(), hex::encode(hash), BASE64_URL_SAFE_NO_PAD.encode(hash)]
}

fn check_time(claims: &IdTokenClaims, now: Timestamp) -> Result<(), Refusal> {
    let expired = now.since(Timestamp(claims.exp));
    if expired > LEEWAY {
        return Err(Refusal::TokenExpired(format!(
            "the token expired {expired} s ago (exp {}, our clock {now}, {LEEWAY} s leeway)",
            Timestamp(claims.exp)
        )));
    }
    for (name, time) in [("iat", Some(claims.iat)), ("nbf", claims.nbf)] {
        let ahead = time.map_or(0, |time| Timestamp(time).since(now));
        if ahead > LEEWAY {
            return Err(Refusal::InvalidToken(format!(
                "the token's {name} is {ahead} s ahead of our clock ({now}, {LEEWAY} s leeway): is one of the clocks wrong?"
            )));
        }
    }
    let life = Timestamp(claims.exp).since(Timestamp(claims.iat));
    if !(0..=MAX_LIFE).contains(&life) {
        return Err(Refusal::InvalidToken(format!(
            "the token lives {life} s from iat to exp, at most {MAX_LIFE} s are believed"
        )));
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn invalid(error: JwsError) -> Refusal {
    Refusal::InvalidToken(error.to_string())
}
