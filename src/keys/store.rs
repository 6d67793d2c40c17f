//! Where the keys of the ring are kept: in the database, sealed; or in a folder, a file each.

use std::io;
use std::path::PathBuf;

use super::folder::Folder;
use crate::clock::Timestamp;
use crate::db::{self, Db, DbConn, DbError, signing_keys, token_secrets};
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::stored_key::StoredKey;
use crate::token::{PrivateJwk, SealError, SealingKeys};

/// What is stored of the key set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeyRecords {
    /// The keys made by `tokenbooth keys`, and what was retired.
    pub(super) rows: Vec<StoredKey>,
    /// Since when secrets sign, by their `kid`; in the database also when keys are in a folder.
    pub(super) activations: Vec<(String, Timestamp)>,
}

impl KeyRecords {
    fn read(conn: &mut DbConn) -> Result<Self, DbError> {
        Ok(Self { rows: signing_keys::list(conn)?, activations: token_secrets::list(conn)? })
    }
}

/// The place, and what keys are sealed with there.
pub(crate) struct Store {
    place: Place,
    sealing: SealingKeys,
}

#[derive(Clone)]
enum Place {
    Database,
    Folder(Folder),
}

/// Why the place cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The folder of `keys.directory`.
    #[error("keys.directory: {path}: {reason}")]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The cryptographic library.
    #[error(transparent)]
    Sealing(#[from] SealError),
}

impl StoreError {
    pub(super) fn folder(path: impl Into<PathBuf>, reason: &io::Error) -> Self {
        Self::Folder { path: path.into(), reason: reason.to_string() }
    }
}

/// Why a key that is kept is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Sealed with none of our secrets, or changed since.
    #[error("it is sealed, and neither token.secret nor one of token.previous_secrets opens it")]
    Sealed,
    /// It is not the key that its row says.
    #[error("what is kept under its name is another key, or none")]
    NoKey,
}

impl Store {
    /// The place by these settings.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub(crate) fn of(settings: &Settings, secrets: &Secrets) -> Result<Self, SealError> {
        let place = match &settings.keys.directory {
            None => Place::Database,
            Some(path) => Place::Folder(Folder::new(path.clone())),
        };
        Ok(Self { place, sealing: secrets.sealing_of_stored_keys()? })
    }

    /// Every key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn list(&self, conn: &mut DbConn) -> Result<Vec<StoredKey>, StoreError> {
        match &self.place {
            Place::Database => Ok(signing_keys::list(conn)?),
            Place::Folder(folder) => folder.list(),
        }
    }

    /// Every key, and since when secrets sign, before there is a connection.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn list_unattended(&self, settings: &Settings) -> Result<KeyRecords, StoreError> {
        let in_database = in_database_of(settings)?;
        Ok(match &self.place {
            Place::Database => in_database,
            Place::Folder(folder) => KeyRecords { rows: folder.list()?, ..in_database },
        })
    }

    /// The same, in a thread that may block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn look(&self, db: &Db) -> Result<KeyRecords, StoreError> {
        let in_database = db.run(KeyRecords::read).await?;
        match self.place.clone() {
            Place::Database => Ok(in_database),
            Place::Folder(folder) => {
                let listed = tokio::task::spawn_blocking(move || folder.list()).await;
                let stopped = |_| Err(DbError::Unavailable("the service is stopping".to_owned()).into());
                Ok(KeyRecords { rows: listed.unwrap_or_else(stopped)?, ..in_database })
            }
        }
    }

    /// Writes a key, new or not, inside a transaction that has locked the ring.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn write(&self, conn: &mut DbConn, key: &StoredKey) -> Result<(), StoreError> {
        match &self.place {
            Place::Database => Ok(signing_keys::write(conn, key)?),
            Place::Folder(folder) => folder.write(key),
        }
    }

    /// A key as it is kept here.
    ///
    /// # Errors
    /// [`SealError`].
    pub(super) fn protect(&self, jwk: &PrivateJwk) -> Result<String, SealError> {
        match self.place {
            Place::Database => self.sealing.seal(jwk),
            Place::Folder(_) => serde_json::to_string(jwk).map_err(|_| SealError),
        }
    }

    /// The key of a row.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn open(&self, row: &StoredKey) -> Result<PrivateJwk, Unreadable> {
        let material = row.material.as_deref().ok_or(Unreadable::NoKey)?;
        let jwk: PrivateJwk = match self.place {
            Place::Database => self.sealing.unseal(material).ok_or(Unreadable::Sealed)?,
            Place::Folder(_) => serde_json::from_str(material).map_err(|_| Unreadable::NoKey)?,
        };
        // Whoever can write to the table must not pass one key off as another.
        let same = jwk.kid == row.id && jwk.algorithm() == row.algorithm;
        same.then_some(jwk).ok_or(Unreadable::NoKey)
    }

    /// The row sealed anew, when an earlier secret opens it and the current one does not.
    ///
    /// # Errors
    /// [`SealError`].
    pub(super) fn sealed_anew(&self, row: &StoredKey) -> Result<Option<StoredKey>, SealError> {
        let stale = matches!(self.place, Place::Database)
            && row.material.as_deref().is_some_and(|sealed| !self.sealing.is_current(sealed));
        match self.open(row) {
            Ok(jwk) if stale => Ok(Some(StoredKey { material: Some(self.protect(&jwk)?), ..row.clone() })),
            _ => Ok(None),
        }
    }
}

/// For a process that has no connection yet. A database without the tables has nothing in them.
fn in_database_of(settings: &Settings) -> Result<KeyRecords, DbError> {
    let url = &settings.database.url;
    // SQLite would make the file; looking must not.
    if url.file().is_some_and(|file| !file.exists()) || !db::pending_migrations(url)?.is_empty() {
        return Ok(KeyRecords::default());
    }
    KeyRecords::read(&mut db::connect(url)?)
}
