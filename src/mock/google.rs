//! The mock Google: its discovery document, and tokeninfo, which only Google has.
//!
//! Shapes follow <https://developers.google.com/identity/openid-connect/reference> and
//! <https://developers.google.com/identity/sign-in/web/backend-auth>.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use super::grant::Issued;
pub use super::grant::WEB_CLIENT_ID;
use super::issuer::{Profile, Secret, SignIn, Ways};
use super::keys::KeyOwner;
use super::values::{lay_over, unix_now};
use super::{Issuer, MockError, Person};

/// The web client's secret.
pub const CLIENT_SECRET: &str = "GOCSPX-demo_google-client-secret";
/// Its second client, a mobile app.
pub const IOS_CLIENT_ID: &str = "demo-ios.apps.googleusercontent.com";
/// The `iss` of Google's ID tokens, on loopback too.
pub const ISSUER: &str = "https://accounts.google.com";

pub(super) fn issuer(base_url: &str) -> Result<Issuer, MockError> {
    Issuer::new(Profile {
        owner: KeyOwner::Google,
        discovery: discovery(&format!("{base_url}/google")),
        base_claims: json!({ "iss": ISSUER, "azp": WEB_CLIENT_ID, "aud": WEB_CLIENT_ID }),
        describe: Person::claims,
        token_prefix: "ya29.a0",
        realm: format!("{ISSUER}/"),
        sign_in: SignIn {
            provider: "Mock Google",
            client_id: WEB_CLIENT_ID,
            client_secret: Secret::Text(CLIENT_SECRET),
            code_prefix: "4/0A",
            granted,
            ways: Ways::Google,
        },
    })
}

/// Google asks for `email` and `profile` by these names and grants them by longer ones
/// (<https://developers.google.com/identity/protocols/oauth2/scopes#openid-connect>).
fn granted(asked: &str) -> String {
    let long = |scope: &str| match scope {
        "email" | "profile" => format!("https://www.googleapis.com/auth/userinfo.{scope}"),
        other => other.to_owned(),
    };
    asked.split_ascii_whitespace().map(long).collect::<Vec<_>>().join(" ")
}

/// All members of the real document; the endpoints are on loopback, the issuer is Google's own.
fn discovery(base: &str) -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{base}/o/oauth2/v2/auth"),
        "device_authorization_endpoint": format!("{base}/device/code"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/v1/userinfo"),
        "revocation_endpoint": format!("{base}/revoke"),
        "jwks_uri": format!("{base}/oauth2/v3/certs"),
        "response_types_supported": [
            "code", "token", "id_token", "code token", "code id_token", "token id_token",
            "code token id_token", "none"
        ],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": [
            "aud", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss",
            "name", "picture", "sub"
        ],
        "code_challenge_methods_supported": ["plain", "S256"],
        "grant_types_supported": [
            "authorization_code", "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:jwt-bearer"
        ]
    })
}

/// `GET ?access_token=…` or the same member in a `POST` form: whom an access token was issued to.
/// Every scalar is a JSON string, numbers and booleans included.
pub(super) async fn tokeninfo(
    google: web::Data<Issuer>,
    query: web::Query<HashMap<String, String>>,
    form: Option<web::Form<HashMap<String, String>>>,
) -> HttpResponse {
    let in_form = form.and_then(|mut form| form.remove("access_token"));
    let Some(token) = in_form.or_else(|| query.get("access_token").cloned()) else {
        return refusal("invalid_request", "either access_token, id_token, or token_handle required");
    };
    match google.find(&token) {
        Some(issued) => HttpResponse::Ok().json(token_facts(issued)),
        None => refusal("invalid_token", "Invalid Value"),
    }
}

fn token_facts(issued: Issued) -> Map<String, Value> {
    let Issued { grant, expires_at } = issued;
    let mut members = Map::new();
    lay_over(
        &mut members,
        json!({
            "azp": grant.azp.as_ref().unwrap_or(&grant.aud),
            "aud": grant.aud,
            "sub": grant.person.sub,
            "scope": grant.scope,
            "exp": expires_at.to_string(),
            "expires_in": (expires_at - unix_now()).to_string(),
            "email": grant.person.email,
            "email_verified": grant.person.email_verified.map(as_text),
            "access_type": "online"
        }),
    );
    lay_over(&mut members, grant.tokeninfo);
    members
}

fn as_text(value: Value) -> Value {
    match value {
        Value::Bool(truth) => json!(truth.to_string()),
        other => other,
    }
}

/// Google's answer is 400 for a bad token, not 401.
fn refusal(error: &str, description: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({ "error": error, "error_description": description }))
}
