//! The line that `replay.lua` prints at the end of a run.

use std::time::Duration;

use crate::error::{Result, failed};

/// What wrk saw. Only of a run in which every request was answered 2xx.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Answers.
    pub requests: f64,
    /// From the first request to the last answer.
    pub duration: Duration,
    /// Half of the answers came within this.
    pub p50: Duration,
    /// 99 of 100 did.
    pub p99: Duration,
}

impl Outcome {
    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.requests / self.duration.as_secs_f64()
    }

    /// From all that wrk printed.
    ///
    /// # Errors
    /// No such line; an answer that was no success; a connection that failed; fewer tokens than requests.
    pub fn parse(output: &str) -> Result<Self> {
        let line = output
            .lines()
            .find_map(|line| line.strip_prefix("measured "))
            .ok_or_else(|| failed(format!("wrk did not report:\n{output}")))?;
        let number = |name: &str| -> Result<u32> {
            line.split(' ')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
                .ok_or_else(|| failed(format!("no {name} in wrk's report: {line}")))
        };
        for error in ["connect", "read", "write", "status", "timeout"] {
            let count = number(error)?;
            if count > 0 {
                return Err(failed(format!("{count} requests failed ({error}): {line}")));
            }
        }
        if number("exhausted")? > 0 {
            return Err(failed(format!("there were too few tokens for so many requests: {line}")));
        }
        let micros = |name| number(name).map(|micros| Duration::from_micros(micros.into()));
        let outcome = Self {
            requests: number("requests")?.into(),
            duration: micros("duration_us")?,
            p50: micros("p50_us")?,
            p99: micros("p99_us")?,
        };
        if outcome.requests < 1.0 || outcome.duration.is_zero() {
            return Err(failed(format!("nothing was answered: {line}")));
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 1s test @ http://127.0.0.1:1\nmeasured requests=3000 duration_us=1500000 connect=0 \
                        read=0 write=0 status=0 timeout=0 exhausted=0 p50_us=480 p99_us=2100\n";

    #[test]
    fn a_good_run_is_read() {
        let outcome = Outcome::parse(GOOD).unwrap();
        assert!((outcome.rate() - 2000.0).abs() < 1e-9);
        assert_eq!(outcome.p50, Duration::from_micros(480));
        assert_eq!(outcome.p99, Duration::from_micros(2100));
    }

    #[test]
    fn a_run_with_a_failure_is_no_measurement() {
        for name in ["connect", "read", "write", "status", "timeout", "exhausted"] {
            let bad = GOOD.replace(&format!(" {name}=0"), &format!(" {name}=1"));
            assert_ne!(bad, GOOD);
            assert!(Outcome::parse(&bad).is_err(), "{name}");
        }
        assert!(Outcome::parse(&GOOD.replace("=3000", "=0")).is_err());
        assert!(Outcome::parse(&GOOD.replace("timeout=0 ", "")).is_err());
        assert!(Outcome::parse("Running 1s test\n").is_err());
    }
}
