//! From a [`VerifiedIdentity`] to the [`User`] it lets in.
//!
//! Known identity: its user. Unknown: a new user; or, only with `accounts.link_verified_email`, the one user with the
//! same verified e-mail.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::audit::{linked, signed_in};
use super::{ATTEMPTS, AccountError, AccountRules, crossed, revocation};
use crate::authentication::Authentication;
use crate::clock::Timestamp;
use crate::db::users::UserWithHash;
use crate::db::{Db, DbConn, DbError, events, identities, password_hashes, spent_codes, users};
use crate::event::{EventKind, Origin};
use crate::provider::{SingleUse, VerifiedIdentity};
use crate::user::{Identity, User, UserId};

/// A sign-in that changes nothing else writes its time, and its event, at most this often, in seconds.
const LAST_LOGIN_GRANULARITY: i64 = 60 * 60;

/// Who signed in.
#[derive(Debug)]
pub struct SignIn {
    /// The user, as now stored.
    pub user: User,
    /// This was the first time.
    pub created: bool,
    /// How and when the user proved who they are; unknown for a one-time code that an earlier version sealed.
    pub authentication: Option<Authentication>,
}

/// The user of a proved identity.
struct Admitted {
    user: User,
    created: bool,
}

/// Finds or creates the user of a proved identity. Safe to repeat, and safe against itself: a hundred first logins of
/// one person at once make one user.
///
/// # Errors
/// Returns [`AccountError::Disabled`], [`AccountError::IssuedBeforeRevocation`] for an ID token from before all sessions were
/// ended, [`AccountError::UsedBefore`], or the database's error.
pub async fn sign_in(
    db: &Db,
    rules: &Arc<AccountRules>,
    identity: VerifiedIdentity,
    origin: &Origin,
) -> Result<SignIn, AccountError> {
    use_once(db, &identity).await?;
    let authentication = identity.authentication(origin.at);
    for _ in 0..ATTEMPTS {
        match admit(db, rules, &identity, origin).await {
            Err(AccountError::Db(DbError::Conflict)) => {}
            Ok(Admitted { user, .. }) if user.disabled => return Err(AccountError::Disabled(user.id)),
            Ok(Admitted { user, .. }) if identity.is_older_than(user.revoked_at) => {
                return Err(AccountError::IssuedBeforeRevocation);
            }
            Ok(Admitted { user, created }) => {
                return Ok(SignIn { user, created, authentication: Some(authentication) });
            }
            Err(error) => return Err(error),
        }
    }
    Err(crossed())
}

/// Uses up an ID token that is accepted once, on whichever replica it is presented.
///
/// # Errors
/// Returns [`AccountError::UsedBefore`], or the database's error.
pub(super) async fn use_once(db: &Db, identity: &VerifiedIdentity) -> Result<(), AccountError> {
    let Some(SingleUse { hash, until }) = identity.single_use.clone() else { return Ok(()) };
    match db.write(move |conn| spent_codes::insert_id_token(conn, &hash, until)).await {
        Err(DbError::Conflict) => Err(AccountError::UsedBefore),
        result => Ok(result?),
    }
}

/// Nothing is written for a user who may not sign in with this identity now.
async fn admit(
    db: &Db,
    rules: &Arc<AccountRules>,
    identity: &VerifiedIdentity,
    origin: &Origin,
) -> Result<Admitted, AccountError> {
    let Some((known, user)) = db.identity(identity.key()).await? else {
        return Ok(first_sign_in(db, rules, identity.clone(), origin).await?);
    };
    if user.disabled || identity.is_older_than(user.revoked_at) {
        return Ok(Admitted { user, created: false });
    }
    let visit = Visit::new(known.clone(), user.clone(), identity, origin.at);
    if (&visit.identity, &visit.user) == (&known, &user) && !rules.promote(&user) {
        return Ok(Admitted { user, created: false });
    }
    Ok(welcome_back(db, rules, user.id, identity.clone(), origin).await?)
}

/// A known identity at its user's door: both rows as they are to be.
struct Visit {
    identity: Identity,
    user: User,
    /// The time is to be written.
    due: bool,
}

impl Visit {
    fn new(mut known: Identity, mut user: User, identity: &VerifiedIdentity, now: Timestamp) -> Self {
        follow_provider(&mut known, &mut user, identity);
        let due = is_due(user.last_login_at, now) || is_due(Some(known.last_used_at), now);
        if due {
            user.last_login_at = Some(now);
            known.last_used_at = now;
        }
        Self { identity: known, user, due }
    }
}

/// Whether the time of a sign-in is to be written, given when it last was.
pub(super) fn is_due(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| now.since(last) >= LAST_LOGIN_GRANULARITY)
}

/// Takes over what the provider says now. What it does not mention stays: a token without the e-mail scope is no news.
fn follow_provider(known: &mut Identity, user: &mut User, identity: &VerifiedIdentity) {
    if identity.email.is_some() {
        known.email.clone_from(&identity.email);
        // The user's e-mail follows the identity that first gave it. Verified, or none.
        if known.gives_email || user.email.is_none() {
            user.email = identity.verified_email().map(str::to_owned);
            known.gives_email = known.gives_email || user.email.is_some();
        }
    }
    if identity.name.is_some() && !user.own_name {
        user.name.clone_from(&identity.name);
    }
    if identity.avatar_url.is_some() && !user.own_avatar {
        user.avatar_url.clone_from(&identity.avatar_url);
    }
}

/// A known identity with something to write: the profile follows the provider. Both rows are read again, since a user may
/// have changed the profile meanwhile.
///
/// # Errors
/// [`DbError::Conflict`] when the identity is not this user's any more; nothing is written then.
async fn welcome_back(
    db: &Db,
    rules: &Arc<AccountRules>,
    user_id: UserId,
    identity: VerifiedIdentity,
    origin: &Origin,
) -> Result<Admitted, DbError> {
    let (rules, origin) = (Arc::clone(rules), origin.by(user_id));
    db.write(move |conn| {
        let locked = users::lock(conn, user_id)?.ok_or(DbError::Conflict)?;
        let (known, before) = identities::find_with_user(conn, &identity.key())?
            .filter(|(known, _)| known.user_id == user_id)
            .ok_or(DbError::Conflict)?;
        if before.disabled || identity.is_older_than(before.revoked_at) {
            return Ok(Admitted { user: before, created: false });
        }
        let Visit { identity: seen, mut user, due } =
            Visit::new(known.clone(), before.clone(), &identity, origin.at);
        if user.email != before.email {
            make_room_for_email(conn, &mut user, &locked, &origin)?;
        }
        if (&user.email, &user.name, &user.avatar_url) != (&before.email, &before.name, &before.avatar_url) {
            users::update_profile(conn, &user, origin.at)?;
        }
        if due {
            signed_in(conn, user.id, &identity.provider, &origin)?;
        }
        if seen != known {
            identities::update_at_sign_in(conn, &seen)?;
        }
        promote_if_listed(conn, &rules, &mut user, &origin)?;
        Ok(Admitted { user, created: false })
    })
    .await
}

/// An identity nobody has seen.
///
/// # Errors
/// [`DbError::Conflict`] when another request has just stored it; nothing is written then.
async fn first_sign_in(
    db: &Db,
    rules: &Arc<AccountRules>,
    identity: VerifiedIdentity,
    origin: &Origin,
) -> Result<Admitted, DbError> {
    let (rules, origin) = (Arc::clone(rules), origin.clone());
    db.write(move |conn| {
        if rules.link_verified_email
            && let Some(user) = the_one_user_with(conn, identity.verified_email())?
        {
            return sign_in_by_email(conn, &rules, user, &identity, &origin);
        }
        let mut user = User {
            id: UserId::generate(),
            email: identity.verified_email().map(str::to_owned),
            name: identity.name.clone(),
            avatar_url: identity.avatar_url.clone(),
            admin: false,
            disabled: false,
            token_version: 0,
            created_at: origin.at,
            last_login_at: Some(origin.at),
            own_name: false,
            own_avatar: false,
            has_password: false,
            revoked_at: None,
        };
        let origin = origin.by(user.id);
        users::insert(conn, &user)?;
        identities::insert(conn, &new_identity(user.id, &identity, user.email.is_some(), origin.at))?;
        let detail = json!({ "method": identity.provider });
        events::insert(conn, &origin.event(EventKind::FirstSignIn, user.id, detail))?;
        promote_if_listed(conn, &rules, &mut user, &origin)?;
        Ok(Admitted { user, created: true })
    })
    .await
}

/// One more way in for a user who is there; a disabled one gets none.
fn sign_in_by_email(
    conn: &mut DbConn,
    rules: &AccountRules,
    mut user: User,
    identity: &VerifiedIdentity,
    origin: &Origin,
) -> Result<Admitted, DbError> {
    if !user.disabled && !identity.is_older_than(user.revoked_at) {
        let origin = origin.by(user.id);
        let new = new_identity(user.id, identity, false, origin.at);
        identities::insert(conn, &new)?;
        linked(conn, &new, "verified_email", &origin)?;
        signed_in(conn, user.id, &identity.provider, &origin)?;
        user.last_login_at = Some(origin.at);
        promote_if_listed(conn, rules, &mut user, &origin)?;
    }
    Ok(Admitted { user, created: false })
}

/// Several users with one address are no answer to "whose is it".
fn the_one_user_with(conn: &mut DbConn, email: Option<&str>) -> Result<Option<User>, DbError> {
    let Some(email) = email else { return Ok(None) };
    let mut found = users::find_by_email(conn, email, 2)?;
    if found.len() != 1 {
        return Ok(None);
    }
    let locked = found.pop().map(|user| users::lock(conn, user.id)).transpose()?.flatten();
    Ok(locked.map(|locked| locked.user))
}

pub(super) fn new_identity(
    user_id: UserId,
    identity: &VerifiedIdentity,
    gives_email: bool,
    now: Timestamp,
) -> Identity {
    Identity {
        id: Uuid::now_v7(),
        user_id,
        provider: identity.provider.clone(),
        provider_id: identity.provider_id.clone(),
        email: identity.email.clone(),
        gives_email,
        created_at: now,
        last_used_at: now,
    }
}

/// `admin.emails`: whoever proves to own such an address is an administrator.
pub(super) fn promote_if_listed(
    conn: &mut DbConn,
    rules: &AccountRules,
    user: &mut User,
    origin: &Origin,
) -> Result<(), DbError> {
    if rules.promote(user) {
        users::set_admin(conn, user.id, true, origin.at)?;
        events::insert(conn, &origin.by_settings().event(EventKind::UserPromoted, user.id, json!({})))?;
        user.admin = true;
    }
    Ok(())
}

/// Before this user gets another e-mail: of the users of one address only one may have a password. The one who has it there
/// keeps it; this one loses the password, and everything that is out with it, and keeps the identity just used.
pub(super) fn make_room_for_email(
    conn: &mut DbConn,
    user: &mut User,
    locked: &UserWithHash,
    origin: &Origin,
) -> Result<(), DbError> {
    let (Some(email), Some(_)) = (&user.email, &locked.password_hash) else { return Ok(()) };
    if password_hashes::find_by_email(conn, email)?.is_some_and(|other| other.user.id != user.id) {
        password_hashes::set(conn, user.id, None, origin.at)?;
        revocation::end_everything(conn, user.id, origin.at)?;
        user.token_version += 1;
        let detail = json!({ "by": "email_in_use" });
        events::insert(conn, &origin.event(EventKind::PasswordRemoved, user.id, detail))?;
    }
    Ok(())
}
