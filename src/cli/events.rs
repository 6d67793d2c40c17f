//! `tokenbooth events …`: the audit trail.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::json;

use super::CommandError;
use super::database::{find_user, open};
use crate::db::events::{self, EventFilter};
use crate::event::EventKind;
use crate::http::EventView;
use crate::settings::Settings;

/// Events fetched at a time.
const PAGE: usize = 500;

#[derive(Subcommand)]
pub(super) enum EventsCommand {
    /// What happened to accounts, newest first, one JSON object a line
    List {
        /// Only events of this kind, user.disabled for example
        #[arg(long)]
        kind: Option<EventKind>,
        /// Only events about this user: id, or e-mail address of one who is still there
        #[arg(long)]
        user: Option<String>,
        /// So many at most; all when absent
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

pub(super) fn run(settings: &Settings, command: &EventsCommand) -> Result<(), CommandError> {
    let EventsCommand::List { kind, user, limit } = command;
    let conn = &mut open(settings)?;
    // The trail outlives its users: an id need not be anybody's.
    let user_id = match user.as_deref().map(|text| (text, text.parse())) {
        None => None,
        Some((_, Ok(id))) => Some(id),
        Some((email, Err(_))) => Some(find_user(conn, email)?.id),
    };
    let filter = EventFilter { kind: *kind, user_id };
    let mut wanted = limit.unwrap_or(usize::MAX);
    let mut out = io::stdout().lock();
    let mut before = None;
    while wanted > 0 {
        let rows = i64::try_from(wanted.min(PAGE)).unwrap_or_default();
        let page = events::list(conn, filter, before, rows)?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        wanted -= page.len();
        for event in page {
            writeln!(out, "{}", json!(EventView::from(event)))?;
        }
    }
    Ok(())
}
