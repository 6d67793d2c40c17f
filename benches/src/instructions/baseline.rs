//! The counts to compare with, in a file under version control.

use std::fmt;
use std::fmt::Write as _;
use std::process::Command;

use config::{Config, File, FileFormat};

use crate::error::{Result, failed};

/// How much more or less is worth a word, in per cent.
const TOLERANCE: f64 = 5.0;

/// Instructions per request, by path, and where they were counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Baseline {
    pub conditions: Conditions,
    /// In the order of the file.
    pub counts: Vec<(String, u64)>,
}

/// What else decides how many instructions there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// `x86_64` …
    pub architecture: String,
    /// `rustc 1.95.0 (…)`.
    pub rustc: String,
}

/// One path, then and now.
#[derive(Debug, PartialEq)]
pub struct Comparison {
    path: String,
    accepted: Option<u64>,
    counted: u64,
}

impl Conditions {
    /// Of this program and of the compiler that is installed, which is the one that has just built it.
    ///
    /// # Errors
    /// There is no `rustc`.
    pub fn of_this_build() -> Result<Self> {
        let output = Command::new("rustc").arg("--version").output()?;
        let rustc = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { architecture: std::env::consts::ARCH.to_owned(), rustc })
    }

    /// Whether counts say anything about each other. Another compiler does not make them incomparable: what it costs is
    /// to be seen, and accepted.
    pub fn comparable(&self, other: &Self) -> bool {
        self.architecture == other.architecture
    }

    /// In words, when there is any.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let Self { architecture, rustc } = other;
        (self != other).then(|| {
            format!("counted on {} with {}; here {architecture} with {rustc}", self.architecture, self.rustc)
        })
    }
}

impl Baseline {
    /// From the file's text.
    ///
    /// # Errors
    /// Not the form of [`Baseline::to_toml`].
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |error: config::ConfigError| failed(format!("the accepted counts cannot be read: {error}"));
        let file =
            Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build().map_err(bad)?;
        let conditions = Conditions {
            architecture: file.get_string("architecture").map_err(bad)?,
            rustc: file.get_string("rustc").map_err(bad)?,
        };
        let mut counts = Vec::new();
        for (path, value) in file.get_table("instructions").map_err(bad)? {
            counts.push((path, value.into_uint().map_err(bad)?));
        }
        counts.sort();
        Ok(Self { conditions, counts })
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let Conditions { architecture, rustc } = &self.conditions;
        let mut text = format!(
            "# Instructions for one request, counted by callgrind. Written by `make bench-instructions ACCEPT=1`, compared\n\
             # with by `make bench-instructions` and CI: more than {TOLERANCE} % above is an error.\n\
             architecture = \"{architecture}\"\nrustc = \"{rustc}\"\n\n[instructions]\n"
        );
        for (path, count) in &self.counts {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{path} = {count}");
        }
        text
    }

    /// Every path of `counted` beside what is accepted.
    pub fn compare(&self, counted: &Self) -> Vec<Comparison> {
        let accepted =
            |path: &str| self.counts.iter().find(|(name, _)| name == path).map(|(_, count)| *count);
        let paths = counted.counts.iter();
        paths
            .map(|(path, count)| Comparison { path: path.clone(), accepted: accepted(path), counted: *count })
            .collect()
    }
}

impl Comparison {
    /// Per cent above what is accepted; negative below.
    #[expect(clippy::cast_precision_loss, reason = "counts of less than 2^52")]
    fn change(&self) -> Option<f64> {
        let accepted = self.accepted? as f64;
        Some((self.counted as f64 - accepted) * 100.0 / accepted)
    }

    /// More than it may be; also when nothing was accepted, or a path could be renamed past the comparison.
    pub fn is_worse(&self) -> bool {
        self.change().is_none_or(|change| change > TOLERANCE)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, counted, .. } = self;
        let (Some(accepted), Some(change)) = (self.accepted, self.change()) else {
            return write!(f, "{path}: {counted}, and nothing to compare with");
        };
        write!(f, "{path}: {counted}, {change:+.1} % of the accepted {accepted}")?;
        if self.is_worse() {
            write!(f, ": TOO MANY (at most {TOLERANCE} % more)")
        } else if change < -TOLERANCE {
            write!(f, ": better; keep it with make bench-instructions ACCEPT=1")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(counts: &[(&str, u64)]) -> Baseline {
        let conditions = Conditions { architecture: "x86_64".to_owned(), rustc: "rustc 1.95.0".to_owned() };
        let counts = counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        Baseline { conditions, counts }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = baseline(&[("exchange", 200), ("read", 100)]);
        assert_eq!(Baseline::parse(&written.to_toml()).unwrap(), written);
        assert!(Baseline::parse("rustc = \"1\"").is_err());
        assert!(Baseline::parse("not toml").is_err());
    }

    #[test]
    fn more_than_five_per_cent_above_is_worse() {
        let accepted = baseline(&[("read", 1000)]);
        let compare = |count| accepted.compare(&baseline(&[("read", count)])).remove(0);
        assert!(!compare(1050).is_worse());
        assert!(compare(1051).is_worse());
        assert!(compare(1051).to_string().contains("+5.1 %"), "{}", compare(1051));
        assert!(!compare(949).is_worse());
        assert!(compare(949).to_string().contains("ACCEPT=1"), "{}", compare(949));
        assert!(!compare(951).to_string().contains("ACCEPT=1"));
    }

    #[test]
    fn a_path_nobody_accepted_is_worse() {
        let compared = baseline(&[]).compare(&baseline(&[("read", 1)]));
        assert!(compared[0].is_worse());
    }

    #[test]
    fn another_architecture_is_not_comparable_and_another_compiler_is() {
        let here = baseline(&[]).conditions;
        let newer = Conditions { rustc: "rustc 1.96.0".to_owned(), ..here.clone() };
        let elsewhere = Conditions { architecture: "aarch64".to_owned(), ..here.clone() };
        assert!(here.comparable(&newer) && here.difference(&newer).is_some());
        assert!(!here.comparable(&elsewhere));
        assert!(here.difference(&here).is_none());
    }
}
