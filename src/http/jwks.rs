//! The public keys, for services that verify our tokens by themselves.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::AppState;
use crate::token::PublicJwk;

/// A set of keys (RFC 7517 §5).
#[derive(Debug, Serialize, ToSchema)]
pub struct JwkSet {
    /// None while all tokens are signed with HS256.
    keys: Vec<PublicJwk>,
}

/// The public keys
///
/// Of every key that signs tokens, will sign them, or has signed some that are still good (RFC 7517, RFC 8037). A verifier
/// fetches them again when it meets an unknown `kid`, at most once in a while.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "public_keys", tag = "services",
    responses((status = 200, description = "The keys", body = JwkSet)))]
pub(crate) async fn public_keys(state: Data<AppState>) -> HttpResponse {
    let keys = state.tokens.keyring().public_keys(state.clock.now()).cloned().collect();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=60")).json(JwkSet { keys })
}
