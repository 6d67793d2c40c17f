//! The rules for ID tokens, the same for Google and for any other OpenID Connect issuer: signature, issuer, audience,
//! time, nonce (OpenID Connect Core §3.1.3.7).

mod unknown_key;

use std::borrow::Cow;

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
use super::issuer::{Claimed, Issuers};
use super::jwks::ProviderKey;
use super::key_cache::{KeyCache, KeyError, KeySource};
use super::{Credential, Outage, Refusal, SingleUse, VerifiedIdentity};
use crate::clock::{SharedClock, Timestamp};
use crate::jws::{JwsError, Quoted, UnverifiedJws, present};
use crate::settings::{EmailVerified, JwksSettings, NoncePolicy};

/// Longest ID token that is looked at, in bytes.
const MAX_ID_TOKEN_BYTES: usize = 16 * 1024;
/// How far the provider's clock may be from ours, in seconds. One leeway for every time claim.
const LEEWAY: i64 = 60;
/// The longest life of an ID token that is believed, in seconds: Apple's day is the longest known.
pub(crate) const MAX_ID_TOKEN_LIFE: i64 = 24 * 60 * 60 + LEEWAY;

/// The rules for one issuer's ID tokens.
pub(super) struct IdTokens {
    provider: String,
    pub(super) audience: Audience,
    /// For the tokens that we ask for ourselves.
    own_audience: Audience,
    rules: Rules,
    pub(super) keys: KeyCache,
    clock: SharedClock,
}

/// In what one issuer's rules differ from another's.
pub(super) struct Rules {
    pub issuers: Issuers,
    pub nonce: NoncePolicy,
    pub email_verified: EmailVerified,
    pub single_use: bool,
}

/// An ID token's claims. Who it is for and when it ends must be of the right type or it is refused; name and picture
/// are decoration, and one of another type is left out.
#[derive(Deserialize)]
struct IdTokenClaims {
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    tid: Value,
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
    #[serde(default)]
    auth_time: Value,
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

/// Who a token proves, and the nonce that is still to be judged.
struct Proven {
    identity: VerifiedIdentity,
    nonce: Option<String>,
    expires_at: Timestamp,
    auth_time: Option<Timestamp>,
}

impl IdTokens {
    pub(super) fn new(
        source: KeySource,
        client_ids: &[String],
        rules: Rules,
        jwks: JwksSettings,
        client: &ProviderClient,
        clock: &SharedClock,
    ) -> Self {
        Self {
            audience: Audience::any_of(&source.provider, client_ids),
            own_audience: Audience::first_of(&source.provider, client_ids),
            provider: source.provider.clone(),
            rules,
            keys: KeyCache::start(source, client.clone(), jwks, clock),
            clock: SharedClock::clone(clock),
        }
    }

    /// Proves an ID token that a client handed in.
    pub(super) async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        let token = credential.token.expose_secret();
        let proven = self.prove(token, &self.audience).await?;
        self.check_nonce(proven.nonce.as_deref(), credential.nonce.as_deref())?;
        let single_use = self.rules.single_use.then(|| SingleUse {
            // Without the signature: an ECDSA signature has a second valid form (r, n - s), which anybody can compute.
            hash: hex::encode(digest::digest(&digest::SHA256, signed_part(token).as_bytes())),
            until: proven.expires_at.plus(LEEWAY),
        });
        Ok(VerifiedIdentity { single_use, ..proven.identity })
    }

    /// Proves an ID token that the token endpoint gave us for a code. TLS alone would show whose it is (OpenID Connect Core
    /// §3.1.3.7, point 6); one set of rules for all tokens is easier to trust than an exception. The nonce must be the one
    /// that the browser was sent with, whatever `nonce` in the settings asks of others: nothing else ties the token to it.
    pub(super) async fn verify_own(&self, id_token: &str, nonce: &str) -> Result<VerifiedIdentity, Refusal> {
        let proven = self.prove(id_token, &self.own_audience).await?;
        let problem = match proven.nonce.as_deref() {
            Some(claim) if !nonce.is_empty() && claim == nonce => {
                return Ok(VerifiedIdentity { authenticated_at: proven.auth_time, ..proven.identity });
            }
            Some(_) => "is not the one that this sign-in began with",
            None => "is missing, and this sign-in began with one",
        };
        Err(Refusal::NonceMismatch(format!("the nonce in {}'s ID token {problem}", self.provider)))
    }

    /// Whose a token is that is genuine, current and for one of these clients, the cheapest refusal first. The nonce is
    /// left.
    async fn prove(&self, id_token: &str, audience: &Audience) -> Result<Proven, Refusal> {
        let jws = UnverifiedJws::parse(id_token, MAX_ID_TOKEN_BYTES).map_err(invalid)?;
        let ProviderKey { key, issuer: key_issuer } = self.key(&jws).await?;
        check_type(jws.header().typ.as_deref())?;
        let payload = jws.verify(&key).map_err(invalid)?;
        let claims: IdTokenClaims = payload.claims().map_err(invalid)?;
        if claims.events.is_some() {
            return Err(Refusal::InvalidToken(
                "the token has the claim \"events\", so it is a logout token or another security event, no ID token"
                    .to_owned(),
            ));
        }
        let claimed = Claimed { iss: &claims.iss, tid: &claims.tid, key_issuer: key_issuer.as_deref() };
        let tenant = self.rules.issuers.check(&self.provider, &claimed)?;
        audience.check(&claims.aud, claims.azp.as_deref())?;
        check_time(&claims, self.clock.now())?;
        if !is_subject(&claims.sub) {
            return Err(Refusal::InvalidToken(
                "the token's sub is empty, longer than 255 bytes or not text".to_owned(),
            ));
        }
        let profile = Profile::of_claims(
            &claims.email,
            &claims.email_verified,
            &claims.name,
            &claims.picture,
            self.rules.email_verified,
        );
        // A `sub` is good within its issuer (OpenID Connect Core §2), and each tenant is an issuer of its own.
        let subject = match tenant {
            Some(tenant) => Cow::Owned(format!("{tenant}:{}", claims.sub)),
            None => Cow::Borrowed(&claims.sub),
        };
        let identity = VerifiedIdentity {
            issued_at: Some(Timestamp(claims.iat)),
            ..VerifiedIdentity::new(&self.provider, &subject, &profile)
        };
        Ok(Proven {
            identity,
            nonce: claims.nonce,
            expires_at: Timestamp(claims.exp),
            auth_time: auth_time(&claims.auth_time),
        })
    }

    pub(super) fn email_verified(&self) -> EmailVerified {
        self.rules.email_verified
    }

    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    pub(super) async fn check(&self) -> Result<String, Outage> {
        self.keys.discovery().await?;
        Ok(format!("{} keys", self.keys.status().keys))
    }

    async fn key(&self, jws: &UnverifiedJws<'_>) -> Result<ProviderKey, Refusal> {
        let kid = jws.header().kid.as_deref().ok_or_else(|| {
            Refusal::InvalidToken("the token's header has no kid, so no key can be chosen for it".to_owned())
        })?;
        self.keys.key(kid).await.map_err(|error| match error {
            KeyError::Outage(outage) => Refusal::Outage(outage),
            KeyError::Unknown(last_asked) => self.unknown_key(jws, kid, last_asked),
        })
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
            (_, None) if self.rules.nonce == NoncePolicy::Optional => return Ok(()),
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

/// Returns when the provider authenticated the person (OpenID Connect Core §2), if it says so. What cannot be read was long ago.
fn auth_time(claim: &Value) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let seconds = || claim.as_i64().or_else(|| claim.as_f64().map(|seconds| seconds as i64));
    (!claim.is_null()).then(|| Timestamp(seconds().unwrap_or(0)))
}

fn signed_part(token: &str) -> &str {
    token.rsplit_once('.').map_or(token, |(signed, _)| signed)
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
    if !(0..=MAX_ID_TOKEN_LIFE).contains(&life) {
        return Err(Refusal::InvalidToken(format!(
            "the token lives {life} s from iat to exp, at most {MAX_ID_TOKEN_LIFE} s are believed"
        )));
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn invalid(error: JwsError) -> Refusal {
    Refusal::InvalidToken(error.to_string())
}
