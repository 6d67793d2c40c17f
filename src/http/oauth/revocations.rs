//! `GET /oauth/revocations`: what was revoked, for services that verify our tokens by themselves.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::error::{OAuthError, OAuthProblem};
use crate::account::revocation_feed::FeedError;
use crate::clock::Timestamp;
use crate::error::{ApiError, Code};
use crate::state::AppState;

/// Whose tokens were ended before their time
///
/// A JWS (`typ` is `revocations+jwt`) by a key of `/.well-known/jwks.json`, with `iss`, `iat`, `exp`, `users`: an object of
/// user ids, each with the number that a token's `ver` must reach, and `clients`: a list of client ids without a good token.
/// Ask again every few seconds with the last `iat` as `since`; what was told already may come again. Without `since`:
/// everything that still ends a token.
#[utoipa::path(
    get,
    path = "/oauth/revocations",
    operation_id = "list_revocations",
    tag = "services",
    params(("since" = Option<i64>, Query, description = "`iat` of the statement before, in Unix seconds", minimum = 0)),
    responses(
        (status = 200, description = "The statement", body = String, content_type = "application/jwt"),
        (status = 400, description = "`invalid_request`", body = OAuthProblem),
        (status = 404, description = "`invalid_request`: all tokens are signed with HS256, and nobody could verify a statement", body = OAuthProblem),
        (status = 503, description = "`temporarily_unavailable`, with `Retry-After`", body = OAuthProblem),
    ),
)]
pub(crate) async fn list_revocations(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, OAuthError> {
    let since = since(request.query_string())?;
    let statement = state.revocation_feed.statement(&state.db, &state.tokens, &*state.clock, since).await;
    let statement = statement.map_err(|error| match error {
        FeedError::NoKey => ApiError::new(Code::NotFound, error.to_string()),
        FeedError::Db(error) => error.into(),
        FeedError::Signing(error) => ApiError::internal(error),
    })?;
    Ok(HttpResponse::Ok()
        .content_type("application/jwt")
        .insert_header((CACHE_CONTROL, "public, max-age=1"))
        .body(statement.to_string()))
}

fn since(query: &str) -> Result<Option<Timestamp>, ApiError> {
    let invalid = |detail| ApiError::new(Code::InvalidRequest, detail);
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(query).map_err(|_| invalid("the query is not UTF-8"))?;
    let mut values = pairs.iter().filter(|(name, _)| name == "since").map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("since is there twice"));
    }
    // `parse` alone takes a sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value.parse().ok().filter(|_| digits);
    seconds.map(|seconds| Some(Timestamp(seconds))).ok_or_else(|| invalid("since must be Unix seconds"))
}
