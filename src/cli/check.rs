//! `tokenbooth check`: everything that can be wrong before the first user comes, and how to mend it.

use std::io::{self, Write};
use std::sync::Arc;

use super::{CommandError, settings};
use crate::app::{self, StartError};
use crate::clock::{Clock, SharedClock, SystemClock};
use crate::db::{self, PreparedStatements};
use crate::keys::{KeysError, StoreError};
use crate::metrics::Metrics;
use crate::provider::Providers;
use crate::settings::{Environment, Settings, check_provider_url};

/// A larger difference between our clock and a provider's makes good tokens look expired or not yet issued; the leeway
/// is 60 s.
const TOLERATED_CLOCK_DIFFERENCE: i64 = 30;

/// What was found, a line each.
#[derive(Default)]
struct Findings {
    problems: usize,
}

impl Findings {
    fn good(what: &str, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "ok       {what}: {text}")
    }

    fn warn(what: &str, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "warning  {what}: {text}")
    }

    fn bad(&mut self, what: &str, text: &str) -> io::Result<()> {
        self.problems += 1;
        writeln!(io::stdout(), "problem  {what}: {text}")
    }
}

pub(super) async fn run() -> Result<(), CommandError> {
    let mut findings = Findings::default();
    match settings() {
        Err(error) => findings.bad("settings", &error.to_string())?,
        Ok(settings) => {
            check_settings(&settings)?;
            check_database(&mut findings, &settings)?;
            check_keys(&mut findings, &settings)?;
            check_providers(&mut findings, &settings).await?;
        }
    }
    match findings.problems {
        0 => Ok(()),
        _ => Err(CommandError::Told),
    }
}

fn check_settings(settings: &Settings) -> Result<(), CommandError> {
    Findings::good("settings", &format!("complete for {}", settings.environment))?;
    // We speak http only: whoever reaches us by https does so through a proxy.
    let proxied = settings.server.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    if proxied && settings.rate_limit.enabled && settings.server.trusted_proxies.is_empty() {
        let text = "it is empty, and clients come through a proxy: to rate limits and the audit trail they are all one address";
        Findings::warn("server.trusted_proxies", text)?;
    }
    if check_provider_url(&settings.public_url()).is_err() {
        let text = "it is http:// and not this machine: browsers keep no cookie of ours there, so nobody signs in by way of one";
        Findings::warn("server.public_url", text)?;
    }
    if settings.environment == Environment::Development {
        return Ok(());
    }
    if settings.server.public_url.is_none() {
        let text =
            "it is made from host and port; set it, since all replicas and their clients must agree on it";
        Findings::warn("server.public_url", text)?;
    }
    Ok(())
}

fn check_database(findings: &mut Findings, settings: &Settings) -> Result<(), CommandError> {
    let backend = settings.database.url.backend();
    // SQLite would make the file; looking must not.
    if let Some(file) = settings.database.url.file()
        && !file.exists()
    {
        let folder = file.parent().filter(|path| !path.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            let text = "SQLite, the folder of its file does not exist. Make it, or set database.url";
            return Ok(findings.bad("database", text)?);
        }
        return Ok(Findings::good("database", "SQLite, the file will be made at the first start")?);
    }
    match db::pending_migrations(&settings.database.url) {
        Err(error) => {
            findings.bad("database", &format!("{error}. Check database.url and that the database runs"))?;
        }
        Ok(pending) if pending.is_empty() => {
            Findings::good("database", &format!("{backend}, schema up to date"))?;
        }
        Ok(pending) if settings.database.migrate_on_start => {
            Findings::good(
                "database",
                &format!("{backend}, {} migrations will run at the next start", pending.len()),
            )?;
        }
        Ok(pending) => {
            findings.bad(
                "database",
                &format!("{backend}, {} migrations are pending: run `tokenbooth migrate`", pending.len()),
            )?;
        }
    }
    check_sessions(settings)
}

/// Says whether a pooler is in between: whoever looks for a slow or a failing query wants to know.
fn check_sessions(settings: &Settings) -> Result<(), CommandError> {
    let what = "database.prepared_statements";
    // Why it cannot be asked has been told.
    if !db::sessions_are_shared(&settings.database.url).unwrap_or_default() {
        return Ok(());
    }
    let pooler = "a pooler gives each transaction another session";
    if settings.database.prepared_statements == PreparedStatements::Always {
        let text = format!(
            "{pooler}: unless it knows prepared statements (PgBouncer from 1.21 on with max_prepared_statements), remove the setting"
        );
        return Ok(Findings::warn(what, &text)?);
    }
    Ok(Findings::good(what, &format!("{pooler}, so none is prepared"))?)
}

fn check_keys(findings: &mut Findings, settings: &Settings) -> Result<(), CommandError> {
    if settings.token.secret.is_none() {
        // Looking would make the secret of development.
        return Ok(());
    }
    match app::tokens(settings) {
        Ok(tokens) => {
            let keyring = tokens.keyring();
            let (kid, algorithm) = keyring.signing(SystemClock.now());
            Ok(Findings::good("keys", &format!("{algorithm} signs, by the key {kid}"))?)
        }
        // It was said above.
        Err(StartError::Keys(KeysError::Store(StoreError::Db(_)))) => Ok(()),
        Err(error) => Ok(findings.bad("keys", &error.to_string())?),
    }
}

async fn check_providers(findings: &mut Findings, settings: &Settings) -> Result<(), CommandError> {
    if settings.providers.is_empty() {
        let text = "none is configured, nobody can sign in: set providers.google.client_ids, for example";
        return Ok(Findings::warn("providers", text)?);
    }
    let clock: SharedClock = Arc::new(SystemClock);
    let client = app::provider_client(settings, &Metrics::default(), &clock)?;
    let providers = Providers::new(settings, &client, &clock);
    let mut reached = false;
    for provider in providers.iter() {
        let name = format!("providers.{}", provider.name());
        match provider.check().await {
            Ok(text) => {
                reached = true;
                // Nothing of ours can find out whether it is registered: the provider tells only the browser.
                let callback = provider.redirect_flow().map(|_| {
                    let url = settings.public_url();
                    format!("; the callback to register is {url}/auth/{}/callback", provider.name())
                });
                Findings::good(&name, &format!("reachable, {text}{}", callback.unwrap_or_default()))?;
            }
            Err(outage) => {
                findings.bad(&name, &format!("{outage}. Check its settings and this machine's way out"))?;
            }
        }
    }
    let ahead = client.clock_difference();
    if reached && ahead.abs() > TOLERATED_CLOCK_DIFFERENCE {
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        findings.bad(
            "clock",
            &format!(
                "{} s {way} the providers': good tokens may be refused. Run a time service",
                ahead.abs()
            ),
        )?;
    } else if reached {
        Findings::good("clock", &format!("within {TOLERATED_CLOCK_DIFFERENCE} s of the providers'"))?;
    }
    Ok(())
}
