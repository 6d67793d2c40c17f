//! The way back for a provider that has the browser post its answer as a form (OAuth 2.0 Form Post Response Mode), Apple.
//!
//! Such a request comes from another site with a method that is not safe, so browsers send no `SameSite=Lax` cookie with it, and
//! the sign-in under way is in one. `SameSite=None` would hand that cookie to every site. Instead the form is answered with a
//! redirect to the same address with `GET`: a navigation of the whole page, with which Lax cookies are sent (RFC 6265bis §5.2), and
//! from there on it is as at any other provider. Nothing is believed, stored or looked up here.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, REFERRER_POLICY};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use utoipa::ToSchema;

use super::super::body::read_bytes;
use super::super::exchange::{find_provider, find_redirect_flow};
use super::super::refusals::WithoutProvider;
use super::callback::MAX_CODE_BYTES;
use super::callback_url;
use crate::error::{ApiError, Code, Problem};
use crate::state::AppState;

/// Longest `state` and `error` that are passed on, in bytes: ours have 43, and a longer one is none of ours.
const MAX_BYTES: usize = 512;

/// What a provider has the browser post. Other members are ignored: an `id_token` because the code gets a better one, and Apple's
/// `user`, the person's name, because whoever sits at the browser can write what he likes there.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ReturnedForm {
    /// As we sent it.
    state: Option<String>,
    /// For our eyes only.
    #[schema(value_type = Option<String>)]
    code: Option<SecretString>,
    /// Instead of a code.
    error: Option<String>,
}

/// The way back from a provider that posts a form
///
/// Apple's, and that of a provider with `response_mode = "form_post"`. Goes on to the same address with `GET`.
#[utoipa::path(
    post,
    path = "/auth/{provider}/callback",
    operation_id = "pass_on_form",
    tag = "browser",
    params(("provider" = String, Path, description = "The name of a configured provider", example = "apple")),
    request_body(content = ReturnedForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the same address, with `state` and `code` or `error` in its query"),
        (status = 400, description = "`invalid_request`: not a form, or a member twice", body = Problem, content_type = "application/problem+json"),
        (status = 405, description = "`method_not_allowed`: this provider posts no forms", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request_timeout`: the body did not arrive within `server.body_timeout`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`payload_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = Problem, content_type = "application/problem+json"),
        WithoutProvider,
    ),
)]
pub(crate) async fn pass_on_form(
    state: Data<AppState>,
    name: Path<String>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let provider = find_provider(&state, &name)?;
    if !find_redirect_flow(provider.as_ref())?.returns_by_form() {
        return Ok(not_by_form());
    }
    let form: ReturnedForm = read_form(&request, body).await?;
    let url = with_parameters(&callback_url(&state, provider.name()), &form)?;
    let mut response = super::super::browser::redirect(StatusCode::SEE_OTHER, url.as_str());
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// Reads a form-urlencoded body whose fields are not duplicated.
///
/// # Errors
/// 400, 408, 413, 415.
pub(super) async fn read_form<T: DeserializeOwned>(
    request: &HttpRequest,
    body: Payload,
) -> Result<T, ApiError> {
    let body = read_bytes(request, body).await?;
    if !request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let detail = "Content-Type must be application/x-www-form-urlencoded";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    // The error's own text may quote a value.
    serde_urlencoded::from_bytes(&body)
        .map_err(|_| ApiError::new(Code::InvalidRequest, "this is no form, or a member is there twice"))
}

/// What is too long to be what it says is left out, and missed where it is looked at.
fn with_parameters(callback: &str, form: &ReturnedForm) -> Result<Url, ApiError> {
    let mut url = Url::parse(callback).map_err(ApiError::internal)?;
    let within = |text: &Option<String>| text.clone().filter(|text| text.len() <= MAX_BYTES);
    let code =
        form.code.as_ref().map(ExposeSecret::expose_secret).filter(|code| code.len() <= MAX_CODE_BYTES);
    url.query_pairs_mut()
        .extend_pairs(within(&form.state).map(|state| ("state", state)))
        .extend_pairs(code.map(|code| ("code", code)))
        .extend_pairs(within(&form.error).map(|error| ("error", error)));
    Ok(url)
}

fn not_by_form() -> HttpResponse {
    let error = ApiError::new(Code::MethodNotAllowed, "this provider sends browsers back with GET");
    let mut response = error.error_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}
