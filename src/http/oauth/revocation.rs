//! `POST /oauth/revoke` (RFC 7009): ends a refresh token or an access token by the session that it belongs to.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::limits::WithinAddressLimit;
use super::super::origin::RequestOrigin;
use super::super::refusals::WithoutForm;
use super::client_authentication::authenticate_if_sent;
use super::error::{OAuthError, OAuthProblem};
use super::parameters::Parameters;
use crate::account::{AccountError, sessions};
use crate::error::ApiError;
use crate::event::Origin;
use crate::state::AppState;
use crate::token::{Claims, RefreshToken, Subject};

/// A token to revoke.
// For OpenAPI only: the form is read by `Parameters`.
#[derive(Serialize, ToSchema)]
pub(super) struct RevocationBody {
    /// A refresh token, or an access token that was issued together with one.
    #[schema(example = "tbr_…")]
    token: String,
    /// Not needed: what it is, its form says.
    token_type_hint: Option<String>,
}

/// End the session of a refresh token or an access token
///
/// RFC 7009; the token itself is the proof. All tokens of the session are rejected from the next request on. 200 also if it has ended
/// already or never existed. An access token without a session (`sid`) cannot be revoked alone; `POST /auth/logout-all` ends all of a
/// user's.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    operation_id = "revoke_token",
    tag = "services",
    security((), ("client" = [])),
    request_body(content = RevocationBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is good no more; no body"),
        (status = 400, description = "`invalid_request`; `unsupported_token_type`: an access token without a session", body = OAuthProblem),
        (status = 401, description = "`invalid_client`: credentials of a client were sent, and are not good", body = OAuthProblem),
        WithoutForm,
    ),
)]
pub(crate) async fn revoke_token(
    within_limit: Result<WithinAddressLimit, ApiError>,
    state: Data<AppState>,
    RequestOrigin(origin): RequestOrigin,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, OAuthError> {
    within_limit?;
    let mut parameters = Parameters::read(&request, body).await?;
    authenticate_if_sent(&state, &request, &mut parameters).await?;
    let token = parameters.want("token")?;
    let token = token.expose_secret();
    if let Some(presented) = RefreshToken::parse(token) {
        sessions::log_out(&state.db, presented.handle_hash(), &origin).await.map_err(ApiError::from)?;
    } else if let Ok(claims) = state.verify_patiently(token).await.map_err(ApiError::from)? {
        revoke_access_token(&state, &claims, &origin).await?;
    }
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish())
}

/// RFC 7009 §2.1: revoking an access token may end the grant behind it, which here is the session.
async fn revoke_access_token(state: &AppState, claims: &Claims, origin: &Origin) -> Result<(), OAuthError> {
    let (Subject::User(user_id), Some(session_id)) = (&claims.sub, claims.sid) else {
        return Err(OAuthError::unsupported_token_type(
            "An access token without a session cannot be revoked alone. It expires by itself, or POST /auth/logout-all ends all \
             tokens of the user.",
        ));
    };
    match sessions::end(&state.db, *user_id, session_id, origin).await {
        Ok(()) | Err(AccountError::NoSuchSession) => Ok(()),
        Err(error) => Err(ApiError::from(error).into()),
    }
}
