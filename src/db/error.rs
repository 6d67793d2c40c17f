//! Why the database did not do what was asked.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::guard;

/// Words in an error, and what they tell whoever runs the service.
const MEANINGS: [(&str, &str); 3] = [
    // Diesel's name for what it prepares, which is gone or another one; the words around it are in the server's language.
    (
        "__diesel_stmt_",
        "; a pooler is in between that gives each transaction another session, such as PgBouncer with pool_mode = transaction: set database.prepared_statements = \"never\"",
    ),
    // The next two are SQLite's.
    (
        "database is locked",
        "; another process has held the lock for changes to the file for more than 5 s, such as an open sqlite3 shell or a backup that copies the file: end it",
    ),
    (
        "readonly database",
        "; the file or its folder is read-only: let the service's user write to both, or mount the file system with write access",
    ),
];

/// Why the database did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, is too slow, or refused to work. Trying again later may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It takes no changes: it is a standby, or was told to. Nothing is read there either, because it may be behind.
    #[error("the database server takes no changes: it is a standby, or told to be read-only")]
    ReadOnly,
    /// Its clock and ours do not agree, so nobody can say what has expired.
    #[error(
        "this machine's clock is {ahead} seconds ahead of the database server's (negative: behind), and at most 60 are accepted. Have both set by a time service"
    )]
    ClockDiffers {
        /// Seconds that ours is ahead; negative when behind.
        ahead: i64,
    },
    /// More requests are waiting than we let wait.
    #[error("too many requests are waiting for the database")]
    Overloaded,
    /// A unique key is taken: somebody else was first. Handled where it is expected.
    #[error("a row with this key exists already")]
    Conflict,
    /// A row that our own code cannot have written.
    #[error("inconsistent row: {0}")]
    Inconsistent(String),
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Self::ReadOnly,
            other => {
                if let Some(failure) = guard::failure(&other.to_string()) {
                    return failure;
                }
                let reason = other.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
                let meaning = MEANINGS.iter().find(|(words, _)| reason.contains(words));
                Self::Unavailable(reason.clone() + meaning.map_or("", |(_, meaning)| meaning))
            }
        }
    }
}
