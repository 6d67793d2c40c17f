//! Queries on `clients`.

use diesel::prelude::*;

use super::connection::{any_of, locked_on_either, on_either};
use super::guard::TakesChanges;
use super::schema::clients;
use super::{DbConn, DbError, revocations, transaction};
use crate::client::{Client, ClientId};
use crate::clock::Timestamp;
use crate::session::HashedToken;
use crate::token::Subject;

#[derive(Queryable, Selectable)]
#[diesel(table_name = clients)]
struct ClientRow {
    id: String,
    name: String,
    scopes: String,
    secret_hash: String,
    previous_secret_hash: Option<String>,
    disabled: bool,
    created_at: i64,
    rotated_at: Option<i64>,
    audiences: String,
    tokens_from: Option<i64>,
}

impl TryFrom<ClientRow> for Client {
    type Error = DbError;

    fn try_from(row: ClientRow) -> Result<Self, DbError> {
        let inconsistent = |what: &str| DbError::Inconsistent(format!("clients.{what}"));
        Ok(Self {
            id: row.id.parse().map_err(|_| inconsistent("id is no client's id"))?,
            name: row.name.parse().map_err(|_| inconsistent("name is no client's name"))?,
            scopes: row.scopes.parse().map_err(|_| inconsistent("scopes is no list of scopes"))?,
            secret: HashedToken(row.secret_hash),
            previous_secret: row.previous_secret_hash.map(HashedToken),
            disabled: row.disabled,
            created_at: Timestamp(row.created_at),
            rotated_at: row.rotated_at.map(Timestamp),
            audiences: row
                .audiences
                .parse()
                .map_err(|_| inconsistent("audiences is not a list of audiences"))?,
            tokens_from: row.tokens_from.map(Timestamp),
        })
    }
}

/// Writes a new client as given.
///
/// # Errors
/// [`DbError`].
pub fn insert(conn: &mut DbConn, client: &Client) -> Result<(), DbError> {
    let statement = diesel::insert_into(clients::table).values((
        clients::id.eq(client.id.as_str()),
        clients::name.eq(client.name.as_str()),
        clients::scopes.eq(client.scopes.to_string()),
        clients::secret_hash.eq(&client.secret.0),
        clients::previous_secret_hash.eq(client.previous_secret.as_ref().map(|hash| &hash.0)),
        clients::disabled.eq(client.disabled),
        clients::created_at.eq(client.created_at.0),
        clients::rotated_at.eq(client.rotated_at.map(|at| at.0)),
        clients::audiences.eq(client.audiences.to_string()),
        clients::tokens_from.eq(client.tokens_from.map(|at| at.0)),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// The client of this id.
///
/// # Errors
/// [`DbError`].
pub fn find(conn: &mut DbConn, id: &ClientId) -> Result<Option<Client>, DbError> {
    let row: Option<ClientRow> = on_either!(conn, |conn| {
        clients::table
            .filter(clients::id.eq(id.as_str()))
            .select(ClientRow::as_select())
            .get_result(conn)
            .optional()
    })?;
    row.map(Client::try_from).transpose()
}

/// All clients of these ids that exist; asked for as [`super::users::find_bearers`] does.
///
/// # Errors
/// [`DbError`].
pub fn find_all(conn: &mut DbConn, ids: &[ClientId]) -> Result<Vec<(ClientId, Client)>, DbError> {
    let clients: Vec<Client> = match conn {
        DbConn::Postgres(conn) => {
            let ids: Vec<&str> = ids.iter().map(ClientId::as_str).collect();
            let rows: Vec<ClientRow> = clients::table
                .filter(clients::id.eq(any_of(ids)).and(TakesChanges))
                .select(ClientRow::as_select())
                .load(conn)?;
            rows.into_iter().map(Client::try_from).collect::<Result<_, _>>()?
        }
        DbConn::Sqlite(_) => {
            transaction(conn, |conn| ids.iter().filter_map(|id| find(conn, id).transpose()).collect())?
        }
    };
    Ok(clients.into_iter().map(|client| (client.id.clone(), client)).collect())
}

/// Reads a client for a change: until the transaction ends nobody else changes the row.
///
/// # Errors
/// [`DbError`].
pub fn lock(conn: &mut DbConn, id: &ClientId) -> Result<Option<Client>, DbError> {
    let row: QueryResult<ClientRow> = locked_on_either!(
        conn,
        clients::table.filter(clients::id.eq(id.as_str())).select(ClientRow::as_select()),
        get_result
    );
    row.optional()?.map(Client::try_from).transpose()
}

/// Every client, oldest first. There are as many as an operator made by hand.
///
/// # Errors
/// [`DbError`].
pub fn list(conn: &mut DbConn) -> Result<Vec<Client>, DbError> {
    let rows: Vec<ClientRow> = on_either!(conn, |conn| {
        clients::table
            .order((clients::created_at.asc(), clients::id.asc()))
            .select(ClientRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(Client::try_from).collect()
}

/// Writes the secrets of a client after a rotation.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn update_secrets(conn: &mut DbConn, client: &Client) -> Result<(), DbError> {
    let statement = diesel::update(clients::table.filter(clients::id.eq(client.id.as_str()))).set((
        clients::previous_secret_hash.eq(client.previous_secret.as_ref().map(|hash| &hash.0)),
        clients::secret_hash.eq(&client.secret.0),
        clients::rotated_at.eq(client.rotated_at.map(|at| at.0)),
    ));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Keeps a client out, and notes it for those who verify its tokens by themselves.
///
/// # Errors
/// [`DbError`].
pub fn disable(conn: &mut DbConn, id: &ClientId, now: Timestamp) -> Result<(), DbError> {
    // Its tokens have no number; whoever is listed is out.
    revocations::record(conn, &Subject::Client(id.clone()), 1, now)?;
    let statement =
        diesel::update(clients::table.filter(clients::id.eq(id.as_str()))).set(clients::disabled.eq(true));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}

/// Enables a client. Tokens issued before stay invalid here, and for those who verify them by themselves: they have been told
/// when the client was disabled, and forget it once those tokens have expired.
///
/// # Errors
/// Returns [`DbError`] if the database fails.
pub fn enable(conn: &mut DbConn, id: &ClientId, now: Timestamp) -> Result<(), DbError> {
    let statement = diesel::update(clients::table.filter(clients::id.eq(id.as_str())))
        .set((clients::disabled.eq(false), clients::tokens_from.eq(now.0)));
    on_either!(conn, |conn| statement.execute(conn))?;
    Ok(())
}
