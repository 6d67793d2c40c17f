//! One-time codes: each is exchanged once, whichever replica is asked.

use super::AccountError;
use crate::clock::Timestamp;
use crate::db::{Db, DbError, spent_codes, users};
use crate::token::OneTimeCode;
use crate::user::{User, UserId};

/// How a sign-in by code is called in the audit trail.
pub const METHOD: &str = "code";

/// Exchanges a code that was unsealed and proved for its user. Nothing is spent unless it succeeds: a thief who lacks the
/// verifier must not be able to burn it.
///
/// # Errors
/// [`AccountError::InvalidCode`], [`AccountError::Disabled`], or the database's.
pub async fn redeem(db: &Db, code: &OneTimeCode) -> Result<User, AccountError> {
    let (id, user_id, token_version) = (code.id, UserId::from(code.user_id), code.token_version);
    let expires_at = Timestamp(code.expires_at);
    let redeemed = db.write(move |conn| {
        let Some(locked) = users::lock(conn, user_id)? else {
            return Ok(Err(AccountError::InvalidCode("its user was deleted")));
        };
        if locked.user.disabled {
            return Ok(Err(AccountError::Disabled(user_id)));
        }
        if locked.user.token_version != token_version {
            return Ok(Err(AccountError::InvalidCode("its user's tokens were revoked")));
        }
        spent_codes::insert(conn, id, expires_at)?;
        Ok(Ok(locked.user))
    });
    match redeemed.await {
        Err(DbError::Conflict) => Err(AccountError::InvalidCode("it was exchanged before")),
        result => result?,
    }
}
