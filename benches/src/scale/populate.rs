//! A database full of people, written by SQL: a million exchanges would take minutes.

use diesel::connection::SimpleConnection;
use tokenbooth::clock::{Clock, SystemClock};
use tokenbooth::db::{self, DatabaseUrl, DbConn};

use crate::error::{Result, failed};

/// Makes the schema and the people `0..size`, as if they had all just signed in with the ID tokens of
/// `crate::people`, so that another exchange finds nothing to change.
///
/// # Errors
/// The database refuses.
pub fn populate(url: &str, size: usize) -> Result<()> {
    let url = DatabaseUrl::parse(url).map_err(|error| failed(error.to_string()))?;
    db::migrate(&url)?;
    let mut conn = db::connect(&url)?;
    let dialect = Dialect::of(&conn);
    let now = SystemClock.now().0;
    for statement in dialect.statements(size, now) {
        conn.batch_execute(&statement)?;
    }
    Ok(())
}

/// How the two databases write the same.
#[derive(Clone, Copy)]
enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    fn of(conn: &DbConn) -> Self {
        match conn {
            DbConn::Sqlite(_) => Self::Sqlite,
            DbConn::Postgres(_) => Self::Postgres,
        }
    }

    /// `n` with leading zeros.
    fn digits(self, width: usize) -> String {
        match self {
            Self::Sqlite => format!("printf('%0{width}d', n)"),
            Self::Postgres => format!("lpad(n::text, {width}, '0')"),
        }
    }

    /// A UUIDv7 of which the first half grows with `n`, as with people who came one after the other. `prefix` is four
    /// hexadecimal digits.
    fn id(self, prefix: &str) -> String {
        let hex = |expression: &str, width: usize| match self {
            Self::Sqlite => format!("printf('%0{width}x', {expression})"),
            Self::Postgres => format!("lpad(to_hex({expression}), {width}, '0')"),
        };
        let (high, low, all) = (hex("n / 65536", 4), hex("n % 65536", 4), hex("n", 12));
        format!("'{prefix}' || {high} || '-' || {low} || '-7000-8000-' || {all}")
    }

    fn numbers(self, size: usize) -> String {
        match self {
            Self::Sqlite => format!(
                "(WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {size}) \
                 SELECT n FROM numbers)"
            ),
            Self::Postgres => format!("generate_series(0, {size} - 1) AS numbers(n)"),
        }
    }

    fn statements(self, size: usize, now: i64) -> Vec<String> {
        let (numbers, six) = (self.numbers(size), self.digits(6));
        let (user, identity, subject) = (self.id("0192"), self.id("0193"), self.digits(20));
        let email = format!("'person-' || {six} || '@mail.com'");
        let mut statements = vec![
            format!(
                "INSERT INTO users (id, email, email_lower, name, name_lower, avatar_url, admin, disabled, token_version, \
                 created_at, updated_at, last_login_at) \
                 SELECT {user}, {email}, {email}, 'Person ' || {six}, 'person ' || {six}, 'https://mail.com/portraits/' || {six} || '.png', \
                 FALSE, FALSE, 0, {now}, {now}, {now} FROM {numbers}"
            ),
            format!(
                "INSERT INTO identities (id, user_id, provider, provider_id, email, gives_email, created_at, last_used_at) \
                 SELECT {identity}, {user}, 'google', '1' || {subject}, {email}, TRUE, {now}, {now} FROM {numbers}"
            ),
        ];
        // What PostgreSQL's autovacuum would have done by itself, and what both would be busy with at the beginning.
        statements.extend(match self {
            Self::Sqlite => ["ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"].map(str::to_owned),
            Self::Postgres => ["VACUUM (ANALYZE)", "CHECKPOINT"].map(str::to_owned),
        });
        statements
    }
}

#[cfg(test)]
mod tests {
    use diesel::RunQueryDsl;
    use diesel::sql_types::Text;
    use tokenbooth::user::UserId;

    use super::*;
    use crate::people;

    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = Text)]
        provider_id: String,
        #[diesel(sql_type = Text)]
        email: String,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        avatar_url: String,
    }

    #[test]
    fn people_in_the_database_are_those_of_the_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("people.db").display());
        populate(&url, 300).unwrap();
        let mut conn = db::connect(&DatabaseUrl::parse(&url).unwrap()).unwrap();
        let rows: Vec<Row> = diesel::sql_query(
            "SELECT users.id, provider_id, users.email, name, avatar_url FROM users \
             JOIN identities ON identities.user_id = users.id ORDER BY users.id",
        )
        .load(&mut conn)
        .unwrap();
        assert_eq!(rows.len(), 300);
        for (number, row) in rows.iter().enumerate() {
            assert!(row.id.parse::<UserId>().is_ok(), "{}", row.id);
            assert_eq!(row.provider_id, people::subject(number));
            assert_eq!(row.email, people::email(number));
            assert_eq!(row.name, people::name(number));
            assert_eq!(row.avatar_url, people::picture(number));
        }
    }
}
