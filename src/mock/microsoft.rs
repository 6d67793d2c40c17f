//! The mock Microsoft Entra ID: one issuer for each tenant, keys that say whose tokens they sign, and addresses that nobody
//! verified.
//!
//! Shapes follow <https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc> and
//! <https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference>.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::issuer::{Profile, Secret, SignIn, Ways};
use super::keys::KeyOwner;
use super::{Issuer, MockError, Person, SigningKey};

/// The application's id, a GUID.
pub const CLIENT_ID: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";
/// Its secret.
pub const CLIENT_SECRET: &str = "mock8Q~microsoft-client~secret";
/// The tenant of everybody who signs in, unless set otherwise: Contoso.
pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
/// The tenant that all personal accounts belong to.
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

pub(super) fn issuer(base_url: &str) -> Result<Issuer, MockError> {
    let base = format!("{base_url}/microsoft");
    let issuer = Issuer::new(Profile {
        owner: KeyOwner::Microsoft,
        discovery: discovery(&base),
        base_claims: json!({
            "iss": format!("{base}/{TENANT}/v2.0"), "tid": TENANT, "aud": CLIENT_ID, "ver": "2.0",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "rh": "0.AbcAv4j5cvGGr0GRqy180BHbR", "uti": "mock-uti"
        }),
        describe,
        token_prefix: "EwB",
        realm: base.clone(),
        sign_in: SignIn {
            provider: "Mock Microsoft",
            client_id: CLIENT_ID,
            client_secret: Secret::Text(CLIENT_SECRET),
            code_prefix: "M.C107_",
            granted: str::to_owned,
            ways: Ways::Standard,
        },
    })?;
    issuer.keys().publish_only(vec![jwk(&issuer.keys().current(), &format!("{base}/{{tenantid}}/v2.0"))]);
    Ok(issuer)
}

/// A key as Microsoft publishes it: without `alg`, with the issuer that it signs for, which may have `{tenantid}` in it.
pub fn jwk(key: &SigningKey, issuer: &str) -> Value {
    let mut jwk = key.jwk();
    if let Some(members) = jwk.as_object_mut() {
        members.remove("alg");
        members.insert("x5t".into(), key.kid().into());
        members.insert("issuer".into(), issuer.into());
        members.insert("cloud_instance_name".into(), "microsoftonline.com".into());
    }
    jwk
}

/// The address comes without a word on whether it is verified, and may be anybody's.
fn describe(person: &Person) -> Value {
    json!({ "sub": person.sub, "name": person.name, "preferred_username": person.email, "email": person.email })
}

fn discovery(base: &str) -> Value {
    json!({
        "token_endpoint": format!("{base}/common/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": [
            "client_secret_post", "private_key_jwt", "client_secret_basic", "self_signed_tls_client_auth"
        ],
        "jwks_uri": format!("{base}/common/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{base}/{{tenantid}}/v2.0"),
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": format!("{base}/graph/oidc/userinfo"),
        "authorization_endpoint": format!("{base}/common/oauth2/v2.0/authorize"),
        "http_logout_supported": true,
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "aud", "exp", "iat", "auth_time", "acr", "nonce",
            "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email"
        ],
        "tenant_region_scope": null,
        "cloud_instance_name": "microsoftonline.com"
    })
}

/// `GET /microsoft/{tenant}/v2.0/.well-known/openid-configuration`: `common` and `organizations` name no tenant.
pub(super) async fn discovery_of_tenant(
    issuer: web::Data<Issuer>,
    tenant: web::Path<String>,
) -> HttpResponse {
    let mut document = issuer.discovery();
    let tenant = match tenant.as_str() {
        "common" | "organizations" => "{tenantid}",
        "consumers" => PERSONAL_TENANT,
        other => other,
    };
    if let Some(issuer) = document["issuer"].as_str() {
        document["issuer"] = issuer.replace("{tenantid}", tenant).into();
    }
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "max-age=86400, private")).json(document)
}
