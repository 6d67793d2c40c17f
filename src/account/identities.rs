//! Several ways in for one user: link with a bearer token and a fresh proof of the other identity, unlink, never the last.

use serde_json::json;
use uuid::Uuid;

use super::acting_user::ActingUser;
use super::audit::linked;
use super::revocation::end_everything;
use super::sign_in::{new_identity, use_once};
use super::{AccountError, addresses, write};
use crate::db::{Db, DbConn, DbError, emails, events, identities, removed_identities, users};
use crate::event::{EventKind, Origin};
use crate::provider::VerifiedIdentity;
use crate::user::Identity;

/// An identity that lets its user in.
#[derive(Debug)]
pub struct Linked {
    /// The way in.
    pub identity: Identity,
    /// It was not there before.
    pub new: bool,
}

/// Makes a proved identity one more way in for the user who is signed in as `caller`. The user's e-mail is filled from it
/// only while there is none.
///
/// # Errors
/// [`AccountError::IdentityInUse`]; [`AccountError::NoSuchUser`] when the caller was deleted or revoked meanwhile;
/// [`AccountError::IssuedBeforeRevocation`], [`AccountError::UsedBefore`].
pub async fn link(
    db: &Db,
    caller: &ActingUser,
    identity: &VerifiedIdentity,
    origin: &Origin,
) -> Result<Linked, AccountError> {
    if identity.is_older_than(caller.user.revoked_at) {
        return Err(AccountError::IssuedBeforeRevocation);
    }
    use_once(db, identity).await?;
    let (caller, identity, origin) = (caller.clone(), identity.clone(), origin.by(caller.user.id));
    // Again when somebody stored the same identity at the same moment: then it is theirs.
    write(db, move |conn| link_now(conn, &caller, &identity, &origin)).await
}

fn link_now(
    conn: &mut DbConn,
    caller: &ActingUser,
    identity: &VerifiedIdentity,
    origin: &Origin,
) -> Result<Result<Linked, AccountError>, DbError> {
    let Some(locked) = caller.lock(conn)? else { return Ok(Err(AccountError::NoSuchUser)) };
    if let Some((known, _)) = identities::find_with_user(conn, &identity.key())? {
        let own = known.user_id == caller.user.id;
        let linked = own.then_some(Linked { identity: known, new: false });
        return Ok(linked.ok_or(AccountError::IdentityInUse));
    }
    if identity.is_older_than(removed_identities::find(conn, &identity.key())?) {
        return Ok(Err(AccountError::IssuedBeforeRevocation));
    }
    let mut user = locked.user.clone();
    let fills = user.email.is_none() || locked.email_unproved;
    let gives_email = fills && identity.verified_email().is_some();
    let identity = new_identity(user.id, identity, gives_email, origin.at);
    if gives_email {
        // One that gave an address earlier, which is not verified any more, does not take it back.
        emails::set_giver(conn, user.id, None)?;
    }
    identities::insert(conn, &identity)?;
    linked(conn, &identity, "bearer", origin)?;
    if gives_email {
        user.email.clone_from(&identity.verified_email);
        addresses::given(conn, &mut user, &locked, &identity, origin)?;
        users::update_profile(conn, &user, origin.at)?;
    }
    Ok(Ok(Linked { identity, new: true }))
}

/// Unlinks an identity of a user, and ends every token and session of the user, the caller's own included: somebody may have signed
/// in by that identity. Two requests that unlink the last two at once leave one, because the user's row is locked.
///
/// `password_counts`: whether a password can be signed in with (`password.enabled`).
///
/// # Errors
/// Returns [`AccountError::NoSuchIdentity`], [`AccountError::LastWayIn`], and [`AccountError::NoSuchUser`] if the user was
/// deleted in the meantime.
pub async fn unlink(
    db: &Db,
    caller: &ActingUser,
    identity_id: Uuid,
    password_counts: bool,
    origin: &Origin,
) -> Result<(), AccountError> {
    let (caller, origin) = (caller.clone(), origin.by(caller.user.id));
    db.write(move |conn| {
        let Some(locked) = caller.lock(conn)? else { return Ok(Err(AccountError::NoSuchUser)) };
        let ways_in = identities::list(conn, caller.user.id)?;
        let Some(identity) = ways_in.iter().find(|identity| identity.id == identity_id) else {
            return Ok(Err(AccountError::NoSuchIdentity));
        };
        // Without an e-mail a password cannot be signed in with.
        let password = password_counts && locked.password_hash.is_some() && locked.user.email.is_some();
        if ways_in.len() == 1 && !password {
            return Ok(Err(AccountError::LastWayIn));
        }
        unlink_now(conn, identity, &origin)?;
        Ok(Ok(()))
    })
    .await?
}

/// Removes an identity and ends every token and session of its user, inside a transaction that has locked the user's row. The user's
/// address goes with it, if it gave that.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) fn unlink_now(conn: &mut DbConn, identity: &Identity, origin: &Origin) -> Result<(), DbError> {
    identities::delete(conn, identity.id)?;
    removed_identities::record(conn, &identity.key(), origin.at)?;
    let detail = json!({ "provider": identity.provider, "identity_id": identity.id });
    events::insert(conn, &origin.event(EventKind::IdentityUnlinked, identity.user_id, detail))?;
    addresses::after_unlinking(conn, identity, origin)?;
    end_everything(conn, identity.user_id, origin.at)
}
