//! What may be done to the ring. Each change is a transaction that keeps the others out, looks at all keys, writes one, and
//! appends what happened to the audit trail.

use serde_json::json;

use super::KeysError;
use super::store::{Store, StoreError};
use crate::clock::Timestamp;
use crate::db::{DbConn, DbError, events, signing_keys, token_secrets};
use crate::event::{EventKind, Origin};
use crate::stored_key::{KeyAlgorithm, StoredKey};
use crate::token::{KeyState, Keyring, PrivateJwk, Tokens};

/// Seconds from a rotation until the key signs: every replica has looked three times by then.
const LEAD: i64 = 3;

/// Why a key is not retired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no key of this kid; `tokenbooth keys list` shows them all")]
    Unknown,
    #[error(
        "it signs, and without it nobody could sign in: `tokenbooth keys rotate` first, and {LEAD} s later this"
    )]
    Signing,
    #[error("it signs in a moment: `--force` calls that off, and whoever holds a token of it is logged out")]
    Next,
    #[error("tokens signed with it are good until {0}: wait, or log their holders out with `--force`")]
    InUse(Timestamp),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Keys(error.into())
    }
}

impl From<DbError> for Refused {
    fn from(error: DbError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<DbError> for KeysError {
    fn from(error: DbError) -> Self {
        StoreError::from(error).into()
    }
}

/// Makes a key that is published and does not sign, and answers its `kid`.
pub(crate) fn generate(
    conn: &mut DbConn,
    store: &Store,
    algorithm: KeyAlgorithm,
    origin: &Origin,
) -> Result<String, KeysError> {
    signing_keys::lock(conn)?;
    let key = new_key(store, algorithm, origin.at)?;
    store.write(conn, &key)?;
    note(conn, EventKind::KeyGenerated, &key.id, key.algorithm, origin)?;
    Ok(key.id)
}

/// Has another key sign soon: the oldest one of the algorithm that was only added, or a new one. Without an algorithm it is
/// that of the key that signs now. Answers its `kid`. Keys that an earlier secret sealed are sealed anew.
pub(crate) fn rotate(
    conn: &mut DbConn,
    tokens: &Tokens,
    store: &Store,
    algorithm: Option<KeyAlgorithm>,
    origin: &Origin,
) -> Result<String, KeysError> {
    signing_keys::lock(conn)?;
    let rows = store.list(conn)?;
    let schedule = tokens.keyring().schedule(&rows, tokens.life());
    let algorithm = algorithm.unwrap_or_else(|| {
        // Not among the rows: `token.secret`.
        let signing = rows.iter().find(|row| schedule.signing(origin.at) == Some(&row.id));
        signing.map_or(KeyAlgorithm::Hs256, |row| row.algorithm)
    });
    let added = rows.iter().find(|row| {
        row.algorithm == algorithm
            && schedule.state(&row.id, origin.at) == Some(KeyState::Added)
            && store.open(row).is_ok()
    });
    let mut key = added.map_or_else(|| new_key(store, algorithm, origin.at), |row| Ok(row.clone()))?;
    // After every other, also after one whose turn is still to come.
    let last = rows.iter().filter_map(|row| row.signs_from).max();
    let soon = origin.at.plus(LEAD);
    key.signs_from = Some(last.map_or(soon, |last| soon.max(last.plus(1))));
    store.write(conn, &key)?;
    for row in rows.iter().chain([&key]) {
        let row = if row.id == key.id { &key } else { row };
        if let Some(row) = store.sealed_anew(row).map_err(StoreError::from)? {
            store.write(conn, &row)?;
        }
    }
    note(conn, EventKind::KeyRotated, &key.id, key.algorithm, origin)?;
    Ok(key.id)
}

/// Writes down that `token.secret` signs from now on, when it does not yet or another secret began after it, so that every replica
/// knows until when the one before it verifies. A secret that is retired or has expired stays so: it does not begin again.
pub(super) fn activate_secret(
    conn: &mut DbConn,
    tokens: &Tokens,
    store: &Store,
    now: Timestamp,
) -> Result<(), KeysError> {
    signing_keys::lock(conn)?;
    let rows = store.list(conn)?;
    let keyring = Keyring::clone(&tokens.keyring()).knowing(token_secrets::list(conn)?);
    let base = keyring.base_id();
    let state = keyring.schedule(&rows, tokens.life()).state(base, now);
    let is_known = keyring.activations().iter().any(|(kid, _)| kid == base);
    if is_known && matches!(state, Some(KeyState::Retired | KeyState::Expired | KeyState::Signing)) {
        return Ok(());
    }
    // Where another secret can sign meanwhile, every replica is to know of this one first.
    let lead = if keyring.previous_ids().next().is_some() { LEAD } else { 0 };
    token_secrets::activate(conn, base, now.plus(lead))?;
    Ok(())
}

/// Takes a key out of use, with its material. One that tokens may still be signed with only with `force`, and the one that
/// signs never.
pub(crate) fn retire(
    conn: &mut DbConn,
    tokens: &Tokens,
    store: &Store,
    kid: &str,
    force: bool,
    origin: &Origin,
) -> Result<(), Refused> {
    signing_keys::lock(conn)?;
    let rows = store.list(conn)?;
    let schedule = tokens.keyring().schedule(&rows, tokens.life());
    match schedule.state(kid, origin.at) {
        None => return Err(Refused::Unknown),
        Some(KeyState::Retired) => return Ok(()),
        Some(KeyState::Signing) => return Err(Refused::Signing),
        Some(KeyState::Next) if !force => return Err(Refused::Next),
        Some(KeyState::Previous) if !force => {
            return Err(Refused::InUse(schedule.end(kid).unwrap_or(origin.at)));
        }
        Some(KeyState::Next | KeyState::Previous | KeyState::Added | KeyState::Expired) => {}
    }
    // A secret of the settings has no row until it is retired.
    let of_secret = || StoredKey {
        id: kid.to_owned(),
        algorithm: KeyAlgorithm::Hs256,
        material: None,
        created_at: origin.at,
        signs_from: None,
        retired_at: None,
    };
    let mut key = rows.into_iter().find(|row| row.id == kid).unwrap_or_else(of_secret);
    key.material = None;
    key.retired_at = Some(origin.at);
    // A turn that never came ends nobody else's.
    key.signs_from = key.signs_from.filter(|from| *from <= origin.at);
    store.write(conn, &key)?;
    note(conn, EventKind::KeyRetired, kid, key.algorithm, origin)?;
    Ok(())
}

fn new_key(store: &Store, algorithm: KeyAlgorithm, now: Timestamp) -> Result<StoredKey, KeysError> {
    let jwk = PrivateJwk::generate(algorithm)?;
    let material = Some(store.protect(&jwk).map_err(StoreError::from)?);
    Ok(StoredKey { id: jwk.kid, algorithm, material, created_at: now, signs_from: None, retired_at: None })
}

fn note(
    conn: &mut DbConn,
    kind: EventKind,
    id: &str,
    algorithm: KeyAlgorithm,
    origin: &Origin,
) -> Result<(), DbError> {
    let detail = json!({ "kid": id, "alg": algorithm.as_str() });
    events::insert(conn, &origin.event(kind, None, detail))
}
