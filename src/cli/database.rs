//! What the commands on users, sessions, clients and events have in common: the database, and a user by id or e-mail.

use super::CommandError;
use crate::db::{self, DbConn, users};
use crate::settings::Settings;
use crate::user::User;

/// So many users of one address are named at most.
const NAMED: i64 = 500;

/// The database, once it has the tables that are asked for.
pub(super) fn open(settings: &Settings) -> Result<DbConn, CommandError> {
    // SQLite would make it.
    if let Some(file) = settings.database.url.file().filter(|file| !file.exists()) {
        return Err(CommandError::Other(format!(
            "there is no database at {}. Name it in database.url or TOKENBOOTH__DATABASE__URL, and run the command with the settings of the service; a new one is made by `tokenbooth migrate`",
            file.display()
        )));
    }
    let pending = db::pending_migrations(&settings.database.url)?;
    if !pending.is_empty() {
        return Err(CommandError::Other(
            "the database has no users yet: run `tokenbooth migrate` first".to_owned(),
        ));
    }
    Ok(db::connect(&settings.database.url)?)
}

/// By id, or by an address that only one user has.
pub(super) fn find_user(conn: &mut DbConn, text: &str) -> Result<User, CommandError> {
    let mut found = match text.parse() {
        Ok(id) => users::find(conn, id)?.into_iter().collect(),
        Err(_) => users::find_by_email(conn, text, NAMED)?,
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
