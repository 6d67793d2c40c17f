//! Which tables there are, and what columns a database says they have.

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl};

use crate::db::connection::on_either;
use crate::db::{DbConn, DbError};

/// Every table with data, those that others refer to before them. Columns are asked of the database, so a new one is copied by
/// itself; a table is not, because the database may be shared with an app that has tables of its own. A test compares this list
/// with what the migrations make.
pub const TABLES: [&str; 12] = [
    "users",
    "identities",
    "sessions",
    "events",
    "spent_codes",
    "clients",
    "signing_keys",
    "revocations",
    "ended_sessions",
    "token_secrets",
    "provider_issuers",
    "removed_identities",
];

/// The types that a migration may use (migrations/README.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Truth,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A table as a database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// By name: the order in a database depends on its history.
    pub(super) columns: Vec<Column>,
    /// Which of them is the primary key.
    pub(super) key: usize,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    /// Its place in the primary key, from 1; 0 when it is not in it.
    #[diesel(sql_type = BigInt)]
    key: i64,
}

impl Table {
    /// Asks the database.
    ///
    /// # Errors
    /// [`DbError`]; [`DbError::Inconsistent`] when the table is not made as migrations/README.md has it.
    pub(super) fn read(conn: &mut DbConn, name: &'static str) -> Result<Self, DbError> {
        let sql = match conn {
            DbConn::Sqlite(_) => format!(
                "SELECT name, upper(type) AS kind, pk AS key FROM pragma_table_info('{name}') ORDER BY name"
            ),
            DbConn::Postgres(_) => format!(
                "SELECT a.attname::text AS name, upper(format_type(a.atttypid, a.atttypmod)) AS kind,
                 COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint AS key
                 FROM pg_attribute AS a LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
                 WHERE a.attrelid = '\"{name}\"'::regclass AND a.attnum > 0 AND NOT a.attisdropped
                 ORDER BY a.attname::text COLLATE \"C\""
            ),
        };
        let rows: Vec<ColumnRow> = on_either!(conn, |conn| diesel::sql_query(sql).load(conn))?;
        Self::of(name, rows)
    }

    fn of(name: &'static str, rows: Vec<ColumnRow>) -> Result<Self, DbError> {
        let odd = |problem: &str| DbError::Inconsistent(format!("the table {name} {problem}"));
        let keys: Vec<usize> =
            rows.iter().enumerate().filter(|(_, row)| row.key > 0).map(|(index, _)| index).collect();
        let columns: Vec<Column> = rows
            .into_iter()
            .map(|row| {
                let kind = match row.kind.as_str() {
                    "TEXT" => Kind::Text,
                    "BIGINT" => Kind::Integer,
                    "BOOLEAN" => Kind::Truth,
                    _ => return Err(odd("has a column that is neither TEXT, BIGINT nor BOOLEAN")),
                };
                Ok(Column { name: row.name, kind })
            })
            .collect::<Result<_, _>>()?;
        match keys[..] {
            [key] if columns.get(key).is_some_and(|column| column.kind == Kind::Text) => {
                Ok(Self { name, columns, key })
            }
            _ => Err(odd("has no primary key of one TEXT column")),
        }
    }

    pub(super) fn key_name(&self) -> &str {
        self.columns.get(self.key).map_or("", |column| &column.name)
    }
}
