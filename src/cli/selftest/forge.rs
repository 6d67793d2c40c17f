//! Making tokens that ought to be rejected from valid ones.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::corpus::{Forgery, Signing};
use crate::clock::{Clock, SystemClock};
use crate::mock::{Issuer, Signature, SigningKey, compact};

/// Who signs a changed token as its issuer does.
pub(super) enum Signer<'a> {
    Provider(&'a Issuer),
    Secret(&'a SecretString),
    /// The signature is kept.
    Unknown,
}

impl Signer<'_> {
    /// Returns the provider's key.
    fn key(&self) -> Option<SigningKey> {
        match self {
            Self::Provider(issuer) => Some(issuer.keys().current()),
            Self::Secret(_) | Self::Unknown => None,
        }
    }
}

/// A valid token, taken apart.
pub(super) struct Original {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// In base64url.
    signature: String,
}

impl Original {
    /// Takes a token apart; none if it is no JWS of JSON.
    pub(super) fn parse(token: &str) -> Option<Self> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { return None };
        let read = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        Some(Self { header: read(header)?, claims: read(claims)?, signature: (*signature).to_owned() })
    }

    /// Returns the token that a case describes. `attacker` signs what nobody else signs.
    pub(super) fn forge(&self, forgery: &Forgery, signer: &Signer<'_>, attacker: &SigningKey) -> String {
        let mut header = self.header.clone();
        let attacker = attacker.with_kid(text(&header, "kid"));
        if let Signing::Embedded = forgery.signature {
            header.insert("alg".to_owned(), "RS256".into());
            header.insert("jwk".to_owned(), attacker.jwk());
        }
        lay_over(&mut header, &forgery.header);
        let mut claims = self.claims.clone();
        lay_over(&mut claims, &forgery.claims);
        let header = Value::Object(header).to_string();
        let mut payload = Value::Object(claims).to_string();
        if let Some(more) = &forgery.append_to_claims {
            payload.truncate(payload.len() - 1);
            payload = format!("{payload},{more}}}");
        }
        let signature = self.sign(&header, &payload, forgery, signer, &attacker);
        forgery
            .form
            .0
            .replace("{header}", &BASE64_URL_SAFE_NO_PAD.encode(header))
            .replace("{payload}", &BASE64_URL_SAFE_NO_PAD.encode(payload))
            .replace("{signature}", &signature)
    }

    fn sign(
        &self,
        header: &str,
        payload: &str,
        forgery: &Forgery,
        signer: &Signer<'_>,
        attacker: &SigningKey,
    ) -> String {
        let own = signer.key();
        let of = |signature: Signature<'_>| {
            let token = compact(header, payload, signature);
            token.rsplit_once('.').map(|(_, signature)| signature.to_owned()).unwrap_or_default()
        };
        let genuine = || match (&own, signer) {
            (Some(key), _) => of(Signature::Key(key)),
            (None, Signer::Secret(secret)) => of(Signature::Hs256(secret.expose_secret().as_bytes())),
            (None, _) => self.signature.clone(),
        };
        let hmac_of_key = |secret: fn(&SigningKey) -> Vec<u8>| {
            own.as_ref().map_or_else(String::new, |key| of(Signature::Hs256(&secret(key))))
        };
        let bytes = |signature: &str| BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        match &forgery.signature {
            Signing::Genuine => genuine(),
            Signing::OfUnchanged => self.signature.clone(),
            Signing::None => String::new(),
            Signing::Zeros => of(Signature::Bytes(&vec![0; bytes(&self.signature).len()])),
            Signing::Flipped => {
                let mut bytes = bytes(&genuine());
                if let Some(first) = bytes.first_mut() {
                    *first ^= 1;
                }
                of(Signature::Bytes(&bytes))
            }
            Signing::Truncated => {
                let bytes = bytes(&genuine());
                of(Signature::Bytes(&bytes[..bytes.len() / 2]))
            }
            Signing::Foreign | Signing::Embedded => of(Signature::Key(attacker)),
            Signing::HmacPem => hmac_of_key(|key| key.public_pem().into_bytes()),
            Signing::HmacDer => hmac_of_key(SigningKey::public_der),
            Signing::HmacJwk => hmac_of_key(|key| key.jwk().to_string().into_bytes()),
            Signing::HmacText(secret) => of(Signature::Hs256(secret.as_bytes())),
        }
    }
}

fn text(members: &Map<String, Value>, name: &str) -> String {
    members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Replaces members; null removes one, and an object such as `{"now": n}` becomes what it describes.
fn lay_over(members: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, change) in changes {
        match change {
            Value::Null => drop(members.remove(name)),
            other => drop(members.insert(name.clone(), described(other).unwrap_or_else(|| other.clone()))),
        }
    }
}

/// Returns a time (`{"now": 60}`), a long text (`{"long": 9000}`) or lists within lists (`{"nested": 100}`).
fn described(value: &Value) -> Option<Value> {
    let (name, number) = value.as_object().filter(|object| object.len() == 1)?.iter().next()?;
    let number = number.as_i64()?;
    match name.as_str() {
        "now" => Some((SystemClock.now().0 + number).into()),
        "long" => Some("x".repeat(usize::try_from(number).ok()?).into()),
        "nested" => Some((0..number).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]))),
        _ => None,
    }
}
