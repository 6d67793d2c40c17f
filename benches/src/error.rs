//! Why a measurement ended without a number.

use tokenbooth::db::DbError;
use tokenbooth::mock::MockError;

/// What every part of this crate answers with.
pub type Result<T> = std::result::Result<T, BenchError>;

/// Why a measurement ended without a number that may be believed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// In words, with the remedy.
    #[error("{0}")]
    Failed(String),
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The mock providers.
    #[error(transparent)]
    Mock(#[from] MockError),
    /// A database of ours.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A statement of ours.
    #[error("the statement failed: {0}")]
    Statement(#[from] diesel::result::Error),
}

/// A failure in words.
pub fn failed(text: impl Into<String>) -> BenchError {
    BenchError::Failed(text.into())
}
