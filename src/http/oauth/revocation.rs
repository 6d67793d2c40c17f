//! `POST /oauth/revoke` (RFC 7009): the end of a refresh token, and of the session it belongs to.

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
use crate::account::sessions;
use crate::error::ApiError;
use crate::state::AppState;
use crate::token::RefreshToken;

/// A token to revoke.
// For OpenAPI only: the form is read by `Parameters`.
#[derive(Serialize, ToSchema)]
pub(super) struct RevocationBody {
    /// A refresh token.
    #[schema(example = "tbr_…")]
    token: String,
    /// Not needed: what it is, its form says.
    token_type_hint: Option<String>,
}

/// End the session of a refresh token
///
/// RFC 7009; who has the token may end it. 200 also when it has ended already or never was. An access token cannot be ended
/// alone: it runs to its end, and `POST /auth/logout-all` ends all of a user's.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    operation_id = "revoke_token",
    tag = "services",
    security((), ("client" = [])),
    request_body(content = RevocationBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is good no more; no body"),
        (status = 400, description = "`invalid_request`; `unsupported_token_type`: an access token", body = OAuthProblem),
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
        sessions::log_out(&state.db, &presented, &origin).await.map_err(ApiError::from)?;
    } else if state.verify_patiently(token).await.map_err(ApiError::from)?.is_ok() {
        return Err(OAuthError::unsupported_token_type(
            "an access token runs to its end: revoke the refresh token, or POST /auth/logout-all",
        ));
    }
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish())
}
