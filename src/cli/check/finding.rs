//! What was found: a line each as soon as it is known, or all of it as JSON at the end.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use crate::cli::CommandError;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// Nothing to do.
    Ok,
    /// It works, and is perhaps not meant so.
    Warning,
    /// It does not work, or not as it must.
    Error,
}

#[derive(Serialize)]
struct Finding {
    level: Level,
    /// The setting, or the part of the world.
    subject: String,
    found: String,
    /// How to mend it.
    remedy: Option<String>,
}

/// Everything found so far.
pub(super) struct Findings {
    json: bool,
    all: Vec<Finding>,
}

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self { json, all: Vec::new() }
    }

    pub(super) fn good(&mut self, subject: &str, found: &str) -> io::Result<()> {
        self.add(Level::Ok, subject, found, None)
    }

    pub(super) fn warn(&mut self, subject: &str, found: &str, remedy: &str) -> io::Result<()> {
        self.add(Level::Warning, subject, found, Some(remedy))
    }

    pub(super) fn error(&mut self, subject: &str, found: &str, remedy: &str) -> io::Result<()> {
        self.add(Level::Error, subject, found, Some(remedy))
    }

    fn add(&mut self, level: Level, subject: &str, found: &str, remedy: Option<&str>) -> io::Result<()> {
        if !self.json {
            let word = match level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            let remedy = remedy.map(|remedy| format!(". {remedy}")).unwrap_or_default();
            writeln!(io::stdout(), "{word:<9}{subject}: {found}{remedy}")?;
        }
        self.all.push(Finding {
            level,
            subject: subject.to_owned(),
            found: found.to_owned(),
            remedy: remedy.map(str::to_owned),
        });
        Ok(())
    }

    /// The end of the report; an error when there was one in it.
    pub(super) fn finish(self) -> Result<(), CommandError> {
        let count = |level| self.all.iter().filter(|finding| finding.level == level).count();
        let (errors, warnings) = (count(Level::Error), count(Level::Warning));
        if self.json {
            let report = json!({ "errors": errors, "warnings": warnings, "findings": self.all });
            writeln!(io::stdout(), "{report:#}")?;
        }
        if errors == 0 { Ok(()) } else { Err(CommandError::Told) }
    }
}
