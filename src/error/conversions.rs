//! Where each layer's own error becomes a refusal, and nowhere else.

use std::time::Duration;

use super::{ApiError, Code};
use crate::account::AccountError;
use crate::authentication::NotRecent;
use crate::db::DbError;
use crate::password::PasswordError;
use crate::provider::{Outage, OutageKind, Refusal};
use crate::rate_limit::{Exceeded, Policy};
use crate::token::TokenError;

impl From<Outage> for ApiError {
    fn from(outage: Outage) -> Self {
        let code = match outage.kind {
            OutageKind::BadAnswer => Code::ProviderBadAnswer,
            OutageKind::Unavailable => Code::ProviderUnavailable,
            OutageKind::Timeout => Code::ProviderTimeout,
        };
        Self::new(code, outage.to_string()).retry_in(outage.retry_after)
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
            Refusal::CodeRefused(detail) => Self::new(Code::CodeRefused, detail),
            Refusal::Outage(outage) => outage.into(),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        let wait = Duration::from_secs(2);
        match error {
            DbError::Unavailable(_) | DbError::ReadOnly | DbError::ClockDiffers { .. } => {
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
        let detail = match policy {
            Policy::Address | Policy::Account => {
                let policy = policy.as_str();
                format!(
                    "there were more than {burst} requests at once, or {per_minute} a minute, for one {policy}: \
                     rate_limit.{policy}_burst and rate_limit.{policy}_per_minute decide"
                )
            }
            Policy::Site => format!(
                "There were more than {burst} requests at once, or {per_minute} a minute, from one IPv6 /48. It has 16 times \
                 rate_limit.address_burst and rate_limit.address_per_minute."
            ),
            Policy::Email => format!(
                "There were more than {burst} attempts at once, or {per_minute} a minute, with one e-mail address. It has 10 \
                 times rate_limit.account_burst and rate_limit.account_per_minute."
            ),
            Policy::User => format!(
                "There were more than {burst} attempts at once, or {per_minute} a minute, with one account. It has 10 times \
                 rate_limit.account_burst and rate_limit.account_per_minute."
            ),
            Policy::FailedProofs => format!(
                "More than {per_minute} tokens or codes of this address were rejected in a minute \
                 (rate_limit.failed_per_minute)."
            ),
            Policy::FailedProofsInAll => format!(
                "More than {per_minute} tokens or codes of this provider were rejected in a minute \
                 (rate_limit.failed_in_all_per_minute), and this address has sent one of them within ten minutes."
            ),
        };
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
            AccountError::NotAdministrator => Self::admin_required(),
            AccountError::Disabled(user) => {
                let told = told(Code::UserDisabled, "this account was disabled by an administrator");
                Self { user_id: Some(user), ..told }
            }
            AccountError::IssuedBeforeRevocation => told(
                Code::InvalidToken,
                "The ID token was issued before all sessions of this account were ended, or before it was deleted. Sign in with \
                 the provider again to get a new one.",
            ),
            AccountError::UsedBefore => told(
                Code::InvalidToken,
                "This ID token was used before, and each one is accepted once (providers.<name>.single_use). Get a new one from \
                 the provider.",
            ),
            AccountError::NotRecent(error) => error.into(),
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
                told(Code::NotFound, "There is nothing with this id here.")
            }
            AccountError::LastWayIn => told(
                Code::LastIdentity,
                "without it nobody could sign in to this account again: link another identity or set a password first",
            ),
            AccountError::InvalidRefreshToken(_) => told(
                Code::InvalidRefreshToken,
                "the refresh token is not good any more, or never was: sign in again",
            ),
            AccountError::InvalidCode(problem) => told(Code::CodeRefused, problem),
            AccountError::InvalidClient(_) => told(
                Code::InvalidClient,
                "client_id and client_secret do not belong together, or to nobody here",
            ),
            AccountError::UnknownClient | AccountError::ClientDisabled => {
                told(Code::NotFound, "there is no client of this id")
            }
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

impl From<NotRecent> for ApiError {
    fn from(error: NotRecent) -> Self {
        Self::reauthentication_required(error.max_age)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::bad_bearer(error)
    }
}
