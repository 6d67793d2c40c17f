//! A generic OpenID Connect issuer, as a company would run one (OpenID Connect Discovery §3).

use serde_json::json;

use super::issuer::{Profile, Secret, SignIn, Ways};
use super::keys::KeyOwner;
use super::{Issuer, MockError, Person};

/// The client id of the application under test: `aud` of every token unless set otherwise.
pub const CLIENT_ID: &str = "demo-oidc-client";

/// Its secret, with every kind of character that HTTP Basic wants encoded (RFC 6749 §2.3.1).
pub const CLIENT_SECRET: &str = "demo-oidc:secret/50%+more";

pub(super) fn issuer(base_url: &str) -> Result<Issuer, MockError> {
    let base = format!("{base_url}/oidc");
    Issuer::new(Profile {
        owner: KeyOwner::Oidc,
        discovery: json!({
            "issuer": base,
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "userinfo_endpoint": format!("{base}/userinfo"),
            "jwks_uri": format!("{base}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "scopes_supported": ["openid", "email", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["S256"]
        }),
        base_claims: json!({ "iss": base, "aud": CLIENT_ID }),
        describe: Person::claims,
        token_prefix: "oidc_",
        realm: base,
        sign_in: SignIn {
            provider: "Mock OpenID Connect",
            client_id: CLIENT_ID,
            client_secret: Secret::Text(CLIENT_SECRET),
            code_prefix: "",
            granted: str::to_owned,
            ways: Ways::Standard,
        },
    })
}
