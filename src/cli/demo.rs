//! `tokenbooth demo`: the service on SQLite beside a mock Google and GitHub, everything on loopback. One exchange of
//! each kind, a protected route, a forgery; then it serves until Ctrl-C.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::CommandError;
use crate::app::{App, StartError};
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::mock::{GithubUser, MockProviders, Person};
use crate::provider::ProviderClient;
use crate::settings::Sources;
use crate::telemetry;

/// Of a person the mock makes when asked to.
const ADMINISTRATOR: &str = "ada@example.com";

pub(super) async fn run() -> Result<(), CommandError> {
    let mock = MockProviders::start().await?;
    let folder = tempfile::tempdir()?;
    let app = build(&mock, &folder)?;
    let base = format!("http://127.0.0.1:{}", app.port());
    let server = actix_web::rt::spawn(app.run_until_stopped());
    let mut out = io::stdout();
    writeln!(out, "tokenbooth on {base}, beside a mock Google and GitHub on {}\n", mock.base_url())?;
    tour(&mut out, &base, &mock).await?;
    invite(&mut out, &base, mock.base_url())?;
    Ok(server.await.map_err(io::Error::other)??)
}

/// Its own settings and none of the machine's, but for where to listen and what to log. When nobody asked for a port and
/// the usual one is taken, any other does.
fn build(mock: &MockProviders, folder: &TempDir) -> Result<App, CommandError> {
    let mut sources =
        Sources::from_variables(&["TOKENBOOTH_ENV", "TOKENBOOTH__SERVER__", "TOKENBOOTH__LOG__"]);
    if !sources.sets("log.level") {
        sources = sources.with("log.level", "warn");
    }
    for (key, value) in mock.settings() {
        sources = sources.with(&key, value);
    }
    let database = format!("sqlite://{}", folder.path().join("demo.db").display());
    let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    sources = sources.with("database.url", database).with("token.secret", secret);
    sources = sources.with("admin.emails", ADMINISTRATOR);
    let settings = sources.load()?;
    telemetry::start(settings.log);
    match App::build(settings) {
        Err(StartError::Listen { .. }) if !sources.sets("server.port") => {
            Ok(App::build(sources.with("server.port", "0").load()?)?)
        }
        result => Ok(result?),
    }
}

/// What a client would do, over real HTTP.
async fn tour(out: &mut impl Write, base: &str, mock: &MockProviders) -> Result<(), CommandError> {
    let client = ProviderClient::new(
        Duration::from_secs(10),
        Metrics::default().provider_latency,
        &(Arc::new(SystemClock) as _),
    )
    .map_err(|error| CommandError::Other(error.to_string()))?;
    let id_token = mock.google().id_token(json!({}));
    let exchanges = [
        ("Google ID token", "google", json!({ "id_token": id_token })),
        (
            "Google access token",
            "google",
            json!({ "access_token": mock.google().access_token(Person::default()) }),
        ),
        (
            "GitHub access token",
            "github",
            json!({ "access_token": mock.github().access_token(GithubUser::default()) }),
        ),
    ];
    let mut jwt = String::new();
    for (what, provider, body) in exchanges {
        let (status, answer) =
            send(&client, client.post(&format!("{base}/auth/{provider}")).json(&body)).await?;
        let how = if answer["created"] == true { "a new user" } else { "the same user again" };
        let user = &answer["user"];
        step(out, what, status, &format!("signed in {}, {how}: {}", text(&user["name"]), text(&user["id"])))?;
        expect(status, 200, &answer)?;
        text(&answer["access_token"]).clone_into(&mut jwt);
    }
    let (status, me) = send(&client, client.get(&format!("{base}/api/me")).bearer_auth(&jwt)).await?;
    step(out, "GET /api/me", status, &format!("{} <{}>", text(&me["name"]), text(&me["email"])))?;
    expect(status, 200, &me)?;

    let forged = json!({ "id_token": forge(&id_token) });
    let (status, answer) = send(&client, client.post(&format!("{base}/auth/google")).json(&forged)).await?;
    step(
        out,
        "forged ID token",
        status,
        &format!("refused, {}: {}", text(&answer["code"]), text(&answer["detail"])),
    )?;
    expect(status, 401, &answer)?;
    let (status, answer) =
        send(&client, client.get(&format!("{base}/api/me")).bearer_auth(forge(&jwt))).await?;
    step(out, "forged JWT of ours", status, &format!("refused, {}", text(&answer["code"])))?;
    expect(status, 401, &answer)
}

async fn send(
    client: &ProviderClient,
    request: reqwest::RequestBuilder,
) -> Result<(u16, Value), CommandError> {
    let failed = |error: crate::provider::Outage| CommandError::Other(error.to_string());
    let answer = client.send("tokenbooth", request).await.map_err(failed)?;
    Ok((answer.status.as_u16(), answer.json().map_err(failed)?))
}

fn step(out: &mut impl Write, what: &str, status: u16, text: &str) -> io::Result<()> {
    writeln!(out, "  {what:<20} {status}  {text}")
}

/// The demo is also a test: it must not call a failure a success.
fn expect(status: u16, expected: u16, answer: &Value) -> Result<(), CommandError> {
    if status == expected {
        return Ok(());
    }
    Err(CommandError::Other(format!(
        "the demo expected {expected} and got {status}: {}",
        text(&answer["detail"])
    )))
}

/// The same token with the last character of its claims changed.
fn forge(token: &str) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    if let Some(claims) = parts.get_mut(1) {
        let last = claims.pop();
        claims.push(if last == Some('A') { 'B' } else { 'A' });
    }
    parts.join(".")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// Complete shell lines: what the mock mints is already the body that an exchange takes.
fn invite(out: &mut impl Write, base: &str, mock: &str) -> io::Result<()> {
    let json = "-H 'Content-Type: application/json' --data-binary @-";
    writeln!(out, "\nDo it again:\n")?;
    for (path, provider) in
        [("google/id_token", "google"), ("google/access_token", "google"), ("github/access_token", "github")]
    {
        writeln!(out, "  curl -s {mock}/mock/{path} | curl -s {json} {base}/auth/{provider}")?;
    }
    let bearer = |claims: &str| {
        format!(
            "-H \"Authorization: Bearer $(curl -s {claims}{mock}/mock/google/id_token | curl -s {json} {base}/auth/google | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')\""
        )
    };
    writeln!(out, "  curl -s {base}/api/me {}", bearer(""))?;
    let ada = json!({ "sub": Person::named("ada").sub, "email": ADMINISTRATOR, "name": "Ada Example" });
    writeln!(
        out,
        "\nAs an administrator:\n\n  curl -s {base}/api/admin/users {}",
        bearer(&format!("-d '{ada}' "))
    )?;
    writeln!(out, "\nThe API, to try in the browser:  {base}/docs")?;
    writeln!(out, "\nServing until Ctrl-C; nothing is kept.")?;
    out.flush()
}
