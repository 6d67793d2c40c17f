//! What was revoked, as a signed statement, for services that verify our tokens by themselves and keep no connection to the
//! database.
//!
//! Nothing is missed by whoever asks again with the `iat` of the last statement: a change is dated when its request came in,
//! and is seen when its transaction ends, perhaps by another replica with another clock. So each statement begins
//! `OVERLAP` seconds before what was asked for, and repeats what the asker may have already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;

use crate::clock::{Clock, Timestamp};
use crate::db::ended_sessions::{self, EndedSession};
use crate::db::revocations::{self, Revocation};
use crate::db::{Db, DbError};
use crate::jws::SigningError;
use crate::token::{Subject, Tokens};

/// Seconds that a change may take from its date until everybody sees it: the longest request, and the difference of clocks.
const OVERLAP: i64 = 120;
/// Beginnings are rounded down to this many seconds, so that those who ask at different moments are answered the same text.
const STEP: i64 = 60;
/// How long the rows that were read answer everybody.
const FRESH: Duration = Duration::from_secs(1);
/// How long a statement is good, in seconds: an old one, replayed, would hide what came after it.
const LIFE: i64 = 120;

/// What a statement says.
#[derive(Serialize)]
struct Statement<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
    /// By id: tokens with a lower `ver` are ended.
    users: BTreeMap<String, i64>,
    /// By id: every token is ended.
    clients: Vec<&'a str>,
    /// By `sid`: every access token is ended.
    sessions: Vec<String>,
}

/// Reads what was revoked, at most once a second however many ask, and signs it, once for all who are to be told the same.
#[derive(Default)]
pub struct RevocationFeed {
    latest: Mutex<Option<Look>>,
}

/// A look at the table, or why there was none.
struct Look {
    at: Instant,
    seen: Result<Seen, DbError>,
}

/// What a look saw.
struct Seen {
    /// Before the rows were read.
    now: Timestamp,
    /// No older row could end a token.
    horizon: Timestamp,
    /// Oldest first.
    rows: Vec<Revocation>,
    /// Oldest first.
    sessions: Vec<EndedSession>,
    /// By the moment they begin at.
    statements: BTreeMap<Timestamp, Arc<str>>,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Nobody could verify it.
    #[error("there is no key with a public half; `tokenbooth keys rotate --alg EdDSA` makes one")]
    NoKey,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The cryptographic library.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl RevocationFeed {
    /// A compact JWS of what was revoked since the `iat` of an earlier statement; without one of everything that still ends a
    /// token.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn statement(
        &self,
        db: &Db,
        tokens: &Tokens,
        clock: &dyn Clock,
        since: Option<Timestamp>,
    ) -> Result<Arc<str>, FeedError> {
        if tokens.keyring().statement_key(clock.now()).is_none() {
            return Err(FeedError::NoKey);
        }
        let mut latest = self.latest.lock().await;
        let look = match latest.take().filter(|look| look.at.elapsed() < FRESH) {
            Some(look) => look,
            None => look(db, tokens, clock.now()).await,
        };
        let seen = latest.insert(look).seen.as_mut().map_err(|error| error.clone())?;
        let from = since.map_or(seen.horizon, |since| seen.beginning(since));
        if let Some(statement) = seen.statements.get(&from) {
            return Ok(Arc::clone(statement));
        }
        let statement: Arc<str> = seen.sign(tokens, from)?.into();
        seen.statements.insert(from, Arc::clone(&statement));
        Ok(statement)
    }
}

async fn look(db: &Db, tokens: &Tokens, now: Timestamp) -> Look {
    let horizon = now.plus(-tokens.life()).plus(-OVERLAP);
    let at = Instant::now();
    let rows = db.run(move |conn| {
        Ok((revocations::list_since(conn, horizon)?, ended_sessions::list_since(conn, horizon)?))
    });
    let rows = rows.await;
    // A failure took its time; that counts, or those who wait would each wait for their own.
    let at = if rows.is_ok() { at } else { Instant::now() };
    let seen =
        rows.map(|(rows, sessions)| Seen { now, horizon, rows, sessions, statements: BTreeMap::new() });
    Look { at, seen }
}

impl Seen {
    /// Where the statement for `since` begins; there are few such moments, whatever is asked for.
    fn beginning(&self, since: Timestamp) -> Timestamp {
        let from = since.min(self.now).plus(-OVERLAP).max(self.horizon);
        Timestamp(from.0 - from.0.rem_euclid(STEP)).max(self.horizon)
    }

    fn sign(&self, tokens: &Tokens, from: Timestamp) -> Result<String, FeedError> {
        let mut statement = Statement {
            iss: tokens.issuer(),
            iat: self.now.0,
            exp: self.now.plus(LIFE).0,
            users: BTreeMap::new(),
            clients: Vec::new(),
            sessions: Vec::new(),
        };
        let ended = self.sessions.iter().filter(|session| session.ended_at >= from);
        statement.sessions.extend(ended.map(|session| session.id.to_string()));
        for row in self.rows.iter().filter(|row| row.revoked_at >= from) {
            match &row.subject {
                Subject::User(id) => drop(statement.users.insert(id.to_string(), row.token_version)),
                Subject::Client(id) => statement.clients.push(id.as_str()),
            }
        }
        let keyring = tokens.keyring();
        let key = keyring.statement_key(self.now).ok_or(FeedError::NoKey)?;
        Ok(key.sign(&statement)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_begins_before_what_was_asked_for_and_there_are_few_beginnings() {
        let (now, life) = (Timestamp(1_800_000_000), 1800);
        let horizon = now.plus(-life - OVERLAP);
        let seen = Seen { now, horizon, rows: Vec::new(), sessions: Vec::new(), statements: BTreeMap::new() };
        let mut beginnings = std::collections::BTreeSet::new();
        for ago in -100..3 * life {
            let since = now.plus(-ago);
            let from = seen.beginning(since);
            assert!(from <= since.plus(-OVERLAP) || from == horizon, "{ago}");
            assert!(from.plus(OVERLAP + STEP) >= since.min(now), "not much more than is needed: {ago}");
            beginnings.insert(from);
        }
        assert!(beginnings.len() <= 33, "{}", beginnings.len());
        for odd in [i64::MIN, -1, 0, i64::MAX] {
            assert!((horizon..=now).contains(&seen.beginning(Timestamp(odd))), "{odd}");
        }
    }
}
