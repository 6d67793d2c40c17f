//! `/auth/verify`: what a proxy asks that stands before somebody else's service (nginx `auth_request`, Traefik ForwardAuth, Caddy
//! `forward_auth`, Envoy `ext_authz`): whose request is this, and may it pass? docs/PROXIES.md has the other side.
//!
//! The proxy puts the headers of the answer in the place of the visitor's own. So all of them are in every 200, empty where there
//! is nothing to say: some proxies let the visitor's own pass where there is none.
//!
//! What is wanted stands in the path and not in the query: Caddy and Envoy send the visitor's query along, which must neither
//! loosen nor break anything, and a path that is mistyped lets nobody in.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, ORIGIN};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::callers::{Caller, admit};
use super::credential::verified_claims;
use super::refusals::WithoutUser;
use crate::error::{ApiError, Code, Problem};
use crate::state::AppState;
use crate::token::TokenError;

static USER_ID: HeaderName = HeaderName::from_static("x-user-id");
static USER_EMAIL: HeaderName = HeaderName::from_static("x-user-email");
static CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");
static CLIENT_SCOPE: HeaderName = HeaderName::from_static("x-client-scope");
static SIGN_IN: HeaderName = HeaderName::from_static("x-sign-in");

/// Where proxies say what the visitor asked for.
static METHODS: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-method"), HeaderName::from_static("x-original-method")];
static URIS: [HeaderName; 2] =
    [HeaderName::from_static("x-original-uri"), HeaderName::from_static("x-forwarded-uri")];
static WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

/// What is not visible ASCII, and what says that something was encoded: one value decodes to one address.
const INVISIBLE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Who may pass.
#[derive(Clone, Copy)]
enum Wanted {
    Anyone,
    User,
    Administrator,
    Client,
}

impl Wanted {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "any" => Self::Anyone,
            "user" => Self::User,
            "admin" => Self::Administrator,
            "client" => Self::Client,
            _ => return None,
        })
    }

    /// # Errors
    /// As the extractors refuse: another kind of token is 401, a user who is no administrator 403.
    fn check(self, caller: &Caller) -> Result<(), ApiError> {
        match (self, caller) {
            (Self::User | Self::Administrator, Caller::Client(_)) => Err(TokenError::NotAUser.into()),
            (Self::Client, Caller::User(_)) => Err(TokenError::NotAClient.into()),
            (Self::Administrator, Caller::User(user)) if !user.admin => Err(ApiError::admin_required()),
            _ => Ok(()),
        }
    }
}

/// Whose request is it? For proxies
///
/// nginx `auth_request`, Traefik ForwardAuth, Caddy `forward_auth` and, under `/auth/verify/any/…`, with any method, Envoy
/// `ext_authz`. `/auth/verify/user`, `/auth/verify/admin` and `/auth/verify/client` let in only these. By cookie, an unsafe
/// `X-Forwarded-Method` or `X-Original-Method` wants the proof that the request comes from a page of ours; so does any `Origin`.
#[utoipa::path(
    get,
    path = "/auth/verify",
    operation_id = "verify",
    tag = "services",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It may pass; no body", headers(
            ("X-User-Id" = String, description = "The user's id; empty for a client"),
            ("X-User-Email" = String, description = "Verified by a provider, percent-encoded outside visible ASCII; empty when there is none"),
            ("X-Client-Id" = String, description = "The client's id; empty for a user"),
            ("X-Client-Scope" = String, description = "What the client may do, separated by spaces; empty for a user"),
        )),
        (status = 403, description = "`csrf_failed`, by cookie only; `admin_required` at `/auth/verify/admin`", body = Problem, content_type = "application/problem+json"),
        WithoutUser,
    ),
)]
pub(crate) async fn verify(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    answer(&request, Wanted::Anyone).await
}

/// `/auth/verify/{who}`, and with anything after it: Envoy puts the visitor's path there, and asks with the visitor's method.
pub(crate) async fn verify_that(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let wanted = request.match_info().get("who").and_then(Wanted::parse).ok_or_else(|| {
        let detail = "after /auth/verify/ comes any, user, admin or client";
        ApiError::new(Code::NotFound, detail)
    })?;
    answer(&request, wanted).await
}

async fn answer(request: &HttpRequest, wanted: Wanted) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(request)?;
    let judged = caller(request).await.and_then(|caller| wanted.check(&caller).map(|()| caller));
    let caller = match judged {
        Err(refusal) if refusal.wants_sign_in() => return Ok(with_way_in(&refusal, request, &state)),
        judged => judged?,
    };
    let none = || HeaderValue::from_static("");
    let value = |text: String| HeaderValue::try_from(text).map_err(ApiError::internal);
    let [user_id, email, client_id, scope] = match caller {
        Caller::User(user) => {
            let email = user.email.unwrap_or_default();
            let email = utf8_percent_encode(&email, INVISIBLE).to_string();
            [value(user.id.to_string())?, value(email)?, none(), none()]
        }
        Caller::Client(client) => {
            [none(), none(), value(client.id.to_string())?, value(client.scopes.to_string())?]
        }
    };
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((USER_ID.clone(), user_id))
        .insert_header((USER_EMAIL.clone(), email))
        .insert_header((CLIENT_ID.clone(), client_id))
        .insert_header((CLIENT_SCOPE.clone(), scope))
        .finish())
}

async fn caller(request: &HttpRequest) -> Result<Caller, ApiError> {
    let (state, claims) = verified_claims(request, needs_no_proof).await?;
    admit(claims, &state).await
}

/// Whether a cookie is enough. With `Origin` it is not, whatever the method: browsers add it to what a script of another origin
/// sends, and the service behind the proxy may let that script read its answer.
fn needs_no_proof(request: &HttpRequest) -> bool {
    is_safe(request) && !request.headers().contains_key(ORIGIN)
}

/// Whether what the visitor asks for is safe (RFC 9110 §9.2.1). nginx, Traefik and Caddy ask with GET and name the visitor's
/// method in a header, Envoy asks with the visitor's own. A visitor may send such a header, too, so one that is unsafe decides.
///
/// A WebSocket begins with a GET, and what follows need not be safe: a browser lets any page open one.
fn is_safe(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let safe = |name: &HeaderValue| Method::from_bytes(name.as_bytes()).is_ok_and(|method| method.is_safe());
    request.method().is_safe()
        && !headers.contains_key(&WEBSOCKET_KEY)
        && METHODS.iter().flat_map(|name| headers.get_all(name)).all(safe)
}

/// The refusal, and where a person signs in, for a proxy that can send browsers there; with the way back to what was asked for when
/// it can be asked for again.
fn with_way_in(refusal: &ApiError, request: &HttpRequest, state: &Data<AppState>) -> HttpResponse {
    let mut response = refusal.error_response();
    let wanted = URIS.iter().find_map(|name| request.headers().get(name)?.to_str().ok()).unwrap_or_default();
    let mut location = format!("{}/sign-in", state.public_url.path());
    if !wanted.is_empty() && is_safe(request) {
        location = format!("{location}?redirect_to={}", utf8_percent_encode(wanted, NON_ALPHANUMERIC));
    }
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(SIGN_IN.clone(), location);
    }
    response
}
