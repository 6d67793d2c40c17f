//! Copying everything from one database into another, of the same kind or of the other one.
//!
//! A copy can be cut short at any moment and begun again. While it is not finished the target holds the table [`MARK`]: the
//! service does not start on it, and nobody else's rows can be in it. Begun again, first goes from the target what is not in the
//! source or differs there, the tables that refer to others first; then comes what is missing, in the other order. In between
//! the target is a part of the source at every moment, so that no key and no reference can be broken on the way.
//!
//! Rows are read a page at a time, by the primary key, in the order that each database has its index in. The two orders need not
//! be the same: rows are compared by looking up their keys, and a table's checksum is a sum, which has no order.

mod row;
mod table;

use std::collections::HashMap;
use std::fmt;

use diesel::connection::SimpleConnection;

use self::row::Row;
pub use self::table::TABLES;
use self::table::Table;
use super::{DatabaseUrl, DbConn, DbError, MigrationState, connect, migrate, migration_state};

/// The table that marks a copy begun and not finished.
pub const MARK: &str = "__tokenbooth_copy";

/// One of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the rows come from.
    Source,
    /// Where they go.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "the source",
            Self::Target => "the target",
        })
    }
}

/// Why nothing was copied, or not everything. One line, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A database.
    #[error("{0}: {1}")]
    Db(Side, DbError),
    /// SQLite would make the file.
    #[error("the source: there is no such file")]
    NoSource,
    /// Both addresses are one.
    #[error("the source and the target are one database")]
    Same,
    /// The source's schema is older than this program.
    #[error("the source: {0} migrations are pending. Run `tokenbooth migrate` on it first")]
    Pending(usize),
    /// A schema is newer than this program, which does not know what it would leave out.
    #[error("{0}: its schema is of a later version of tokenbooth. Copy with that version")]
    Newer(Side),
    /// A table has other columns there than here.
    #[error("the table {0} has other columns in the target than in the source")]
    Columns(&'static str),
    /// The target is somebody's already.
    #[error(
        "the target holds other data: {0}. Copy into an empty database, or add --replace to make it equal to the source, \
         whatever it holds"
    )]
    Occupied(String),
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Which table.
    pub table: &'static str,
    /// What is done with its rows, for people.
    pub doing: &'static str,
    /// Rows so far.
    pub rows: u64,
    /// Rows in all.
    pub of: u64,
}

/// What a table holds, in short: the same on both sides when the rows are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint {
    /// How many rows.
    pub rows: u64,
    /// The sum of the rows' SHA-256, modulo 2^256, the last byte first.
    sum: [u8; 32],
}

impl Fingerprint {
    fn add(&mut self, row: &Row) {
        self.rows += 1;
        let mut carry = 0;
        for (sum, byte) in self.sum.iter_mut().zip(row.digest()) {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            [*sum, _] = total.to_le_bytes();
            carry = total >> 8;
        }
    }

    /// The checksum, in hexadecimal.
    #[must_use]
    pub fn checksum(&self) -> String {
        hex::encode(self.sum)
    }
}

/// A table on both sides, after the copy.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    /// Which table.
    pub table: &'static str,
    /// In the source.
    pub source: Fingerprint,
    /// In the target.
    pub target: Fingerprint,
}

impl Compared {
    /// Whether both hold the same rows.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.source == self.target
    }
}

/// Two databases, and the tables of both.
pub struct Copy {
    source: DbConn,
    target: DbConn,
    tables: Vec<Table>,
}

impl Copy {
    /// Connects both, and brings the target's schema up to date.
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn open(from: &DatabaseUrl, to: &DatabaseUrl) -> Result<Self, CopyError> {
        if from.file().is_some_and(|file| !file.exists()) {
            return Err(CopyError::NoSource);
        }
        if from.is_same(to) {
            return Err(CopyError::Same);
        }
        let at_source = |error| CopyError::Db(Side::Source, error);
        let at_target = |error| CopyError::Db(Side::Target, error);
        let mut source = connect(from).map_err(at_source)?;
        match migration_state(&mut source).map_err(at_source)? {
            MigrationState { unknown: 0, pending: 0 } => {}
            MigrationState { unknown: 0, pending } => return Err(CopyError::Pending(pending)),
            MigrationState { .. } => return Err(CopyError::Newer(Side::Source)),
        }
        migrate(to).map_err(at_target)?;
        let mut target = connect(to).map_err(at_target)?;
        if migration_state(&mut target).map_err(at_target)?.unknown > 0 {
            return Err(CopyError::Newer(Side::Target));
        }
        let mut tables = Vec::new();
        for name in TABLES {
            let table = Table::read(&mut source, name).map_err(at_source)?;
            if table != Table::read(&mut target, name).map_err(at_target)? {
                return Err(CopyError::Columns(name));
            }
            tables.push(table);
        }
        Ok(Self { source, target, tables })
    }

    /// Makes the target equal to the source as it is at this moment. A target that has rows of its own is refused, unless they
    /// may be replaced, or are what is left of a copy. Answers how many rows were written.
    ///
    /// # Errors
    /// [`CopyError`]; doing it again goes on.
    pub fn run(&mut self, replace: bool, report: &mut dyn FnMut(Progress)) -> Result<u64, CopyError> {
        snapshot(&mut self.source).map_err(|error| CopyError::Db(Side::Source, error))?;
        let written = self.run_from_snapshot(replace, report)?;
        let ended = self.source.batch_execute("ROLLBACK");
        ended.map_err(|error| CopyError::Db(Side::Source, error.into()))?;
        Ok(written)
    }

    fn run_from_snapshot(
        &mut self,
        replace: bool,
        report: &mut dyn FnMut(Progress),
    ) -> Result<u64, CopyError> {
        let ours = is_marked(&mut self.target).map_err(|error| CopyError::Db(Side::Target, error))?;
        if !ours {
            let stale = self.stale(report)?;
            if !stale.is_empty() && !replace {
                let found: Vec<String> = stale
                    .iter()
                    .map(|(table, rows)| format!("{rows} rows of {table} are not so in the source"))
                    .collect();
                return Err(CopyError::Occupied(found.join(", ")));
            }
            if stale.is_empty() && self.is_complete()? {
                return Ok(0);
            }
            let mark = format!("CREATE TABLE {MARK} (id TEXT PRIMARY KEY NOT NULL)");
            let marked = self.target.batch_execute(&mark);
            marked.map_err(|error| CopyError::Db(Side::Target, error.into()))?;
        }
        for table in self.tables.clone().iter().rev() {
            self.pass_over_target(table, true, report)?;
        }
        let mut written = 0;
        for table in &self.tables.clone() {
            written += self.fill(table, report)?;
        }
        Ok(written)
    }

    /// Reads both sides anew and compares them, table by table. When all are equal the copy is finished.
    ///
    /// # Errors
    /// [`CopyError::Db`].
    pub fn verify(&mut self, report: &mut dyn FnMut(Progress)) -> Result<Vec<Compared>, CopyError> {
        let mut fingerprints = [Vec::new(), Vec::new()];
        for ((side, conn), into) in [(Side::Source, &mut self.source), (Side::Target, &mut self.target)]
            .into_iter()
            .zip(&mut fingerprints)
        {
            let failed = |error| CopyError::Db(side, error);
            snapshot(conn).map_err(failed)?;
            for table in &self.tables {
                into.push(fingerprint(conn, table, side, report).map_err(failed)?);
            }
            let ended = conn.batch_execute("ROLLBACK");
            ended.map_err(|error| failed(error.into()))?;
        }
        let [source, target] = fingerprints;
        let compared: Vec<Compared> = TABLES
            .into_iter()
            .zip(source.into_iter().zip(target))
            .map(|(table, (source, target))| Compared { table, source, target })
            .collect();
        if compared.iter().all(Compared::equal) {
            let unmarked = self.target.batch_execute(&format!("DROP TABLE IF EXISTS {MARK}"));
            unmarked.map_err(|error| CopyError::Db(Side::Target, error.into()))?;
        }
        Ok(compared)
    }

    /// In which tables the target has rows that the source has not, or has otherwise; and how many.
    fn stale(&mut self, report: &mut dyn FnMut(Progress)) -> Result<Vec<(&'static str, u64)>, CopyError> {
        let mut found = Vec::new();
        for table in &self.tables.clone() {
            match self.pass_over_target(table, false, report)? {
                0 => {}
                rows => found.push((table.name, rows)),
            }
        }
        Ok(found)
    }

    /// Whether a target that has nothing but rows of the source has all of them.
    fn is_complete(&mut self) -> Result<bool, CopyError> {
        for table in &self.tables {
            let there =
                row::count(&mut self.source, table).map_err(|error| CopyError::Db(Side::Source, error))?;
            let here =
                row::count(&mut self.target, table).map_err(|error| CopyError::Db(Side::Target, error))?;
            if there != here {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks for rows of the target that are not so in the source, removes them if asked to, and answers how many there are.
    fn pass_over_target(
        &mut self,
        table: &Table,
        remove: bool,
        report: &mut dyn FnMut(Progress),
    ) -> Result<u64, CopyError> {
        let at_source = |error| CopyError::Db(Side::Source, error);
        let at_target = |error| CopyError::Db(Side::Target, error);
        let of = row::count(&mut self.target, table).map_err(at_target)?;
        let (mut rows, mut stale, mut after) = (0, 0, String::new());
        loop {
            let page = row::page(&mut self.target, table, &after).map_err(at_target)?;
            let Some(last) = page.last() else { return Ok(stale) };
            last.key(table).clone_into(&mut after);
            let keys: Vec<&str> = page.iter().map(|row| row.key(table)).collect();
            let there = row::find_all(&mut self.source, table, &keys).map_err(at_source)?;
            let there = by_key(table, &there);
            let gone: Vec<&str> = page
                .iter()
                .filter(|row| there.get(row.key(table)) != Some(row))
                .map(|row| row.key(table))
                .collect();
            if remove && !gone.is_empty() {
                row::delete_all(&mut self.target, table, &gone).map_err(at_target)?;
            }
            stale += gone.len() as u64;
            rows += page.len() as u64;
            report(Progress { table: table.name, doing: "looked at in the target", rows, of });
        }
    }

    /// Writes the rows that the target has not, and answers how many.
    fn fill(&mut self, table: &Table, report: &mut dyn FnMut(Progress)) -> Result<u64, CopyError> {
        let at_source = |error| CopyError::Db(Side::Source, error);
        let at_target = |error| CopyError::Db(Side::Target, error);
        let of = row::count(&mut self.source, table).map_err(at_source)?;
        // Nothing is looked up in a table that was empty when it began.
        let empty = row::count(&mut self.target, table).map_err(at_target)? == 0;
        let (mut rows, mut written, mut after) = (0, 0, String::new());
        loop {
            let page = row::page(&mut self.source, table, &after).map_err(at_source)?;
            let Some(last) = page.last() else { return Ok(written) };
            last.key(table).clone_into(&mut after);
            let keys: Vec<&str> = page.iter().map(|row| row.key(table)).collect();
            let here = if empty {
                Vec::new()
            } else {
                row::find_all(&mut self.target, table, &keys).map_err(at_target)?
            };
            let here = by_key(table, &here);
            let missing: Vec<&Row> = page.iter().filter(|row| !here.contains_key(row.key(table))).collect();
            row::insert_all(&mut self.target, table, &missing).map_err(at_target)?;
            written += missing.len() as u64;
            rows += page.len() as u64;
            report(Progress { table: table.name, doing: "copied", rows, of });
        }
    }
}

fn by_key<'a>(table: &Table, rows: &'a [Row]) -> HashMap<&'a str, &'a Row> {
    rows.iter().map(|row| (row.key(table), row)).collect()
}

/// From here to the transaction's end the database looks as it does at the first read.
fn snapshot(conn: &mut DbConn) -> Result<(), DbError> {
    if let DbConn::Sqlite(conn) = conn {
        return Ok(conn.batch_execute("BEGIN")?);
    }
    Ok(conn.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?)
}

/// Reads a whole table.
fn fingerprint(
    conn: &mut DbConn,
    table: &Table,
    side: Side,
    report: &mut dyn FnMut(Progress),
) -> Result<Fingerprint, DbError> {
    let of = row::count(conn, table)?;
    let doing = if side == Side::Source { "verified in the source" } else { "verified in the target" };
    let (mut whole, mut after) = (Fingerprint::default(), String::new());
    loop {
        let page = row::page(conn, table, &after)?;
        let Some(last) = page.last() else { return Ok(whole) };
        last.key(table).clone_into(&mut after);
        for row in &page {
            whole.add(row);
        }
        report(Progress { table: table.name, doing, rows: whole.rows, of });
    }
}

/// Whether a copy into this database was begun and not finished.
///
/// # Errors
/// [`DbError`].
pub fn is_marked(conn: &mut DbConn) -> Result<bool, DbError> {
    let sql = match conn {
        DbConn::Sqlite(_) => format!("SELECT COUNT(*) AS number FROM sqlite_master WHERE name = '{MARK}'"),
        DbConn::Postgres(_) => format!("SELECT (to_regclass('{MARK}') IS NOT NULL)::int::bigint AS number"),
    };
    Ok(row::number(conn, sql)? > 0)
}
