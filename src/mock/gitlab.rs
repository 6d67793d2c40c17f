//! The mock GitLab: an OpenID Connect issuer whose subjects are numbers, and which says of an access token what app it is of.
//!
//! Shapes follow <https://docs.gitlab.com/integration/openid_connect_provider/> and <https://docs.gitlab.com/api/oauth2/>.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::grant::Issued;
use super::issuer::{Profile, Secret, SignIn, Ways, bearer};
use super::keys::KeyOwner;
use super::values::{lay_over, unix_now};
use super::{Grant, Issuer, MockError, Person};

/// The application's id.
pub const CLIENT_ID: &str = "b3dc3f1a0d7c4c1a9c1f5a2c7e8d9f00112233445566778899aabbccddeeff00";
/// Its secret.
pub const CLIENT_SECRET: &str = "gloas-mock-gitlab-client-secret";

pub(super) fn issuer(base_url: &str) -> Result<Issuer, MockError> {
    let base = format!("{base_url}/gitlab");
    Issuer::new(Profile {
        owner: KeyOwner::Gitlab,
        discovery: json!({
            "issuer": base,
            "authorization_endpoint": format!("{base}/oauth/authorize"),
            "token_endpoint": format!("{base}/oauth/token"),
            "revocation_endpoint": format!("{base}/oauth/revoke"),
            "introspection_endpoint": format!("{base}/oauth/introspect"),
            "userinfo_endpoint": format!("{base}/oauth/userinfo"),
            "jwks_uri": format!("{base}/oauth/discovery/keys"),
            "scopes_supported": ["api", "read_user", "openid", "profile", "email"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "grant_types_supported": ["authorization_code", "client_credentials", "device_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claim_types_supported": ["normal"],
            "claims_supported": [
                "iss", "sub", "aud", "exp", "iat", "sub_legacy", "name", "nickname", "preferred_username",
                "email", "email_verified", "website", "profile", "picture", "groups", "groups_direct"
            ],
            "code_challenge_methods_supported": ["plain", "S256"]
        }),
        base_claims: json!({ "iss": base, "aud": CLIENT_ID }),
        describe,
        token_prefix: "",
        realm: "GitLab".to_owned(),
        sign_in: SignIn {
            provider: "Mock GitLab",
            client_id: CLIENT_ID,
            client_secret: Secret::Text(CLIENT_SECRET),
            code_prefix: "",
            granted: str::to_owned,
            ways: Ways::Standard,
        },
    })
}

/// In the ID token the name is missing: only userinfo has it.
fn describe(person: &Person) -> Value {
    json!({
        "sub": user_id(person).to_string(), "sub_legacy": person.sub, "groups_direct": ["example"],
        "email": person.email, "email_verified": person.email_verified
    })
}

/// The number of this person's account.
pub fn user_id(person: &Person) -> u64 {
    let digits = person.sub.get(person.sub.len().saturating_sub(8)..).unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// `GET /gitlab/oauth/userinfo`.
pub(super) async fn userinfo(issuer: web::Data<Issuer>, request: HttpRequest) -> HttpResponse {
    let Some(found) = bearer(&request).and_then(|token| issuer.find(token)) else {
        return invalid_token();
    };
    let person = found.grant.person;
    let mut members = Map::new();
    lay_over(&mut members, describe(&person));
    lay_over(
        &mut members,
        json!({ "name": person.name, "nickname": person.given_name, "picture": person.picture }),
    );
    lay_over(&mut members, found.grant.userinfo);
    HttpResponse::Ok().json(members)
}

/// `GET /gitlab/oauth/token/info`: the application and the account of an access token. Of a personal one it knows nothing.
pub(super) async fn token_info(issuer: web::Data<Issuer>, request: HttpRequest) -> HttpResponse {
    let found = bearer(&request).and_then(|token| issuer.find(token));
    let Some(Issued { grant, expires_at }) = found.filter(|found| found.expires_at > unix_now()) else {
        return invalid_token();
    };
    let Grant { person, aud, scope, tokeninfo, .. } = grant;
    let scope: Vec<&str> = scope.split(' ').collect();
    let left = expires_at - unix_now();
    let mut members = Map::new();
    lay_over(
        &mut members,
        json!({
            "resource_owner_id": user_id(&person), "scope": scope, "expires_in": left,
            "application": { "uid": aud }, "created_at": unix_now(), "scopes": scope, "expires_in_seconds": left
        }),
    );
    lay_over(&mut members, tokeninfo);
    HttpResponse::Ok().json(members)
}

fn invalid_token() -> HttpResponse {
    HttpResponse::Unauthorized().json(json!({
        "error": "invalid_token", "error_description": "The access token is invalid", "state": "unauthorized"
    }))
}
