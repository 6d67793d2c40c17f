//! Our refusals in the words of RFC 6749 §5.2.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::client_authentication::Method;
use crate::error::{ApiError, Code};

/// A refusal at `/oauth/*`.
#[derive(Debug)]
pub(crate) struct OAuthError {
    error: &'static str,
    refusal: Box<ApiError>,
    /// How the client that is refused tried to prove itself.
    method: Option<Method>,
}

/// The body of every refusal at `/oauth/*` (RFC 6749 §5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct OAuthProblem<'a> {
    /// One of the few words that the standard has.
    #[schema(example = "invalid_grant")]
    error: &'a str,
    /// Our own code, and what was received, what was expected, and which setting decides.
    #[schema(example = "code_refused: it was exchanged before")]
    error_description: String,
}

impl OAuthError {
    /// 400 `unsupported_grant_type`.
    pub(super) fn unsupported_grant_type() -> Self {
        let detail = "grant_type must be authorization_code, refresh_token, client_credentials or \
                      urn:ietf:params:oauth:grant-type:token-exchange";
        Self::new("unsupported_grant_type", ApiError::new(Code::InvalidRequest, detail))
    }

    /// 400 `unsupported_token_type` (RFC 7009 §2.2.1).
    pub(super) fn unsupported_token_type(detail: &str) -> Self {
        Self::new("unsupported_token_type", ApiError::new(Code::InvalidRequest, detail))
    }

    /// 400 `invalid_target` (RFC 8693 §2.2.2).
    pub(super) fn invalid_target(detail: String) -> Self {
        Self::new("invalid_target", ApiError::new(Code::InvalidRequest, detail))
    }

    /// Why a token that was to be exchanged is refused: `invalid_request`, also for a policy (RFC 8693 §2.2.2).
    pub(super) fn of_subject_token(refusal: ApiError) -> Self {
        match refusal.code() {
            Code::UserDisabled => Self::new("invalid_request", refusal),
            _ => refusal.into(),
        }
    }

    /// 401 `invalid_client`, with a challenge for whoever used `Authorization`.
    pub(super) fn invalid_client(refusal: ApiError, method: Option<Method>) -> Self {
        Self { method, ..Self::new("invalid_client", refusal) }
    }

    /// 400 `invalid_scope`.
    pub(super) fn invalid_scope(detail: String) -> Self {
        Self::new("invalid_scope", ApiError::new(Code::InvalidRequest, detail))
    }

    /// The same in our own words.
    pub(super) fn refusal(&self) -> &ApiError {
        &self.refusal
    }

    fn new(error: &'static str, refusal: ApiError) -> Self {
        Self { error, refusal: Box::new(refusal), method: None }
    }
}

impl From<ApiError> for OAuthError {
    fn from(refusal: ApiError) -> Self {
        let error = match refusal.code() {
            Code::CodeRefused | Code::UserDisabled | Code::InvalidRefreshToken => "invalid_grant",
            Code::InvalidClient => "invalid_client",
            Code::Internal => "server_error",
            Code::RateLimited
            | Code::ProviderBadAnswer
            | Code::ProviderUnavailable
            | Code::ProviderTimeout
            | Code::DatabaseUnavailable
            | Code::Overloaded => "temporarily_unavailable",
            _ => "invalid_request",
        };
        Self::new(error, refusal)
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error, self.refusal)
    }
}

impl ResponseError for OAuthError {
    fn status_code(&self) -> StatusCode {
        match (self.error, self.refusal.code()) {
            ("temporarily_unavailable", Code::RateLimited) => StatusCode::TOO_MANY_REQUESTS,
            ("temporarily_unavailable", _) => StatusCode::SERVICE_UNAVAILABLE,
            ("server_error", _) => StatusCode::INTERNAL_SERVER_ERROR,
            ("invalid_client", _) => StatusCode::UNAUTHORIZED,
            (_, Code::NotFound) => StatusCode::NOT_FOUND,
            (_, Code::RequestTimeout) => StatusCode::REQUEST_TIMEOUT,
            (_, Code::PayloadTooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (_, Code::MethodNotAllowed) => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        // When to come back is said as everywhere else; who is asked to sign in is not the user here.
        for (name, value) in self.refusal.error_response().headers() {
            if ![CONTENT_TYPE, CONTENT_LENGTH, CACHE_CONTROL, WWW_AUTHENTICATE].contains(name) {
                response.append_header((name.clone(), value.clone()));
            }
        }
        if self.method == Some(Method::Basic) {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"tokenbooth\""));
        }
        let problem = OAuthProblem { error: self.error, error_description: description(&self.refusal) };
        let mut response = response.insert_header((CACHE_CONTROL, "no-store")).json(problem);
        self.refusal.note(&mut response);
        response
    }
}

/// Our code and detail, in the characters that RFC 6749 §5.2 allows.
pub(in crate::http) fn description(refusal: &ApiError) -> String {
    let allowed = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => c,
        _ => '?',
    };
    refusal.to_string().chars().map(allowed).collect()
}
