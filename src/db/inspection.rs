//! What a database says of itself, for `tokenbooth check`.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{QueryableByName, RunQueryDsl};

use super::{DbConn, DbError};
use crate::clock::{Clock, Timestamp};

/// Rounds of which the middle one counts.
const ROUNDS: usize = 5;

/// What a database says of itself.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Its version, as it writes it.
    pub version: String,
    /// How long it takes to answer the least question.
    pub round_trip: Duration,
    /// What only a server has.
    pub server: Option<ServerFacts>,
    /// Whether commits go to a write-ahead log: readers and the writer do not wait for each other. Always on a server.
    pub write_ahead_log: bool,
}

/// What only a server has.
#[derive(Debug, Clone, Copy)]
pub struct ServerFacts {
    /// The major version.
    pub major_version: i64,
    /// Seconds our clock was ahead of the server's; negative when behind.
    pub clock_ahead: i64,
    /// It takes no changes: a standby, or told to be read-only.
    pub read_only: bool,
    /// The session is encrypted.
    pub encrypted: bool,
    /// It came from this machine.
    pub local: bool,
    /// `max_connections`, less those kept for superusers.
    pub connections: i64,
}

#[derive(QueryableByName)]
struct SqliteRow {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct JournalRow {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

#[derive(QueryableByName)]
struct PostgresRow {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    major: i64,
    #[diesel(sql_type = BigInt)]
    now: i64,
    #[diesel(sql_type = Bool)]
    read_only: bool,
    #[diesel(sql_type = Bool)]
    encrypted: bool,
    #[diesel(sql_type = Bool)]
    local: bool,
    #[diesel(sql_type = BigInt)]
    connections: i64,
}

/// Asks the database; changes nothing.
///
/// # Errors
/// [`DbError`].
pub fn inspect(conn: &mut DbConn, clock: &dyn Clock) -> Result<Inspection, DbError> {
    let round_trip = round_trip(conn)?;
    match conn {
        DbConn::Sqlite(conn) => {
            let SqliteRow { version } =
                diesel::sql_query("SELECT sqlite_version() AS version").get_result(conn)?;
            let JournalRow { journal_mode } = diesel::sql_query("PRAGMA journal_mode").get_result(conn)?;
            Ok(Inspection { version, round_trip, server: None, write_ahead_log: journal_mode == "wal" })
        }
        DbConn::Postgres(conn) => {
            let row: PostgresRow = diesel::sql_query(
                "SELECT split_part(current_setting('server_version'), ' ', 1) AS version, \
                 current_setting('server_version_num')::bigint / 10000 AS major, \
                 floor(extract(epoch FROM clock_timestamp()))::bigint AS now, \
                 (pg_is_in_recovery() OR current_setting('transaction_read_only')::bool) AS read_only, \
                 COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), FALSE) AS encrypted, \
                 (inet_client_addr() IS NULL OR inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() = '::1') AS local, \
                 current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint \
                 AS connections",
            )
            .get_result(conn)?;
            let server = ServerFacts {
                major_version: row.major,
                clock_ahead: clock.now().since(Timestamp(row.now)),
                read_only: row.read_only,
                encrypted: row.encrypted,
                local: row.local,
                connections: row.connections,
            };
            Ok(Inspection { version: row.version, round_trip, server: Some(server), write_ahead_log: true })
        }
    }
}

fn round_trip(conn: &mut DbConn) -> Result<Duration, DbError> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        conn.batch_execute("SELECT 1")?;
        rounds.push(start.elapsed());
    }
    rounds.sort_unstable();
    Ok(rounds.get(ROUNDS / 2).copied().unwrap_or_default())
}
