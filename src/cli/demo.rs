//! `tokenbooth demo`: the service on SQLite beside a mock Google, GitHub and OpenID Connect issuer, everything on loopback. One
//! exchange of each kind, a protected route, a forgery; then it serves until Ctrl-C.

mod invitation;
mod tour;

use std::io::{self, Write};

use tempfile::TempDir;

use super::CommandError;
use crate::account::clients;
use crate::app::{App, StartError};
use crate::client::{Audiences, ClientName, Scopes};
use crate::clock::{Clock, SystemClock};
use crate::db::{self, DatabaseUrl};
use crate::event::Origin;
use crate::mock::MockProviders;
use crate::settings::Sources;
use crate::telemetry;

/// Whoever signs in as `ada` at any of the mocks has this address; by Google, it makes an administrator.
const ADMINISTRATOR: &str = "ada@example.com";
/// The provider that stands for all OpenID Connect issuers.
const ACME: &str = "acme";
/// Where the examples' desktop and terminal clients listen for their code, on any port.
const LOOPBACK: &str = "http://127.0.0.1/callback";

/// Where to listen, what to log, and how often one may ask: who tries everything asks more often than people do.
const OF_THE_MACHINE: [&str; 4] =
    ["TOKENBOOTH_ENV", "TOKENBOOTH__SERVER__", "TOKENBOOTH__LOG__", "TOKENBOOTH__RATE_LIMIT__"];

pub(super) async fn run() -> Result<(), CommandError> {
    let mock = MockProviders::start().await?;
    let folder = tempfile::tempdir()?;
    let app = build(&mock, &folder)?;
    let base = format!("http://127.0.0.1:{}", app.port());
    let server = actix_web::rt::spawn(app.run_until_stopped());
    let mut out = io::stdout();
    writeln!(out, "tokenbooth on {base}, beside a mock Google, GitHub and Acme on {}\n", mock.base_url())?;
    tour::walk(&mut out, &base, &mock).await?;
    invitation::write(&mut out, &base, mock.base_url(), &service(&folder)?)?;
    Ok(server.await.map_err(io::Error::other)??)
}

/// Its own settings and none of the machine's, but for [`OF_THE_MACHINE`]. When nobody asked for a port and the usual one is
/// taken, any other does.
fn build(mock: &MockProviders, folder: &TempDir) -> Result<App, CommandError> {
    let mut sources = Sources::from_variables(&OF_THE_MACHINE);
    if !sources.sets("log.level") {
        sources = sources.with("log.level", "warn");
    }
    for (key, value) in mock.settings().into_iter().chain(mock.oidc_settings(ACME)) {
        sources = sources.with(&key, value);
    }
    let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    sources = sources.with("database.url", database(folder)).with("token.secret", secret);
    sources = sources
        .with(&format!("providers.{ACME}.display_name"), "Acme")
        .with("admin.emails", format!("google:{ADMINISTRATOR}"))
        .with("sign_in.redirect_uris", LOOPBACK);
    let settings = sources.load()?;
    telemetry::start(settings.log);
    match App::build(settings) {
        Err(StartError::Listen { .. }) if !sources.sets("server.port") => {
            Ok(App::build(sources.with("server.port", "0").load()?)?)
        }
        result => Ok(result?),
    }
}

fn database(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("demo.db").display())
}

/// A service that signs in for itself, as `tokenbooth client create` makes one: its id and its secret, with a colon between.
fn service(folder: &TempDir) -> Result<String, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::Other(error.to_string());
    let url = DatabaseUrl::Sqlite(folder.path().join("demo.db"));
    let name: ClientName = "Demo".parse().map_err(|error| failed(&error))?;
    let scopes: Scopes = "reports.read".parse().map_err(|error| failed(&error))?;
    let origin = Origin::command_line(SystemClock.now());
    let made = db::change(&mut db::connect(&url)?, |conn| {
        clients::create(conn, name, scopes, Audiences::default(), &origin)
    })?;
    Ok(format!("{}:{}", made.client.id, made.secret.expose()))
}
