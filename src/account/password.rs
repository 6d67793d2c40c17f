//! A password as one more way in, on an account whose e-mail a provider has verified: nobody can wait in a stranger's
//! address with a password of their own.

use secrecy::SecretString;
use serde_json::json;

use super::acting_user::ActingUser;
use super::audit::signed_in;
use super::revocation::end_everything;
use super::sign_in::SignIn;
use super::{AccountError, addresses};
use crate::authentication::{self, Authentication, NotRecent, Recency};
use crate::clock::Timestamp;
use crate::db::users::UserWithHash;
use crate::db::{Db, DbConn, DbError, events, identities, password_hashes, users};
use crate::event::{EventKind, Origin};
use crate::password::{HashedPassword, Passwords, Verdict};
use crate::user::{User, UserId};

/// The method of a sign-in, for the audit trail.
pub const METHOD: &str = authentication::PASSWORD;

/// Signs in with an e-mail (compared in NFC, ASCII letters without case) and a password. Whether there is no such user, no
/// password or another one: the same work, the same refusal.
///
/// # Errors
/// [`AccountError::InvalidCredentials`], [`AccountError::Disabled`] with the right password only, [`AccountError::Password`].
pub async fn sign_in(
    db: &Db,
    passwords: &Passwords,
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
    let owner = user.id.into();
    if rehash.is_none() && !found.password_sign_ins.is_due(owner, origin.ip, origin.at) {
        return Ok(signed_in_now(found.user, origin.at));
    }
    let origin = origin.by(user.id);
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
        let mut recent = locked.password_sign_ins;
        if recent.is_due(owner, origin.ip, origin.at) {
            recent.record(owner, origin.ip, origin.at);
            password_hashes::set_sign_ins(conn, user.id, &recent)?;
            signed_in(conn, user.id, METHOD, &origin)?;
            user.last_login_at = Some(origin.at);
        }
        Ok(Ok(signed_in_now(user, origin.at)))
    })
    .await?
}

fn signed_in_now(user: User, now: Timestamp) -> SignIn {
    let authentication = Authentication { auth_time: now.0, idp: METHOD.to_owned() };
    SignIn { user, created: false, authentication: Some(authentication) }
}

/// Attaches or changes the password of `caller`. `current` must be the one that is set; in its place counts a recent sign-in by a
/// provider, so that a person who forgot the password, or whose account a thief gave one, can set another. A change ends every token
/// and session, the caller's own included; the first password ends nothing.
///
/// # Errors
/// Returns [`AccountError::Password`] for a password that is not accepted, [`AccountError::WrongPassword`],
/// [`AccountError::NotRecent`], [`AccountError::EmailRequired`] or [`AccountError::EmailInUse`].
pub async fn set(
    db: &Db,
    passwords: &Passwords,
    caller: &ActingUser,
    new: SecretString,
    proof: Proof,
    origin: &Origin,
) -> Result<(), AccountError> {
    let found = prove(db, passwords, caller.user.id, proof).await?;
    let new = passwords.hash(new, caller.user.email.as_deref()).await?;
    let (caller, origin) = (caller.clone(), origin.by(caller.user.id));
    let written = db.write(move |conn| {
        let Some(locked) = lock_unchanged(conn, &found)? else { return Ok(Err(AccountError::WrongPassword)) };
        if !caller.is_accepted(conn, &locked.user)? {
            return Ok(Err(AccountError::NoSuchUser));
        }
        let Some(email) = &locked.user.email else { return Ok(Err(AccountError::EmailRequired)) };
        if password_hashes::find_by_email(conn, email)?.is_some_and(|other| other.user.id != caller.user.id) {
            return Ok(Err(AccountError::EmailInUse));
        }
        password_hashes::set(conn, caller.user.id, Some(new.as_phc()), origin.at)?;
        let changed = locked.password_hash.is_some();
        if changed {
            end_everything(conn, caller.user.id, origin.at)?;
        }
        let event = origin.event(EventKind::PasswordSet, caller.user.id, json!({ "changed": changed }));
        Ok(Ok(events::insert(conn, &event)?))
    });
    match written.await {
        // The other user of this e-mail set one at the same moment.
        Err(DbError::Conflict) => Err(AccountError::EmailInUse),
        result => result?,
    }
}

/// Removes the password of `caller`, and ends every token and session. If none is set, nothing happens.
///
/// # Errors
/// Returns [`AccountError::WrongPassword`], [`AccountError::NotRecent`] or [`AccountError::LastWayIn`].
pub async fn remove(
    db: &Db,
    passwords: &Passwords,
    caller: &ActingUser,
    proof: Proof,
    origin: &Origin,
) -> Result<(), AccountError> {
    let found = prove(db, passwords, caller.user.id, proof).await?;
    if found.password_hash.is_none() {
        return Ok(());
    }
    let (caller, origin) = (caller.clone(), origin.by(caller.user.id));
    db.write(move |conn| {
        let Some(locked) = lock_unchanged(conn, &found)? else { return Ok(Err(AccountError::WrongPassword)) };
        if !caller.is_accepted(conn, &locked.user)? {
            return Ok(Err(AccountError::NoSuchUser));
        }
        if identities::list(conn, caller.user.id)?.is_empty() {
            return Ok(Err(AccountError::LastWayIn));
        }
        Ok(Ok(remove_now(conn, caller.user.id, json!({}), &origin)?))
    })
    .await?
}

/// Removes a password and ends every token and session, inside a transaction that has locked the user's row. An address that the
/// password alone kept goes with it.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub(super) fn remove_now(
    conn: &mut DbConn,
    id: UserId,
    detail: serde_json::Value,
    origin: &Origin,
) -> Result<(), DbError> {
    password_hashes::set(conn, id, None, origin.at)?;
    end_everything(conn, id, origin.at)?;
    events::insert(conn, &origin.event(EventKind::PasswordRemoved, id, detail))?;
    addresses::after_password_removal(conn, id, origin)
}

/// What a caller proves before the password is changed or removed.
pub struct Proof {
    /// The password that is set, as the caller typed it.
    pub current: Option<SecretString>,
    /// How recent the caller's sign-in is.
    pub recency: Recency,
}

impl Proof {
    /// Rejects a proof that is not enough whatever is stored, without asking the database.
    ///
    /// # Errors
    /// Returns [`NotRecent`] without a current password, if the sign-in is too old to replace it.
    pub fn check_recency(&self) -> Result<(), NotRecent> {
        if self.current.is_some() || self.recency.replaces_password() {
            return Ok(());
        }
        self.recency.check()
    }
}

/// Returns the user as stored, once the caller has proved enough. A `current_password` where none is set proves nothing.
async fn prove(
    db: &Db,
    passwords: &Passwords,
    id: UserId,
    Proof { current, recency }: Proof,
) -> Result<UserWithHash, AccountError> {
    let found = db.run(move |conn| password_hashes::find(conn, id)).await?.ok_or(AccountError::NoSuchUser)?;
    match (stored_hash(&found)?, current) {
        (Some(stored), Some(current)) => {
            if passwords.verify(current, Some(stored)).await? == Verdict::Wrong {
                return Err(AccountError::WrongPassword);
            }
        }
        (Some(_), None) if recency.replaces_password() => {}
        (stored, _) => {
            recency.check()?;
            if stored.is_some() {
                return Err(AccountError::WrongPassword);
            }
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
