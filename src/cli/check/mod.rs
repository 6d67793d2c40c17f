//! `tokenbooth check`: everything that can be wrong before the first user comes, and how to mend it.

mod clock;
mod database;
mod disk;
mod finding;
mod issuers;
mod keys;
mod memory;
mod providers;
mod secret;
mod server;
mod sign_in;

use clap::Args;

use self::finding::Findings;
use super::CommandError;
use crate::clock::{Clock, SystemClock};
use crate::settings::{Settings, Sources};

#[derive(Args)]
pub(super) struct Check {
    /// One JSON object for programs, instead of a line for each finding
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &Check) -> Result<(), CommandError> {
    let mut findings = Findings::new(options.json);
    let (settings, problems) = Sources::from_process().examine();
    for problem in &problems {
        findings.error(&problem.key, &problem.problem, &problem.remedy)?;
    }
    if let Some(settings) = settings {
        // What was just refused is not tried: a provider's URL that must not be asked would be.
        let usable =
            |section: &str| !problems.iter().any(|problem| problem.key.starts_with(&format!("{section}.")));
        for line in settings.read_from.lines() {
            findings.good("settings", &line)?;
        }
        if problems.is_empty() {
            findings.good("settings", &format!("complete for {}", settings.environment))?;
        }
        examine(&mut findings, &settings, &usable).await?;
    }
    findings.finish()
}

async fn examine(
    findings: &mut Findings,
    settings: &Settings,
    usable: &dyn Fn(&str) -> bool,
) -> Result<(), CommandError> {
    server::check(findings, settings)?;
    secret::check(findings, settings)?;
    if usable("password") {
        memory::check(findings, settings)?;
    }
    if usable("sign_in") {
        sign_in::check(findings, settings)?;
    }
    let mut clocks = clock::Clocks::default();
    if usable("database") {
        database::check(findings, settings, &SystemClock, &mut clocks)?;
        keys::check(findings, settings, SystemClock.now())?;
    }
    if usable("database") && usable("providers") {
        issuers::check(findings, settings)?;
    }
    if usable("providers") {
        providers::check(findings, settings, &mut clocks).await?;
    }
    clocks.check(findings)?;
    Ok(())
}
