//! `make bench`: the service under load on both databases, beside the floor, and what it takes to stand idle.

mod apart;
mod goals;
mod report;
mod rounds;
mod stage;

use clap::{Args, ValueEnum};

use self::goals::Verdict;
use self::stage::Stage;
use crate::error::{Result, failed};

/// How long and how hard.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// How often each measurement is made; the table shows the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds of load before the memory is read
    #[arg(long, default_value_t = 60)]
    soak_seconds: u64,
    /// Only these parts; default: all
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Without these parts
    #[arg(long, value_delimiter = ',')]
    skip: Vec<Part>,
    /// A missed goal is an error
    #[arg(long)]
    strict: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `GET /api/me` by 1000 users
    Read,
    /// Exchange of a known user's ID token
    Exchange,
    /// The same with `offline_access`: a session is stored
    OfflineExchange,
    /// Exchange of an ID token of somebody new
    FirstLogin,
    /// `GET /api/me` by one user
    SingleUser,
    /// Reads with the access log on
    AccessLog,
    /// Waiting time at half of the highest rate
    HalfRate,
    /// Memory before the first request
    Idle,
    /// From start to ready
    Start,
    /// Memory after load over many connections
    Soak,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        (self.only.is_empty() || self.only.contains(&part)) && !self.skip.contains(&part)
    }
}

/// Measures, prints, and compares with the goals.
///
/// # Errors
/// What stops a measurement, a request that fails; with `--strict`, a goal that is missed.
pub fn run(arguments: &Arguments) -> Result<()> {
    report::conditions(arguments);
    let stage = Stage::set_up()?;
    let mut verdicts: Vec<Verdict> = Vec::new();
    // Before anything is asked of them.
    if arguments.wants(Part::Idle) {
        verdicts.extend(apart::idle_memory(&stage)?);
    }
    let stage = stage.with_people()?;
    let rounds = rounds::measure(arguments, &stage)?;
    if !rounds.rows.is_empty() {
        report::table(&rounds);
    }
    verdicts.extend(rounds.verdicts());
    verdicts.extend(apart::measure(arguments, &stage, &rounds)?);
    report::verdicts(&verdicts);
    let missed = verdicts.iter().filter(|verdict| !verdict.holds).count();
    if arguments.strict && missed > 0 {
        return Err(failed(format!("{missed} goals are missed")));
    }
    Ok(())
}
