//! What users may change of themselves.

use super::AccountError;
use crate::clock::Timestamp;
use crate::db::{Db, DbConn, DbError, users};
use crate::user::{User, UserId};

/// A change of a profile. The outer `None` leaves a member as it is; the inner one clears it and hands it back to the
/// provider, whose next word is taken again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The display name.
    pub name: Option<Option<String>>,
    /// The picture, an `https://` URL.
    pub avatar_url: Option<Option<String>>,
}

impl ProfileChange {
    /// Lays the change over the user. What the user set stays when the provider says otherwise.
    fn apply(self, user: &mut User) {
        if let Some(name) = self.name {
            user.own_name = name.is_some();
            user.name = name;
        }
        if let Some(avatar_url) = self.avatar_url {
            user.own_avatar = avatar_url.is_some();
            user.avatar_url = avatar_url;
        }
    }
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
    change.apply(user);
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
