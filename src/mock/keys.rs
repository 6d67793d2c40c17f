//! Real signing keys: RSA (2048 bit, RS256) and EC (P-256, ES256), with every public form that a
//! test or a forger may want.
//!
//! An RSA key takes about a tenth of a second to make, so each is made once per process and looked
//! up by owner and index; two mocks in one process share them, and nothing else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::values::{base64url, sha256_hex};
use super::{MockError, lock};

type RsaKeys = HashMap<(KeyOwner, usize), Arc<RsaKeyPair>>;

static RSA_KEYS: LazyLock<Mutex<RsaKeys>> = LazyLock::new(Mutex::default);

/// Whom an RSA key of the process-wide cache belongs to, so that issuers never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyOwner {
    Google,
    Oidc,
    Microsoft,
    Apple,
    Gitlab,
    Nobody,
}

#[derive(Clone)]
enum Private {
    Rsa(Arc<RsaKeyPair>),
    P256(Arc<EcdsaKeyPair>),
}

/// A private key with its `kid`: signs tokens and shows its public half.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    private: Private,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.alg(), self.kid)
    }
}

impl SigningKey {
    /// An RSA key that no issuer of the mock publishes: what a forger signs with.
    ///
    /// # Errors
    /// [`MockError::Key`] when the cryptographic library makes none.
    pub fn foreign() -> Result<Self, MockError> {
        Self::rsa(KeyOwner::Nobody, 0)
    }

    /// A fresh P-256 key for ES256.
    ///
    /// # Errors
    /// [`MockError::Key`] when the cryptographic library makes none.
    pub fn es256() -> Result<Self, MockError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_unspecified| MockError::Key)?;
        Ok(Self { kid: kid_of(pair.public_key().as_ref()), private: Private::P256(Arc::new(pair)) })
    }

    pub(super) fn rsa(owner: KeyOwner, index: usize) -> Result<Self, MockError> {
        let mut made = lock(&RSA_KEYS);
        let pair = match made.entry((owner, index)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048);
                let pair = pair.map_err(|_unspecified| MockError::Key)?;
                place.insert(Arc::new(pair)).clone()
            }
        };
        Ok(Self { kid: kid_of(pair.public_key().as_ref()), private: Private::Rsa(pair) })
    }

    /// The same key under another `kid`, for instance one that another issuer uses as well.
    pub fn with_kid(&self, kid: impl Into<String>) -> Self {
        Self { kid: kid.into(), private: self.private.clone() }
    }

    /// The key's id: 40 hex characters unless set by [`Self::with_kid`].
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// `RS256` or `ES256` (RFC 7518 §3.1).
    pub fn alg(&self) -> &'static str {
        match self.private {
            Private::Rsa(_) => "RS256",
            Private::P256(_) => "ES256",
        }
    }

    /// The JOSE header of a well-behaved token: `{"alg", "kid", "typ": "JWT"}`.
    pub fn header(&self) -> Value {
        json!({ "alg": self.alg(), "kid": self.kid, "typ": "JWT" })
    }

    /// Signs by this key's own algorithm. A signature that fails comes out empty, which no verifier
    /// accepts.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
                    .unwrap_or_default()
            }
            Private::P256(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).unwrap_or_default()
            }
        }
    }

    /// The public key as a JWK with the members that Google publishes: `kty, alg, use, kid` and
    /// `n, e` (RSA) or `crv, x, y` (EC).
    pub fn jwk(&self) -> Value {
        match &self.private {
            Private::Rsa(pair) => {
                // RFC 8017's RSAPublicKey of a 2048-bit key with e = 65537 has one layout:
                // 9 bytes of tags and lengths, n, 2 bytes of tag and length, e.
                let der = pair.public_key().as_ref();
                let n = base64url(der.get(9..265).unwrap_or_default());
                let e = base64url(der.get(267..).unwrap_or_default());
                json!({ "kty": "RSA", "alg": "RS256", "use": "sig",
                        "kid": self.kid, "n": n, "e": e })
            }
            Private::P256(pair) => {
                // An uncompressed point: 0x04, x, y.
                let point = pair.public_key().as_ref();
                let x = base64url(point.get(1..33).unwrap_or_default());
                let y = base64url(point.get(33..).unwrap_or_default());
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
                        "kid": self.kid, "x": x, "y": y })
            }
        }
    }

    /// The public key as `SubjectPublicKeyInfo` (RFC 5280), in DER.
    pub fn public_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = match &self.private {
            Private::Rsa(pair) => pair.public_key().as_der(),
            Private::P256(pair) => pair.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
    }

    /// The same in PEM (`BEGIN PUBLIC KEY`): the classic HMAC secret of an algorithm confusion.
    pub fn public_pem(&self) -> String {
        let text = BASE64_STANDARD.encode(self.public_der());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

fn kid_of(public: &[u8]) -> String {
    let mut kid = sha256_hex(public);
    kid.truncate(40);
    kid
}
