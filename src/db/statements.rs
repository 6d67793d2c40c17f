//! Whether a statement that was prepared is still there at its next use.
//!
//! PostgreSQL keeps prepared statements in its session. Behind a pooler that gives each transaction another session (PgBouncer
//! with `pool_mode = transaction`) the next use finds none of that name, or somebody else's. There a statement is sent whole each
//! time, which costs PostgreSQL its parsing and us the writing of the SQL. Rejected: never to prepare, a loss for all who
//! have no pooler.

use diesel::RunQueryDsl;
use diesel::dsl::sql;
use diesel::sql_types::Integer;

use super::connection::on_either;
use super::{DatabaseUrl, DbConn, DbError, connect};

/// So often two connections are asked for their session, twice in a row each: in the midst of traffic a pooler may give
/// a connection the same one several times by chance.
const ROUNDS: usize = 4;

/// `database.prepared_statements`: whether a statement is prepared once in a connection, and then used by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreparedStatements {
    /// Yes, unless connections turn out to share sessions when the pool is made.
    #[default]
    Detect,
    /// Yes: there is no such pooler, or one that knows prepared statements.
    Always,
    /// No.
    Never,
}

impl PreparedStatements {
    /// Whether the connections to `url` may prepare. Connects, also where that is not the question, so that a wrong address
    /// is told.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] with the driver's reason.
    pub(super) fn decide(self, url: &DatabaseUrl) -> Result<bool, DbError> {
        let mut conn = connect(url)?;
        match self {
            Self::Always => Ok(true),
            Self::Never => Ok(false),
            Self::Detect => {
                let shared = are_shared(&mut conn, url)?;
                if shared {
                    log::info!("connections share sessions of PostgreSQL: statements are not prepared");
                }
                Ok(!shared)
            }
        }
    }
}

/// Whether a pooler gives each transaction a session of its choice.
///
/// # Errors
/// [`DbError::Unavailable`] with the driver's reason.
pub fn sessions_are_shared(url: &DatabaseUrl) -> Result<bool, DbError> {
    are_shared(&mut connect(url)?, url)
}

/// Two connections that are open at once have two sessions, and keep them, or there is such a pooler. An idle one gives both the
/// session that was used last; one that takes its sessions in turn gives whoever asks twice in a row two of them.
fn are_shared(first: &mut DbConn, url: &DatabaseUrl) -> Result<bool, DbError> {
    if url.file().is_some() {
        return Ok(false);
    }
    let mut second = connect(url)?;
    let (of_first, of_second) = (session(first)?, session(&mut second)?);
    let mut shared = of_first == of_second;
    for _ in 0..ROUNDS {
        for (conn, before) in [(&mut second, of_second), (&mut *first, of_first)] {
            shared = shared || session(conn)? != before || session(conn)? != before;
        }
    }
    // A distributed database may have no number to tell.
    Ok(shared && of_first > 0)
}

/// The number of the process behind the session.
fn session(conn: &mut DbConn) -> Result<i32, DbError> {
    Ok(on_either!(conn, |conn| diesel::select(sql::<Integer>("pg_backend_pid()")).get_result(conn))?)
}
