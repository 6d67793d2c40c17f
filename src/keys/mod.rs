//! The ring of keys that sign our tokens: read at start and again every second, so that a change by `tokenbooth keys …` is in
//! effect on every replica within seconds and without a restart.
//!
//! - `store`: where the keys are kept, in the database or in files.
//! - `change`: the rules of `keys generate`, `rotate` and `retire`.
//! - `watch`: the task that looks again.

mod change;
mod folder;
mod store;
mod watch;

use std::sync::Arc;

pub(crate) use self::change::{generate, retire, rotate};
pub(crate) use self::store::{Store, StoreError, Unreadable};
pub(crate) use self::watch::KeyWatch;
use crate::clock::Timestamp;
use crate::db::{self, DbConn};
use crate::jws::UnusableKey;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::stored_key::StoredKey;
use crate::token::{KeyState, Keyring, NoSigningKey, RingKey, SealError, Tokens};

/// Why there is no ring, or it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Where the keys are kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key that was kept is of no use here.
    #[error(
        "the key {0}: {1}. Put the secret it was sealed with into token.previous_secrets, or give the key up: `tokenbooth keys retire {0} --force`"
    )]
    Unreadable(String, Unreadable),
    /// None is left.
    #[error("{0}. Make one: `tokenbooth keys rotate`")]
    NoSigningKey(#[from] NoSigningKey),
    /// `token.secret`.
    #[error("token.secret, token.previous_secrets: {0}")]
    Secret(#[from] UnusableKey),
    /// What keys are sealed with.
    #[error("token.secret, token.previous_secrets: {0}")]
    Sealing(#[from] SealError),
}

/// A key as `tokenbooth keys list` shows it.
pub(crate) struct ListedKey {
    pub(crate) id: String,
    pub(crate) algorithm: crate::stored_key::KeyAlgorithm,
    pub(crate) state: KeyState,
    /// Unknown of a secret in the settings.
    pub(crate) created_at: Option<Timestamp>,
}

/// The tokens by these settings, with the ring as it is kept now, and where that is.
///
/// # Errors
/// [`KeysError`]; every key must be readable.
pub(crate) fn load(settings: &Settings, secrets: &Secrets) -> Result<(Tokens, Store), KeysError> {
    let tokens = secrets.tokens(settings)?;
    let store = Store::of(settings, secrets)?;
    let rows = store.list_unattended(settings)?;
    let (keyring, unreadable) = assemble(&tokens, &store, &rows)?;
    if let Some((kid, reason)) = unreadable.into_iter().next() {
        return Err(KeysError::Unreadable(kid, reason));
    }
    tokens.use_keyring(keyring);
    Ok((tokens, store))
}

/// The ring of these rows, and which of them are of no use. Of a key that is in use already nothing is read again: the row may
/// have been sealed anew with a secret that only other replicas have.
fn assemble(
    tokens: &Tokens,
    store: &Store,
    rows: &[StoredKey],
) -> Result<(Keyring, Vec<(String, Unreadable)>), NoSigningKey> {
    let used = tokens.keyring();
    let mut unreadable = Vec::new();
    let mut ready: Vec<(&str, Arc<RingKey>)> = Vec::new();
    for row in rows.iter().filter(|row| row.retired_at.is_none()) {
        let key = match used.key(&row.id) {
            Some(key) => Ok(key),
            None => store
                .open(row)
                .and_then(|jwk| RingKey::new(&jwk).map(Arc::new).map_err(|_| Unreadable::NoKey)),
        };
        match key {
            Ok(key) => ready.push((row.id.as_str(), key)),
            Err(reason) => unreadable.push((row.id.clone(), reason)),
        }
    }
    let find = |row: &StoredKey| ready.iter().find(|(id, _)| *id == row.id).map(|(_, key)| Arc::clone(key));
    Ok((used.with(rows, tokens.life(), find)?, unreadable))
}

/// Every key there is, oldest first: those of the settings, then those that are kept.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn list(
    conn: &mut DbConn,
    tokens: &Tokens,
    store: &Store,
    now: Timestamp,
) -> Result<Vec<ListedKey>, StoreError> {
    let (keyring, rows) = (tokens.keyring(), store.list(conn)?);
    let schedule = keyring.schedule(&rows, tokens.life());
    let of_settings = |id: &str, state| ListedKey {
        id: id.to_owned(),
        algorithm: crate::stored_key::KeyAlgorithm::Hs256,
        state,
        created_at: None,
    };
    let base = keyring.base_id();
    let previous = keyring.previous_ids().filter(|id| rows.iter().all(|row| row.id != *id));
    let mut listed: Vec<ListedKey> = previous.map(|id| of_settings(id, KeyState::Previous)).collect();
    listed.extend(schedule.state(base, now).map(|state| of_settings(base, state)));
    listed.extend(rows.iter().filter(|row| row.id != base).filter_map(|row| {
        Some(ListedKey {
            id: row.id.clone(),
            algorithm: row.algorithm,
            state: schedule.state(&row.id, now)?,
            created_at: Some(row.created_at),
        })
    }));
    Ok(listed)
}

/// The rows for a process that has no connection yet. A database without the table has none.
fn rows_of(settings: &Settings) -> Result<Vec<StoredKey>, db::DbError> {
    let url = &settings.database.url;
    // SQLite would make the file; looking must not.
    if url.file().is_some_and(|file| !file.exists()) || !db::pending_migrations(url)?.is_empty() {
        return Ok(Vec::new());
    }
    db::signing_keys::list(&mut db::connect(url)?)
}
