//! What is printed.

use std::thread;

use super::Arguments;
use super::goals::{Verdict, least_ratio};
use super::rounds::{Rounds, median_of};
use crate::sample::{Sample, micros};

/// What a reader has to know to believe or to doubt the numbers.
pub fn conditions(arguments: &Arguments) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    println!(
        "{cores} cores, load {load} before the start; servers, PostgreSQL and wrk (2 threads, {} connections) share them.\n\
         The floor: actix-web answering GET /api/me from memory, without a check.\n\
         SQLite is as in production. PostgreSQL is a throw-away cluster with fsync, synchronous_commit and\n\
         full_page_writes off: its first logins do not wait for a disk.\n\
         CPU is that of the server's own process, user and system, without PostgreSQL's.\n",
        arguments.connections
    );
}

/// One measurement, as it is made. Round 0 is the warm-up.
pub fn sample(round: u32, server: &str, kind: &str, sample: &Sample, floor: &Sample) {
    println!(
        "round {round}  {server:<10} {kind:<16} {:>8.0} requests/s  p50 {:>7.2} ms  p99 {:>7.2} ms  own CPU {:>6.1} µs  {:>5.1} MB  ratio {:.3}",
        sample.outcome.rate(),
        micros(sample.outcome.p50) / 1e3,
        micros(sample.outcome.p99) / 1e3,
        sample.cpu_micros,
        sample.resident_mb,
        sample.outcome.rate() / floor.outcome.rate(),
    );
}

/// The median of all rounds.
pub fn table(rounds: &Rounds) {
    println!(
        "\nmedian of {} rounds\n{:<27} {:>10} {:>8} {:>8} {:>12} {:>14} {:>9}  ratio to the floor (least..greatest)",
        rounds.floor.len(),
        "",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "own CPU µs",
        "CPU in floor's",
        "memory MB",
    );
    line("floor read", &rounds.floor, 1.0, "1");
    for row in &rounds.rows {
        let (ratio, least, greatest) = row.ratio(&rounds.floor);
        let goal = least_ratio(row.backend, row.kind);
        let word = if ratio >= goal { "holds" } else { "MISSED" };
        line(
            &format!("{} {}", row.backend, row.kind.name()),
            &row.samples,
            row.cpu_in_floor_requests(&rounds.floor),
            &format!("{ratio:.3} ({least:.3}..{greatest:.3}), goal ≥ {goal}: {word}"),
        );
    }
    println!();
}

fn line(name: &str, samples: &[Sample], cpu_in_floor_requests: f64, ratio: &str) {
    println!(
        "{name:<27} {:>10.0} {:>8.2} {:>8.2} {:>12.1} {cpu_in_floor_requests:>14.2} {:>9.1}  {ratio}",
        median_of(samples, |sample| sample.outcome.rate()),
        median_of(samples, |sample| micros(sample.outcome.p50)) / 1e3,
        median_of(samples, |sample| micros(sample.outcome.p99)) / 1e3,
        median_of(samples, |sample| sample.cpu_micros),
        median_of(samples, |sample| sample.resident_mb),
    );
}

/// All goals.
pub fn verdicts(verdicts: &[Verdict]) {
    println!("\ngoals");
    for Verdict { what, measured, goal, holds } in verdicts {
        let word = if *holds { "holds" } else { "MISSED" };
        println!("{what:<55} {measured:>10}  {goal:<10}  {word}");
    }
}
