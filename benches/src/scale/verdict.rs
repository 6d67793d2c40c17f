//! Whether a larger table costs more.

use std::fmt;

use super::RoundsBySize;
use crate::sample::Sample;
use crate::statistics::median;

/// How much worse than at the first size is still the same, as a part of it.
pub const TOLERANCE: f64 = 0.15;

/// A kind of request at one size beside the first size of the same round; medians over the rounds.
#[derive(Debug)]
pub struct Deviation {
    what: String,
    size: usize,
    rate: f64,
    cpu_micros: f64,
    rate_ratio: f64,
    cpu_ratio: f64,
}

impl Deviation {
    /// Fewer requests per second, or more CPU time for each, than is tolerated.
    pub fn is_too_much(&self) -> bool {
        self.rate_ratio < 1.0 - TOLERANCE || self.cpu_ratio > 1.0 + TOLERANCE
    }
}

/// One for each size.
pub fn deviations(what: &str, sizes: &[usize], rounds: &RoundsBySize) -> Vec<Deviation> {
    let of_all_rounds = |number: &dyn Fn(&[Sample]) -> f64| {
        median(&rounds.iter().map(|samples| number(samples)).collect::<Vec<_>>())
    };
    let deviation = |(index, size): (usize, &usize)| Deviation {
        what: what.to_owned(),
        size: *size,
        rate: of_all_rounds(&|samples| samples[index].outcome.rate()),
        cpu_micros: of_all_rounds(&|samples| samples[index].cpu_micros),
        rate_ratio: of_all_rounds(&|samples| samples[index].outcome.rate() / samples[0].outcome.rate()),
        cpu_ratio: of_all_rounds(&|samples| samples[index].cpu_micros / samples[0].cpu_micros),
    };
    sizes.iter().enumerate().map(deviation).collect()
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, size, rate, cpu_micros, rate_ratio, cpu_ratio } = self;
        let word = if self.is_too_much() { "TOO MUCH" } else { "holds" };
        write!(
            f,
            "{what:<20} {size:>9} users  {rate:>8.0} requests/s (ratio {rate_ratio:.3})  own CPU {cpu_micros:>6.1} µs (ratio {cpu_ratio:.3})  {word}"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Outcome;

    fn sample(rate: f64, cpu_micros: f64) -> Sample {
        let duration = Duration::from_secs(1);
        let outcome = Outcome { requests: rate, duration, p50: duration, p99: duration };
        Sample { outcome, cpu_micros, resident_mb: 1.0 }
    }

    #[test]
    fn ratios_are_within_a_round() {
        // A machine that becomes twice as slow is not a table that does.
        let rounds = vec![
            vec![sample(1000.0, 10.0), sample(1000.0, 10.0)],
            vec![sample(500.0, 20.0), sample(500.0, 20.0)],
        ];
        assert!(!deviations("", &[1, 2], &rounds).iter().any(Deviation::is_too_much));
    }

    #[test]
    fn only_worse_is_too_much() {
        let of = |rate, cpu| {
            deviations("", &[1, 2], &vec![vec![sample(1000.0, 10.0), sample(rate, cpu)]]).remove(1)
        };
        assert!(!of(851.0, 11.4).is_too_much());
        assert!(of(849.0, 10.0).is_too_much());
        assert!(of(1000.0, 11.6).is_too_much());
        assert!(!of(2000.0, 1.0).is_too_much());
    }
}
