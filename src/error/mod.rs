//! What a client is told when something is wrong: one table (`code.rs`), one form (`application/problem+json`, RFC 9457).
//!
//! Each layer has its own small error enum; `conversions.rs` is the only place where one of them becomes a status. `detail`
//! says what was received, what was expected and which setting decides. It never holds a token, a secret or the
//! database's address.

mod code;
mod conversions;

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::code::Code;
use crate::rate_limit::Exceeded;
use crate::user::UserId;

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
    /// A good one came, and this scope is not in it.
    InsufficientScope(&'static str),
    /// A valid one came, and the sign-in behind it is more than this many seconds old (RFC 9470 §3).
    InsufficientAuthentication(i64),
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

    /// The bearer is a user, and no administrator.
    #[must_use]
    pub fn admin_required() -> Self {
        Self::new(Code::AdminRequired, "this route is for administrators")
    }

    /// A token that is good, of a client that may not do this.
    #[must_use]
    pub fn insufficient_scope(scope: &'static str) -> Self {
        let detail = format!("this needs a token with the scope {scope}");
        Self {
            challenge: Some(Challenge::InsufficientScope(scope)),
            ..Self::new(Code::InsufficientScope, detail)
        }
    }

    /// A valid token, and the sign-in behind it is more than `max_age` seconds old.
    #[must_use]
    pub fn reauthentication_required(max_age: i64) -> Self {
        let detail = format!(
            "This operation requires a sign-in that is at most {max_age} s old (accounts.fresh_for). Sign in to the same account \
             again, with any of its identities or its password, and repeat the request with the new access token."
        );
        Self {
            challenge: Some(Challenge::InsufficientAuthentication(max_age)),
            ..Self::new(Code::ReauthenticationRequired, detail)
        }
    }

    /// Which row of the table it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What was received, what was expected, and which setting decides.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The caller is nobody we know, and could be let in.
    pub(crate) fn wants_sign_in(&self) -> bool {
        matches!(self.challenge, Some(Challenge::Missing | Challenge::InvalidToken))
    }

    /// Leaves in the response what the access log says of it.
    pub(crate) fn note(&self, response: &mut HttpResponse) {
        let reason = self.reason.clone().unwrap_or_else(|| self.detail.clone());
        response.extensions_mut().insert(RefusalNote { code: self.code.as_str(), reason });
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
                let (policy, quota, window) = (limit.policy.as_str(), limit.burst, limit.window_seconds());
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
            Some(Challenge::InsufficientScope(scope)) => {
                let value = format!(
                    "Bearer realm=\"tokenbooth\", error=\"insufficient_scope\", \
                     error_description=\"the access token is not for this\", scope=\"{scope}\""
                );
                response.insert_header((WWW_AUTHENTICATE, value));
            }
            Some(Challenge::InsufficientAuthentication(max_age)) => {
                let value = format!(
                    "Bearer error=\"insufficient_user_authentication\", \
                     error_description=\"A more recent sign-in is required\", max_age=\"{max_age}\""
                );
                response.insert_header((WWW_AUTHENTICATE, value));
            }
            // RFC 9110 §15.5.2 wants a challenge with every 401.
            Some(Challenge::Missing) | None if status == StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"tokenbooth\""));
            }
            _ => {}
        }
        let mut response = response.json(Problem {
            kind: format!("urn:tokenbooth:error:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
        });
        self.note(&mut response);
        response
    }
}
