//! The ring of keys: whether each can be read, and which of them signs.

use std::io;

use super::finding::Findings;
use crate::app::{self, StartError};
use crate::clock::Timestamp;
use crate::keys::{KeysError, StoreError};
use crate::settings::Settings;
use crate::token::Tokens;

pub(super) fn check(findings: &mut Findings, settings: &Settings, now: Timestamp) -> io::Result<()> {
    if settings.token.secret.is_none() {
        // Looking would make the secret of development.
        return Ok(());
    }
    match app::tokens(settings, now) {
        Ok(tokens) => {
            let keyring = tokens.keyring();
            let (kid, algorithm) = keyring.signing(now);
            findings.good("keys", &format!("{algorithm} signs, by the key {kid}"))?;
            check_base(findings, &tokens)
        }
        // It was said of the database.
        Err(StartError::Keys(KeysError::Store(StoreError::Db(_)))) => Ok(()),
        Err(error) => findings.error("keys", &error.to_string(), "docs/KEYS.md tells how keys are kept"),
    }
}

/// Whoever has a secret that leaked, and the database or a backup of it, opens every key that is sealed with it.
fn check_base(findings: &mut Findings, tokens: &Tokens) -> io::Result<()> {
    let keyring = tokens.keyring();
    if !keyring.base_is_retired() {
        return Ok(());
    }
    let found = format!("its kid {} is retired, and stored keys are still sealed with it", keyring.base_id());
    findings.warn("token.secret", &found, "Change it as docs/KEYS.md has it under \"The secret has leaked\"")
}
