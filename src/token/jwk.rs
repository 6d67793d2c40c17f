//! Keys as JSON (RFC 7517): how those of the ring are kept, and what verifiers are told of them.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};

use crate::jws::UnusableKey;
use crate::stored_key::KeyAlgorithm;

/// Bytes of a secret of ours: as many as the hash has (RFC 7518 §3.2).
const SECRET_BYTES: usize = 32;
/// An uncompressed point begins so (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;

/// A private key. It must not be logged, nor stored unsealed but in a file of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateJwk {
    /// Its id: the thumbprint (RFC 7638) of one with a public half.
    pub kid: String,
    #[serde(flatten)]
    material: Material,
}

/// RFC 7518 §6.2 and §6.4, RFC 8037 §2; every value in base64url.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
enum Material {
    #[serde(rename = "oct")]
    Secret { k: String },
    #[serde(rename = "OKP")]
    Edwards { crv: Edwards, x: String, d: String },
    #[serde(rename = "EC")]
    Weierstrass { crv: Weierstrass, x: String, y: String, d: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Edwards {
    Ed25519,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Weierstrass {
    #[serde(rename = "P-256")]
    P256,
}

/// The public half of a key, as a verifier takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PublicJwk {
    /// `OKP` or `EC`.
    #[schema(example = "OKP")]
    kty: &'static str,
    /// `Ed25519` or `P-256`.
    #[schema(example = "Ed25519")]
    crv: &'static str,
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    x: String,
    /// Of an `EC` key only.
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    /// The tokens' `kid`.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    kid: String,
    /// `EdDSA` or `ES256`: no other algorithm may be tried with this key.
    #[schema(example = "EdDSA")]
    alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    usage: &'static str,
}

impl PrivateJwk {
    /// A new key.
    ///
    /// # Errors
    /// Without a source of randomness.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, UnusableKey> {
        loop {
            let material = Material::generate(algorithm)?;
            let jwk = Self { kid: material.key_id()?, material };
            // On a command line it would look like an option.
            if !jwk.kid.starts_with('-') {
                return Ok(jwk);
            }
        }
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self.material {
            Material::Secret { .. } => KeyAlgorithm::Hs256,
            Material::Edwards { .. } => KeyAlgorithm::EdDsa,
            Material::Weierstrass { .. } => KeyAlgorithm::Es256,
        }
    }

    /// What others are told of it; nothing of a secret.
    #[must_use]
    pub fn public(&self) -> Option<PublicJwk> {
        let (kty, crv, x, y) = match &self.material {
            Material::Secret { .. } => return None,
            Material::Edwards { x, .. } => ("OKP", "Ed25519", x, None),
            Material::Weierstrass { x, y, .. } => ("EC", "P-256", x, Some(y)),
        };
        let (kid, alg) = (self.kid.clone(), self.algorithm().as_str());
        Some(PublicJwk { kty, crv, x: x.clone(), y: y.cloned(), kid, alg, usage: "sig" })
    }

    /// The bytes of the private half, which keys for other purposes are derived from.
    pub(super) fn material(&self) -> Result<Vec<u8>, UnusableKey> {
        match &self.material {
            Material::Secret { k: private }
            | Material::Edwards { d: private, .. }
            | Material::Weierstrass { d: private, .. } => decode(private),
        }
    }

    /// Both halves, as the library takes them. That they belong together is checked.
    pub(super) fn keys(&self) -> Result<(Algorithm, EncodingKey, DecodingKey), UnusableKey> {
        match &self.material {
            Material::Secret { k } => {
                let secret = decode(k)?;
                if secret.len() < SECRET_BYTES {
                    return Err(UnusableKey);
                }
                let keys = (EncodingKey::from_secret(&secret), DecodingKey::from_secret(&secret));
                Ok((Algorithm::HS256, keys.0, keys.1))
            }
            Material::Edwards { x, d, .. } => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&decode(d)?, &decode(x)?)?;
                let private = EncodingKey::from_ed_der(pair.to_pkcs8v1().map_err(|_| UnusableKey)?.as_ref());
                let public = DecodingKey::from_ed_components(x).map_err(|_| UnusableKey)?;
                Ok((Algorithm::EdDSA, private, public))
            }
            Material::Weierstrass { x, y, d, .. } => {
                let point = [&[UNCOMPRESSED][..], &decode(x)?, &decode(y)?].concat();
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &decode(d)?, &point)?;
                let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().map_err(|_| UnusableKey)?.as_ref());
                let public = DecodingKey::from_ec_components(x, y).map_err(|_| UnusableKey)?;
                Ok((Algorithm::ES256, private, public))
            }
        }
    }
}

impl Material {
    fn generate(algorithm: KeyAlgorithm) -> Result<Self, UnusableKey> {
        Ok(match algorithm {
            KeyAlgorithm::Hs256 => {
                let mut secret = [0; SECRET_BYTES];
                rand::fill(&mut secret).map_err(|_| UnusableKey)?;
                Self::Secret { k: encode(&secret) }
            }
            KeyAlgorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(|_| UnusableKey)?;
                let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| UnusableKey)?;
                let (x, d) = (encode(pair.public_key().as_ref()), encode(seed.as_ref()));
                Self::Edwards { crv: Edwards::Ed25519, x, d }
            }
            KeyAlgorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| UnusableKey)?;
                let d = pair.private_key().as_be_bytes().map_err(|_| UnusableKey)?;
                let point = pair.public_key().as_ref();
                let (x, y) =
                    point.get(1..).and_then(|xy| xy.split_at_checked(COORDINATE)).ok_or(UnusableKey)?;
                Self::Weierstrass {
                    crv: Weierstrass::P256,
                    x: encode(x),
                    y: encode(y),
                    d: encode(d.as_ref()),
                }
            }
        })
    }

    /// The thumbprint of a public key. A secret is named as `token.secret` is: a thumbprint would be half of a proof of it.
    fn key_id(&self) -> Result<String, UnusableKey> {
        let canonical = match self {
            Self::Secret { k } => return Ok(key_id(&decode(k)?)),
            Self::Edwards { x, .. } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Self::Weierstrass { x, y, .. } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
        };
        Ok(encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref()))
    }
}

impl fmt::Debug for PrivateJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateJwk({} {})", self.algorithm(), self.kid)
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Result<Vec<u8>, UnusableKey> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| UnusableKey)
}

/// A short name for a secret, the same on every replica: the first 8 bytes of a labelled SHA-256, in hex. It tells no
/// more than a token does, which holds an HMAC of the same secret.
pub(super) fn key_id(secret: &[u8]) -> String {
    let labelled = [b"tokenbooth kid\0", secret].concat();
    let digest = digest::digest(&digest::SHA256, &labelled);
    hex::encode(digest.as_ref().get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_shows_its_public_half_only() {
        for algorithm in KeyAlgorithm::ALL {
            let jwk = PrivateJwk::generate(algorithm).expect("a key");
            let text = serde_json::to_string(&jwk).expect("JSON");
            assert_eq!(serde_json::from_str::<PrivateJwk>(&text).expect("a key"), jwk);
            assert!(jwk.keys().is_ok(), "{algorithm}");
            let public = json!(jwk.public());
            assert_eq!(public.is_null(), !algorithm.is_asymmetric());
            assert!(public.get("d").is_none() && public.get("k").is_none(), "{public}");
            assert_eq!(format!("{jwk:?}"), format!("PrivateJwk({algorithm} {})", jwk.kid));
        }
    }

    /// RFC 8037 appendices A.1 to A.3.
    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        let jwk = json!({ "kid": "", "kty": "OKP", "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let jwk: PrivateJwk = serde_json::from_value(jwk).expect("a key");
        assert_eq!(jwk.material.key_id().expect("an id"), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert!(jwk.keys().is_ok());
    }

    #[test]
    fn halves_that_do_not_belong_together_are_no_key() {
        let other = |algorithm| json!(PrivateJwk::generate(algorithm).expect("a key"));
        for algorithm in [KeyAlgorithm::EdDsa, KeyAlgorithm::Es256] {
            let mut mixed = other(algorithm);
            mixed["d"] = other(algorithm)["d"].clone();
            let mixed: PrivateJwk = serde_json::from_value(mixed).expect("the form is right");
            assert!(mixed.keys().is_err(), "{algorithm}");
        }
        let mut short = other(KeyAlgorithm::Hs256);
        short["k"] = json!("c2hvcnQ");
        assert!(serde_json::from_value::<PrivateJwk>(short).expect("the form is right").keys().is_err());
    }
}
