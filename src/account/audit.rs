//! Events that more than one rule appends.

use serde_json::json;

use crate::db::{DbConn, DbError, events, users};
use crate::event::{EventKind, Origin};
use crate::user::{Identity, UserId};

/// Writes the time of a sign-in and its event, which belong together.
pub(super) fn signed_in(
    conn: &mut DbConn,
    user_id: UserId,
    method: &str,
    origin: &Origin,
) -> Result<(), DbError> {
    users::update_last_login(conn, user_id, origin.at)?;
    events::insert(conn, &origin.event(EventKind::SignInSucceeded, user_id, json!({ "method": method })))
}

/// Appends the event of a new address of the user. It names the identity whose sign-in, link or unlinking changed it, and no
/// address.
pub(super) fn email_changed(
    conn: &mut DbConn,
    user_id: UserId,
    identity: Option<&Identity>,
    origin: &Origin,
) -> Result<(), DbError> {
    let detail = identity.map_or_else(
        || json!({}),
        |identity| json!({ "provider": identity.provider, "identity_id": identity.id }),
    );
    events::insert(conn, &origin.event(EventKind::UserEmailChanged, user_id, detail))
}

/// Appends the event of a new way in.
pub(super) fn linked(
    conn: &mut DbConn,
    identity: &Identity,
    by: &str,
    origin: &Origin,
) -> Result<(), DbError> {
    let detail = json!({ "by": by, "provider": identity.provider, "identity_id": identity.id });
    events::insert(conn, &origin.event(EventKind::IdentityLinked, identity.user_id, detail))
}
