//! Events that more than one rule appends.

use std::time::Duration;

use serde_json::json;

use crate::db::{Db, DbConn, DbError, events, users};
use crate::event::{EventKind, Origin};
use crate::user::{Identity, UserId};

/// How long a refused sign-in waits for its event to be written. The refusal itself needs no database, and a slow one must
/// not hold it up; the event is written all the same.
const PATIENCE_FOR_A_REFUSAL: Duration = Duration::from_millis(500);

/// Appends a refused sign-in to the audit trail. `user_id` only when the credential was proved. That it cannot be written is
/// logged and changes nothing for the client.
pub async fn record_refusal(db: &Db, method: &str, code: &str, user_id: Option<UserId>, origin: &Origin) {
    let detail = json!({ "method": method, "code": code });
    let event = origin.event(EventKind::SignInRefused, user_id, detail);
    let db = db.clone();
    let written = tokio::spawn(async move {
        if let Err(error) = db.write(move |conn| events::insert(conn, &event)).await {
            log::warn!("a refused sign-in is not in the audit trail: {error}");
        }
    });
    let _ = tokio::time::timeout(PATIENCE_FOR_A_REFUSAL, written).await;
}

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
