//! One exchange of each kind, a protected route, and two forgeries that are refused.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::CommandError;
use super::ACME;
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::mock::{GithubUser, MockProviders, Person};
use crate::provider::ProviderClient;

/// What a client would do, over real HTTP.
pub(super) async fn walk(out: &mut impl Write, base: &str, mock: &MockProviders) -> Result<(), CommandError> {
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
        ("Acme ID token", ACME, json!({ "id_token": mock.oidc().id_token(json!({})) })),
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
