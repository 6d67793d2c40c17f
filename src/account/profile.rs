//! What users may change of themselves.

use serde::{Deserialize, Deserializer};

use super::AccountError;
use crate::clock::Timestamp;
use crate::db::{Db, DbConn, DbError, users};
use crate::user::{User, UserId};

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

/// Writes a change of a profile inside a transaction that has locked the row of `user`.
///
/// # Errors
/// [`DbError`].
pub(super) fn write(
    conn: &mut DbConn,
    user: &mut User,
    change: ProfileChange,
    now: Timestamp,
) -> Result<(), DbError> {
    let before = user.clone();
    change.name.apply(&mut user.name, &mut user.own_name);
    change.avatar_url.apply(&mut user.avatar_url, &mut user.own_avatar);
    if *user != before {
        users::update_profile(conn, user, now)?;
    }
    Ok(())
}

/// `PATCH /api/me`: the user as it is after the change.
///
/// # Errors
/// [`AccountError::NoSuchUser`], or the database's.
pub async fn update(
    db: &Db,
    id: UserId,
    change: ProfileChange,
    now: Timestamp,
) -> Result<User, AccountError> {
    db.write(move |conn| {
        let Some(locked) = users::lock(conn, id)? else { return Ok(Err(AccountError::NoSuchUser)) };
        let mut user = locked.user;
        write(conn, &mut user, change, now)?;
        Ok(Ok(user))
    })
    .await?
}
