//! Services that sign in for themselves. An operator makes them on the command line; a client has no user and no page.

use std::time::Duration;

use serde_json::json;

use super::AccountError;
use crate::client::{Audiences, Client, ClientId, ClientName, Scopes};
use crate::clock::Timestamp;
use crate::db::{Db, DbConn, DbError, clients, events};
use crate::event::{EventKind, Origin};
use crate::session::HashedToken;
use crate::token::{ClientSecret, NoRandomness};

/// How a client's sign-in is called in the metrics and in the audit trail.
pub const METHOD: &str = "client_credentials";

/// A client, and a secret of its that nobody is told again.
#[derive(Debug)]
pub struct NewSecret {
    /// The client, as now stored.
    pub client: Client,
    /// For whoever runs it.
    pub secret: ClientSecret,
}

/// Makes a client, inside a transaction.
///
/// # Errors
/// [`DbError`].
pub fn create(
    conn: &mut DbConn,
    name: ClientName,
    scopes: Scopes,
    audiences: Audiences,
    origin: &Origin,
) -> Result<NewSecret, DbError> {
    let secret = new_secret()?;
    let client = Client {
        id: ClientId::generate(),
        name,
        scopes,
        secret: secret.hash(),
        previous_secret: None,
        disabled: false,
        created_at: origin.at,
        rotated_at: None,
        audiences,
        tokens_from: None,
    };
    clients::insert(conn, &client)?;
    let mut detail =
        json!({ "client_id": client.id.as_str(), "scopes": client.scopes.iter().collect::<Vec<_>>() });
    if client.audiences.iter().next().is_some() {
        detail["audiences"] = client.audiences.iter().collect();
    }
    events::insert(conn, &origin.event(EventKind::ClientCreated, None, detail))?;
    Ok(NewSecret { client, secret })
}

/// Gives a client another secret, inside a transaction. The one that it has works for `clients.previous_secret_ttl`, at most
/// until the next rotation, so that each of its processes can be told in its own time; with `revoke_previous` it ends at once.
/// Tokens already out stay valid.
///
/// # Errors
/// [`AccountError::UnknownClient`], [`AccountError::ClientDisabled`]; the database's.
pub fn rotate(
    conn: &mut DbConn,
    id: &ClientId,
    revoke_previous: bool,
    origin: &Origin,
) -> Result<Result<NewSecret, AccountError>, DbError> {
    let Some(before) = clients::lock(conn, id)? else { return Ok(Err(AccountError::UnknownClient)) };
    if before.disabled {
        return Ok(Err(AccountError::ClientDisabled));
    }
    let secret = new_secret()?;
    let client = Client {
        secret: secret.hash(),
        previous_secret: (!revoke_previous).then_some(before.secret),
        rotated_at: Some(origin.at),
        ..before
    };
    clients::update_secrets(conn, &client)?;
    let mut detail = json!({ "client_id": id.as_str() });
    if revoke_previous {
        detail["previous_secret"] = json!("revoked");
    }
    events::insert(conn, &origin.event(EventKind::ClientRotated, None, detail))?;
    Ok(Ok(NewSecret { client, secret }))
}

/// Keeps a client out, with every token that is out, inside a transaction. One that is out already is left alone.
///
/// # Errors
/// [`AccountError::UnknownClient`]; the database's.
pub fn disable(
    conn: &mut DbConn,
    id: &ClientId,
    origin: &Origin,
) -> Result<Result<Client, AccountError>, DbError> {
    let Some(client) = clients::lock(conn, id)? else { return Ok(Err(AccountError::UnknownClient)) };
    if !client.disabled {
        clients::disable(conn, id, origin.at)?;
        let detail = json!({ "client_id": id.as_str() });
        events::insert(conn, &origin.event(EventKind::ClientDisabled, None, detail))?;
    }
    Ok(Ok(Client { disabled: true, ..client }))
}

/// Enables a client again, inside a transaction. No token from before comes back to life. One that is enabled is left alone.
///
/// # Errors
/// Returns [`AccountError::UnknownClient`].
pub fn enable(
    conn: &mut DbConn,
    id: &ClientId,
    origin: &Origin,
) -> Result<Result<Client, AccountError>, DbError> {
    let Some(client) = clients::lock(conn, id)? else { return Ok(Err(AccountError::UnknownClient)) };
    if !client.disabled {
        return Ok(Ok(client));
    }
    clients::enable(conn, id, origin.at)?;
    let detail = json!({ "client_id": id.as_str() });
    events::insert(conn, &origin.event(EventKind::ClientEnabled, None, detail))?;
    Ok(Ok(Client { disabled: false, tokens_from: Some(origin.at), ..client }))
}

fn new_secret() -> Result<ClientSecret, DbError> {
    ClientSecret::generate().map_err(|error: NoRandomness| DbError::Unavailable(error.to_string()))
}

/// Returns the client of this id and this secret; `previous_ttl` is `clients.previous_secret_ttl`. An unknown id, a wrong secret
/// and a disabled client take the same path, and only the log says which it was.
///
/// # Errors
/// Returns [`AccountError::InvalidClient`], or the database's error.
pub async fn authenticate(
    db: &Db,
    id: &str,
    secret: &ClientSecret,
    previous_ttl: Duration,
    now: Timestamp,
) -> Result<Client, AccountError> {
    let found = match id.parse() {
        Ok(id) => db.client(id).await?,
        Err(_) => None,
    };
    let presented = secret.hash();
    // A hash that is looked for in vain: of no text that anybody knows.
    let nothing = HashedToken("0".repeat(64));
    let (current, previous) = match &found {
        Some(client) => {
            (&client.secret, client.usable_previous_secret(previous_ttl, now).unwrap_or(&nothing))
        }
        None => (&nothing, &nothing),
    };
    // Both are compared, whatever the first says.
    let proved = presented.is(current) | presented.is(previous);
    match found {
        None => Err(AccountError::InvalidClient("there is no client of this id")),
        Some(_) if !proved => Err(AccountError::InvalidClient("the secret is another one")),
        Some(client) if client.disabled => Err(AccountError::InvalidClient("the client is disabled")),
        Some(client) => Ok(client),
    }
}
