//! The database: there, current, fit for the work.

use std::io;
use std::time::Duration;

use super::clock::Clocks;
use super::disk;
use super::finding::Findings;
use crate::app;
use crate::clock::Clock;
use crate::db::{self, DbConn, DbError, Inspection, MigrationState, PreparedStatements, ServerFacts, users};
use crate::settings::{Environment, Settings};

/// Every request waits for one answer, so a database this far away is felt.
const SLOW: Duration = Duration::from_millis(20);
/// Older ones get no fixes any more.
const OLDEST_POSTGRES: i64 = 13;
/// Beside the pool: the loaders of users, identities and clients, and a command now and then.
const MORE_CONNECTIONS: i64 = 4;

pub(super) fn check(
    findings: &mut Findings,
    settings: &Settings,
    clock: &dyn Clock,
    clocks: &mut Clocks,
) -> io::Result<()> {
    // SQLite would make the file; looking must not.
    if let Some(file) = settings.database.url.file() {
        if !disk::check_folder(findings, file)? {
            return Ok(());
        }
        if !file.exists() {
            return findings.good("database", "SQLite, the file will be made at the first start");
        }
        if !disk::check_file(findings, file, &settings.environment)? {
            return Ok(());
        }
    }
    let remedy = "Check database.url and that the database runs";
    let url = &settings.database.url;
    let looked = db::connect(url)
        // A server that takes no changes is asked what it is.
        .or_else(|error| db::connect(&url.of_any_server()).map_err(|_| error))
        .and_then(|mut conn| Ok((db::inspect(&mut conn, clock)?, conn)));
    let (inspection, mut conn) = match looked {
        Ok(found) => found,
        Err(error) => return findings.error("database", &error.to_string(), remedy),
    };
    check_fitness(findings, settings, &inspection)?;
    if let Some(server) = &inspection.server {
        clocks.add("the database", server.clock_ahead);
        check_server(findings, settings, server)?;
        // Looking for migrations makes the table of those done.
        if server.read_only {
            return Ok(());
        }
    }
    let migrations = match db::migration_state(&mut conn) {
        Ok(migrations) => migrations,
        Err(error) => return findings.error("database", &error.to_string(), remedy),
    };
    if check_schema(findings, settings, &inspection, migrations)? {
        check_content(findings, settings, &mut conn)?;
    }
    check_sessions(findings, settings)
}

/// Says whether a pooler is in between: whoever looks for a slow or a failing query wants to know.
fn check_sessions(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    let subject = "database.prepared_statements";
    // Why it cannot be asked has been told.
    if !db::sessions_are_shared(&settings.database.url).unwrap_or_default() {
        return Ok(());
    }
    let pooler = "a pooler gives each transaction another session";
    if settings.database.prepared_statements == PreparedStatements::Always {
        let remedy = "Unless it knows prepared statements (PgBouncer from 1.21 on with max_prepared_statements), remove the setting";
        return findings.warn(subject, pooler, remedy);
    }
    findings.good(subject, &format!("{pooler}, so none is prepared"))
}

fn check_fitness(findings: &mut Findings, settings: &Settings, inspection: &Inspection) -> io::Result<()> {
    if !inspection.write_ahead_log {
        findings.warn(
            "database",
            "SQLite keeps no write-ahead log there, so that readers and the writer wait for each other",
            "Put its file on a local disk, not on a network share",
        )?;
    }
    if inspection.round_trip > SLOW {
        findings.warn(
            "database",
            &format!("it takes {} to answer, and every request waits for that", time(inspection)),
            "Run the service near the database",
        )?;
    }
    let shared = settings.database.url.file().is_some()
        && settings.environment != Environment::Development
        && !settings.server.trusted_proxies.is_empty();
    if shared {
        findings.good("database", "SQLite is for one machine: more replicas need PostgreSQL")?;
    }
    Ok(())
}

fn check_server(findings: &mut Findings, settings: &Settings, server: &ServerFacts) -> io::Result<()> {
    if server.read_only {
        findings.error(
            "database",
            "it takes no changes: it is a standby, or told to be read-only",
            "Lead database.url to the primary (target_session_attrs=read-write)",
        )?;
    }
    if server.major_version < OLDEST_POSTGRES {
        let found = format!("PostgreSQL {} gets no fixes any more", server.major_version);
        findings.warn("database", &found, "Upgrade it")?;
    }
    if !server.encrypted && !server.local && settings.environment != Environment::Development {
        findings.warn(
            "database",
            "the connection is not encrypted, and the server is another machine",
            "Add ?sslmode=verify-full to database.url",
        )?;
    }
    let wanted = i64::from(app::db_options(&settings.database).pool_size) + MORE_CONNECTIONS;
    if wanted > server.connections {
        let found =
            format!("it has {} connections for all, and one replica may take {wanted}", server.connections);
        findings.error("database.pool_size", &found, "Lower it, or raise the server's max_connections")?;
    }
    Ok(())
}

/// Whether the tables that we ask are there.
fn check_schema(
    findings: &mut Findings,
    settings: &Settings,
    inspection: &Inspection,
    MigrationState { unknown, pending }: MigrationState,
) -> io::Result<bool> {
    let what = format!(
        "{} {}, answers in {}",
        settings.database.url.backend(),
        inspection.version,
        time(inspection)
    );
    if unknown > 0 {
        findings.warn(
            "database",
            &format!("{what}, its schema is of a later version of tokenbooth: {unknown} migrations are unknown to this one"),
            "Run that version",
        )?;
    }
    match pending {
        0 => findings.good("database", &format!("{what}, schema up to date"))?,
        _ if settings.database.migrate_on_start => {
            let found = format!("{what}, {pending} migrations will run at the next start");
            findings.good("database", &found)?;
        }
        _ => {
            let found = format!("{what}, {pending} migrations are pending");
            findings.error("database", &found, "Run `tokenbooth migrate`")?;
        }
    }
    Ok(pending == 0)
}

fn check_content(findings: &mut Findings, settings: &Settings, conn: &mut DbConn) -> io::Result<()> {
    let mut look = || -> Result<(bool, bool), DbError> {
        Ok((db::copy::is_marked(conn)?, users::has_administrator(conn)?))
    };
    match look() {
        Err(error) => findings.error("database", &error.to_string(), "Mend what it says")?,
        Ok((true, _)) => findings.error(
            "database",
            "a copy into it was not finished, and the service does not start on it",
            "Run `tokenbooth db copy` again, and it goes on",
        )?,
        Ok((false, true)) => {}
        Ok((false, false)) if settings.admin.emails.is_empty() => findings.warn(
            "admin.emails",
            "it is empty, and nobody is an administrator",
            "Set it, or run `tokenbooth user promote <e-mail>` after the first sign-in",
        )?,
        Ok((false, false)) => {
            let found = "nobody is an administrator yet: whoever of them signs in first will be one";
            findings.good("admin.emails", found)?;
        }
    }
    Ok(())
}

fn time(inspection: &Inspection) -> String {
    format!("{:.1} ms", inspection.round_trip.as_secs_f64() * 1000.0)
}
