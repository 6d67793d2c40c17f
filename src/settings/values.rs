//! How single values are written. Every message says what is expected and never shows what was given: the value may be
//! a secret in the wrong place.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::db::{DatabaseUrl, PreparedStatements, Synchronous};

/// The longest duration that is taken. A longer one means "for ever", and added to a moment it would overflow.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// The highest rate that is taken. As a burst at one a minute it is 190 years, which `governor` can still count in
/// nanoseconds; and a higher one is no limit either.
const HIGHEST_RATE: u32 = 100_000_000;

/// `"500ms"`, `"30s"`, `"5m"`, `"24h"`, `"30d"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = "expected a duration such as \"500ms\", \"30s\", \"5m\", \"24h\" or \"30d\"";
    let duration = humantime::parse_duration(&text).map_err(|_| D::Error::custom(expected))?;
    if duration > LONGEST {
        return Err(D::Error::custom("expected a duration of at most 100 years"));
    }
    Ok(duration)
}

/// A TCP port. Not serde's `u16`: the library underneath reads "true" as 1.
pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let WholeNumber(number) = WholeNumber::deserialize(deserializer)
        .map_err(|_| D::Error::custom("expected a whole number from 0 to 65535"))?;
    number.try_into().map_err(|_| D::Error::custom("expected a whole number from 0 to 65535"))
}

/// A host and a port to listen on, written `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// An address or a name; an IPv6 address without brackets.
    pub host: String,
    /// 0 for any free port.
    pub port: u16,
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// `"127.0.0.1:9090"`, `"[::1]:9090"`, `"localhost:9090"`; an empty text is none.
pub(super) fn listen_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ListenAddress>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let parsed = text.rsplit_once(':').and_then(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // An IPv6 address without brackets could end in what looks like a port.
        let host = bare.or(Some(host).filter(|host| !host.contains(':'))).filter(|host| !host.is_empty())?;
        Some(ListenAddress { host: host.to_owned(), port: port.parse().ok()? })
    });
    let expected = "expected an address and a port such as \"127.0.0.1:9090\" or \"[::1]:9090\"";
    parsed.map(Some).ok_or_else(|| D::Error::custom(expected))
}

/// How many of something; absent means that we choose.
pub(super) fn count<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let wrong = || D::Error::custom("expected a whole number, 1 or more");
    match Option::<WholeNumber>::deserialize(deserializer).map_err(|_| wrong())? {
        None => Ok(None),
        Some(WholeNumber(0)) => Err(wrong()),
        Some(WholeNumber(number)) => number.try_into().map(Some).map_err(|_| wrong()),
    }
}

/// How many requests, at once or in a minute.
pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroU32, D::Error> {
    let wrong = || D::Error::custom(format!("expected a whole number from 1 to {HIGHEST_RATE}"));
    let WholeNumber(number) = WholeNumber::deserialize(deserializer).map_err(|_| wrong())?;
    let number = u32::try_from(number).ok().filter(|number| *number <= HIGHEST_RATE);
    number.and_then(NonZeroU32::new).ok_or_else(wrong)
}

/// A whole number that is never absent; `check.rs` has the limits.
pub(super) fn positive<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    count(deserializer)?.ok_or_else(|| D::Error::custom("expected a whole number, 1 or more"))
}

/// One of a few words. Serde's own message for an enum names what was given and not what is expected.
pub(super) fn one_of<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    choices: &[(&str, T)],
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let chosen = choices.iter().find(|(word, _)| *word == text);
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        D::Error::custom(format!("expected {}", words.join(" or ")))
    })
}

/// `sqlite://…` or `postgres://…`.
pub(super) fn database_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DatabaseUrl, D::Error> {
    DatabaseUrl::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// `detect`, `always` or `never`.
pub(super) fn prepared_statements<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PreparedStatements, D::Error> {
    let forms = [
        ("detect", PreparedStatements::Detect),
        ("always", PreparedStatements::Always),
        ("never", PreparedStatements::Never),
    ];
    one_of(deserializer, &forms)
}

pub(super) fn synchronous<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Synchronous, D::Error> {
    one_of(deserializer, &[("full", Synchronous::Full), ("normal", Synchronous::Normal)])
}

/// A secret; an empty one is none.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}

/// A secret in a file that is named; an empty name is none.
pub(super) fn secret_in_file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let path = Option::<String>::deserialize(deserializer)?.filter(|path| !path.is_empty());
    let text = path.map(std::fs::read_to_string).transpose();
    let text =
        text.map_err(|error| D::Error::custom(format!("the file cannot be read: {}", error.kind())))?;
    Ok(text.map(SecretString::from))
}

/// Secrets, as a list or separated by commas.
pub(super) fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    Ok(list(deserializer)?.into_iter().map(SecretString::from).collect())
}

/// One of the five level names, or `off`.
pub(super) fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<log::LevelFilter, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|_| {
        D::Error::custom("expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\"")
    })
}

/// Addresses and CIDR blocks; a bare address is the block of that one address.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: &String| text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    list(deserializer)?
        .iter()
        .map(|text| {
            parse(text).map_err(|_| {
                D::Error::custom("expected addresses or CIDR blocks such as \"10.0.0.5\" or \"10.0.0.0/28\"")
            })
        })
        .collect()
}

/// A list, or one text with commas, which is how the environment writes a list.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts, or one text with commas")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element::<String>()? {
                list.push(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_any(List)
}

/// A number that is one, or a text of digits, which is how the environment writes it.
struct WholeNumber(u64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = WholeNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<WholeNumber, E> {
                Ok(WholeNumber(number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<WholeNumber, E> {
                number.try_into().map(WholeNumber).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WholeNumber, E> {
                text.trim().parse().map(WholeNumber).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Number)
    }
}
