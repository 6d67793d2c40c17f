//! A password as one more way in, on an account whose e-mail a provider has verified: nobody can wait in a stranger's
//! address with a password of their own.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::json;

use super::audit::signed_in;
use super::identities::is_still;
use super::revocation::end_everything;
use super::sign_in::{SignIn, is_due, promote_if_listed};
use super::{AccountError, AccountRules};
use crate::db::users::UserWithHash;
use crate::db::{Db, DbConn, DbError, events, identities, password_hashes, users};
use crate::event::{EventKind, Origin};
use crate::password::{HashedPassword, Passwords, Verdict};
use crate::user::{User, UserId};

/// The method of a sign-in, for the audit trail.
pub const METHOD: &str = "password";

/// Signs in with an e-mail (ASCII letters compared without case) and a password. Whether there is no such user, no password or
/// another one: the same work, the same refusal.
///
/// # Errors
/// [`AccountError::InvalidCredentials`], [`AccountError::Disabled`] with the right password only, [`AccountError::Password`].
pub async fn sign_in(
    db: &Db,
    passwords: &Passwords,
    rules: &Arc<AccountRules>,
    email: String,
    password: SecretString,
    origin: &Origin,
) -> Result<SignIn, AccountError> {
    let found = db.run(move |conn| password_hashes::find_by_email(conn, &email)).await?;
    let stored = found.as_ref().map(stored_hash).transpose()?.flatten();
    let verdict = passwords.verify(password, stored).await?;
    let (Some(found), Verdict::Right { rehash }) = (found, verdict) else {
        return Err(AccountError::InvalidCredentials);
    };
    let user = &found.user;
    if user.disabled {
        return Err(AccountError::Disabled(user.id));
    }
    if rehash.is_none() && !is_due(user.last_login_at, origin.at) && !rules.promote(user) {
        return Ok(SignIn { user: found.user, created: false });
    }
    let (rules, origin) = (Arc::clone(rules), origin.by(user.id));
    db.write(move |conn| {
        // Changed since it was compared: what was right then is wrong now.
        let Some(locked) = lock_unchanged(conn, &found)? else {
            return Ok(Err(AccountError::InvalidCredentials));
        };
        let mut user = locked.user;
        if user.disabled {
            return Ok(Err(AccountError::Disabled(user.id)));
        }
        if let Some(rehash) = rehash {
            password_hashes::set(conn, user.id, Some(rehash.as_phc()), origin.at)?;
        }
        if is_due(user.last_login_at, origin.at) {
            signed_in(conn, user.id, METHOD, &origin)?;
            user.last_login_at = Some(origin.at);
        }
        promote_if_listed(conn, &rules, &mut user, &origin)?;
        Ok(Ok(SignIn { user, created: false }))
    })
    .await?
}

/// Attaches or changes the password of `caller`. `current` must be the one that is set, if one is. A change ends everything
/// that is out, the caller's own tokens included; the first password ends nothing.
///
/// # Errors
/// [`AccountError::Password`] for one that is not taken, [`AccountError::WrongPassword`], [`AccountError::EmailRequired`],
/// [`AccountError::EmailInUse`].
pub async fn set(
    db: &Db,
    passwords: &Passwords,
    caller: &User,
    new: SecretString,
    current: Option<SecretString>,
    origin: &Origin,
) -> Result<(), AccountError> {
    let new = passwords.hash(new).await?;
    let found = prove(db, passwords, caller.id, current).await?;
    let (caller, origin) = (caller.clone(), origin.by(caller.id));
    let written = db.write(move |conn| {
        let Some(locked) = lock_unchanged(conn, &found)? else { return Ok(Err(AccountError::WrongPassword)) };
        if !is_still(&locked.user, &caller) {
            return Ok(Err(AccountError::NoSuchUser));
        }
        let Some(email) = &locked.user.email else { return Ok(Err(AccountError::EmailRequired)) };
        if password_hashes::find_by_email(conn, email)?.is_some_and(|other| other.user.id != caller.id) {
            return Ok(Err(AccountError::EmailInUse));
        }
        password_hashes::set(conn, caller.id, Some(new.as_phc()), origin.at)?;
        let changed = locked.password_hash.is_some();
        if changed {
            end_everything(conn, caller.id, origin.at)?;
        }
        let event = origin.event(EventKind::PasswordSet, caller.id, json!({ "changed": changed }));
        Ok(Ok(events::insert(conn, &event)?))
    });
    match written.await {
        // The other user of this e-mail set one at the same moment.
        Err(DbError::Conflict) => Err(AccountError::EmailInUse),
        result => result?,
    }
}

/// Takes the password from `caller`, and ends everything that is out. That there is none is as good.
///
/// # Errors
/// [`AccountError::WrongPassword`], [`AccountError::LastWayIn`].
pub async fn remove(
    db: &Db,
    passwords: &Passwords,
    caller: &User,
    current: Option<SecretString>,
    origin: &Origin,
) -> Result<(), AccountError> {
    let found = prove(db, passwords, caller.id, current).await?;
    if found.password_hash.is_none() {
        return Ok(());
    }
    let (caller, origin) = (caller.clone(), origin.by(caller.id));
    db.write(move |conn| {
        let Some(locked) = lock_unchanged(conn, &found)? else { return Ok(Err(AccountError::WrongPassword)) };
        if !is_still(&locked.user, &caller) {
            return Ok(Err(AccountError::NoSuchUser));
        }
        if identities::list(conn, caller.id)?.is_empty() {
            return Ok(Err(AccountError::LastWayIn));
        }
        password_hashes::set(conn, caller.id, None, origin.at)?;
        end_everything(conn, caller.id, origin.at)?;
        Ok(Ok(events::insert(conn, &origin.event(EventKind::PasswordRemoved, caller.id, json!({})))?))
    })
    .await?
}

/// The user as stored, once `current` is the password that is set, or none is set.
async fn prove(
    db: &Db,
    passwords: &Passwords,
    id: UserId,
    current: Option<SecretString>,
) -> Result<UserWithHash, AccountError> {
    let found = db.run(move |conn| password_hashes::find(conn, id)).await?.ok_or(AccountError::NoSuchUser)?;
    if let Some(stored) = stored_hash(&found)? {
        let current = current.ok_or(AccountError::WrongPassword)?;
        if passwords.verify(current, Some(stored)).await? == Verdict::Wrong {
            return Err(AccountError::WrongPassword);
        }
    }
    Ok(found)
}

/// Hashing takes long, so it is done before the row is locked: this is the row, unless the password changed meanwhile.
fn lock_unchanged(conn: &mut DbConn, found: &UserWithHash) -> Result<Option<UserWithHash>, DbError> {
    let locked = users::lock(conn, found.user.id)?;
    Ok(locked.filter(|locked| locked.password_hash == found.password_hash))
}

fn stored_hash(user: &UserWithHash) -> Result<Option<HashedPassword>, DbError> {
    let hash = user.password_hash.clone().map(HashedPassword::parse).transpose();
    hash.map_err(|error| DbError::Inconsistent(format!("users.password_hash: {error}")))
}
