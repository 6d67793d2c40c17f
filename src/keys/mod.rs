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

use self::change::activate_secret;
pub(crate) use self::change::{generate, retire, rotate};
use self::store::KeyRecords;
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

/// The tokens by these settings, with the ring as it is kept now, and where that is. Changes nothing.
///
/// # Errors
/// [`KeysError`]; every key must be readable, and one must be left to sign with.
pub(crate) fn load(
    settings: &Settings,
    secrets: &Secrets,
    now: Timestamp,
) -> Result<(Tokens, Store), KeysError> {
    let store = Store::of(settings, secrets)?;
    let KeyRecords { rows, activations } = store.list_unattended(settings)?;
    let tokens = secrets.tokens(settings, activations)?;
    let (keyring, unreadable) = assemble(&tokens, &store, &rows)?;
    if let Some((kid, reason)) = unreadable.into_iter().next() {
        return Err(KeysError::Unreadable(kid, reason));
    }
    if !keyring.can_sign(now) {
        return Err(NoSigningKey.into());
    }
    tokens.use_keyring(keyring);
    Ok((tokens, store))
}

/// The same for a service that starts: that its `token.secret` signs is written down first.
///
/// # Errors
/// [`KeysError`].
pub(crate) fn begin(
    settings: &Settings,
    secrets: &Secrets,
    now: Timestamp,
) -> Result<(Tokens, Store), KeysError> {
    let (tokens, store) = load(settings, secrets, now)?;
    if is_newest(&tokens) {
        return Ok((tokens, store));
    }
    let conn = &mut db::connect(&settings.database.url).map_err(StoreError::from)?;
    db::change(conn, |conn| activate_secret(conn, &tokens, &store, now))?;
    load(settings, secrets, now)
}

/// Whether it is written down that `token.secret` signs, and that of all secrets it began last.
fn is_newest(tokens: &Tokens) -> bool {
    let keyring = tokens.keyring();
    let latest = keyring.activations().iter().max_by_key(|(_, from)| *from);
    latest.is_some_and(|(kid, _)| kid == keyring.base_id())
}

/// The tokens and the place for a command, which works also where keys cannot be read or none is left to sign with.
///
/// # Errors
/// [`KeysError`].
pub(crate) fn for_command(
    conn: &mut DbConn,
    settings: &Settings,
    secrets: &Secrets,
    now: Timestamp,
) -> Result<(Tokens, Store), KeysError> {
    let mut activations = db::token_secrets::list(conn).map_err(StoreError::from)?;
    let tokens = secrets.tokens(settings, activations.clone())?;
    let base = tokens.keyring().base_id().to_owned();
    // No service has started with it yet; the next one will.
    if activations.iter().all(|(kid, _)| *kid != base) {
        activations.push((base, now));
        tokens.use_keyring(Keyring::clone(&tokens.keyring()).knowing(activations));
    }
    Ok((tokens, Store::of(settings, secrets)?))
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
    let of_settings = |id: &str| {
        let algorithm = crate::stored_key::KeyAlgorithm::Hs256;
        Some(ListedKey { id: id.to_owned(), algorithm, state: schedule.state(id, now)?, created_at: None })
    };
    let base = keyring.base_id();
    // One that was retired has a row.
    let previous = keyring.previous_ids().filter(|id| rows.iter().all(|row| row.id != *id));
    let mut listed: Vec<ListedKey> = previous.filter_map(of_settings).collect();
    listed.extend(of_settings(base));
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
