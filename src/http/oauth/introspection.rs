//! `POST /oauth/introspect` (RFC 7662): what a token is, for a service that was handed it and cannot, or need not, verify it
//! itself.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer;
use super::super::callers::admit;
use super::super::limits::WithinAddressLimit;
use super::super::refresh::times;
use super::super::refusals::WithoutForm;
use super::client_authentication::authenticate;
use super::error::{OAuthError, OAuthProblem};
use super::parameters::Parameters;
use crate::account::sessions;
use crate::client::Client;
use crate::error::{ApiError, Code};
use crate::state::AppState;
use crate::token::{Claims, RefreshToken, VerifiedClaims};

/// The scope of clients that may ask about refresh tokens.
const REFRESH_TOKEN_SCOPE: &str = "introspect.refresh";

/// A token to ask about.
// For OpenAPI only: the form is read by `Parameters`.
#[derive(Serialize, ToSchema)]
pub(super) struct IntrospectionBody {
    /// Any text. Our access tokens are recognised, and refresh tokens for clients with the scope `introspect.refresh`.
    token: String,
    /// Not needed: what it is, its form says.
    token_type_hint: Option<String>,
    /// Without `Authorization: Basic`.
    client_id: Option<String>,
    /// The same.
    client_secret: Option<String>,
}

/// What a token is (RFC 7662 §2.2). Of one that is not good, nothing is there but `active`.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Introspection {
    /// It is ours and would be accepted at this moment.
    active: bool,
    /// A user's id, or `client:` and a client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10")]
    sub: Option<String>,
    /// Of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://auth.mail.com")]
    iss: Option<String>,
    /// Of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "tokenbooth")]
    aud: Option<String>,
    /// Of an access token, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// When it ends, in Unix seconds; a refresh token, unless it is used before.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// Of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// `Bearer`, or `refresh_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Bearer")]
    token_type: Option<&'static str>,
    /// What a client may do, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Of a client's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

/// What is this token?
///
/// RFC 7662, for any client that is not disabled. Of everything that would not be accepted now, another's token, a text, a disabled
/// user's, the answer is `{"active":false}` and no more; and so it is for an access token of an audience that the client is not
/// registered for, if it is registered for audiences, and for a refresh token, unless the client has the scope
/// `introspect.refresh`.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    operation_id = "introspect_token",
    tag = "services",
    security(("client" = [])),
    request_body(content = IntrospectionBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What it is", body = Introspection),
        (status = 400, description = "`invalid_request`", body = OAuthProblem),
        (status = 401, description = "`invalid_client`: no credentials of a client, or not good ones", body = OAuthProblem),
        WithoutForm,
    ),
)]
pub(crate) async fn introspect_token(
    within_limit: Result<WithinAddressLimit, ApiError>,
    state: Data<AppState>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, OAuthError> {
    within_limit?;
    let mut parameters = Parameters::read(&request, body).await?;
    let client = authenticate(&state, &request, &mut parameters).await?;
    let token = parameters.want("token")?;
    Ok(answer::ok(introspect(token.expose_secret(), &client, &state).await?.unwrap_or_default()))
}

/// Returns nothing for a token that is not valid, for whichever reason, and for one that the client may not see.
async fn introspect(
    token: &str,
    client: &Client,
    state: &AppState,
) -> Result<Option<Introspection>, ApiError> {
    if let Some(token) = RefreshToken::parse(token) {
        // A refresh token is for this service alone, and has no audience: an API that was handed one has no use for it.
        if !client.scopes.contains(REFRESH_TOKEN_SCOPE) {
            return Ok(None);
        }
        return refresh_token(&token, state).await;
    }
    let Ok(claims) = state.verify_patiently(token).await? else { return Ok(None) };
    if !client.audiences.allow(&claims.aud) {
        return Ok(None);
    }
    let Ok(verified) = VerifiedClaims::try_from(&claims) else { return Ok(None) };
    match admit(verified, state).await {
        Ok(_) => Ok(Some(Introspection::of_access_token(claims))),
        Err(refused) if refused.code() == Code::InvalidToken => Ok(None),
        Err(error) => Err(error),
    }
}

async fn refresh_token(token: &RefreshToken, state: &AppState) -> Result<Option<Introspection>, ApiError> {
    if !state.settings.refresh.enabled {
        return Ok(None);
    }
    let living = sessions::look_at(&state.db, token, &state.successor_keys(), times(state)).await?;
    Ok(living.map(|living| Introspection {
        active: true,
        sub: Some(living.user_id.to_string()),
        exp: Some(living.ends_at.0),
        token_type: Some("refresh_token"),
        ..Introspection::default()
    }))
}

impl Introspection {
    fn of_access_token(claims: Claims) -> Self {
        Self {
            active: true,
            sub: Some(claims.sub.to_string()),
            iss: Some(claims.iss),
            aud: Some(claims.aud),
            iat: Some(claims.iat),
            exp: Some(claims.exp),
            jti: Some(claims.jti),
            token_type: Some("Bearer"),
            scope: claims.scope,
            client_id: claims.client_id,
        }
    }
}
