//! One-time codes: each is exchanged once, whichever replica is asked.

use uuid::Uuid;

use super::sessions::{Begun, Limit, begin_now, end_now, new_session};
use super::{AccountError, revocation};
use crate::clock::Timestamp;
use crate::db::{Db, DbConn, DbError, spent_codes, users};
use crate::event::Origin;
use crate::session::{Place, Session};
use crate::token::OneTimeCode;
use crate::user::{User, UserId};

/// How a sign-in by code is called in the audit trail.
pub const METHOD: &str = "code";

/// Exchanges a code that was unsealed and proved for its user, and begins a session at this place if one is wanted. Nothing is used
/// up unless it succeeds: a thief who lacks the verifier must not be able to burn the code.
///
/// A replay ends what the code gave, because two parties have both the code and its verifier and one of them is not the app (RFC
/// 6749 §4.1.2).
///
/// # Errors
/// [`AccountError::InvalidCode`], [`AccountError::Disabled`], or the database's.
pub async fn redeem(
    db: &Db,
    code: &OneTimeCode,
    wanted: Option<Place>,
    limit: Limit,
    origin: &Origin,
) -> Result<(User, Option<Begun>), AccountError> {
    let user_id = UserId::from(code.user_id);
    let begun = match wanted {
        None => None,
        Some(place) => {
            Some(new_session(user_id, code.token_version, code.authentication.clone(), place, origin)?)
        }
    };
    let (session, token) = begun.unzip();
    let session_id = session.as_ref().map(|session| session.id);
    let (code, origin) = (code.clone(), origin.clone());
    // The locked row of the user keeps a second exchange waiting until this one is stored, so that the loser sees it.
    let redeemed = db.write(move |conn| redeem_now(conn, &code, session.as_ref(), limit, &origin));
    let user = match redeemed.await {
        // Only if the user was deleted and a row of the same id appeared in between.
        Err(DbError::Conflict) => return Err(AccountError::InvalidCode(USED)),
        result => result??,
    };
    Ok((user, session_id.zip(token).map(|(session_id, token)| Begun { session_id, token })))
}

/// What the client is told of a replay.
const USED: &str = "it was exchanged before";

fn redeem_now(
    conn: &mut DbConn,
    code: &OneTimeCode,
    session: Option<&Session>,
    limit: Limit,
    origin: &Origin,
) -> Result<Result<User, AccountError>, DbError> {
    let user_id = UserId::from(code.user_id);
    let Some(locked) = users::lock(conn, user_id)? else {
        return Ok(Err(AccountError::InvalidCode("its user was deleted")));
    };
    if locked.user.disabled {
        return Ok(Err(AccountError::Disabled(user_id)));
    }
    if locked.user.token_version != code.token_version {
        return Ok(Err(AccountError::InvalidCode("its user's tokens were revoked")));
    }
    if let Some(used) = spent_codes::find(conn, code.id)? {
        end_what_it_gave(conn, used.session_id, user_id, &origin.by_code_replay())?;
        return Ok(Err(AccountError::InvalidCode(USED)));
    }
    spent_codes::insert(conn, code.id, session.map(|session| session.id), Timestamp(code.expires_at))?;
    if let Some(session) = session {
        begin_now(conn, session, limit, origin)?;
    }
    Ok(Ok(locked.user))
}

/// Ends the session, and with it the access tokens that name it. An access token without a session is named nowhere: it ends only
/// together with all others of its user.
fn end_what_it_gave(
    conn: &mut DbConn,
    session_id: Option<Uuid>,
    user_id: UserId,
    origin: &Origin,
) -> Result<(), DbError> {
    match session_id {
        Some(session_id) => end_now(conn, session_id, Some(user_id), origin).map(drop),
        // The user's row is locked, so there is one.
        None => revocation::revoke_tokens(conn, user_id, origin).map(drop),
    }
}
