//! From a [`VerifiedIdentity`] to the [`User`] it lets in.
//!
//! Known identity: its user. Unknown: a new user; or, only with `accounts.link_verified_email`, the one user with the
//! same verified e-mail.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::audit::{linked, signed_in};
use super::{ATTEMPTS, AccountError, AccountRules, addresses, crossed};
use crate::authentication::Authentication;
use crate::clock::Timestamp;
use crate::db::locks::{self, Lock};
use crate::db::{Db, DbConn, DbError, emails, events, identities, removed_identities, spent_codes, users};
use crate::email;
use crate::event::{EventKind, Origin};
use crate::provider::{SingleUse, VerifiedIdentity};
use crate::recent_sign_ins::RecentSignIns;
use crate::user::{Identity, User, UserId};

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
        return first_sign_in(db, rules, identity.clone(), origin).await?;
    };
    if user.disabled || identity.is_older_than(user.revoked_at) {
        return Ok(Admitted { user, created: false });
    }
    let visit = Visit::new(known.clone(), user.clone(), identity, origin);
    if (&visit.identity, &visit.user) == (&known, &user)
        && !may_be_promoted(db, rules, &user, identity).await?
    {
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
    fn new(mut known: Identity, mut user: User, identity: &VerifiedIdentity, origin: &Origin) -> Self {
        follow_provider(&mut known, &mut user, identity);
        let due = known.recent_sign_ins.is_due(known.id, origin.ip, origin.at);
        if due {
            user.last_login_at = Some(origin.at);
            known.last_used_at = origin.at;
            known.recent_sign_ins.record(known.id, origin.ip, origin.at);
        }
        Self { identity: known, user, due }
    }
}

/// Takes over what the provider says now. What it does not mention stays: a token without the e-mail scope is no news.
fn follow_provider(known: &mut Identity, user: &mut User, identity: &VerifiedIdentity) {
    if identity.email.is_some() {
        known.email.clone_from(&identity.email);
        known.verified_email = identity.verified_email().map(str::to_owned);
        // The user's e-mail follows the identity that first gave it. Verified, or none.
        if known.gives_email || user.email.is_none() {
            user.email.clone_from(&known.verified_email);
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
        let mut start = before.clone();
        if locked.email_unproved && identity.verified_email().is_some() {
            // Only a password keeps it, so the first identity that brings an address replaces it.
            start.email = None;
        }
        let Visit { identity: seen, mut user, due } = Visit::new(known.clone(), start, &identity, &origin);
        if seen.gives_email && !known.gives_email {
            emails::set_giver(conn, user.id, Some(seen.id))?;
        }
        addresses::given(conn, &mut user, &locked, &seen, &origin)?;
        if (&user.email, &user.name, &user.avatar_url) != (&before.email, &before.name, &before.avatar_url) {
            users::update_profile(conn, &user, origin.at)?;
        }
        if due {
            signed_in(conn, user.id, &identity.provider, &origin)?;
        }
        if seen != known {
            identities::update_at_sign_in(conn, &seen)?;
        }
        promote_if_listed(conn, &rules, &mut user, &identity, &origin)?;
        Ok(Admitted { user, created: false })
    })
    .await
}

/// Signs in with an identity that is not stored.
///
/// # Errors
/// Returns [`AccountError::IssuedBeforeRevocation`] for an ID token from before the identity was removed here, and
/// [`DbError::Conflict`] if another request has just stored it; nothing is written then.
async fn first_sign_in(
    db: &Db,
    rules: &Arc<AccountRules>,
    identity: VerifiedIdentity,
    origin: &Origin,
) -> Result<Result<Admitted, AccountError>, DbError> {
    let (rules, origin) = (Arc::clone(rules), origin.clone());
    db.write(move |conn| {
        if identity.is_older_than(removed_identities::find(conn, &identity.key())?) {
            return Ok(Err(AccountError::IssuedBeforeRevocation));
        }
        if rules.link_verified_email
            && let Some(email) = identity.verified_email()
        {
            // Another provider may bring the same address at this moment, on another replica.
            locks::take(conn, Lock::Email(email))?;
            if let Some(user) = the_one_user_with(conn, email)? {
                return sign_in_by_email(conn, &rules, user, &identity, &origin).map(Ok);
            }
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
        let mut new = new_identity(user.id, &identity, user.email.is_some(), origin.at);
        new.recent_sign_ins.record(new.id, origin.ip, origin.at);
        identities::insert(conn, &new)?;
        let detail = json!({ "method": identity.provider });
        events::insert(conn, &origin.event(EventKind::FirstSignIn, user.id, detail))?;
        promote_if_listed(conn, &rules, &mut user, &identity, &origin)?;
        Ok(Ok(Admitted { user, created: true }))
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
        let mut new = new_identity(user.id, identity, false, origin.at);
        new.recent_sign_ins.record(new.id, origin.ip, origin.at);
        identities::insert(conn, &new)?;
        linked(conn, &new, "verified_email", &origin)?;
        signed_in(conn, user.id, &identity.provider, &origin)?;
        user.last_login_at = Some(origin.at);
        promote_if_listed(conn, rules, &mut user, identity, &origin)?;
    }
    Ok(Admitted { user, created: false })
}

/// Several users with one address are no answer to "whose is it". An address that no identity stands behind is not matched.
fn the_one_user_with(conn: &mut DbConn, email: &str) -> Result<Option<User>, DbError> {
    let mut found = emails::find_proved(conn, email, 2)?;
    if found.len() != 1 {
        return Ok(None);
    }
    let locked = found.pop().map(|user| users::lock(conn, user.id)).transpose()?.flatten();
    // Unlinked since it was found: then it is that address no longer.
    let locked =
        locked.filter(|locked| !locked.email_unproved && is_same(locked.user.email.as_deref(), email));
    Ok(locked.map(|locked| locked.user))
}

fn is_same(own: Option<&str>, email: &str) -> bool {
    own.is_some_and(|own| email::folded(own) == email::folded(email))
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
        verified_email: identity.verified_email().map(str::to_owned),
        gives_email,
        created_at: now,
        last_used_at: now,
        recent_sign_ins: RecentSignIns::default(),
    }
}

/// Returns whether [`promote_if_listed`] would promote. Those who are not listed cost no query.
async fn may_be_promoted(
    db: &Db,
    rules: &AccountRules,
    user: &User,
    identity: &VerifiedIdentity,
) -> Result<bool, DbError> {
    Ok(!user.admin && rules.lists(identity) && !db.run(users::has_administrator).await?)
}

/// `admin.emails`: makes the user an administrator while there is none. A demotion is not undone by the next sign-in, as long as
/// somebody else is an administrator.
fn promote_if_listed(
    conn: &mut DbConn,
    rules: &AccountRules,
    user: &mut User,
    identity: &VerifiedIdentity,
    origin: &Origin,
) -> Result<(), DbError> {
    if user.admin || !rules.lists(identity) {
        return Ok(());
    }
    // Of two who sign in at the same moment, on two replicas, one is promoted.
    locks::take(conn, Lock::FirstAdministrator)?;
    if !users::has_administrator(conn)? {
        users::set_admin(conn, user.id, true, origin.at)?;
        events::insert(conn, &origin.by_settings().event(EventKind::UserPromoted, user.id, json!({})))?;
        user.admin = true;
    }
    Ok(())
}
