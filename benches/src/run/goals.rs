//! What is good enough, and whether it holds. Ratios are to the floor of the same round on the same machine.

use super::rounds::Kind;
use crate::backend::Backend;

/// A goal beside what was measured.
#[derive(Debug)]
pub struct Verdict {
    /// What was measured.
    pub what: String,
    /// The number, with its unit.
    pub measured: String,
    /// The goal, with its relation.
    pub goal: String,
    /// Whether it is met.
    pub holds: bool,
}

/// Requests per second, as a part of the floor's.
pub fn least_ratio(backend: Backend, kind: Kind) -> f64 {
    match (kind, backend) {
        (Kind::Read, Backend::Sqlite) => 0.55,
        (Kind::Read, Backend::Postgres) => 0.40,
        (Kind::Exchange, Backend::Sqlite) => 0.19,
        (Kind::Exchange, Backend::Postgres) => 0.16,
        // Each stores something.
        (Kind::OfflineExchange | Kind::FirstLogin, Backend::Sqlite) => 0.055,
        (Kind::OfflineExchange | Kind::FirstLogin, Backend::Postgres) => 0.03,
    }
}

/// CPU time of our own process for one read, in requests of the floor.
pub fn most_cpu(backend: Backend) -> f64 {
    match backend {
        Backend::Sqlite => 2.8,
        Backend::Postgres => 2.5,
    }
}

/// Before the first request.
pub const MOST_IDLE_MB: f64 = 15.0;
/// After load over many connections.
pub const MOST_SOAKED_MB: f64 = 40.0;
/// From the start of the process to ready, on a database that is there.
pub const MOST_START_MS: f64 = 60.0;
/// The 99th percentile of a read at half of the highest rate.
pub const MOST_P99_MS: f64 = 5.0;

impl Verdict {
    /// `measured ≥ goal`.
    pub fn at_least(what: impl Into<String>, measured: f64, goal: f64) -> Self {
        let (measured_text, goal_text) = (format!("{measured:.3}"), format!("≥ {goal}"));
        Self { what: what.into(), measured: measured_text, goal: goal_text, holds: measured >= goal }
    }

    /// `measured ≤ goal`.
    pub fn at_most(what: impl Into<String>, measured: f64, goal: f64, unit: &str) -> Self {
        let text = |number: String| format!("{number} {unit}").trim_end().to_owned();
        Self {
            what: what.into(),
            measured: text(format!("{measured:.2}")),
            goal: format!("≤ {}", text(goal.to_string())),
            holds: measured <= goal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_just_met_holds() {
        assert!(Verdict::at_least("", 0.55, 0.55).holds);
        assert!(!Verdict::at_least("", 0.549, 0.55).holds);
        assert!(Verdict::at_most("", 15.0, 15.0, "MB").holds);
        assert!(!Verdict::at_most("", 15.01, 15.0, "MB").holds);
    }
}
