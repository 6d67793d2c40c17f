//! Finding users by how their e-mail or their name begins, or by a provider's id, in the order of ids.
//!
//! In byte order a prefix is a range, which an index serves, but in its own order: no index serves a range in the order of
//! another column. So a search counts first, on the index alone and not far, whether it is narrow or broad:
//!
//! - At most `FEW` match: their ids are read from the index, all of them, and sorted.
//! - More match: users are read in the order of ids, from the cursor on, until the page is full, which is soon, unless all who
//!   match came at another time. After `STRETCH` users it is given up, and all ids are read from the index after all.
//!
//! Left to the planner, one query reads and sorts a million rows for a broad prefix, or reads a million for a narrow one; which,
//! depends on statistics that SQLite does not have. They are SQL, because PostgreSQL plans those that Diesel keeps without
//! knowing how broad the prefix is.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Integer, Text};

use super::connection::on_either;
use super::schema::identities;
use super::users::{find_bearers, parse_id};
use super::{DbConn, DbError};
use crate::user::{BearerKey, User, UserId};

/// As many can be counted and sorted in a few milliseconds. Of a million users it is one in fifty: a page of fifty is full
/// after 2 500 users, when they are spread evenly.
const FEW: i64 = 20_000;

/// As many users are read in the time in which twice [`FEW`] are sorted.
const STRETCH: i64 = 50_000;

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Users whose e-mail or name begins with `text` (ASCII letters compared without case), or who have an identity of exactly
/// this provider id; in order of creation, at most `limit`, after `after`.
///
/// # Errors
/// [`DbError`].
pub fn search(
    conn: &mut DbConn,
    text: &str,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<User>, DbError> {
    // In no row, and PostgreSQL does not take it as text.
    if text.contains('\0') {
        return Ok(Vec::new());
    }
    // Every id is greater than the empty text.
    let after = after.map_or_else(String::new, |id| id.to_string());
    let prefix = Prefix::of(text);
    let mut ids = BTreeSet::new();
    let page = if prefix.is_narrow(conn)? { None } else { prefix.walk(conn, &after, limit)? };
    if let Some(page) = page {
        ids.extend(page);
    } else {
        for column in COLUMNS {
            ids.extend(prefix.sorted(conn, column, &after, limit)?);
        }
    }
    ids.extend(with_provider_id(conn, text)?);
    let page = ids.range(after.clone()..).filter(|id| **id != after);
    let page = page.take(usize::try_from(limit).unwrap_or_default()).map(|id| parse_id(id));
    let page = page.map(|user_id| user_id.map(|user_id| BearerKey { user_id, session_id: None }));
    let page = page.collect::<Result<Vec<_>, _>>()?;
    let mut found: HashMap<_, _> = find_bearers(conn, &page)?.into_iter().collect();
    Ok(page.iter().filter_map(|key| Some(found.remove(key)?.user)).collect())
}

const COLUMNS: [&str; 2] = ["email_lower", "name_lower"];

/// What an e-mail or a name begins with, as the range that it is.
struct Prefix {
    text: String,
    end: Option<String>,
}

impl Prefix {
    fn of(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let end = after_all_beginning_with(&text);
        Self { text, end }
    }

    /// What in the index `column` is within the range of `$1` and `$2`, the first `most` of it. Where there is a limit, nobody
    /// looks for another index.
    fn within(&self, column: &str, most: i64) -> String {
        // Where nothing is beyond the prefix, the second condition says the first again.
        let comparison = if self.end.is_some() { "<" } else { ">=" };
        format!(
            "(SELECT id FROM users WHERE {column} >= $1 AND {column} {comparison} $2 ORDER BY {column} LIMIT {most}) AS within"
        )
    }

    fn end(&self) -> &str {
        self.end.as_ref().unwrap_or(&self.text)
    }

    fn is_narrow(&self, conn: &mut DbConn) -> Result<bool, DbError> {
        for column in COLUMNS {
            let within = self.within(column, FEW + 1);
            let query = sql_query(format!("SELECT count(*) AS number FROM {within}"))
                .bind::<Text, _>(&self.text)
                .bind::<Text, _>(self.end());
            let count: Count = on_either!(conn, |conn| query.get_result(conn))?;
            if count.number > FEW {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first `limit` after `after` whose `column` begins so: all of them read and sorted.
    fn sorted(
        &self,
        conn: &mut DbConn,
        column: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>, DbError> {
        let within = self.within(column, i64::MAX);
        let query = sql_query(format!("SELECT id FROM {within} WHERE id > $3 ORDER BY id LIMIT $4"))
            .bind::<Text, _>(&self.text)
            .bind::<Text, _>(self.end())
            .bind::<Text, _>(after)
            .bind::<BigInt, _>(limit);
        let rows: Vec<Id> = on_either!(conn, |conn| query.load(conn))?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// The first `limit` after `after` whose e-mail or name begins so, if they are within the next [`STRETCH`] users: written
    /// so that no index but that of ids serves it.
    fn walk(&self, conn: &mut DbConn, after: &str, limit: i64) -> Result<Option<Vec<String>>, DbError> {
        let stretch = sql_query("SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2")
            .bind::<Text, _>(after)
            .bind::<BigInt, _>(STRETCH);
        let end: Option<Id> = on_either!(conn, |conn| stretch.get_result(conn).optional())?;
        // Where there is no end, the second condition says the first again.
        let (comparison, bound) = end.as_ref().map_or((">", after), |end| ("<=", end.id.as_str()));
        let query = sql_query(format!(
            "SELECT id FROM users WHERE id > $1 AND id {comparison} $2 \
             AND (substr(email_lower, 1, $3) = $4 OR substr(name_lower, 1, $3) = $4) ORDER BY id LIMIT $5"
        ))
        .bind::<Text, _>(after)
        .bind::<Text, _>(bound)
        .bind::<Integer, _>(i32::try_from(self.text.chars().count()).unwrap_or(i32::MAX))
        .bind::<Text, _>(&self.text)
        .bind::<BigInt, _>(limit);
        let rows: Vec<Id> = on_either!(conn, |conn| query.load(conn))?;
        let full = i64::try_from(rows.len()).is_ok_and(|found| found >= limit);
        let ids = || rows.into_iter().map(|row| row.id).collect();
        Ok((full || end.is_none()).then(ids))
    }
}

/// One user of each provider at most.
fn with_provider_id(conn: &mut DbConn, provider_id: &str) -> Result<Vec<String>, DbError> {
    Ok(on_either!(conn, |conn| {
        identities::table
            .filter(identities::provider_id.eq(provider_id))
            .select(identities::user_id)
            .load(conn)
    })?)
}

/// The least text that is greater than every text beginning with `prefix`, by code points, which is the order of UTF-8's
/// bytes; `None` when there is none.
fn after_all_beginning_with(prefix: &str) -> Option<String> {
    let rest = prefix.trim_end_matches(char::MAX);
    let last = rest.chars().next_back()?;
    // A range of characters knows the gap of the surrogates.
    let next = (last..=char::MAX).nth(1)?;
    Some(format!("{}{next}", &rest[..rest.len() - last.len_utf8()]))
}

#[cfg(test)]
mod tests {
    use super::after_all_beginning_with;

    #[test]
    fn the_end_of_a_prefix_is_right_at_every_edge_of_unicode() {
        for (prefix, end) in [
            ("a", Some("b")),
            ("ann@", Some("annA")),
            ("z\u{7f}", Some("z\u{80}")),
            ("\u{7ff}", Some("\u{800}")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("\u{ffff}", Some("\u{10000}")),
            ("a\u{10ffff}\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(after_all_beginning_with(prefix).as_deref(), end, "{prefix:?}");
            if let Some(end) = end {
                assert!(*prefix < *end && *format!("{prefix}\u{10ffff}\u{10ffff}") < *end, "{prefix:?}");
            }
        }
    }
}
