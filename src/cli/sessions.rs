//! `tokenbooth sessions …`: who stays signed in where, and an end to it.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::CommandError;
use super::database::{find_user, open};
use crate::account::sessions::{Times, end_now};
use crate::clock::{Clock, SystemClock};
use crate::db::{self, DbConn, sessions};
use crate::event::Origin;
use crate::session::Session;
use crate::settings::Settings;

/// Sessions fetched at a time.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum SessionsCommand {
    /// The sessions of a user that are alive, oldest first, one JSON object a line
    List {
        /// Id or e-mail address
        user: String,
    },
    /// End a session: its refresh token and its access tokens are rejected from the next request on
    End {
        /// Id of the session
        session: String,
    },
}

pub(super) fn run(settings: &Settings, command: &SessionsCommand) -> Result<(), CommandError> {
    let conn = &mut open(settings)?;
    match command {
        SessionsCommand::List { user } => list(conn, settings, user),
        SessionsCommand::End { session } => end(conn, session),
    }
}

fn list(conn: &mut DbConn, settings: &Settings, user: &str) -> Result<(), CommandError> {
    let user = find_user(conn, user)?;
    let (now, now_ms) = (SystemClock.now(), SystemClock.now_in_milliseconds());
    let alive = Times { settings: settings.refresh, now, now_ms }.alive(user.token_version);
    let mut out = io::stdout().lock();
    let mut after = None;
    loop {
        let page = sessions::list(conn, user.id, alive, after, PAGE)?;
        for session in &page {
            writeln!(out, "{}", view(session))?;
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

fn end(conn: &mut DbConn, session: &str) -> Result<(), CommandError> {
    let origin = Origin::command_line(SystemClock.now());
    let nowhere = || {
        CommandError::Other(
            "there is no such session; `tokenbooth sessions list <user>` shows a user's".to_owned(),
        )
    };
    let id: Uuid = session.parse().map_err(|_| nowhere())?;
    if !db::change(conn, |conn| end_now(conn, id, None, &origin))? {
        return Err(nowhere());
    }
    Ok(writeln!(io::stdout(), "session {id} ended")?)
}

fn view(session: &Session) -> serde_json::Value {
    json!({
        "id": session.id.to_string(),
        "user_id": session.user_id.to_string(),
        "device": session.place.device,
        "ip": session.place.ip,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
    })
}
