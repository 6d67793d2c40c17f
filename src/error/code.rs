//! The one table of refusals.

use actix_web::http::StatusCode;

/// Every code there is. [`Code::row`] is the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says it")]
pub enum Code {
    InvalidRequest,
    RedirectNotAllowed,
    InvalidState,
    CodeRefused,
    WeakPassword,
    InvalidToken,
    InvalidCredentials,
    InvalidClient,
    AudienceMismatch,
    IssuerMismatch,
    TokenExpired,
    NonceMismatch,
    InvalidRefreshToken,
    ReauthenticationRequired,
    UserDisabled,
    WrongPassword,
    AccessDenied,
    CsrfFailed,
    AdminRequired,
    InsufficientScope,
    UnknownProvider,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
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
            Self::RedirectNotAllowed => {
                (StatusCode::BAD_REQUEST, "redirect_not_allowed", "The way back is not allowed")
            }
            Self::InvalidState => {
                (StatusCode::BAD_REQUEST, "invalid_state", "This sign-in was not begun here, or is over")
            }
            Self::CodeRefused => (StatusCode::BAD_REQUEST, "code_refused", "The code is not accepted"),
            Self::WeakPassword => (StatusCode::BAD_REQUEST, "weak_password", "The password is too weak"),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token", "The token is not accepted"),
            Self::InvalidCredentials => {
                (StatusCode::UNAUTHORIZED, "invalid_credentials", "The e-mail or the password is wrong")
            }
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client", "The client is not accepted"),
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
            Self::ReauthenticationRequired => {
                (StatusCode::UNAUTHORIZED, "reauthentication_required", "A recent sign-in is required")
            }
            Self::UserDisabled => (StatusCode::FORBIDDEN, "user_disabled", "The account is disabled"),
            Self::WrongPassword => {
                (StatusCode::FORBIDDEN, "wrong_password", "The current password is another one")
            }
            Self::AccessDenied => (StatusCode::FORBIDDEN, "access_denied", "The sign-in was called off"),
            Self::CsrfFailed => {
                (StatusCode::FORBIDDEN, "csrf_failed", "The request does not come from our own pages")
            }
            Self::AdminRequired => {
                (StatusCode::FORBIDDEN, "admin_required", "Only administrators may do this")
            }
            Self::InsufficientScope => {
                (StatusCode::FORBIDDEN, "insufficient_scope", "The client may not do this")
            }
            Self::UnknownProvider => (StatusCode::NOT_FOUND, "unknown_provider", "There is no such provider"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Another method is expected")
            }
            Self::RequestTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body did not arrive in time")
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
