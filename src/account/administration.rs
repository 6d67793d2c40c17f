//! What administrators do to users, and the command line does in their place.
//!
//! There is always an administrator who can sign in: the last one is not disabled, demoted or deleted. Whoever could take one
//! away locks all administrators first, in the order of ids, and then the user's own row: two who demote each other at the
//! same moment do so one after the other. The command line is the operator's, who can make another one, and is not held to it.

use serde_json::json;
use uuid::Uuid;

use super::acting_user::{ActingUser, Authority};
use super::identities::unlink_now;
use super::profile::{self, Change, ProfileChange};
use super::revocation::end_everything;
use super::{AccountError, password, write};
use crate::db::{Db, DbConn, DbError, events, identities, removed_identities, sessions, user_search, users};
use crate::event::{EventKind, Origin};
use crate::user::{Identity, User, UserId};

/// A user with the ways in, as administrators see one.
#[derive(Debug)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The ways in, oldest first.
    pub identities: Vec<Identity>,
}

/// A change of a user. `None` leaves a member as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// Keep the user out, or let the user in again.
    pub disabled: Option<bool>,
    /// Make the user an administrator, or no longer one.
    pub admin: Option<bool>,
    /// As [`ProfileChange::name`].
    pub name: Change<String>,
}

impl UserChange {
    fn could_take_an_administrator(&self) -> bool {
        self.disabled == Some(true) || self.admin == Some(false)
    }
}

/// Changes a user, inside a transaction. What is already so is left alone and makes no event.
///
/// # Errors
/// [`AccountError::UnknownUser`], [`AccountError::LastAdministrator`]; [`DbError::Conflict`] when it has to be tried again.
pub fn change(
    conn: &mut DbConn,
    id: UserId,
    change: UserChange,
    authority: &Authority,
) -> Result<Result<User, AccountError>, DbError> {
    let mut user = match lock(conn, id, change.could_take_an_administrator(), authority)? {
        Ok(user) => user,
        Err(refused) => return Ok(Err(refused)),
    };
    let origin = &authority.origin;
    if let Some(disabled) = change.disabled.filter(|disabled| *disabled != user.disabled) {
        users::set_disabled(conn, id, disabled, origin.at)?;
        if disabled {
            sessions::delete_all_of(conn, id)?;
        }
        let kind = if disabled { EventKind::UserDisabled } else { EventKind::UserEnabled };
        events::insert(conn, &origin.event(kind, id, json!({})))?;
        user.disabled = disabled;
    }
    if let Some(admin) = change.admin.filter(|admin| *admin != user.admin) {
        users::set_admin(conn, id, admin, origin.at)?;
        let kind = if admin { EventKind::UserPromoted } else { EventKind::UserDemoted };
        events::insert(conn, &origin.event(kind, id, json!({})))?;
        user.admin = admin;
    }
    let profile = ProfileChange { name: change.name, avatar_url: Change::Keep };
    profile::write(conn, &mut user, profile, origin)?;
    Ok(Ok(user))
}

/// Ends every access token and every session of a user, inside a transaction.
///
/// # Errors
/// Returns [`AccountError::UnknownUser`], or the error of [`Authority`].
pub fn revoke_tokens(
    conn: &mut DbConn,
    id: UserId,
    authority: &Authority,
) -> Result<Result<(), AccountError>, DbError> {
    if let Err(refused) = lock(conn, id, false, authority)? {
        return Ok(Err(refused));
    }
    end_everything(conn, id, authority.origin.at)?;
    events::insert(conn, &authority.origin.event(EventKind::TokensRevoked, id, json!({})))?;
    Ok(Ok(()))
}

/// Unlinks an identity of a user and ends all tokens and sessions of the user, inside a transaction. The last identity, too: an
/// administrator who shuts a thief out must not be stopped by what the thief has unlinked before. `password_counts`: whether users
/// can sign in with a password (`password.enabled`).
///
/// # Errors
/// Returns [`AccountError::UnknownUser`], [`AccountError::NoSuchIdentity`] or [`AccountError::LastAdministrator`];
/// [`DbError::Conflict`] if it has to be tried again.
pub fn unlink(
    conn: &mut DbConn,
    id: UserId,
    identity_id: Uuid,
    password_counts: bool,
    authority: &Authority,
) -> Result<Result<(), AccountError>, DbError> {
    let is_last = |conn: &mut DbConn| {
        let linked = identities::list(conn, id)?;
        let password = password_counts && users::find(conn, id)?.is_some_and(|user| user.has_password);
        Ok::<_, DbError>(!password && linked.iter().all(|identity| identity.id == identity_id))
    };
    if let Err(refused) = lock_for_removal(conn, id, is_last, authority)? {
        return Ok(Err(refused));
    }
    let linked = identities::list(conn, id)?;
    let Some(identity) = linked.iter().find(|identity| identity.id == identity_id) else {
        return Ok(Err(AccountError::NoSuchIdentity));
    };
    unlink_now(conn, identity, &authority.origin)?;
    Ok(Ok(()))
}

/// Removes the password of a user and ends all tokens and sessions of the user, inside a transaction. They end also if no password
/// is set: the thief may have removed it, and an administrator who shuts a thief out should not have to know that.
///
/// # Errors
/// Returns [`AccountError::UnknownUser`] or [`AccountError::LastAdministrator`]; [`DbError::Conflict`] if it has to be tried again.
pub fn remove_password(
    conn: &mut DbConn,
    id: UserId,
    authority: &Authority,
) -> Result<Result<(), AccountError>, DbError> {
    let is_last = |conn: &mut DbConn| {
        let has_password = users::find(conn, id)?.is_some_and(|user| user.has_password);
        Ok::<_, DbError>(has_password && identities::list(conn, id)?.is_empty())
    };
    let user = match lock_for_removal(conn, id, is_last, authority)? {
        Ok(user) => user,
        Err(refused) => return Ok(Err(refused)),
    };
    let origin = &authority.origin;
    if user.has_password {
        password::remove_now(conn, id, json!({}), origin)?;
    } else {
        end_everything(conn, id, origin.at)?;
        events::insert(conn, &origin.event(EventKind::TokensRevoked, id, json!({})))?;
    }
    Ok(Ok(()))
}

/// Locks a user of whom a sign-in method is removed; before that all administrators, if it is the last one: an administrator who
/// cannot sign in is none.
fn lock_for_removal(
    conn: &mut DbConn,
    id: UserId,
    is_last: impl Fn(&mut DbConn) -> Result<bool, DbError>,
    authority: &Authority,
) -> Result<Result<User, AccountError>, DbError> {
    let before = is_last(conn)?;
    let locked = lock(conn, id, before, authority)?;
    // Another one was removed since. To lock the administrators now would be against the order.
    if locked.is_ok() && !before && is_last(conn)? {
        return Err(DbError::Conflict);
    }
    Ok(locked)
}

/// Ends all tokens and sessions of at most `limit` users after `after`, in the order of ids and inside a transaction, and returns the
/// last of them: `None` when there are no more. For a database that was restored from a backup, and for a secret that leaked.
///
/// The versions move on to `now` at least. In a restored database the next number may be one under which tokens were issued, and
/// revoked, after the backup; and no version reaches `now` by being raised one at a time.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn revoke_tokens_of_all(
    conn: &mut DbConn,
    after: Option<UserId>,
    limit: i64,
    origin: &Origin,
) -> Result<Option<UserId>, DbError> {
    let found = users::list(conn, after, limit)?;
    for user in &found {
        users::revoke_tokens_up_to(conn, user.id, origin.at.0, origin.at)?;
        sessions::delete_all_of(conn, user.id)?;
        events::insert(conn, &origin.event(EventKind::TokensRevoked, user.id, json!({ "all_users": true })))?;
    }
    Ok(found.last().map(|user| user.id))
}

/// Deletes a user with all identities and sessions, inside a transaction. The audit trail keeps the id.
///
/// # Errors
/// As [`change`].
pub fn delete(
    conn: &mut DbConn,
    id: UserId,
    authority: &Authority,
) -> Result<Result<(), AccountError>, DbError> {
    match lock(conn, id, true, authority)? {
        Ok(user) => Ok(Ok(remove(conn, &user, &authority.origin)?)),
        Err(refused) => Ok(Err(refused)),
    }
}

/// Deletes the account of the caller (`DELETE /api/me`).
///
/// # Errors
/// Returns [`AccountError::LastAdministrator`], [`AccountError::NoSuchUser`] if the caller was deleted, disabled or revoked in the
/// meantime, and [`AccountError::Db`] if the database fails.
pub async fn delete_own(db: &Db, caller: &ActingUser, origin: &Origin) -> Result<(), AccountError> {
    let (caller, origin) = (caller.clone(), origin.by(caller.user.id));
    write(db, move |conn| {
        let own = Authority::own(origin.clone());
        match lock(conn, caller.user.id, true, &own)? {
            Ok(user) if caller.is_accepted(conn, &user)? => Ok(Ok(remove(conn, &user, &origin)?)),
            Ok(_) | Err(AccountError::UnknownUser) => Ok(Err(AccountError::NoSuchUser)),
            Err(refused) => Ok(Err(refused)),
        }
    })
    .await
}

fn remove(conn: &mut DbConn, user: &User, origin: &Origin) -> Result<(), DbError> {
    for identity in identities::list(conn, user.id)? {
        removed_identities::record(conn, &identity.key(), origin.at)?;
    }
    users::delete(conn, user.id, origin.at)?;
    events::insert(conn, &origin.event(EventKind::UserDeleted, user.id, json!({})))
}

/// Locks a user for a change; before that all administrators, when the change takes one away.
fn lock(
    conn: &mut DbConn,
    id: UserId,
    takes_an_administrator: bool,
    authority: &Authority,
) -> Result<Result<User, AccountError>, DbError> {
    let ruled = takes_an_administrator && !authority.is_operator();
    let before = if ruled { users::find(conn, id)? } else { None };
    let administrators = before.filter(counts).map(|_| users::lock_administrators(conn)).transpose()?;
    if let Some(all) = &administrators {
        // Demoted since we looked. To lock the user's row now would be against the order.
        if !all.contains(&id) {
            return Err(DbError::Conflict);
        }
        if let Some(refused) = authority.missing_among(conn, all)? {
            return Ok(Err(refused));
        }
    }
    let locked = match authority.lock_with(conn, id)? {
        Ok(Some(locked)) => locked,
        Ok(None) => return Ok(Err(AccountError::UnknownUser)),
        Err(refused) => return Ok(Err(refused)),
    };
    if ruled && counts(&locked) {
        match administrators {
            // Promoted since we looked. To lock the administrators now would be against the order.
            None => return Err(DbError::Conflict),
            Some(all) => {
                if can_sign_in(conn, id)? && !another_can_sign_in(conn, &all, id)? {
                    return Ok(Err(AccountError::LastAdministrator));
                }
            }
        }
    }
    Ok(Ok(locked))
}

/// Returns whether one of these administrators, other than this one, has a sign-in method: an administrator may have lost the last
/// one to another administrator. The rows are locked, and a method is removed only under that lock.
fn another_can_sign_in(conn: &mut DbConn, administrators: &[UserId], than: UserId) -> Result<bool, DbError> {
    for id in administrators.iter().filter(|id| **id != than) {
        if can_sign_in(conn, *id)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn can_sign_in(conn: &mut DbConn, id: UserId) -> Result<bool, DbError> {
    let has_password = users::find(conn, id)?.is_some_and(|user| user.has_password);
    Ok(has_password || !identities::list(conn, id)?.is_empty())
}

/// Returns whether the user is an administrator who is not disabled.
fn counts(user: &User) -> bool {
    user.admin && !user.disabled
}

/// Users in order of creation, at most `limit`, after `after`: all, or those that [`user_search::search`] finds.
///
/// # Errors
/// [`DbError`].
pub fn list(
    conn: &mut DbConn,
    text: &str,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<Account>, DbError> {
    let found = if text.is_empty() {
        users::list(conn, after, limit)?
    } else {
        user_search::search(conn, text, after, limit)?
    };
    let mut ways_in = identities::list_of_all(conn, found.iter().map(|user| user.id))?;
    let with_ways_in = |user: User| {
        let identities = ways_in.remove(&user.id).unwrap_or_default();
        Account { user, identities }
    };
    Ok(found.into_iter().map(with_ways_in).collect())
}

/// One user.
///
/// # Errors
/// [`AccountError::UnknownUser`].
pub fn show(conn: &mut DbConn, id: UserId) -> Result<Result<Account, AccountError>, DbError> {
    let Some(user) = users::find(conn, id)? else { return Ok(Err(AccountError::UnknownUser)) };
    Ok(Ok(with_identities(conn, user)?))
}

/// A user with the ways in.
///
/// # Errors
/// [`DbError`].
pub fn with_identities(conn: &mut DbConn, user: User) -> Result<Account, DbError> {
    let identities = identities::list(conn, user.id)?;
    Ok(Account { user, identities })
}
