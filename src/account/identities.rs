//! Several ways in for one user: link with a bearer token and a fresh proof of the other identity, unlink, never the last.

use serde_json::json;
use uuid::Uuid;

use super::audit::linked;
use super::sign_in::{make_room_for_email, new_identity, use_once};
use super::{AccountError, write};
use crate::db::{Db, DbConn, DbError, events, identities, users};
use crate::event::{EventKind, Origin};
use crate::provider::VerifiedIdentity;
use crate::user::{Identity, User};

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
    caller: &User,
    identity: &VerifiedIdentity,
    origin: &Origin,
) -> Result<Linked, AccountError> {
    if identity.is_older_than(caller.revoked_at) {
        return Err(AccountError::IssuedBeforeRevocation);
    }
    use_once(db, identity).await?;
    let (caller, identity, origin) = (caller.clone(), identity.clone(), origin.by(caller.id));
    // Again when somebody stored the same identity at the same moment: then it is theirs.
    write(db, move |conn| link_now(conn, &caller, &identity, &origin)).await
}

fn link_now(
    conn: &mut DbConn,
    caller: &User,
    identity: &VerifiedIdentity,
    origin: &Origin,
) -> Result<Result<Linked, AccountError>, DbError> {
    let Some(locked) = users::lock(conn, caller.id)?.filter(|locked| is_still(&locked.user, caller)) else {
        return Ok(Err(AccountError::NoSuchUser));
    };
    if let Some((known, _)) = identities::find_with_user(conn, &identity.key())? {
        let own = known.user_id == caller.id;
        let linked = own.then_some(Linked { identity: known, new: false });
        return Ok(linked.ok_or(AccountError::IdentityInUse));
    }
    let mut user = locked.user.clone();
    let gives_email = user.email.is_none() && identity.verified_email().is_some();
    if gives_email {
        user.email = identity.verified_email().map(str::to_owned);
        make_room_for_email(conn, &mut user, &locked, origin)?;
        users::update_profile(conn, &user, origin.at)?;
    }
    let identity = new_identity(user.id, identity, gives_email, origin.at);
    identities::insert(conn, &identity)?;
    linked(conn, &identity, "bearer", origin)?;
    Ok(Ok(Linked { identity, new: true }))
}

/// The proof of a provider takes time. A caller who was revoked or disabled during it must not get a new way in.
pub(super) fn is_still(user: &User, caller: &User) -> bool {
    !user.disabled && user.token_version == caller.token_version
}

/// Takes a way in from a user. Two that take the last two at once leave one: the user's row is locked.
///
/// `password_counts`: whether a password can be signed in with (`password.enabled`).
///
/// # Errors
/// [`AccountError::NoSuchIdentity`], [`AccountError::LastWayIn`], [`AccountError::NoSuchUser`].
pub async fn unlink(
    db: &Db,
    caller: &User,
    identity_id: Uuid,
    password_counts: bool,
    origin: &Origin,
) -> Result<(), AccountError> {
    let (caller, origin) = (caller.clone(), origin.by(caller.id));
    db.write(move |conn| {
        let locked = users::lock(conn, caller.id)?.filter(|locked| is_still(&locked.user, &caller));
        let Some(locked) = locked else { return Ok(Err(AccountError::NoSuchUser)) };
        let ways_in = identities::list(conn, caller.id)?;
        let Some(identity) = ways_in.iter().find(|identity| identity.id == identity_id) else {
            return Ok(Err(AccountError::NoSuchIdentity));
        };
        // Without an e-mail nobody can say whose password it is.
        let password = password_counts && locked.password_hash.is_some() && locked.user.email.is_some();
        if ways_in.len() == 1 && !password {
            return Ok(Err(AccountError::LastWayIn));
        }
        Ok(Ok(unlink_now(conn, identity, &origin)?))
    })
    .await?
}

/// Removes an identity, inside a transaction that has locked its user's row.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) fn unlink_now(conn: &mut DbConn, identity: &Identity, origin: &Origin) -> Result<(), DbError> {
    identities::delete(conn, identity.id)?;
    let detail = json!({ "provider": identity.provider, "identity_id": identity.id });
    events::insert(conn, &origin.event(EventKind::IdentityUnlinked, identity.user_id, detail))
}
