//! `tokenbooth user …`: straight on the database, so it works while the service is down and is seen by every replica
//! at the next request.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::json;

use super::CommandError;
use crate::clock::{Clock, SystemClock};
use crate::db::{self, DbConn, identities, users};
use crate::settings::Settings;
use crate::user::{Identity, User, UserId};

/// Users fetched at a time.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// All users, oldest first, one JSON object a line
    List,
    /// One user with the ways in, as JSON
    Show {
        /// Id or e-mail address
        user: String,
    },
    /// Keep a user out, from the next request on, with every token already issued
    Disable {
        /// Id or e-mail address
        user: String,
    },
    /// Let a user sign in again; tokens issued before stay dead
    Enable {
        /// Id or e-mail address
        user: String,
    },
    /// End every token of a user from the next request on; signing in again is possible
    Revoke {
        /// Id or e-mail address
        user: String,
    },
    /// Make a user an administrator
    Promote {
        /// Id or e-mail address
        user: String,
    },
    /// Make an administrator a user like any other
    Demote {
        /// Id or e-mail address
        user: String,
    },
}

pub(super) fn run(settings: &Settings, command: &UserCommand) -> Result<(), CommandError> {
    let pending = db::pending_migrations(&settings.database.url)?;
    if !pending.is_empty() {
        return Err(CommandError::Other(
            "the database has no users yet: run `tokenbooth migrate` first".to_owned(),
        ));
    }
    let conn = &mut db::connect(&settings.database.url)?;
    let now = SystemClock.now();
    match command {
        UserCommand::List => list(conn),
        UserCommand::Show { user } => {
            let user = find(conn, user)?;
            show(conn, &user)
        }
        UserCommand::Disable { user } => {
            change(conn, user, |conn, id| users::set_disabled(conn, id, true, now))
        }
        UserCommand::Enable { user } => {
            change(conn, user, |conn, id| users::set_disabled(conn, id, false, now))
        }
        UserCommand::Revoke { user } => change(conn, user, |conn, id| users::revoke_tokens(conn, id, now)),
        UserCommand::Promote { user } => change(conn, user, |conn, id| users::set_admin(conn, id, true, now)),
        UserCommand::Demote { user } => change(conn, user, |conn, id| users::set_admin(conn, id, false, now)),
    }
}

fn list(conn: &mut DbConn) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let mut after = None;
    loop {
        let page = users::list(conn, after, PAGE)?;
        for user in &page {
            writeln!(out, "{}", view(user))?;
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

fn show(conn: &mut DbConn, user: &User) -> Result<(), CommandError> {
    let mut json = view(user);
    let ways_in = identities::list(conn, user.id)?;
    json["identities"] = ways_in.iter().map(identity_view).collect();
    Ok(writeln!(io::stdout(), "{json:#}")?)
}

fn change(
    conn: &mut DbConn,
    user: &str,
    write: impl FnOnce(&mut DbConn, UserId) -> Result<bool, db::DbError>,
) -> Result<(), CommandError> {
    let id = find(conn, user)?.id;
    if !write(conn, id)? {
        return Err(CommandError::Other(format!("user {id} was deleted a moment ago")));
    }
    let changed = find(conn, &id.to_string())?;
    show(conn, &changed)
}

/// By id, or by an address that only one user has.
fn find(conn: &mut DbConn, text: &str) -> Result<User, CommandError> {
    let mut found = match text.parse() {
        Ok(id) => users::find(conn, id)?.into_iter().collect(),
        Err(_) => users::find_by_email(conn, text, PAGE)?,
    };
    match found.len() {
        0 => Err(CommandError::Other(
            "there is no such user; `tokenbooth user list` shows them all".to_owned(),
        )),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let ids: Vec<String> = found.iter().map(|user| user.id.to_string()).collect();
            Err(CommandError::Other(format!(
                "several users have this address, name one by its id: {}",
                ids.join(", ")
            )))
        }
    }
}

fn view(user: &User) -> serde_json::Value {
    json!({
        "id": user.id.to_string(),
        "email": user.email,
        "name": user.name,
        "avatar_url": user.avatar_url,
        "admin": user.admin,
        "disabled": user.disabled,
        "created_at": user.created_at,
        "last_login_at": user.last_login_at,
    })
}

fn identity_view(identity: &Identity) -> serde_json::Value {
    json!({
        "id": identity.id.to_string(),
        "provider": identity.provider,
        "provider_id": identity.provider_id,
        "email": identity.email,
        "created_at": identity.created_at,
        "last_used_at": identity.last_used_at,
    })
}
