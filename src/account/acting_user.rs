//! The user behind a request: authenticated when the request begins, and checked again in the transaction that writes the change.
//!
//! A request can take seconds between the two: its body arrives slowly, a provider is asked, a password is hashed. A user who is
//! disabled, revoked or deleted in the meantime, or whose session is ended, must not have anything written.

use uuid::Uuid;

use super::AccountError;
use crate::db::users::{self, UserWithHash};
use crate::db::{DbConn, DbError, sessions};
use crate::event::Origin;
use crate::user::{User, UserId};

/// A signed-in user, as found when the request was authenticated.
#[derive(Debug, Clone)]
pub struct ActingUser {
    /// The row as it was then.
    pub user: User,
    /// The session that the access token belongs to (`sid`), if it belongs to one.
    pub session_id: Option<Uuid>,
}

impl ActingUser {
    /// Locks the user's row and returns it. Returns `None` if the access token of the request would be rejected by now.
    ///
    /// # Errors
    /// Returns [`DbError`] if the database fails.
    pub(super) fn lock(&self, conn: &mut DbConn) -> Result<Option<UserWithHash>, DbError> {
        let Some(locked) = users::lock(conn, self.user.id)? else { return Ok(None) };
        let accepted = self.is_accepted(conn, &locked.user)?;
        Ok(accepted.then_some(locked))
    }

    /// Returns whether the access token of the request would still be accepted, in a transaction that has locked the user's row. The
    /// row of the session is locked as well, so that an end of it that was acknowledged before the change is seen here.
    ///
    /// # Errors
    /// Returns [`DbError`] if the database fails.
    pub(super) fn is_accepted(&self, conn: &mut DbConn, locked: &User) -> Result<bool, DbError> {
        if locked.disabled || locked.token_version != self.user.token_version {
            return Ok(false);
        }
        self.session_id.map_or(Ok(true), |id| sessions::lock(conn, id, self.user.id))
    }
}

/// On whose authority a user is changed, and where the change comes from.
#[derive(Debug, Clone)]
pub struct Authority {
    holder: Holder,
    pub(super) origin: Origin,
}

#[derive(Debug, Clone)]
enum Holder {
    Administrator(ActingUser),
    Operator,
    /// The user who is changed, whose right the caller of these functions checks.
    Own,
}

impl Authority {
    /// An administrator, who must still be one when the change is written.
    #[must_use]
    pub fn administrator(administrator: ActingUser, origin: &Origin) -> Self {
        let origin = origin.by(administrator.user.id);
        Self { holder: Holder::Administrator(administrator), origin }
    }

    /// The operator at the command line, who can make another administrator and may therefore remove the last one.
    #[must_use]
    pub fn operator(origin: Origin) -> Self {
        Self { holder: Holder::Operator, origin }
    }

    pub(super) fn own(origin: Origin) -> Self {
        Self { holder: Holder::Own, origin }
    }

    pub(super) fn is_operator(&self) -> bool {
        matches!(self.holder, Holder::Operator)
    }

    /// Returns why the administrator who acts may not, who is none of these who were locked. `None` if it is one of them, or no
    /// administrator acts.
    ///
    /// # Errors
    /// Returns [`DbError`] if the database fails.
    pub(super) fn missing_among(
        &self,
        conn: &mut DbConn,
        administrators: &[UserId],
    ) -> Result<Option<AccountError>, DbError> {
        let acting = match &self.holder {
            Holder::Administrator(acting) if !administrators.contains(&acting.user.id) => acting,
            _ => return Ok(None),
        };
        // Not locked, which would be against the order: the right is gone in any case.
        let accepted = match users::find(conn, acting.user.id)? {
            Some(user) => acting.is_accepted(conn, &user)?,
            None => false,
        };
        Ok(Some(if accepted { AccountError::NotAdministrator } else { AccountError::NoSuchUser }))
    }

    /// Locks the rows of the administrator who acts and of the user with this id, in the order of their ids, and returns the latter.
    ///
    /// # Errors
    /// Returns [`AccountError::NoSuchUser`] if the administrator's access token would be rejected by now,
    /// [`AccountError::NotAdministrator`] after a demotion, and [`DbError`] if the database fails.
    pub(super) fn lock_with(
        &self,
        conn: &mut DbConn,
        id: UserId,
    ) -> Result<Result<Option<User>, AccountError>, DbError> {
        let Holder::Administrator(acting) = &self.holder else {
            return Ok(Ok(users::lock(conn, id)?.map(|locked| locked.user)));
        };
        let mut ids = [id, acting.user.id];
        ids.sort_unstable();
        let mut locked = Vec::with_capacity(ids.len());
        for id in ids {
            locked.extend(users::lock(conn, id)?.map(|locked| locked.user));
        }
        let Some(administrator) = locked.iter().find(|user| user.id == acting.user.id) else {
            return Ok(Err(AccountError::NoSuchUser));
        };
        if !acting.is_accepted(conn, administrator)? {
            return Ok(Err(AccountError::NoSuchUser));
        }
        if !administrator.admin {
            return Ok(Err(AccountError::NotAdministrator));
        }
        Ok(Ok(locked.into_iter().find(|user| user.id == id)))
    }
}
