//! `database.url`: which database, and how its address is kept out of every message.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::hosts;

/// Parameters that are added unless the address has them. libpq's own limits are minutes for a connection and hours for a
/// response: a server that vanished without a word (a failover) would keep every connection that was waiting for it. With
/// these it is given up after half a minute. `read-write`: a name may lead to a standby while the primary changes.
const PARAMETERS: [(&str, &str); 5] = [
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
    ("target_session_attrs", READ_WRITE),
];
const READ_WRITE: &str = "read-write";
/// Seconds for each host, so that a server that is silent does not take the time to ask the next one: less than
/// `database.timeout`, and for several hosts the least that libpq takes.
const CONNECT_TIMEOUT: (&str, &str) = ("connect_timeout", "4");
const CONNECT_TIMEOUT_OF_SEVERAL: (&str, &str) = ("connect_timeout", "2");

/// A database address whose scheme was understood.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// The file of an embedded database.
    Sqlite(PathBuf),
    /// A libpq connection URI, with our parameters added.
    Postgres(SecretString),
}

/// Why an address was refused. Never shows it: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Neither of the two databases.
    #[error("expected sqlite://path/to/file.db or postgres://user:password@host/name")]
    Scheme,
    /// `:memory:` and the like.
    #[error(
        "an in-memory SQLite database is another one in every connection; expected sqlite://path/to/file.db or postgres://user:password@host/name"
    )]
    InMemory,
    /// `?` in an SQLite address.
    #[error(
        "sqlite:// takes a path and no parameters; expected sqlite://path/to/file.db or postgres://user:password@host/name"
    )]
    Parameters,
    /// Not a URL.
    #[error(
        "not a URL ({0}); expected sqlite://path/to/file.db or postgres://user:password@host/name, with special characters in the password percent-encoded"
    )]
    Malformed(url::ParseError),
}

impl DatabaseUrl {
    /// Reads the address. Anything but the two schemes is refused: Diesel's own guess makes an SQLite file named after
    /// a PostgreSQL address it could not connect to.
    ///
    /// # Errors
    /// Says what is accepted.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::postgres(text);
        }
        match text.strip_prefix("sqlite:") {
            Some(":memory:" | "//:memory:" | "//" | "") => Err(DatabaseUrlError::InMemory),
            Some(rest) => match rest.strip_prefix("//") {
                Some(path) if path.contains('?') => Err(DatabaseUrlError::Parameters),
                Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
                None => Err(DatabaseUrlError::Scheme),
            },
            None => Err(DatabaseUrlError::Scheme),
        }
    }

    fn postgres(text: &str) -> Result<Self, DatabaseUrlError> {
        let several = hosts::as_parameters(text).map_err(DatabaseUrlError::Malformed)?;
        let mut url = Url::parse(several.as_deref().unwrap_or(text)).map_err(DatabaseUrlError::Malformed)?;
        let is_several = url.query_pairs().any(|(key, value)| key == "host" && value.contains(','));
        let connect_timeout = if is_several { CONNECT_TIMEOUT_OF_SEVERAL } else { CONNECT_TIMEOUT };
        for (name, value) in PARAMETERS.into_iter().chain([connect_timeout]) {
            if !url.query_pairs().any(|(key, _)| key == name) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(Self::Postgres(SecretString::from(url.as_str())))
    }

    /// Returns this address without the wish for a server that takes changes, to ask a standby what it is.
    #[must_use]
    pub fn of_any_server(&self) -> Self {
        let Self::Postgres(address) = self else { return self.clone() };
        let wish = format!("target_session_attrs={READ_WRITE}");
        Self::Postgres(SecretString::from(address.expose_secret().replace(&wish, "target_session_attrs=any")))
    }

    /// The database's file, when it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// Whether both lead to one database, as far as addresses tell.
    #[must_use]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(other)) => {
                one == other
                    || one
                        .canonicalize()
                        .is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
            }
            (Self::Postgres(one), Self::Postgres(other)) => one.expose_secret() == other.expose_secret(),
            _ => false,
        }
    }

    /// `SQLite` or `PostgreSQL`, for people.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// A driver's message without the address: it stays true and loses host, port, user, database and password.
    #[must_use]
    pub(super) fn without_address(&self, message: &str) -> String {
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let Self::Postgres(secret) = self else {
            return line;
        };
        let mut clean = without_servers(&line).replace(secret.expose_secret(), "…");
        let Ok(url) = Url::parse(secret.expose_secret()) else {
            return clean;
        };
        for part in address_parts(&url) {
            clean = clean.replace(&format!("\"{part}\""), "\"…\"");
            // PgBouncer: "no such database: name".
            if let Some(start) = clean.strip_suffix(&format!(": {part}")) {
                clean = format!("{start}: …");
            }
        }
        let parameter = url.query_pairs().find(|(name, _)| name == "password");
        match url.password().map(decoded).or(parameter.map(|(_, password)| password.into_owned())) {
            Some(password) if password.len() > 3 => clean.replace(&password, "…"),
            _ => clean,
        }
    }
}

/// libpq tries every address of every host, and says of each "connection to server at …, port … failed: …".
fn without_servers(line: &str) -> String {
    let (mut clean, mut rest) = (String::new(), line);
    while let Some(start) = rest.find("connection to server ")
        && let Some(length) = rest[start..].find(" failed: ")
    {
        clean += &rest[..start];
        clean += "connection to the server";
        rest = &rest[start + length..];
        // Past this " failed: ", or it would be found again for the next server.
        let (failed, after) = rest.split_at(" failed: ".len());
        clean += failed;
        rest = after;
    }
    clean + rest
}

/// What a message may quote of an address, as libpq writes it: each part stands in its place or among the parameters.
fn address_parts(url: &Url) -> Vec<String> {
    let in_place = [url.password(), url.host_str(), Some(url.username()), Some(url.path().trim_matches('/'))];
    let parameters = url
        .query_pairs()
        .filter(|(name, _)| matches!(&**name, "host" | "hostaddr" | "port" | "user" | "password" | "dbname"))
        .map(|(_, value)| value.into_owned());
    in_place
        .into_iter()
        .flatten()
        .map(decoded)
        .chain(parameters)
        // Several hosts are one parameter, and are quoted one by one.
        .flat_map(|part| {
            let single: Vec<String> = part.split(',').map(str::to_owned).collect();
            std::iter::once(part).chain(single)
        })
        .filter(|part| !part.is_empty())
        .collect()
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({}, ..)", self.backend())
    }
}
