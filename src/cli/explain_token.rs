//! `tokenbooth explain-token`: what is in a token, and what each door of tokenbooth would say to it and why.

use std::io::{self, Read, Write};
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;

use super::CommandError;
use crate::app;
use crate::clock::{Clock, SharedClock, SystemClock, Timestamp};
use crate::db::{self, clients, users};
use crate::jws::{UnverifiedJws, looks_like_a_jwt};
use crate::metrics::Metrics;
use crate::provider::{Credential, CredentialKind, Providers};
use crate::settings::Settings;
use crate::token::{ClientClaims, ClientSecret, RefreshToken, UserClaims, VerifiedClaims};

/// More than any door accepts, so that a token too long is explained and not cut.
const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// Ends with exit code 0 when some door accepts the token.
pub(super) async fn run(settings: Settings, token: Option<String>) -> Result<(), CommandError> {
    let token = read(token)?;
    let mut out = io::stdout();
    if RefreshToken::parse(&token).is_some() {
        // Nothing more is looked up, and it is shown to no provider.
        writeln!(
            out,
            "This is a refresh token of tokenbooth: POST /auth/refresh takes it, once. Whether its session lives, \
             `tokenbooth sessions list <user>` shows."
        )?;
        return Ok(());
    }
    if ClientSecret::is_one(&token) {
        writeln!(
            out,
            "This is the secret of a client of tokenbooth, and no token: POST /oauth/token takes it with its client_id \
             for one. Whether the client is disabled, `tokenbooth client list` shows."
        )?;
        return Ok(());
    }
    let is_jwt = looks_like_a_jwt(&token);
    if is_jwt {
        show(&mut out, &token)?;
    } else {
        writeln!(
            out,
            "This is no signed JWT (header.payload.signature), so an opaque access token at best.\n"
        )?;
    }
    let own = if is_jwt { as_access_token(&settings, &token) } else { Err("it is no JWT".to_owned()) };
    let mut accepted = verdict(&mut out, "as our access token", &own)?;

    let clock: SharedClock = Arc::new(SystemClock);
    let client = app::provider_client(&settings, &Metrics::default(), &clock)?;
    let providers = Providers::new(&settings, &client, &clock);
    let kind = if is_jwt { CredentialKind::IdToken } else { CredentialKind::AccessToken };
    for provider in providers.iter().filter(|provider| provider.accepts().contains(&kind)) {
        let credential = Credential { kind, token: SecretString::from(token.as_str()), nonce: None };
        let result = providers.verify(provider.as_ref(), &credential).await;
        let result = result
            .map_err(|refusal| refusal.to_string())
            .map(|identity| format!("it proves {} of {}", identity.provider_id, identity.provider));
        let door = format!("at POST /auth/{}", provider.name());
        accepted |= verdict(&mut out, &door, &result)?;
    }
    if providers.iter().next().is_none() {
        writeln!(out, "No provider is configured, so no exchange would take it.")?;
    }
    if accepted { Ok(()) } else { Err(CommandError::Told) }
}

fn read(token: Option<String>) -> Result<String, CommandError> {
    let text = match token {
        Some(token) if token != "-" => token,
        _ => {
            let mut text = String::new();
            io::stdin().take(MAX_INPUT_BYTES as u64).read_to_string(&mut text)?;
            text
        }
    };
    let text = text.trim();
    // People paste the whole header.
    let text = text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer ")).unwrap_or(text).trim();
    if text.is_empty() {
        return Err(CommandError::Other(
            "there is no token: give it as argument or on standard input".to_owned(),
        ));
    }
    Ok(text.to_owned())
}

/// Header and claims, with the times in words. The signature is left out: what is shown can be passed on.
fn show(out: &mut impl Write, token: &str) -> Result<(), CommandError> {
    let jws = match UnverifiedJws::parse(token, MAX_INPUT_BYTES) {
        Ok(jws) => jws,
        Err(error) => return Ok(writeln!(out, "It cannot be read: {error}\n")?),
    };
    if let Ok(header) = jws.unverified_header() {
        writeln!(out, "Header (unverified): {header:#}")?;
    }
    match jws.unverified_claims::<Value>() {
        Err(error) => writeln!(out, "{error}\n")?,
        Ok(claims) => {
            writeln!(out, "Claims (unverified): {claims:#}\n")?;
            let now = SystemClock.now();
            for name in ["iat", "nbf", "exp"] {
                if let Some(time) = claims[name].as_i64().map(Timestamp) {
                    let ahead = time.since(now);
                    let when = if ahead >= 0 { format!("in {ahead} s") } else { format!("{} s ago", -ahead) };
                    writeln!(out, "  {name}  {time}  {when}")?;
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn as_access_token(settings: &Settings, token: &str) -> Result<String, String> {
    let tokens = app::tokens(settings, SystemClock.now()).map_err(|error| error.to_string())?;
    match tokens.verify(token, SystemClock.now()).map_err(|error| error.to_string())? {
        VerifiedClaims::User(claims) => user_accepts(settings, claims),
        VerifiedClaims::Client(claims) => client_accepts(settings, claims),
    }
}

fn client_accepts(settings: &Settings, claims: ClientClaims) -> Result<String, String> {
    let row = db::connect(&settings.database.url)
        .and_then(|mut conn| clients::find(&mut conn, &claims.client_id))
        .map_err(|error| format!("its signature and claims are good, but {error}"))?;
    let (client, scopes) = claims.admit(row).map_err(|error| error.to_string())?;
    Ok(format!("it is a token of client {} for \"{scopes}\"", client.id))
}

/// The row has the last word, as at every bearer route.
fn user_accepts(settings: &Settings, claims: UserClaims) -> Result<String, String> {
    let bearer = db::connect(&settings.database.url)
        .and_then(|mut conn| users::find_bearer(&mut conn, claims.bearer_key()))
        .map_err(|error| format!("its signature and claims are good, but {error}"))?;
    let user = claims.admit(bearer).map_err(|error| error.to_string())?;
    Ok(format!("it is a token of user {}", user.id))
}

fn verdict(out: &mut impl Write, door: &str, result: &Result<String, String>) -> Result<bool, CommandError> {
    match result {
        Ok(text) => writeln!(out, "accepted {door}: {text}")?,
        Err(text) => writeln!(out, "refused  {door}: {text}")?,
    }
    Ok(result.is_ok())
}
