//! Provider keys as they are published (RFC 7517), and which of them we verify with.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::jws::VerificationKey;

/// NIST SP 800-131A: shorter RSA keys are not for signatures. Longer ones than the other bound are a denial of service.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A published key set (RFC 7517 §5).
#[derive(Deserialize)]
pub(super) struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// A key to verify a provider's tokens with. Cheap to clone.
#[derive(Clone)]
pub struct ProviderKey {
    /// The key itself.
    pub key: VerificationKey,
    /// Whose tokens it signs, where one set has the keys of several issuers: Microsoft's own member.
    pub issuer: Option<Arc<str>>,
}

/// A public key (RFC 7517, RFC 7518 §6), as far as we use it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    intended_use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    issuer: Option<String>,
}

impl JwkSet {
    /// The keys we can verify with, by id. A key of another kind is passed over, not an error: providers publish some
    /// (RFC 7517 §5). Of two keys with one id the first counts.
    pub(super) fn usable_keys(self) -> HashMap<String, ProviderKey> {
        let mut keys = HashMap::new();
        for value in self.keys {
            if let Ok(jwk) = serde_json::from_value::<Jwk>(value)
                && let Some(key) = jwk.verification_key()
            {
                keys.entry(jwk.kid).or_insert(ProviderKey { key, issuer: jwk.issuer.map(Arc::from) });
            }
        }
        keys
    }
}

impl Jwk {
    /// The key bound to one algorithm: the one it names, or the usual one of its type. Symmetric keys have no place here.
    fn verification_key(&self) -> Option<VerificationKey> {
        if !self.is_for_verifying() {
            return None;
        }
        let (algorithm, key) = match (self.kty.as_str(), self.crv.as_deref(), self.alg.as_deref()) {
            ("RSA", _, alg) => (rsa_algorithm(alg)?, self.rsa_key()?),
            ("EC", Some("P-256"), None | Some("ES256")) => (Algorithm::ES256, self.ec_key()?),
            ("EC", Some("P-384"), None | Some("ES384")) => (Algorithm::ES384, self.ec_key()?),
            ("OKP", Some("Ed25519"), None | Some("EdDSA")) => {
                (Algorithm::EdDSA, DecodingKey::from_ed_components(self.x.as_deref()?).ok()?)
            }
            _ => return None,
        };
        VerificationKey::new(algorithm, &key).ok()
    }

    /// `use` and `key_ops` (RFC 7517 §4.2, §4.3) both say what a key is for; a key without either is for anything.
    fn is_for_verifying(&self) -> bool {
        let by_use = self.intended_use.as_deref().is_none_or(|intended| intended == "sig");
        let by_operation =
            self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
        by_use && by_operation
    }

    fn rsa_key(&self) -> Option<DecodingKey> {
        let (n, e) = (self.n.as_deref()?, self.e.as_deref()?);
        let modulus = BASE64_URL_SAFE_NO_PAD.decode(n).ok()?;
        RSA_MODULUS_BYTES.contains(&modulus.len()).then_some(())?;
        DecodingKey::from_rsa_components(n, e).ok()
    }

    fn ec_key(&self) -> Option<DecodingKey> {
        DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?).ok()
    }
}

fn rsa_algorithm(name: Option<&str>) -> Option<Algorithm> {
    Some(match name {
        None | Some("RS256") => Algorithm::RS256,
        Some("RS384") => Algorithm::RS384,
        Some("RS512") => Algorithm::RS512,
        Some("PS256") => Algorithm::PS256,
        Some("PS384") => Algorithm::PS384,
        Some("PS512") => Algorithm::PS512,
        Some(_) => return None,
    })
}
