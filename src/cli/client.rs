//! `tokenbooth client …`: services that sign in for themselves. A secret is printed once, where it is made.

use std::io::{self, Write};

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::CommandError;
use super::database::open;
use crate::account::AccountError;
use crate::account::clients::{self, NewSecret};
use crate::client::{Audiences, Client, ClientId, ClientName, Scopes};
use crate::clock::{Clock, SystemClock};
use crate::db::{self, DbConn, DbError};
use crate::event::Origin;
use crate::settings::Settings;

#[derive(Subcommand)]
pub(super) enum ClientCommand {
    /// Make a client, and print its id and secret as JSON: the secret is shown now and never again
    Create {
        /// What to call it; two clients may have one name
        name: ClientName,
        /// What it may do; once for each scope
        #[arg(long = "scope", value_name = "SCOPE", value_parser = NonEmptyStringValueParser::new())]
        scopes: Vec<String>,
        /// Which tokens it may introspect: those for this audience; once for each. Without it, all
        #[arg(long = "audience", value_name = "AUDIENCE", value_parser = NonEmptyStringValueParser::new())]
        audiences: Vec<String>,
    },
    /// All clients, oldest first, one JSON object a line
    List,
    /// Give a client another secret, and print it as JSON. The one before works for `clients.previous_secret_ttl`, at most
    /// until the next rotation
    Rotate {
        /// Id of the client
        client_id: String,
        /// End the secret that it has at once
        #[arg(long)]
        revoke_previous: bool,
    },
    /// Enable a client that was disabled; tokens issued before stay invalid
    Enable {
        /// Id of the client
        client_id: String,
    },
    /// Disable a client, from the next request on, with every token it has
    Disable {
        /// Id of the client
        client_id: String,
    },
}

pub(super) fn run(settings: &Settings, command: ClientCommand) -> Result<(), CommandError> {
    let conn = &mut open(settings)?;
    let origin = Origin::command_line(SystemClock.now());
    match command {
        ClientCommand::Create { name, scopes, audiences } => {
            let scopes: Scopes = scopes.join(" ").parse().map_err(|error| other(&error))?;
            let audiences = Audiences::try_from(audiences).map_err(|error| other(&error))?;
            let made = db::change(conn, |conn| clients::create(conn, name, scopes, audiences, &origin))?;
            print(&with_secret(&made))
        }
        ClientCommand::List => {
            let mut out = io::stdout().lock();
            for client in db::clients::list(conn)? {
                writeln!(out, "{}", view(&client))?;
            }
            Ok(())
        }
        ClientCommand::Rotate { client_id, revoke_previous } => {
            let rotated =
                change(conn, &client_id, |conn, id| clients::rotate(conn, id, revoke_previous, &origin))?;
            print(&with_secret(&rotated))
        }
        ClientCommand::Enable { client_id } => {
            let enabled = change(conn, &client_id, |conn, id| clients::enable(conn, id, &origin))?;
            print(&view(&enabled))
        }
        ClientCommand::Disable { client_id } => {
            let disabled = change(conn, &client_id, |conn, id| clients::disable(conn, id, &origin))?;
            print(&view(&disabled))
        }
    }
}

/// Writes the change of a client in one transaction.
fn change<T>(
    conn: &mut DbConn,
    id: &str,
    write: impl FnOnce(&mut DbConn, &ClientId) -> Result<Result<T, AccountError>, DbError>,
) -> Result<T, CommandError> {
    // What cannot be an id is the id of nobody.
    let id = id.parse().map_err(|_| told(&AccountError::UnknownClient))?;
    db::change(conn, |conn| write(conn, &id)?.map_err(|refused| told(&refused)))
}

fn told(refused: &AccountError) -> CommandError {
    match refused {
        AccountError::UnknownClient => {
            CommandError::Other("there is no such client; `tokenbooth client list` shows them all".to_owned())
        }
        refused => other(refused),
    }
}

fn other(error: &impl std::fmt::Display) -> CommandError {
    CommandError::Other(error.to_string())
}

fn print(json: &Value) -> Result<(), CommandError> {
    Ok(writeln!(io::stdout(), "{json}")?)
}

fn with_secret(NewSecret { client, secret }: &NewSecret) -> Value {
    json!({
        "client_id": client.id.as_str(),
        "client_secret": secret.expose(),
        "name": client.name.as_str(),
        "scopes": client.scopes.iter().collect::<Vec<_>>(),
    })
}

fn view(client: &Client) -> Value {
    json!({
        "client_id": client.id.as_str(),
        "name": client.name.as_str(),
        "scopes": client.scopes.iter().collect::<Vec<_>>(),
        "audiences": client.audiences.iter().collect::<Vec<_>>(),
        "disabled": client.disabled,
        "created_at": client.created_at,
        "rotated_at": client.rotated_at,
    })
}
