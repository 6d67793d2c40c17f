//! `make bench-instructions`: how many instructions one request takes, counted by callgrind. Unlike time, that hardly
//! depends on what else the machine does, so a few per cent more are seen, and CI can refuse them.
//!
//! The worker runs twice, with few and with many requests: the difference is requests alone, without start and end.
//! Mock and signatures are in this process, outside of what is counted.

mod baseline;
mod worker;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokenbooth::mock::MockProviders;

use self::baseline::{Baseline, Comparison, Conditions};
pub use self::worker::work;
use crate::error::{Result, failed};
use crate::people;

/// Requests of the short run and of the long one.
const FEW: usize = 200;
const MANY: usize = 1000;

/// What to do with the counts.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Make these counts the ones to compare with
    #[arg(long)]
    accept: bool,
    /// The counts to compare with
    #[arg(long, default_value = "benches/instructions.toml")]
    baseline: PathBuf,
    /// How often each path is counted; the median is taken
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// A hot path: a whole request through actix-web.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HotPath {
    /// `GET /api/me`.
    Read,
    /// `GET /api/me` with a token of a session, whose row is read as well.
    ReadOfSession,
    /// `POST /auth/google` with a known user's ID token.
    Exchange,
    /// `POST /auth/google` with somebody's first ID token.
    FirstLogin,
}

impl HotPath {
    const ALL: [Self; 4] = [Self::Read, Self::ReadOfSession, Self::Exchange, Self::FirstLogin];

    /// As in the file.
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadOfSession => "read_of_session",
            Self::Exchange => "exchange",
            Self::FirstLogin => "first_login",
        }
    }
}

/// What the worker is handed, in a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    path: HotPath,
    requests: usize,
    /// Keys and values that lead to the mock.
    settings: Vec<(String, String)>,
    /// Of people nobody knows; as many for every order, so that reading them costs the same.
    id_tokens: Vec<String>,
}

/// Counts, then compares or accepts.
///
/// # Errors
/// valgrind is missing, a request fails, or a path takes more instructions than it may.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mock = actix_web::rt::System::new().block_on(MockProviders::start())?;
    let id_tokens = people::id_tokens(&mock, 0..MANY + 1);
    let mut counts = Vec::new();
    for path in HotPath::ALL {
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            let order =
                |requests| Order { path, requests, settings: mock.settings(), id_tokens: id_tokens.clone() };
            let (few, many) = (count(&order(FEW))?, count(&order(MANY))?);
            rounds.push(many.saturating_sub(few) / (MANY - FEW) as u64);
        }
        println!("{:<12} {rounds:?} instructions for each request", path.name());
        rounds.sort_unstable();
        counts.push((path.name().to_owned(), rounds[rounds.len() / 2]));
    }
    let counted = Baseline { conditions: Conditions::of_this_build()?, counts };
    if arguments.accept {
        fs::write(&arguments.baseline, counted.to_toml())?;
        println!("written to {}", arguments.baseline.display());
        return Ok(());
    }
    compare(&counted, &arguments.baseline)
}

fn compare(counted: &Baseline, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).map_err(|error| {
        failed(format!("{}: {error}. Write it: make bench-instructions ACCEPT=1", file.display()))
    })?;
    let accepted = Baseline::parse(&text)?;
    if let Some(difference) = accepted.conditions.difference(&counted.conditions) {
        println!("{}: {difference}", file.display());
    }
    if !accepted.conditions.comparable(&counted.conditions) {
        println!("nothing is compared");
        return Ok(());
    }
    let comparisons = accepted.compare(counted);
    for comparison in &comparisons {
        println!("{comparison}");
    }
    if comparisons.iter().any(Comparison::is_worse) {
        return Err(failed(format!(
            "more instructions than {} allows. If they are worth it: make bench-instructions ACCEPT=1, and say in the commit why",
            file.display()
        )));
    }
    Ok(())
}

/// All instructions of one worker, in all of its threads.
fn count(order: &Order) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let (order_file, profile) = (folder.path().join("order.json"), folder.path().join("profile"));
    fs::write(&order_file, serde_json::to_vec(order).map_err(|error| failed(error.to_string()))?)?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .arg("instructions-worker")
        .arg(&order_file)
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed("valgrind is missing: apt-get install valgrind"),
            _ => error.into(),
        })?;
    if !output.status.success() {
        return Err(failed(format!("the worker failed:\n{}", String::from_utf8_lossy(&output.stderr))));
    }
    total(&fs::read_to_string(&profile)?)
        .ok_or_else(|| failed("callgrind's profile has no line \"totals:\" or \"summary:\""))
}

/// Of callgrind's profile.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_in_a_profile() {
        assert_eq!(
            total("# callgrind format\nevents: Ir\nfn=(1)\n12 34\n\ntotals: 987654321\n"),
            Some(987_654_321)
        );
        assert_eq!(total("events: Ir\n"), None);
    }
}
