//! What every use of a PostgreSQL connection asserts on the server, in the round trip that it needs anyway: this
//! server takes changes, and its clock and ours agree.
//!
//! A connection may lead to a standby at any time, though its own session never does: a pooler or a
//! proxy gives the next transaction another server after a switchover. A standby that is behind does
//! not know of a logout, so nothing is read there. Rejected: to ask each second, because a token that
//! was revoked would be accepted until then; and to look at `in_hot_standby`, which the server reports
//! by itself since version 14, because poolers report what they learned when they connected.
//!
//! The assertion is an error of a conversion, because SQL has no other that is written in an
//! expression. PostgreSQL quotes the text that was to be converted in every language.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::Bool;

use super::DbError;
use crate::clock::{SharedClock, Timestamp};

/// Seconds that our clock may differ from the server's. Access tokens, sessions and codes are judged
/// by it, and replicas that differ by more contradict each other.
pub(super) const LARGEST_CLOCK_DIFFERENCE: i64 = 60;

/// `transaction_read_only` is on in every transaction of a standby, and where
/// `default_transaction_read_only` is: on a former primary that was told to take no more changes.
const READ_ONLY: &str = "current_setting('transaction_read_only') = 'on'";
const FAIL_READ_ONLY: &str = "('tokenbooth:read-only:' || current_setting('transaction_read_only'))::integer";
const READ_ONLY_MARK: &str = "tokenbooth:read-only:";
const CLOCK_MARK: &str = "tokenbooth:clock:";

/// Fails in a transaction that takes no changes.
pub(super) fn statement() -> String {
    format!("SELECT CASE WHEN {READ_ONLY} THEN {FAIL_READ_ONLY} END")
}

/// As [`statement_at`] the present time, where there is a clock to compare.
pub(super) fn of(clock: Option<&SharedClock>) -> String {
    clock.map_or_else(statement, |clock| statement_at(clock.now()))
}

/// As [`statement`], and fails if the server's clock differs from `now` by more than
/// [`LARGEST_CLOCK_DIFFERENCE`]. That of a server is `clock_timestamp()`, not the beginning of the transaction.
pub(super) fn statement_at(now: Timestamp) -> String {
    let Timestamp(now) = now;
    let ahead = format!("({now} - floor(extract(epoch FROM clock_timestamp()))::bigint)");
    format!(
        "SELECT CASE WHEN {READ_ONLY} THEN {FAIL_READ_ONLY} \
         WHEN abs{ahead} > {LARGEST_CLOCK_DIFFERENCE} THEN ('{CLOCK_MARK}' || {ahead})::integer END"
    )
}

/// Returns what a message of the server says if it is of a statement of this module.
pub(super) fn failure(message: &str) -> Option<DbError> {
    if message.contains(READ_ONLY_MARK) {
        return Some(DbError::ReadOnly);
    }
    let (_, told) = message.split_once(CLOCK_MARK)?;
    let end = told.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(told.len());
    told[..end].parse().ok().map(|ahead| DbError::ClockDiffers { ahead })
}

/// A condition that is true where [`statement`] succeeds, and fails where it does. It names no column and
/// is not volatile, so that PostgreSQL evaluates it once for each execution, also when no row is found.
#[derive(Debug, Clone, Copy, QueryId)]
pub(super) struct TakesChanges;

impl Expression for TakesChanges {
    type SqlType = Bool;
}

impl<QS> SelectableExpression<QS> for TakesChanges {}

impl<QS> AppearsOnTable<QS> for TakesChanges {}

impl<GB> ValidGrouping<GB> for TakesChanges {
    type IsAggregate = is_aggregate::Never;
}

impl QueryFragment<Pg> for TakesChanges {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("CASE WHEN ");
        out.push_sql(READ_ONLY);
        out.push_sql(" THEN ");
        out.push_sql(FAIL_READ_ONLY);
        out.push_sql(" END IS NULL");
        Ok(())
    }
}
