//! The rules for ID tokens, the same for Google and for any other OpenID Connect issuer: signature, issuer, audience,
//! time, nonce (OpenID Connect Core §3.1.3.7).

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

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
    client_ids: Vec<String>,
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
            provider: source.provider.clone(),
            client_ids: client_ids.to_vec(),
            issuers,
            nonce,
            keys: KeyCache::start(source, client.clone(), jwks),
            clock: SharedClock::clone(clock),
        }
    }

    /// Proves an ID token, the cheapest refusal first.
    pub(super) async fn verify(&self, credential: &Credential) -> Result<VerifiedIdentity, Refusal> {
        let jws =
            UnverifiedJws::parse(credential.token.expose_secret(), MAX_ID_TOKEN_BYTES).map_err(invalid)?;
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
        self.check_audience(&claims)?;
        check_time(&claims, self.clock.now())?;
        if !is_subject(&claims.sub) {
            return Err(Refusal::InvalidToken(
                "the token's sub is empty, longer than 255 bytes or not text".to_owned(),
            ));
        }
        self.check_nonce(claims.nonce.as_deref(), credential.nonce.as_deref())?;
        let profile =
            Profile::of_claims(&claims.email, &claims.email_verified, &claims.name, &claims.picture);
        Ok(VerifiedIdentity::new(&self.provider, &claims.sub, &profile))
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

    /// One audience: ours. Several: only together with an `azp` that is ours. An `azp` is checked wherever it stands.
    fn check_audience(&self, claims: &IdTokenClaims) -> Result<(), Refusal> {
        let audiences: Vec<&str> = match &claims.aud {
            Value::String(audience) => vec![audience],
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let texts_only = claims.aud.as_array().is_none_or(|list| list.len() == audiences.len());
        match audiences.as_slice() {
            [] => return Err(self.foreign_audience("the token names no audience")),
            _ if !texts_only => {
                return Err(self.foreign_audience("the token's aud is not a list of texts"));
            }
            [one] => self.check_client_id("audience", one)?,
            several => {
                if !several.iter().any(|audience| self.is_ours(audience)) {
                    return Err(self.foreign_audience(&format!(
                        "token audience {} is not one of ours",
                        Quoted(several[0])
                    )));
                }
                if claims.azp.is_none() {
                    return Err(self.foreign_audience("the token has several audiences and no azp"));
                }
            }
        }
        claims.azp.as_deref().map_or(Ok(()), |azp| self.check_client_id("azp", azp))
    }

    pub(super) fn is_ours(&self, client_id: &str) -> bool {
        self.client_ids.iter().any(|ours| ours == client_id)
    }

    /// `what` names the member that holds `client_id`.
    pub(super) fn check_client_id(&self, what: &str, client_id: &str) -> Result<(), Refusal> {
        if self.is_ours(client_id) {
            return Ok(());
        }
        let setting = format!("providers.{}.client_ids", self.provider);
        Err(Refusal::AudienceMismatch(format!("token {what} {} is not in {setting}", Quoted(client_id))))
    }

    fn foreign_audience(&self, problem: &str) -> Refusal {
        Refusal::AudienceMismatch(format!(
            "{problem}, expected one of providers.{}.client_ids",
            self.provider
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
