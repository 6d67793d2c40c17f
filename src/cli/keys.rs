//! `tokenbooth keys …`: straight on the database (or the folder), so it works while the service is down and is in effect on
//! every replica within seconds.

use std::io::{self, Write};

use clap::Subcommand;

use super::CommandError;
use super::database::open;
use crate::app::secrets;
use crate::clock::{Clock, SystemClock};
use crate::db;
use crate::event::Origin;
use crate::keys::{self, KeysError, ListedKey};
use crate::settings::Settings;
use crate::stored_key::KeyAlgorithm;

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Every key: kid, algorithm, state, when it was made
    ///
    /// signing: new tokens are signed with it. next: it signs in a few seconds. added: published, and signs nothing yet.
    /// previous: another one signs, its tokens are still good. expired: they have all ended. retired: taken out of use.
    List,
    /// Add a key that is published and does not sign yet, and print its kid
    Generate {
        #[arg(long, value_name = "ALGORITHM", help = "HS256, EdDSA or ES256")]
        alg: KeyAlgorithm,
    },
    /// Have another key sign, on every replica within 5 s and with nobody logged out, and print its kid
    ///
    /// It is the oldest added one of the algorithm, or a new one.
    Rotate {
        #[arg(
            long,
            value_name = "ALGORITHM",
            help = "HS256, EdDSA or ES256; that of the key that signs now when absent"
        )]
        alg: Option<KeyAlgorithm>,
    },
    /// Take a key out of use; one that signs never
    Retire {
        /// As `keys list` shows it
        kid: String,
        /// Also one whose tokens are still good: their holders have to sign in again
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(settings: &Settings, command: &KeysCommand) -> Result<(), CommandError> {
    let conn = &mut open(settings)?;
    let secrets = secrets(settings)?;
    let origin = Origin::command_line(SystemClock.now());
    // Not `keys::load`: what cannot be read must be listed, and can be retired.
    let (tokens, store) = keys::for_command(conn, settings, &secrets, origin.at)?;
    let kid = match command {
        KeysCommand::List => {
            let listed = keys::list(conn, &tokens, &store, origin.at).map_err(KeysError::from)?;
            return print(&listed);
        }
        KeysCommand::Generate { alg } => {
            db::change(conn, |conn| keys::generate(conn, &store, *alg, &origin))?
        }
        KeysCommand::Rotate { alg } => {
            db::change(conn, |conn| keys::rotate(conn, &tokens, &store, *alg, &origin))?
        }
        KeysCommand::Retire { kid, force } => {
            db::change(conn, |conn| keys::retire(conn, &tokens, &store, kid, *force, &origin))
                .map_err(|refused| CommandError::Other(refused.to_string()))?;
            return Ok(writeln!(io::stdout(), "key {kid} retired")?);
        }
    };
    Ok(writeln!(io::stdout(), "{kid}")?)
}

fn print(listed: &[ListedKey]) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let width = listed.iter().map(|key| key.id.len()).max().unwrap_or_default().max(3);
    writeln!(out, "{:width$}  {:5}  {:8}  CREATED", "KID", "ALG", "STATE")?;
    for ListedKey { id, algorithm, state, created_at } in listed {
        let created = created_at.map_or_else(|| "in the settings".to_owned(), |at| at.to_string());
        writeln!(out, "{id:width$}  {:5}  {:8}  {created}", algorithm.as_str(), state.as_str())?;
    }
    Ok(())
}
