//! `tokenbooth user …`: straight on the database, so it works while the service is down and is seen by every replica
//! at the next request. Every change is one transaction with its event, as over HTTP.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::CommandError;
use super::database::{find_user, open};
use crate::account::AccountError;
use crate::account::acting_user::Authority;
use crate::account::administration::{self, Account, UserChange};
use crate::clock::{Clock, SystemClock};
use crate::db::{self, DbConn, DbError, users};
use crate::event::Origin;
use crate::settings::Settings;
use crate::user::{Identity, User, UserId};

/// Users fetched at a time.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// All users, oldest first, one JSON object a line
    List {
        /// Only those whose e-mail or name begins so, or who have exactly this id at a provider
        #[arg(long, value_name = "TEXT", default_value = "")]
        query: String,
    },
    /// One user with the ways in, as JSON
    Show {
        /// Id or e-mail address
        user: String,
    },
    /// Keep a user out, from the next request on, with every token and session (the last administrator, too: only the API
    /// refuses that)
    Disable {
        /// Id or e-mail address
        user: String,
    },
    /// Let a user sign in again; tokens issued before stay dead
    Enable {
        /// Id or e-mail address
        user: String,
    },
    /// End every token and session of a user from the next request on; signing in again is possible
    Revoke {
        /// Id or e-mail address
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        user: Option<String>,
        /// Of all users: after a backup was restored, or a secret has leaked
        #[arg(long)]
        all: bool,
    },
    /// Remove the password of a user, and end every token and session of the user
    RemovePassword {
        /// Id or e-mail address
        user: String,
    },
    /// The linked identities of a user, oldest first, one JSON object a line
    Identities {
        /// Id or e-mail address
        user: String,
    },
    /// Unlink an identity of a user (also the last one), and end every token and session of the user
    Unlink {
        /// Id or e-mail address
        user: String,
        /// `id` of the identity, as `user identities` shows it
        identity: Uuid,
    },
    /// Make a user an administrator
    Promote {
        /// Id or e-mail address
        user: String,
    },
    /// Make an administrator a user like any other (the last one, too: only the API refuses that)
    Demote {
        /// Id or e-mail address
        user: String,
    },
    /// Delete a user with all identities and sessions (the last administrator, too: only the API refuses that)
    Delete {
        /// Id or e-mail address
        user: String,
    },
}

pub(super) fn run(settings: &Settings, command: &UserCommand) -> Result<(), CommandError> {
    let conn = &mut open(settings)?;
    let disable = |disabled| UserChange { disabled: Some(disabled), ..UserChange::default() };
    let promote = |admin| UserChange { admin: Some(admin), ..UserChange::default() };
    match command {
        UserCommand::List { query } => list(conn, query),
        UserCommand::Show { user } => {
            let user = find_user(conn, user)?;
            print(&administration::with_identities(conn, user)?)
        }
        UserCommand::Disable { user } => {
            update(conn, user, &disable(true))?;
            warn_of_listed(conn, settings)
        }
        UserCommand::Enable { user } => update(conn, user, &disable(false)),
        UserCommand::Promote { user } => update(conn, user, &promote(true)),
        UserCommand::Demote { user } => {
            update(conn, user, &promote(false))?;
            warn_of_listed(conn, settings)
        }
        UserCommand::Revoke { user: None, .. } => revoke_all(conn),
        UserCommand::Revoke { user: Some(user), .. } => show_after(conn, user, administration::revoke_tokens),
        UserCommand::RemovePassword { user } => show_after(conn, user, administration::remove_password),
        UserCommand::Unlink { user, identity } => show_after(conn, user, |conn, id, authority| {
            administration::unlink(conn, id, *identity, settings.password.enabled, authority)
        }),
        UserCommand::Identities { user } => {
            let user = find_user(conn, user)?;
            let mut out = io::stdout().lock();
            for identity in administration::with_identities(conn, user)?.identities {
                writeln!(out, "{}", identity_view(&identity))?;
            }
            Ok(())
        }
        UserCommand::Delete { user } => {
            let (id, ()) = change(conn, user, administration::delete)?;
            writeln!(io::stdout(), "user {id} deleted")?;
            warn_of_listed(conn, settings)
        }
    }
}

/// Warns if no administrator is left and `admin.emails` makes the next sign-in by one of its addresses an administrator: a thief whose
/// account was just demoted would get the right back.
fn warn_of_listed(conn: &mut DbConn, settings: &Settings) -> Result<(), CommandError> {
    if settings.admin.entries().next().is_some() && !users::has_administrator(conn)? {
        writeln!(
            io::stderr(),
            "Warning: No administrator is left, so the next sign-in with an address in admin.emails makes that user an administrator \
             again. Take the address out of the settings, or promote another user now."
        )?;
    }
    Ok(())
}

fn list(conn: &mut DbConn, query: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let mut after = None;
    loop {
        let page = administration::list(conn, query, after, PAGE)?;
        for account in &page {
            writeln!(out, "{}", view(&account.user))?;
        }
        match page.last() {
            Some(last) => after = Some(last.user.id),
            None => return Ok(()),
        }
    }
}

fn update(conn: &mut DbConn, user: &str, what: &UserChange) -> Result<(), CommandError> {
    let (_, account) = change(conn, user, |conn, id, authority| {
        Ok(match administration::change(conn, id, what.clone(), authority)? {
            Ok(user) => Ok(administration::with_identities(conn, user)?),
            Err(refused) => Err(refused),
        })
    })?;
    print(&account)
}

/// Ends the tokens and sessions of all users, a transaction for each page of them, and prints how many users there are.
fn revoke_all(conn: &mut DbConn) -> Result<(), CommandError> {
    let origin = Origin::command_line(SystemClock.now());
    let (mut after, mut users) = (None, 0);
    loop {
        let page = db::change(conn, |conn| {
            let page = administration::list(conn, "", after, PAGE)?.len();
            Ok::<_, DbError>((page, administration::revoke_tokens_of_all(conn, after, PAGE, &origin)?))
        })?;
        let (page, last) = page;
        users += page;
        if last.is_none() {
            return Ok(writeln!(io::stdout(), "All tokens and sessions of {users} users have ended.")?);
        }
        after = last;
    }
}

/// Writes a change, and prints the user as it is then.
fn show_after(
    conn: &mut DbConn,
    user: &str,
    write: impl FnOnce(&mut DbConn, UserId, &Authority) -> Result<Result<(), AccountError>, DbError>,
) -> Result<(), CommandError> {
    let (_, account) = change(conn, user, |conn, id, authority| {
        Ok(match write(conn, id, authority)? {
            Ok(()) => administration::show(conn, id)?,
            Err(refused) => Err(refused),
        })
    })?;
    print(&account)
}

/// Finds the user and writes the change in one transaction.
fn change<T>(
    conn: &mut DbConn,
    user: &str,
    write: impl FnOnce(&mut DbConn, UserId, &Authority) -> Result<Result<T, AccountError>, DbError>,
) -> Result<(UserId, T), CommandError> {
    let authority = Authority::operator(Origin::command_line(SystemClock.now()));
    db::change(conn, |conn| {
        let id = find_user(conn, user)?.id;
        let done =
            write(conn, id, &authority)?.map_err(|refused| CommandError::Other(refused.to_string()))?;
        Ok((id, done))
    })
}

fn print(Account { user, identities }: &Account) -> Result<(), CommandError> {
    let mut json = view(user);
    json["identities"] = identities.iter().map(identity_view).collect();
    Ok(writeln!(io::stdout(), "{json:#}")?)
}

fn view(user: &User) -> serde_json::Value {
    json!({
        "id": user.id.to_string(),
        "email": user.email,
        "name": user.name,
        "avatar_url": user.avatar_url,
        "admin": user.admin,
        "disabled": user.disabled,
        "has_password": user.has_password,
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
