//! What a client is told when something is wrong: one table, one form (`application/problem+json`, RFC 9457).
//!
//! Each layer has its own small error enum; the conversions at the end of this file are the only place where one of
//! them becomes a status. `detail` says what was received, what was expected and which setting decides. It never holds
//! a token, a secret or the database's address.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::account::AccountError;
use crate::db::DbError;
use crate::password::PasswordError;
use crate::provider::{OutageKind, Refusal};
use crate::rate_limit::Exceeded;
use crate::token::TokenError;
use crate::user::UserId;

/// Every code there is. [`Code::row`] is the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says it")]
pub enum Code {
    InvalidRequest,
    WeakPassword,
    InvalidToken,
    InvalidCredentials,
    AudienceMismatch,
    IssuerMismatch,
    TokenExpired,
    NonceMismatch,
    InvalidRefreshToken,
    UserDisabled,
    WrongPassword,
    AdminRequired,
    UnknownProvider,
    NotFound,
    MethodNotAllowed,
    PayloadTooLarge,
    UnsupportedMediaType,
    IdentityInUse,
    LastIdentity,
    EmailRequired,
    EmailInUse,
    LastAdmin,
    RateLimited,
    Internal,
    ProviderBadAnswer,
    ProviderUnavailable,
    ProviderTimeout,
    DatabaseUnavailable,
    Overloaded,
}

impl Code {
    /// Status, stable code, title.
    #[must_use]
    pub fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request", "The request is malformed"),
            Self::WeakPassword => (StatusCode::BAD_REQUEST, "weak_password", "The password is too weak"),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token", "The token is not accepted"),
            Self::InvalidCredentials => {
                (StatusCode::UNAUTHORIZED, "invalid_credentials", "The e-mail or the password is wrong")
            }
            Self::AudienceMismatch => {
                (StatusCode::UNAUTHORIZED, "audience_mismatch", "The token was made for another app")
            }
            Self::IssuerMismatch => {
                (StatusCode::UNAUTHORIZED, "issuer_mismatch", "The token was made by another issuer")
            }
            Self::TokenExpired => (StatusCode::UNAUTHORIZED, "token_expired", "The token has expired"),
            Self::NonceMismatch => {
                (StatusCode::UNAUTHORIZED, "nonce_mismatch", "The token's nonce is not the one expected")
            }
            Self::InvalidRefreshToken => {
                (StatusCode::UNAUTHORIZED, "invalid_refresh_token", "The refresh token is not accepted")
            }
            Self::UserDisabled => (StatusCode::FORBIDDEN, "user_disabled", "The account is disabled"),
            Self::WrongPassword => {
                (StatusCode::FORBIDDEN, "wrong_password", "The current password is another one")
            }
            Self::AdminRequired => {
                (StatusCode::FORBIDDEN, "admin_required", "Only administrators may do this")
            }
            Self::UnknownProvider => (StatusCode::NOT_FOUND, "unknown_provider", "There is no such provider"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Another method is expected")
            }
            Self::PayloadTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "The body is too large")
            }
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body's type is not accepted",
            ),
            Self::IdentityInUse => {
                (StatusCode::CONFLICT, "identity_in_use", "This identity belongs to another account")
            }
            Self::LastIdentity => (StatusCode::CONFLICT, "last_identity", "This is the last way in"),
            Self::EmailRequired => {
                (StatusCode::CONFLICT, "email_required", "The account has no verified e-mail")
            }
            Self::EmailInUse => {
                (StatusCode::CONFLICT, "email_in_use", "Another account of this e-mail has a password")
            }
            Self::LastAdmin => (StatusCode::CONFLICT, "last_admin", "There must be an administrator"),
            Self::RateLimited => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "There were too many requests")
            }
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something is wrong on our side")
            }
            Self::ProviderBadAnswer => {
                (StatusCode::BAD_GATEWAY, "provider_unavailable", "The provider is in trouble")
            }
            Self::ProviderUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", "The provider cannot be asked now")
            }
            Self::ProviderTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "provider_unavailable", "The provider does not answer in time")
            }
            Self::DatabaseUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", "The database is unavailable")
            }
            Self::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "There are too many requests now")
            }
        }
    }

    /// The stable, `snake_case` code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().1
    }
}

/// An answer that is a refusal.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: Code,
    detail: String,
    retry_after: Option<Duration>,
    limit: Option<Box<Exceeded>>,
    challenge: Option<Challenge>,
    /// What the log says beyond `detail`: the client is told less at bearer routes.
    reason: Option<String>,
    /// Who was refused, when that was proved.
    user_id: Option<UserId>,
}

/// `WWW-Authenticate` (RFC 6750 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// No credential came: say how to send one.
    Missing,
    /// One came and is not accepted.
    InvalidToken,
}

/// The body of every refusal (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Names the kind of problem: `urn:tokenbooth:error:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:tokenbooth:error:audience_mismatch")]
    kind: String,
    /// The same for every problem of this kind.
    #[schema(example = "The token was made for another app")]
    title: &'a str,
    /// The HTTP status again.
    #[schema(example = 401)]
    status: u16,
    /// What was received, what was expected, and which setting decides.
    #[schema(example = "token audience \"x-ios\" is not in providers.google.client_ids")]
    detail: &'a str,
    /// Stable and `snake_case`: what a program decides by.
    #[schema(example = "audience_mismatch")]
    code: &'a str,
}

/// Left in a response for the access log.
pub(crate) struct RefusalNote {
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

impl ApiError {
    /// A refusal with its explanation.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after: None,
            limit: None,
            challenge: None,
            reason: None,
            user_id: None,
        }
    }

    /// Something we did wrong. The client learns nothing of it, the log does.
    #[must_use]
    pub fn internal(reason: impl fmt::Display) -> Self {
        let error = Self::new(Code::Internal, "this is logged; please tell us the X-Request-Id");
        Self { reason: Some(reason.to_string()), ..error }
    }

    /// A bearer credential that is not accepted. Expired, revoked, disabled and deleted look alike to the client.
    #[must_use]
    pub fn bad_bearer(reason: impl fmt::Display) -> Self {
        let error = Self::new(
            Code::InvalidToken,
            "the access token is not valid any more, or never was: sign in again",
        );
        Self { challenge: Some(Challenge::InvalidToken), reason: Some(reason.to_string()), ..error }
    }

    /// No bearer credential at all.
    #[must_use]
    pub fn missing_bearer() -> Self {
        let detail = "this needs an access token, sent as \"Authorization: Bearer <token>\"";
        Self { challenge: Some(Challenge::Missing), ..Self::new(Code::InvalidToken, detail) }
    }

    /// Which row of the table it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Who was refused, when the credential was proved: for the audit trail.
    pub(crate) fn user_id(&self) -> Option<UserId> {
        self.user_id
    }

    fn retry_in(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.row().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code, title) = self.code.row();
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json").insert_header((CACHE_CONTROL, "no-store"));
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: coming back early would be refused again.
            let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
            response.insert_header((RETRY_AFTER, seconds.to_string()));
            if let Some(limit) = &self.limit {
                // draft-ietf-httpapi-ratelimit-headers-10: `t` is the moment of Retry-After.
                let (policy, quota, window) = (limit.policy, limit.burst, limit.window_seconds());
                response.insert_header(("ratelimit-policy", format!("\"{policy}\";q={quota};w={window}")));
                response.insert_header(("ratelimit", format!("\"{policy}\";r=0;t={seconds}")));
            }
        }
        match self.challenge {
            Some(Challenge::InvalidToken) => {
                let value = concat!(
                    "Bearer realm=\"tokenbooth\", error=\"invalid_token\", ",
                    "error_description=\"the access token is expired, revoked or not valid\""
                );
                response.insert_header((WWW_AUTHENTICATE, value));
            }
            // RFC 9110 §15.5.2 wants a challenge with every 401.
            Some(Challenge::Missing) | None if status == StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"tokenbooth\""));
            }
            _ => {}
        }
        let reason = self.reason.clone().unwrap_or_else(|| self.detail.clone());
        response.extensions_mut().insert(RefusalNote { code, reason });
        response.json(Problem {
            kind: format!("urn:tokenbooth:error:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
        })
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidToken(detail) => Self::new(Code::InvalidToken, detail),
            Refusal::AudienceMismatch(detail) => Self::new(Code::AudienceMismatch, detail),
            Refusal::IssuerMismatch(detail) => Self::new(Code::IssuerMismatch, detail),
            Refusal::TokenExpired(detail) => Self::new(Code::TokenExpired, detail),
            Refusal::NonceMismatch(detail) => Self::new(Code::NonceMismatch, detail),
            Refusal::Outage(outage) => {
                let code = match outage.kind {
                    OutageKind::BadAnswer => Code::ProviderBadAnswer,
                    OutageKind::Unavailable => Code::ProviderUnavailable,
                    OutageKind::Timeout => Code::ProviderTimeout,
                };
                Self::new(code, outage.to_string()).retry_in(outage.retry_after)
            }
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        let wait = Duration::from_secs(2);
        match error {
            DbError::Unavailable(_) => {
                let told = Self::new(
                    Code::DatabaseUnavailable,
                    "the database cannot be asked now; please try again",
                );
                Self { reason: Some(error.to_string()), ..told }.retry_in(wait)
            }
            DbError::Overloaded => Self::new(Code::Overloaded, error.to_string()).retry_in(wait),
            DbError::Conflict | DbError::Inconsistent(_) => Self::internal(error),
        }
    }
}

impl From<Exceeded> for ApiError {
    fn from(limit: Exceeded) -> Self {
        let Exceeded { policy, burst, per_minute, retry_after } = limit;
        let detail = format!(
            "there were more than {burst} requests at once, or {per_minute} a minute, for one {policy}: \
             rate_limit.{policy}_burst and rate_limit.{policy}_per_minute decide"
        );
        Self { limit: Some(Box::new(limit)), ..Self::new(Code::RateLimited, detail) }.retry_in(retry_after)
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Weak(_) => Self::new(Code::WeakPassword, error.to_string()),
            PasswordError::TooLong { .. } => Self::new(Code::InvalidRequest, error.to_string()),
            // A full queue takes about one.
            PasswordError::Overloaded => {
                Self::new(Code::Overloaded, error.to_string()).retry_in(Duration::from_secs(2))
            }
            PasswordError::Failed(_) => Self::internal(error),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let told = |code, detail: &str| Self { reason: Some(error.to_string()), ..Self::new(code, detail) };
        match error {
            // The bearer token was good when the request came in.
            AccountError::NoSuchUser => Self::bad_bearer(error),
            AccountError::Disabled(user) => {
                let told = told(Code::UserDisabled, "this account was disabled by an administrator");
                Self { user_id: Some(user), ..told }
            }
            AccountError::UnknownUser => told(Code::NotFound, "there is no user of this id"),
            AccountError::LastAdministrator => told(
                Code::LastAdmin,
                "this is the last administrator who is not disabled: make another user one first",
            ),
            AccountError::IdentityInUse => told(
                Code::IdentityInUse,
                "another account has this identity: sign in with it, and unlink it there first",
            ),
            AccountError::NoSuchIdentity | AccountError::NoSuchSession => {
                told(Code::NotFound, "you have nothing of this id")
            }
            AccountError::LastWayIn => told(
                Code::LastIdentity,
                "without it nobody could sign in to this account again: link another identity or set a password first",
            ),
            AccountError::InvalidRefreshToken(_) => told(
                Code::InvalidRefreshToken,
                "the refresh token is not good any more, or never was: sign in again",
            ),
            AccountError::InvalidCredentials => told(
                Code::InvalidCredentials,
                "e-mail and password do not belong together, or to nobody here",
            ),
            AccountError::WrongPassword => {
                told(Code::WrongPassword, "current_password must be the password that is set")
            }
            AccountError::EmailRequired => told(
                Code::EmailRequired,
                "a password needs an e-mail that a provider has verified: link an identity that has one first",
            ),
            AccountError::EmailInUse => {
                told(Code::EmailInUse, "another account of this e-mail signs in with a password already")
            }
            AccountError::Password(error) => error.into(),
            AccountError::Db(error) => error.into(),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::bad_bearer(error)
    }
}
