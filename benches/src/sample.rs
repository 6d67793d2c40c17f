//! One measurement of one server.

use std::time::Duration;

use crate::error::{Result, failed};
use crate::http;
use crate::load::{self, Outcome, Pressure, Traffic};
use crate::server::Server;

/// What one run of wrk says of one server.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub outcome: Outcome,
    /// CPU time that the server's own process took for one request, in microseconds.
    pub cpu_micros: f64,
    /// The server's resident memory afterwards, in MB.
    pub resident_mb: f64,
}

/// How the exchanges of a run must end, by the server's own count.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// `ok`: the person was known.
    Known,
    /// `created`.
    New,
}

/// Drives a server.
///
/// # Errors
/// Those of [`load::drive`].
pub fn sample(server: &Server, traffic: &Traffic<'_>, pressure: Pressure) -> Result<Sample> {
    let before = server.cpu()?;
    let outcome = load::drive(server.port, traffic, pressure)?;
    let cpu = server.cpu()?.saturating_sub(before);
    Ok(Sample { outcome, cpu_micros: micros(cpu) / outcome.requests, resident_mb: server.resident_mb()? })
}

/// Drives a server with exchanges.
///
/// # Errors
/// Those of [`load::drive`], and any exchange that ended in another way.
pub fn sample_exchanges(
    server: &Server,
    traffic: &Traffic<'_>,
    pressure: Pressure,
    ending: Ending,
) -> Result<Sample> {
    let before = Exchanges::of(server)?;
    let sample = sample(server, traffic, pressure)?;
    let after = Exchanges::of(server)?;
    let (known, created) = (after.known - before.known, after.created - before.created);
    let (expected, unexpected) = match ending {
        Ending::Known => (known, created),
        Ending::New => (created, known),
    };
    // wrk does not count what was under way when it stopped, but the server does.
    if unexpected > 0.0 || expected < sample.outcome.requests {
        return Err(failed(format!(
            "{} exchanges, expected to be {ending:?}; the server counts {known} known and {created} created",
            sample.outcome.requests
        )));
    }
    Ok(sample)
}

/// Microseconds with their fraction.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The server's counters.
struct Exchanges {
    known: f64,
    created: f64,
}

impl Exchanges {
    fn of(server: &Server) -> Result<Self> {
        let metrics = http::get(server.port, "/metrics")?.body;
        Ok(Self { known: exchanges(&metrics, "ok"), created: exchanges(&metrics, "created") })
    }
}

/// `tokenbooth_exchanges_total` of this result; zero when nobody has been counted.
fn exchanges(metrics: &str, result: &str) -> f64 {
    let label = format!("result=\"{result}\"");
    metrics
        .lines()
        .filter(|line| line.starts_with("tokenbooth_exchanges_total{") && line.contains(&label))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_are_counted_by_result() {
        let metrics = "# TYPE tokenbooth_exchanges counter\n\
                       tokenbooth_exchanges_total{provider=\"google\",result=\"ok\"} 12\n\
                       tokenbooth_exchanges_total{provider=\"github\",result=\"ok\"} 3\n\
                       tokenbooth_exchanges_total{provider=\"google\",result=\"created\"} 7\n";
        assert!((exchanges(metrics, "ok") - 15.0).abs() < f64::EPSILON);
        assert!((exchanges(metrics, "created") - 7.0).abs() < f64::EPSILON);
        assert!(exchanges(metrics, "invalid_token").abs() < f64::EPSILON);
    }
}
