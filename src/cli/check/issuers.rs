//! Whether each provider's name stands for the issuer that its identities were stored for.

use std::io;

use super::finding::Findings;
use crate::account::providers;
use crate::db::{self, DbError};
use crate::settings::Settings;

pub(super) fn check(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    // Why the database cannot be asked has been told.
    for other in differing(settings).unwrap_or_default() {
        let subject = format!("providers.{}", other.name);
        let found = format!(
            "its issuer is {} in the settings, and the identities stored under this name are of {}",
            other.configured, other.stored
        );
        let remedy = format!(
            "If the people are the same, run `tokenbooth provider accept {}`; otherwise use another name for the new issuer",
            other.name
        );
        findings.error(&subject, &found, &remedy)?;
    }
    Ok(())
}

fn differing(settings: &Settings) -> Result<Vec<providers::OtherIssuer>, DbError> {
    let url = &settings.database.url;
    // SQLite would make the file; looking must not.
    if url.file().is_some_and(|file| !file.exists()) || !db::pending_migrations(url)?.is_empty() {
        return Ok(Vec::new());
    }
    providers::differing(&mut db::connect(url)?, &settings.providers.issuers())
}
