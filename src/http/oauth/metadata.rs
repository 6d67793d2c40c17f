//! `GET /.well-known/oauth-authorization-server` (RFC 8414): where everything is, for libraries that ask before they begin.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use crate::error::{ApiError, Code};
use crate::state::AppState;

/// How long others may keep it. It changes with the settings, and a deployment should be seen within minutes.
const CACHE: &str = "public, max-age=300";

/// What the server can do, and where (RFC 8414 §2). There is no `authorization_endpoint`: each provider has its own,
/// `/auth/{provider}/login`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerMetadata {
    /// `iss` of our tokens: `token.issuer`.
    #[schema(example = "https://auth.mail.com")]
    issuer: String,
    /// `POST /oauth/token`.
    token_endpoint: String,
    /// `POST /oauth/introspect`.
    introspection_endpoint: String,
    /// `POST /oauth/revoke`.
    revocation_endpoint: String,
    /// The keys of asymmetric signatures.
    jwks_uri: String,
    /// What `/oauth/token` takes.
    grant_types_supported: [&'static str; 4],
    /// How an app's sign-in ends.
    response_types_supported: [&'static str; 1],
    /// PKCE, never `plain`.
    code_challenge_methods_supported: [&'static str; 1],
    /// How a client proves itself at `/oauth/token`.
    token_endpoint_auth_methods_supported: [&'static str; 3],
    /// The same at `/oauth/introspect`.
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    /// At `/oauth/revoke` the token is the proof.
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    /// Beside those of clients, which are theirs.
    scopes_supported: [&'static str; 1],
}

impl ServerMetadata {
    fn of(state: &AppState) -> Self {
        let to = |path| state.public_url.to(path);
        Self {
            issuer: state.tokens.issuer().to_owned(),
            token_endpoint: to("/oauth/token"),
            introspection_endpoint: to("/oauth/introspect"),
            revocation_endpoint: to("/oauth/revoke"),
            jwks_uri: to("/.well-known/jwks.json"),
            grant_types_supported: [
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "refresh_token",
                "client_credentials",
                "authorization_code",
            ],
            response_types_supported: ["code"],
            code_challenge_methods_supported: ["S256"],
            token_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
            introspection_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
            revocation_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
            scopes_supported: ["offline_access"],
        }
    }
}

/// What this server can do, and where
///
/// RFC 8414. Of an issuer with a path it is also at `/.well-known/oauth-authorization-server/{path}`, where RFC 8414 §3.1 has
/// clients look.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "server_metadata",
    tag = "services",
    responses((status = 200, description = "The metadata", body = ServerMetadata)),
)]
pub(crate) async fn server_metadata(state: Data<AppState>) -> HttpResponse {
    answer(&state)
}

/// The same, where clients look for it that know the issuer's path. Another path is that of another issuer, whose metadata would
/// not be believed (RFC 8414 §3.3).
pub(crate) async fn server_metadata_of_issuer(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wanted = request.match_info().query("issuer").trim_end_matches('/');
    let path = Url::parse(state.tokens.issuer())
        .map(|url| url.path().trim_matches('/').to_owned())
        .unwrap_or_default();
    if path.is_empty() || wanted != path {
        return Err(ApiError::new(Code::NotFound, "no issuer of this path is here: token.issuer decides"));
    }
    Ok(answer(&state))
}

fn answer(state: &AppState) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHE)).json(ServerMetadata::of(state))
}
