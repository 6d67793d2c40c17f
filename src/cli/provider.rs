//! `tokenbooth provider …`: what a provider's name stands for.

use std::io::{self, Write};

use clap::Subcommand;

use super::CommandError;
use super::database::open;
use crate::account::providers;
use crate::clock::{Clock, SystemClock};
use crate::db;
use crate::event::Origin;
use crate::settings::Settings;

#[derive(Subcommand)]
pub(super) enum ProviderCommand {
    /// Say that the people of a provider are the same although its issuer is another one: the company's identity server has
    /// moved, for example, and each person has the same `sub` there as before
    ///
    /// Whoever has an id at the new issuer is signed in to the account that belongs to this id under the same provider's name.
    Accept {
        /// The provider's name in the settings
        name: String,
    },
}

pub(super) fn run(settings: &Settings, command: &ProviderCommand) -> Result<(), CommandError> {
    let ProviderCommand::Accept { name } = command;
    let conn = &mut open(settings)?;
    let configured = settings.providers.issuers().into_iter().find(|configured| configured.name == *name);
    let configured = configured.ok_or_else(|| {
        CommandError::Other(format!("providers.{name} is not configured: set its client ids first"))
    })?;
    let origin = Origin::command_line(SystemClock.now());
    let before = db::change(conn, |conn| providers::accept(conn, &configured, &origin))?;
    let mut out = io::stdout();
    match before {
        Some(before) => writeln!(out, "provider {name}: {} in place of {before}", configured.issuer)?,
        None => writeln!(out, "provider {name}: there is nothing to accept")?,
    }
    Ok(())
}
