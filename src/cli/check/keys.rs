//! The ring of keys: whether each can be read, and which of them signs.

use std::io;

use super::finding::Findings;
use crate::app::{self, StartError};
use crate::clock::Timestamp;
use crate::keys::{KeysError, StoreError};
use crate::settings::Settings;

pub(super) fn check(findings: &mut Findings, settings: &Settings, now: Timestamp) -> io::Result<()> {
    if settings.token.secret.is_none() {
        // Looking would make the secret of development.
        return Ok(());
    }
    match app::tokens(settings, now) {
        Ok(tokens) => {
            let keyring = tokens.keyring();
            let (kid, algorithm) = keyring.signing(now);
            findings.good("keys", &format!("{algorithm} signs, by the key {kid}"))
        }
        // It was said of the database.
        Err(StartError::Keys(KeysError::Store(StoreError::Db(_)))) => Ok(()),
        Err(error) => findings.error("keys", &error.to_string(), "docs/KEYS.md tells how keys are kept"),
    }
}
