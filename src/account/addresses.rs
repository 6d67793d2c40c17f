//! Which identity gives a user the e-mail: the one that first gave an address, as long as it is linked.
//!
//! An address whose identity was unlinked would be a trap: whoever really owns it would be signed in to this account by
//! `accounts.link_verified_email`. So it goes with the identity. Only where it is the login name of a password without which
//! nobody could sign in, it stays; it is marked as unproved then, and never matched.

use serde_json::json;

use super::audit::email_changed;
use super::revocation;
use crate::db::users::UserWithHash;
use crate::db::{DbConn, DbError, emails, events, identities, password_hashes, users};
use crate::event::{EventKind, Origin};
use crate::user::{Identity, User, UserId};

/// Follows up a new address of `user` that `identity` gave and that is not written yet, inside a transaction that has locked the
/// user's row. `locked` is the row before.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) fn given(
    conn: &mut DbConn,
    user: &mut User,
    locked: &UserWithHash,
    identity: &Identity,
    origin: &Origin,
) -> Result<(), DbError> {
    if locked.email_unproved && identity.gives_email {
        emails::set_unproved(conn, user.id, false)?;
    }
    if user.email != locked.user.email {
        make_room(conn, user, locked, origin)?;
        email_changed(conn, user.id, Some(identity), origin)?;
    }
    Ok(())
}

/// Takes the address from a user whose `unlinked` identity gave it, inside a transaction that has locked the user's row, and
/// replaces it by that of the oldest remaining identity that has a verified one.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) fn after_unlinking(
    conn: &mut DbConn,
    unlinked: &Identity,
    origin: &Origin,
) -> Result<(), DbError> {
    let locked = users::lock(conn, unlinked.user_id)?.filter(|locked| locked.user.email.is_some());
    let Some(locked) = locked.filter(|_| unlinked.gives_email) else { return Ok(()) };
    let remaining = identities::list(conn, unlinked.user_id)?;
    if remaining.is_empty() && locked.password_hash.is_some() {
        // The password is the last sign-in method, and the address its login name.
        return emails::set_unproved(conn, unlinked.user_id, true);
    }
    inherit(conn, &locked, Some(unlinked), &remaining, origin)
}

/// Does the same for a user whose password was removed, if that alone kept the address.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) fn after_password_removal(conn: &mut DbConn, id: UserId, origin: &Origin) -> Result<(), DbError> {
    let locked = users::lock(conn, id)?.filter(|locked| locked.email_unproved);
    let Some(locked) = locked else { return Ok(()) };
    let remaining = identities::list(conn, id)?;
    inherit(conn, &locked, None, &remaining, origin)
}

fn inherit(
    conn: &mut DbConn,
    locked: &UserWithHash,
    unlinked: Option<&Identity>,
    remaining: &[Identity],
    origin: &Origin,
) -> Result<(), DbError> {
    let heir = remaining.iter().find(|identity| identity.verified_email.is_some());
    let mut user = locked.user.clone();
    user.email = heir.and_then(|heir| heir.verified_email.clone());
    emails::set_giver(conn, user.id, heir.map(|heir| heir.id))?;
    emails::set_unproved(conn, user.id, false)?;
    if user.email == locked.user.email {
        return Ok(());
    }
    make_room(conn, &mut user, locked, origin)?;
    if user.email.is_none() && locked.password_hash.is_some() {
        // It could not be used, and would come back to life with the next address, whoever had set it.
        remove_password(conn, &mut user, "email_removed", origin)?;
    }
    users::update_profile(conn, &user, origin.at)?;
    email_changed(conn, user.id, unlinked.or(heir), origin)
}

/// Before this user gets another e-mail: of the users of one address only one may have a password. The one who has it there
/// keeps it; this one loses the password, and everything that is out with it, and keeps the identity just used.
fn make_room(
    conn: &mut DbConn,
    user: &mut User,
    locked: &UserWithHash,
    origin: &Origin,
) -> Result<(), DbError> {
    let (Some(email), Some(_)) = (&user.email, &locked.password_hash) else { return Ok(()) };
    if password_hashes::find_by_email(conn, email)?.is_some_and(|other| other.user.id != user.id) {
        remove_password(conn, user, "email_in_use", origin)?;
    }
    Ok(())
}

fn remove_password(conn: &mut DbConn, user: &mut User, by: &str, origin: &Origin) -> Result<(), DbError> {
    password_hashes::set(conn, user.id, None, origin.at)?;
    revocation::end_everything(conn, user.id, origin.at)?;
    user.token_version += 1;
    user.has_password = false;
    let detail = json!({ "by": by });
    events::insert(conn, &origin.event(EventKind::PasswordRemoved, user.id, detail))
}
