//! Rows of any table, read and written by SQL that is made from the columns.

use aws_lc_rs::digest::{Context, SHA256};
use diesel::RunQueryDsl;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, QueryableByName};
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::row::{Field, NamedRow};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, HasSqlType, Nullable, Text};

use super::table::{Kind, Table};
use crate::db::connection::on_either;
use crate::db::{DbConn, DbError};

/// Rows read or written at a time.
const PAGE: usize = 500;
/// SQLite's limit of values in one statement is 32 766, PostgreSQL's 65 535.
const MAX_VALUES: usize = 30_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Null,
    Text(String),
    Integer(i64),
    Truth(bool),
}

/// A row, its values in the order of [`Table::columns`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    values: Vec<Value>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// A row's types come with the names that its columns are selected under ([`selection`]): nothing else of the query is known here.
impl<DB: Backend> QueryableByName<DB> for Row
where
    String: FromSql<Text, DB>,
    i64: FromSql<BigInt, DB>,
    bool: FromSql<Bool, DB>,
{
    fn build<'a>(row: &impl NamedRow<'a, DB>) -> deserialize::Result<Self> {
        let mut values = Vec::with_capacity(row.field_count());
        for index in 0..row.field_count() {
            let name = diesel::row::Row::get(row, index)
                .and_then(|field| field.field_name().map(|name| name.as_bytes().first().copied()))
                .flatten();
            values.push(match name {
                Some(b't') => {
                    let text = row.get_value::<Nullable<Text>, Option<String>, usize>(index)?;
                    text.map_or(Value::Null, Value::Text)
                }
                Some(b'i') => {
                    let number = row.get_value::<Nullable<BigInt>, Option<i64>, usize>(index)?;
                    number.map_or(Value::Null, Value::Integer)
                }
                Some(b'b') => {
                    let truth = row.get_value::<Nullable<Bool>, Option<bool>, usize>(index)?;
                    truth.map_or(Value::Null, Value::Truth)
                }
                _ => return Err("a column of no known kind".into()),
            });
        }
        Ok(Self { values })
    }
}

impl Row {
    /// What the row is found by; never null, by the schema.
    pub(super) fn key(&self, table: &Table) -> &str {
        match self.values.get(table.key) {
            Some(Value::Text(key)) => key,
            _ => "",
        }
    }

    /// SHA-256 of the values: each a byte for its kind, then the text with its length before it, or the number in eight bytes, the
    /// last one first. The same for the same row on every database.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for value in &self.values {
            match value {
                Value::Null => context.update(&[0]),
                Value::Text(text) => {
                    context.update(&[1]);
                    context.update(&(text.len() as u64).to_le_bytes());
                    context.update(text.as_bytes());
                }
                Value::Integer(number) => {
                    context.update(&[2]);
                    context.update(&number.to_le_bytes());
                }
                Value::Truth(truth) => context.update(&[3, u8::from(*truth)]),
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// `"id" AS t0, "admin" AS b1, …`
fn selection(table: &Table) -> String {
    let columns = table.columns.iter().enumerate().map(|(index, column)| {
        let kind = match column.kind {
            Kind::Text => 't',
            Kind::Integer => 'i',
            Kind::Truth => 'b',
        };
        format!("\"{}\" AS {kind}{index}", column.name)
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// `$1, $2, …`, or `?, ?, …` for SQLite, which looks a parameter with a name up among all the others.
fn placeholders(conn: &DbConn, first: usize, count: usize) -> String {
    let placeholder = |number| match conn {
        DbConn::Postgres(_) => format!("${number}"),
        DbConn::Sqlite(_) => "?".to_owned(),
    };
    (first..first + count).map(placeholder).collect::<Vec<_>>().join(", ")
}

fn bind<'q, DB>(
    query: BoxedSqlQuery<'q, DB, SqlQuery>,
    kind: Kind,
    value: &'q Value,
) -> BoxedSqlQuery<'q, DB, SqlQuery>
where
    DB: Backend + HasSqlType<Text> + HasSqlType<BigInt> + HasSqlType<Bool>,
    Option<&'q str>: ToSql<Nullable<Text>, DB>,
    Option<i64>: ToSql<Nullable<BigInt>, DB>,
    Option<bool>: ToSql<Nullable<Bool>, DB>,
{
    match (value, kind) {
        (Value::Text(text), _) => query.bind::<Nullable<Text>, _>(Some(text.as_str())),
        (Value::Integer(number), _) => query.bind::<Nullable<BigInt>, _>(Some(*number)),
        (Value::Truth(truth), _) => query.bind::<Nullable<Bool>, _>(Some(*truth)),
        (Value::Null, Kind::Text) => query.bind::<Nullable<Text>, _>(None::<&str>),
        (Value::Null, Kind::Integer) => query.bind::<Nullable<BigInt>, _>(None::<i64>),
        (Value::Null, Kind::Truth) => query.bind::<Nullable<Bool>, _>(None::<bool>),
    }
}

/// How many rows the table has.
pub(super) fn count(conn: &mut DbConn, table: &Table) -> Result<u64, DbError> {
    let sql = format!("SELECT COUNT(*) AS number FROM \"{}\"", table.name);
    Ok(number(conn, sql)?.unsigned_abs())
}

/// What `SELECT … AS number` answers.
pub(super) fn number(conn: &mut DbConn, sql: String) -> Result<i64, DbError> {
    let row: Number = on_either!(conn, |conn| diesel::sql_query(sql).get_result(conn))?;
    Ok(row.number)
}

/// The next rows after the one of this key (every key is greater than the empty text), in the database's own order, which an
/// index serves; none at the end.
pub(super) fn page(conn: &mut DbConn, table: &Table, after: &str) -> Result<Vec<Row>, DbError> {
    let (columns, name, key) = (selection(table), table.name, table.key_name());
    let sql =
        format!("SELECT {columns} FROM \"{name}\" WHERE \"{key}\" > $1 ORDER BY \"{key}\" LIMIT {PAGE}");
    Ok(on_either!(conn, |conn| diesel::sql_query(sql).bind::<Text, _>(after).load(conn))?)
}

/// The rows of these keys that exist, in any order.
pub(super) fn find_all(conn: &mut DbConn, table: &Table, keys: &[&str]) -> Result<Vec<Row>, DbError> {
    let (columns, name, key) = (selection(table), table.name, table.key_name());
    let wanted = placeholders(conn, 1, keys.len());
    let sql = format!("SELECT {columns} FROM \"{name}\" WHERE \"{key}\" IN ({wanted})");
    Ok(on_either!(conn, |conn| {
        let query = diesel::sql_query(sql).into_boxed();
        keys.iter().fold(query, |query, key| query.bind::<Text, _>(*key)).load(conn)
    })?)
}

/// Removes the rows of these keys, and by the schema what refers to them.
pub(super) fn delete_all(conn: &mut DbConn, table: &Table, keys: &[&str]) -> Result<(), DbError> {
    let (name, key, doomed) = (table.name, table.key_name(), placeholders(conn, 1, keys.len()));
    let sql = format!("DELETE FROM \"{name}\" WHERE \"{key}\" IN ({doomed})");
    on_either!(conn, |conn| {
        let query = diesel::sql_query(sql).into_boxed();
        keys.iter().fold(query, |query, key| query.bind::<Text, _>(*key)).execute(conn)
    })?;
    Ok(())
}

/// Writes these rows, each statement all or nothing.
pub(super) fn insert_all(conn: &mut DbConn, table: &Table, rows: &[&Row]) -> Result<(), DbError> {
    let width = table.columns.len();
    let names: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    for rows in rows.chunks((MAX_VALUES / width.max(1)).max(1)) {
        let tuples: Vec<String> =
            (0..rows.len()).map(|row| format!("({})", placeholders(conn, row * width + 1, width))).collect();
        let sql =
            format!("INSERT INTO \"{}\" ({}) VALUES {}", table.name, names.join(", "), tuples.join(", "));
        let kinds = || table.columns.iter().map(|column| column.kind);
        let values = rows.iter().flat_map(|row| kinds().zip(&row.values));
        on_either!(conn, |conn| {
            let query = diesel::sql_query(sql).into_boxed();
            values.fold(query, |query, (kind, value)| bind(query, kind, value)).execute(conn)
        })?;
    }
    Ok(())
}
