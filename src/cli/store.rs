//! `tokenbooth db copy`: everything from one database into another, for whoever outgrows SQLite or goes back to it.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::{CommandError, settings};
use crate::db::DatabaseUrl;
use crate::db::copy::{Compared, Copy, Progress};

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Characters shown of a checksum; all of it is compared.
const SHOWN: usize = 16;

#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Copy all tables into another database and verify them. Stop the service first; cut short, run it again and it goes on
    Copy(CopyOptions),
}

#[derive(Args)]
pub(super) struct CopyOptions {
    /// Where the rows come from: sqlite://… or postgres://…; `database.url` of the settings when absent
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Where they go; its schema is made. "-" reads the address from standard input, where no process list shows its password
    #[arg(long, value_name = "URL")]
    to: String,
    /// Make the target equal to the source even when it holds other data, which is lost
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(command: &StoreCommand) -> Result<(), CommandError> {
    let StoreCommand::Copy(options) = command;
    let from = match &options.from {
        Some(text) => parse("--from", text)?,
        None => settings()?.database.url,
    };
    let to = match options.to.as_str() {
        "-" => parse("--to", first_line()?.trim())?,
        text => parse("--to", text)?,
    };
    let mut shown = None;
    let report = &mut |progress| show(&mut shown, progress);
    let mut copy = Copy::open(&from, &to)?;
    let written = copy.run(options.replace, report)?;
    let compared = copy.verify(report)?;
    print(&compared)?;
    if !compared.iter().all(Compared::equal) {
        return Err(CommandError::Other(
            "the tables are not equal: the source, or the target, was written to meanwhile. Stop the service and run this again"
                .to_owned(),
        ));
    }
    let mut out = io::stdout();
    match written {
        0 => writeln!(out, "Nothing was left to copy.")?,
        _ => writeln!(
            out,
            "{written} rows written. Set database.url to the new address; token.secret stays what it is."
        )?,
    }
    Ok(())
}

fn parse(option: &str, text: &str) -> Result<DatabaseUrl, CommandError> {
    DatabaseUrl::parse(text).map_err(|error| CommandError::Other(format!("{option}: {error}")))
}

fn first_line() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().take(4096).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A line now and then, and one whenever a table is done.
fn show(shown: &mut Option<Instant>, Progress { table, doing, rows, of }: Progress) {
    if rows < of && shown.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) {
        return;
    }
    *shown = Some(Instant::now());
    // Nobody may be looking.
    let _ = writeln!(io::stderr(), "{table}: {rows} of {of} {doing}");
}

fn print(compared: &[Compared]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<14}{:>12}{:>12}  {:<16}  {:<16}  equal",
        "table", "source", "target", "checksum", "checksum"
    )?;
    for table in compared {
        let [source, target] = [table.source, table.target].map(|side| {
            let mut checksum = side.checksum();
            checksum.truncate(SHOWN);
            checksum
        });
        let equal = if table.equal() { "yes" } else { "NO" };
        let (name, there, here) = (table.table, table.source.rows, table.target.rows);
        writeln!(out, "{name:<14}{there:>12}{here:>12}  {source}  {target}  {equal}")?;
    }
    Ok(())
}
