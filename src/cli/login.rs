//! `tokenbooth login`: signs in from a terminal, by GitHub's device flow and then `POST /auth/github` at a running tokenbooth. What
//! is for the eyes goes to stderr, so that `TOKEN=$(tokenbooth login)` has the token and nothing else.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::{CommandError, settings};
use crate::app;
use crate::clock::{SharedClock, SystemClock};
use crate::metrics::Metrics;
use crate::provider::{DeviceError, DeviceFlow, ProviderClient};
use crate::settings::{Settings, check_provider_url};

#[derive(Args)]
pub(super) struct Login {
    /// The tokenbooth to sign in to (`server.public_url` of the settings when absent)
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The app at GitHub (`providers.github.client_id` of the settings when absent); its secret is not needed
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Ask for a refresh token, too; --json shows it
    #[arg(long)]
    offline: bool,
    /// Print the server's whole answer as JSON, and not the access token alone
    #[arg(long)]
    json: bool,
    /// Open GitHub's page in the browser
    #[arg(long)]
    open: bool,
}

pub(super) async fn run(options: &Login) -> Result<(), CommandError> {
    let settings = settings()?;
    let server = server(&settings, options)?;
    let client_id = options.client_id.clone().or_else(|| settings.providers.github.client_id.clone());
    let client_id = client_id.ok_or_else(|| {
        other("no GitHub app is known: give --client-id, or set providers.github.client_id and client_secret")
    })?;
    let clock: SharedClock = Arc::new(SystemClock);
    let client = app::provider_client(&settings, &Metrics::default(), &clock)?;
    let flow = DeviceFlow::new(client.clone(), client_id, &settings.providers.github.web_url);
    let github_token = ask_for_token(&flow, options.open).await?;
    let answer = exchange(&client, &server, &github_token, options.offline).await?;
    tell(&answer, options.json)
}

/// The token is sent there, so nobody on the way may read it.
fn server(settings: &Settings, options: &Login) -> Result<String, CommandError> {
    let (name, url) = match &options.server {
        Some(url) => ("--server", url.clone()),
        None => ("server.public_url", settings.public_url()),
    };
    check_provider_url(&url).map_err(|problem| other(format!("{name}: {problem}. Use an https:// URL")))?;
    Ok(url.trim_end_matches('/').to_owned())
}

async fn ask_for_token(flow: &DeviceFlow, open: bool) -> Result<SecretString, CommandError> {
    let code = flow.begin().await.map_err(failed)?;
    let mut err = io::stderr();
    writeln!(err, "Open {} and enter the code {}", code.verification_uri, code.user_code)?;
    if open {
        open_in_browser(&code.verification_uri);
    }
    writeln!(err, "Waiting, at most {} minutes; Ctrl-C gives up.", code.expires_in.as_secs().div_ceil(60))?;
    flow.wait(code).await.map_err(failed)
}

/// A convenience: where it does not work, the URL is on the screen. Nothing waits for the browser, and what it prints is no answer
/// of ours.
fn open_in_browser(url: &Url) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let command = &mut Command::new(opener);
    let _ =
        command.arg(url.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

async fn exchange(
    client: &ProviderClient,
    server: &str,
    github_token: &SecretString,
    offline: bool,
) -> Result<Value, CommandError> {
    let mut body = json!({ "access_token": github_token.expose_secret() });
    if offline {
        body["scope"] = "offline_access".into();
    }
    let request = client.post(&format!("{server}/auth/github")).json(&body);
    let answer = client
        .send_to_tokenbooth("tokenbooth", request)
        .await
        .map_err(|outage| other(format!("{outage}. Is {server} the right server? --server names another")))?;
    let status = answer.status;
    if status.is_redirection() {
        return Err(other(format!(
            "{server} sends us elsewhere (status {}): give --server the address that it leads to",
            status.as_u16()
        )));
    }
    let json = answer.json::<Value>().ok();
    match json {
        Some(json) if status.is_success() && json["access_token"].is_string() => Ok(json),
        Some(json) if json["detail"].is_string() => {
            let remedy = match json["code"].as_str() {
                Some("audience_mismatch") => ". Give --client-id the client id of this server's GitHub app",
                _ => "",
            };
            let (detail, code) = (text(&json["detail"]), text(&json["code"]));
            Err(other(format!("{server} refuses: {detail} ({code}){remedy}")))
        }
        _ => Err(other(format!(
            "{server} does not answer as a tokenbooth does (status {}). Is it the right server? --server names another",
            status.as_u16()
        ))),
    }
}

fn tell(answer: &Value, json: bool) -> Result<(), CommandError> {
    let user = &answer["user"];
    let welcome = if answer["created"] == true { "Welcome," } else { "Signed in as" };
    let email = user["email"].as_str().map(|_| format!(" <{}>", text(&user["email"])));
    writeln!(
        io::stderr(),
        "{welcome} {}{}, user {}",
        text(&user["name"]),
        email.unwrap_or_default(),
        text(&user["id"])
    )?;
    let mut out = io::stdout();
    if json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    Ok(writeln!(out, "{}", text(&answer["access_token"]))?)
}

/// For a terminal, where a control character is a command; "-" for what is absent.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").chars().filter(|character| !character.is_control()).collect()
}

fn other(problem: impl Into<String>) -> CommandError {
    CommandError::Other(problem.into())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: DeviceError) -> CommandError {
    other(error.to_string())
}
