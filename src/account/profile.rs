//! What users may change of themselves.

use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::AccountError;
use super::acting_user::ActingUser;
use crate::db::{Db, DbConn, DbError, events, users};
use crate::event::{EventKind, Origin};
use crate::user::User;

/// What becomes of one member of a profile: in JSON absent (with `#[serde(default)]`), `null`, or a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is cleared, and the provider's next word is taken again.
    HandBack,
    /// It is the user's own from now on, whatever the provider says.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::HandBack, Self::Set))
    }
}

impl<T> Change<T> {
    /// Makes the change to a member, and to whether it is the user's own.
    fn apply(self, member: &mut Option<T>, own: &mut bool) {
        match self {
            Self::Keep => {}
            Self::HandBack => (*member, *own) = (None, false),
            Self::Set(value) => (*member, *own) = (Some(value), true),
        }
    }
}

/// A change of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The display name.
    pub name: Change<String>,
    /// The picture, an `https://` URL.
    pub avatar_url: Change<String>,
}

/// Writes a change of a profile, with its event, inside a transaction that has locked the row of `user`.
///
/// # Errors
/// [`DbError`].
pub(super) fn write(
    conn: &mut DbConn,
    user: &mut User,
    change: ProfileChange,
    origin: &Origin,
) -> Result<(), DbError> {
    let before = user.clone();
    change.name.apply(&mut user.name, &mut user.own_name);
    change.avatar_url.apply(&mut user.avatar_url, &mut user.own_avatar);
    if *user == before {
        return Ok(());
    }
    users::update_profile(conn, user, origin.at)?;
    let changed = [("name", user.name != before.name), ("avatar_url", user.avatar_url != before.avatar_url)];
    let fields: Vec<_> = changed.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect();
    if fields.is_empty() {
        return Ok(());
    }
    events::insert(conn, &origin.event(EventKind::UserUpdated, user.id, json!({ "fields": fields })))
}

/// Changes the profile of the caller (`PATCH /api/me`), and returns the user as it is then.
///
/// # Errors
/// Returns [`AccountError::NoSuchUser`] if the caller was deleted, disabled or revoked in the meantime, and [`AccountError::Db`] if
/// the database fails.
pub async fn update(
    db: &Db,
    caller: &ActingUser,
    change: ProfileChange,
    origin: &Origin,
) -> Result<User, AccountError> {
    let (caller, origin) = (caller.clone(), origin.by(caller.user.id));
    db.write(move |conn| {
        let Some(locked) = caller.lock(conn)? else { return Ok(Err(AccountError::NoSuchUser)) };
        let mut user = locked.user;
        write(conn, &mut user, change, &origin)?;
        Ok(Ok(user))
    })
    .await?
}
