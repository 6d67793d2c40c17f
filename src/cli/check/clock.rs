//! Whether our clock agrees with those whose times we believe.

use std::io;

use super::finding::Findings;

/// A larger difference between our clock and a provider's makes good tokens look expired or not yet issued; the leeway
/// is 60 s.
const TOLERATED: i64 = 30;

/// By how many seconds we are ahead of whom.
#[derive(Default)]
pub(super) struct Clocks {
    ahead: Vec<(String, i64)>,
}

impl Clocks {
    pub(super) fn add(&mut self, whose: impl Into<String>, ahead: i64) {
        self.ahead.push((whose.into(), ahead));
    }

    pub(super) fn check(&self, findings: &mut Findings) -> io::Result<()> {
        if self.ahead.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = self
            .ahead
            .iter()
            .map(|(whose, ahead)| match ahead {
                0 => format!("the same as {whose}'s"),
                1.. => format!("{ahead} s ahead of {whose}'s"),
                _ => format!("{} s behind {whose}'s", ahead.unsigned_abs()),
            })
            .collect();
        let told = told.join(", ");
        if self.ahead.iter().any(|(_, ahead)| ahead.abs() > TOLERATED) {
            return findings.error("clock", &told, "Good tokens may be refused: run a time service");
        }
        findings.good("clock", &told)
    }
}
