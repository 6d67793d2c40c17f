//! The mock Apple: truth in quotes, answers in forms, and a client secret that is a JWT by the team's own key.
//!
//! Shapes follow <https://developer.apple.com/documentation/signinwithapplerestapi> and
//! <https://developer.apple.com/documentation/signinwithapple/authenticating-users-with-sign-in-with-apple>.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::issuer::{Profile, Secret, SignIn, Ways};
use super::keys::KeyOwner;
use super::values::unix_now;
use super::{Issuer, MockError, Person};

/// The web page's client id: a Services ID.
pub const SERVICES_ID: &str = "com.example.signin";
/// The app's: its bundle id.
pub const BUNDLE_ID: &str = "com.example.app";
/// The developer team.
pub const TEAM_ID: &str = "DEF123GHIJ";
/// The team's key.
pub const KEY_ID: &str = "ABC123DEFG";
/// The `iss` of Apple's ID tokens, on loopback too.
pub const ISSUER: &str = "https://appleid.apple.com";
/// The longest life of a client secret, in seconds: half a year.
const LONGEST: i64 = 15_777_000;

/// A developer team that registered a key.
pub(super) struct AppleTeam {
    /// The private key as Apple gives it out, in PEM.
    private_key: String,
    public_key: Vec<u8>,
}

impl AppleTeam {
    fn new() -> Result<Self, MockError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_unspecified| MockError::Key)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref());
        let pair = pair.map_err(|_rejected| MockError::Key)?;
        let text = BASE64_STANDARD.encode(made.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let private_key =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Ok(Self { private_key, public_key: pair.public_key().as_ref().to_vec() })
    }

    /// Whether `secret` is a JWT as Apple documents it, for this client and signed by the team's key.
    pub(super) fn knows(&self, secret: &str, client_id: &str) -> bool {
        self.claims(secret).is_some_and(|claims| {
            let time = |name: &str| claims[name].as_i64();
            let now = unix_now();
            claims["iss"] == TEAM_ID
                && claims["aud"] == ISSUER
                && claims["sub"] == client_id
                && time("iat").is_some_and(|iat| iat <= now)
                && time("exp").is_some_and(|exp| now < exp && exp - now <= LONGEST)
        })
    }

    fn claims(&self, jwt: &str) -> Option<Value> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        if header["alg"] != "ES256" || header["kid"] != KEY_ID {
            return None;
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public_key);
        key.verify(signed.as_bytes(), &decode(signature)?).ok()?;
        serde_json::from_slice(&decode(payload)?).ok()
    }
}

pub(super) fn issuer(base_url: &str) -> Result<Issuer, MockError> {
    let base = format!("{base_url}/apple");
    Issuer::new(Profile {
        owner: KeyOwner::Apple,
        discovery: json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{base}/auth/authorize"),
            "token_endpoint": format!("{base}/auth/token"),
            "revocation_endpoint": format!("{base}/auth/revoke"),
            "jwks_uri": format!("{base}/auth/keys"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "name"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "claims_supported": [
                "aud", "email", "email_verified", "exp", "iat", "is_private_email", "iss", "nonce",
                "nonce_supported", "real_user_status", "sub", "transfer_sub"
            ]
        }),
        base_claims: json!({ "iss": ISSUER, "aud": SERVICES_ID, "nonce_supported": true }),
        describe,
        token_prefix: "a",
        realm: ISSUER.to_owned(),
        sign_in: SignIn {
            provider: "Mock Apple",
            client_id: SERVICES_ID,
            client_secret: Secret::Signed(AppleTeam::new()?),
            code_prefix: "c",
            granted: str::to_owned,
            ways: Ways::Apple,
        },
    })
}

/// No name and no picture, and truth as text. A person whose address is at Apple's relay hides behind it.
fn describe(person: &Person) -> Value {
    let email_verified = person.email_verified.as_ref().map(|word| match word {
        Value::Bool(word) => word.to_string().into(),
        other => other.clone(),
    });
    let hides = person.email.as_ref().map(|email| email.ends_with("@privaterelay.appleid.com").to_string());
    json!({
        "sub": person.sub, "email": person.email, "email_verified": email_verified, "is_private_email": hides
    })
}

/// What Apple adds to the form of a person's first sign-in. Nothing of it is signed.
pub(super) fn user(person: &Person) -> Value {
    json!({
        "name": { "firstName": person.given_name, "lastName": person.family_name },
        "email": person.email
    })
}

impl Issuer {
    /// The private key of the mock Apple's developer team, in PEM; empty for any other issuer.
    pub fn private_key(&self) -> &str {
        match &self.sign_in().client_secret {
            Secret::Signed(team) => &team.private_key,
            Secret::Text(_) => "",
        }
    }
}
