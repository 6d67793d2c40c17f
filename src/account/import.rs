//! Users of another service, as it exports them: the same people, let in by the same providers.
//!
//! What an export says of a person is believed as far as it was proved there: an address only when it was verified, an identity
//! by the provider's own id. Whoever is here already is left as they are.

use serde_json::json;
use uuid::Uuid;

use super::audit::linked;
use crate::clock::Timestamp;
use crate::db::{DbConn, DbError, events, identities, users};
use crate::event::{EventKind, Origin};
use crate::recent_sign_ins::RecentSignIns;
use crate::user::{Identity, IdentityKey, User, UserId};

/// A person, cleaned and ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedUser {
    /// The id here.
    pub id: UserId,
    /// An address that was verified there.
    pub email: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// An `https://` URL.
    pub avatar_url: Option<String>,
    /// Was not let in there.
    pub disabled: bool,
    /// When the account was made there.
    pub created_at: Timestamp,
    /// The last sign-in there.
    pub last_login_at: Option<Timestamp>,
}

/// A way in, as the other service had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedIdentity {
    /// By whom and for whom.
    pub key: IdentityKey,
    /// The address the provider gave, verified or not.
    pub email: Option<String>,
    /// The provider had verified it.
    pub email_verified: bool,
    /// When it was first used there; null when it is not told.
    pub created_at: Option<Timestamp>,
    /// When it was last used there.
    pub last_used_at: Option<Timestamp>,
}

/// What became of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserOutcome {
    /// Written.
    Imported,
    /// There is a user of this id, who is left as they are. Whether there is a way in, too.
    Here {
        /// At least one identity.
        way_in: bool,
    },
}

/// What became of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityOutcome {
    /// Written.
    Imported {
        /// The user had none before.
        first: bool,
    },
    /// It lets this user in already.
    Here,
    /// It lets somebody else in.
    Taken(UserId),
    /// There is no such user.
    NoSuchUser,
}

/// Writes a user who is not here yet, with the event.
///
/// # Errors
/// [`DbError`].
pub fn user(
    conn: &mut DbConn,
    imported: &ImportedUser,
    from: &str,
    origin: &Origin,
) -> Result<UserOutcome, DbError> {
    if users::find(conn, imported.id)?.is_some() {
        let way_in = !identities::list(conn, imported.id)?.is_empty();
        return Ok(UserOutcome::Here { way_in });
    }
    let user = User {
        id: imported.id,
        email: imported.email.clone(),
        name: imported.name.clone(),
        avatar_url: imported.avatar_url.clone(),
        // Who administers here is decided here.
        admin: false,
        disabled: imported.disabled,
        token_version: 0,
        created_at: imported.created_at,
        last_login_at: imported.last_login_at,
        own_name: false,
        own_avatar: false,
        has_password: false,
        revoked_at: None,
    };
    users::insert(conn, &user)?;
    events::insert(conn, &origin.event(EventKind::UserImported, user.id, json!({ "from": from })))?;
    Ok(UserOutcome::Imported)
}

/// Writes an identity of a user who is here, with the event.
///
/// # Errors
/// [`DbError`].
pub fn identity(
    conn: &mut DbConn,
    user_id: UserId,
    imported: &ImportedIdentity,
    origin: &Origin,
) -> Result<IdentityOutcome, DbError> {
    if let Some((_, owner)) = identities::find_with_user(conn, &imported.key)? {
        return Ok(if owner.id == user_id {
            IdentityOutcome::Here
        } else {
            IdentityOutcome::Taken(owner.id)
        });
    }
    let Some(locked) = users::lock(conn, user_id)? else { return Ok(IdentityOutcome::NoSuchUser) };
    let others = identities::list(conn, user_id)?;
    // The address that the user has follows one identity, which must have given that very address.
    let same = |email: &str| locked.user.email.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(email));
    let gives_email = imported.email_verified
        && imported.email.as_deref().is_some_and(same)
        && !others.iter().any(|other| other.gives_email);
    let created_at = imported.created_at.unwrap_or(locked.user.created_at);
    let identity = Identity {
        id: Uuid::now_v7(),
        user_id,
        provider: imported.key.provider.clone(),
        provider_id: imported.key.provider_id.clone(),
        email: imported.email.clone(),
        verified_email: imported.email.clone().filter(|_| imported.email_verified),
        gives_email,
        created_at,
        last_used_at: imported.last_used_at.unwrap_or(created_at),
        recent_sign_ins: RecentSignIns::default(),
    };
    identities::insert(conn, &identity)?;
    linked(conn, &identity, "import", origin)?;
    Ok(IdentityOutcome::Imported { first: others.is_empty() })
}
