//! What is measured apart from the rounds: memory, the start, waiting times at an ordinary load, and two reads for
//! information.

use std::time::Duration;

use super::goals::{self, Verdict};
use super::rounds::{Kind, Rounds};
use super::stage::{Booth, Stage};
use super::{Arguments, Part};
use crate::error::Result;
use crate::load::{Pressure, Traffic};
use crate::sample::{micros, sample};
use crate::server::Server;
use crate::statistics::median;

/// How often a start is timed.
const STARTS: usize = 5;
/// Connections at half of the highest rate, and while soaking.
const MANY_CONNECTIONS: usize = 256;

/// Memory of servers that nobody has asked anything but whether they are ready.
///
/// # Errors
/// A server is gone.
pub fn idle_memory(stage: &Stage) -> Result<Vec<Verdict>> {
    // Allow what is done in the background at start to end.
    std::thread::sleep(Duration::from_secs(1));
    let verdict = |booth: &Booth| {
        let what = format!("{}: resident memory when idle", booth.backend);
        Ok(Verdict::at_most(what, booth.server.resident_mb()?, goals::MOST_IDLE_MB, "MB"))
    };
    stage.booths.iter().map(verdict).collect()
}

/// Everything else.
///
/// # Errors
/// Those of the measurements.
pub fn measure(arguments: &Arguments, stage: &Stage, rounds: &Rounds) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    let pressure = Pressure { connections: arguments.connections, seconds: arguments.seconds, delay: None };
    if arguments.wants(Part::SingleUser) {
        for booth in &stage.booths {
            let one = booth.tokens.get(..1).unwrap_or_default();
            let rate = sample(&booth.server, &Traffic::Read(one), pressure)?.outcome.rate();
            println!("{} read by one user over all connections: {rate:.0} requests/s", booth.backend);
        }
    }
    if arguments.wants(Part::AccessLog) {
        access_log(stage, pressure)?;
    }
    for booth in &stage.booths {
        if arguments.wants(Part::HalfRate)
            && let Some(rate) = rounds.rate(booth.backend, Kind::Read)
        {
            verdicts.push(half_rate(booth, rate, arguments.seconds)?);
        }
    }
    if arguments.wants(Part::Start) {
        verdicts.push(start(stage)?);
    }
    for booth in &stage.booths {
        if arguments.wants(Part::Soak) {
            verdicts.push(soak(booth, stage, arguments.soak_seconds)?);
        }
    }
    Ok(verdicts)
}

/// The log goes to a file, as where a supervisor keeps it.
fn access_log(stage: &Stage, pressure: Pressure) -> Result<()> {
    let [sqlite, _] = &stage.booths;
    let traffic = Traffic::Read(&sqlite.tokens);
    let quiet = sample(&sqlite.server, &traffic, pressure)?;
    let talking = Server::tokenbooth(&stage.mock, &stage.sqlite_url, "info")?;
    // Its public URL, and with it the issuer, follows from the port: it would refuse the other server's tokens.
    let tokens = stage
        .id_tokens
        .iter()
        .map(|id_token| crate::http::exchange(talking.port, id_token))
        .collect::<Result<Vec<_>>>()?;
    let logged = sample(&talking, &Traffic::Read(&tokens), pressure)?;
    println!(
        "{} read with the access log in a file: {:.0} requests/s, {:.1} µs of CPU; without it just before: {:.0}, {:.1}",
        sqlite.backend,
        logged.outcome.rate(),
        logged.cpu_micros,
        quiet.outcome.rate(),
        quiet.cpu_micros,
    );
    Ok(())
}

/// Each connection waits between its requests, so long that all together make half of the rate.
fn half_rate(booth: &Booth, highest: f64, seconds: u64) -> Result<Verdict> {
    let wanted = highest / 2.0;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let connections = MANY_CONNECTIONS as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds, rounded")]
    let delay = (connections / wanted * 1e3).round().max(1.0) as u64;
    let pressure = Pressure { connections: MANY_CONNECTIONS, seconds, delay: Some(delay) };
    let outcome = sample(&booth.server, &Traffic::Read(&booth.tokens), pressure)?.outcome;
    println!(
        "{} read at half of the highest rate: {:.0} requests/s were wanted and {:.0} made, p50 {:.2} ms, p99 {:.2} ms",
        booth.backend,
        wanted,
        outcome.rate(),
        micros(outcome.p50) / 1e3,
        micros(outcome.p99) / 1e3,
    );
    let what = format!("{} read: p99 at half of the highest rate", booth.backend);
    Ok(Verdict::at_most(what, micros(outcome.p99) / 1e3, goals::MOST_P99_MS, "ms"))
}

fn start(stage: &Stage) -> Result<Verdict> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let server = Server::tokenbooth(&stage.mock, &stage.sqlite_url, "warn")?;
        times.push(micros(server.ready_after()) / 1e3);
    }
    let what = "from start to ready on an SQLite file that is there";
    Ok(Verdict::at_most(what, median(&times), goals::MOST_START_MS, "ms"))
}

fn soak(booth: &Booth, stage: &Stage, seconds: u64) -> Result<Verdict> {
    let pressure = Pressure { connections: MANY_CONNECTIONS, seconds, delay: None };
    let sample = sample(&booth.server, &Traffic::Both(&booth.tokens, &stage.id_tokens), pressure)?;
    println!(
        "{} after {seconds} s of reads and exchanges in turns over {MANY_CONNECTIONS} connections ({:.0} requests/s): {:.1} MB",
        booth.backend,
        sample.outcome.rate(),
        sample.resident_mb
    );
    let what = format!("{}: resident memory after load", booth.backend);
    Ok(Verdict::at_most(what, sample.resident_mb, goals::MOST_SOAKED_MB, "MB"))
}
