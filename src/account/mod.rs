//! The rules for accounts: from a [`VerifiedIdentity`] to the [`User`] it lets in.
//!
//! Known identity: its user. Unknown: a new user; or, only with `accounts.link_verified_email`, the one user with the
//! same verified e-mail.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::{Db, DbConn, DbError, identities, users};
use crate::provider::VerifiedIdentity;
use crate::settings::AccountsSettings;
use crate::user::{Identity, User, UserId};

/// A sign-in that changes nothing else writes its time at most this often, in seconds.
const LAST_LOGIN_GRANULARITY: i64 = 60 * 60;
/// Two people's first logins may cross; whoever loses finds the winner's row at the second look. A third look is for a
/// user deleted in between.
const ATTEMPTS: u32 = 3;

/// Who signed in.
#[derive(Debug)]
pub struct SignIn {
    /// The user, as now stored.
    pub user: User,
    /// This was the first time.
    pub created: bool,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The account is disabled.
    #[error("user {0} is disabled")]
    Disabled(UserId),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Finds or creates the user of a proved identity. Safe to repeat, and safe against itself: a hundred first logins of
/// one person at once make one user.
///
/// # Errors
/// [`SignInError`].
pub async fn sign_in(
    db: &Db,
    rules: AccountsSettings,
    identity: VerifiedIdentity,
    now: Timestamp,
) -> Result<SignIn, SignInError> {
    for _ in 0..ATTEMPTS {
        let signed_in = match db.identity(identity.key()).await? {
            Some((known, user)) => welcome_back(db, known, user, &identity, now).await,
            None => first_sign_in(db, rules, identity.clone(), now).await,
        };
        match signed_in {
            Err(DbError::Conflict) => {}
            Ok(SignIn { user, .. }) if user.disabled => return Err(SignInError::Disabled(user.id)),
            result => return Ok(result?),
        }
    }
    Err(DbError::Unavailable("a first sign-in met another one again and again".to_owned()).into())
}

/// A known identity: the profile follows the provider, and nothing is written when nothing changed.
async fn welcome_back(
    db: &Db,
    mut known: Identity,
    mut user: User,
    identity: &VerifiedIdentity,
    now: Timestamp,
) -> Result<SignIn, DbError> {
    if user.disabled {
        return Ok(SignIn { user, created: false });
    }
    let before = (known.clone(), user.clone());
    follow_provider(&mut known, &mut user, identity);
    let profile_changed = user != before.1;
    let due = user.last_login_at.is_none_or(|last| now.since(last) >= LAST_LOGIN_GRANULARITY)
        || now.since(known.last_used_at) >= LAST_LOGIN_GRANULARITY;
    if due {
        user.last_login_at = Some(now);
        known.last_used_at = now;
    }
    if (&known, &user) == (&before.0, &before.1) {
        return Ok(SignIn { user, created: false });
    }
    db.write(move |conn| {
        if profile_changed {
            users::update_profile(conn, &user, now)?;
        }
        if due {
            users::update_last_login(conn, user.id, now)?;
        }
        identities::update_at_sign_in(conn, &known)?;
        Ok(SignIn { user, created: false })
    })
    .await
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
    if identity.name.is_some() {
        user.name.clone_from(&identity.name);
    }
    if identity.avatar_url.is_some() {
        user.avatar_url.clone_from(&identity.avatar_url);
    }
}

/// An identity nobody has seen.
///
/// # Errors
/// [`DbError::Conflict`] when another request has just stored it; nothing is written then.
async fn first_sign_in(
    db: &Db,
    rules: AccountsSettings,
    identity: VerifiedIdentity,
    now: Timestamp,
) -> Result<SignIn, DbError> {
    db.write(move |conn| {
        if rules.link_verified_email
            && let Some(user) = the_one_user_with(conn, identity.verified_email())?
        {
            return link(conn, user, &identity, now);
        }
        let user = User {
            id: UserId::generate(),
            email: identity.verified_email().map(str::to_owned),
            name: identity.name.clone(),
            avatar_url: identity.avatar_url.clone(),
            admin: false,
            disabled: false,
            token_version: 0,
            created_at: now,
            last_login_at: Some(now),
        };
        users::insert(conn, &user)?;
        identities::insert(conn, &new_identity(user.id, &identity, user.email.is_some(), now))?;
        Ok(SignIn { user, created: true })
    })
    .await
}

/// One more way in for a user who is there; a disabled one gets none.
fn link(
    conn: &mut DbConn,
    mut user: User,
    identity: &VerifiedIdentity,
    now: Timestamp,
) -> Result<SignIn, DbError> {
    if !user.disabled {
        identities::insert(conn, &new_identity(user.id, identity, false, now))?;
        users::update_last_login(conn, user.id, now)?;
        user.last_login_at = Some(now);
    }
    Ok(SignIn { user, created: false })
}

/// Several users with one address are no answer to "whose is it".
fn the_one_user_with(conn: &mut DbConn, email: Option<&str>) -> Result<Option<User>, DbError> {
    let Some(email) = email else { return Ok(None) };
    let mut found = users::find_by_email(conn, email, 2)?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

fn new_identity(user_id: UserId, identity: &VerifiedIdentity, gives_email: bool, now: Timestamp) -> Identity {
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
