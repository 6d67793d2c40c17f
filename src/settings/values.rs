//! How single values are written. Every message says what is expected and never shows what was given: the value may be
//! a secret in the wrong place.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::db::DatabaseUrl;

/// `"500ms"`, `"30s"`, `"5m"`, `"24h"`, `"30d"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|_| {
        D::Error::custom(
            "expected a duration such as \"500ms\", \"30s\", \"5m\", \"24h\" or \"30d\"",
        )
    })
}

/// `sqlite://…` or `postgres://…`.
pub(super) fn database_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<DatabaseUrl, D::Error> {
    DatabaseUrl::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A secret; an empty one is none.
pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}

/// Secrets, as a list or separated by commas.
pub(super) fn secrets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SecretString>, D::Error> {
    Ok(list(deserializer)?
        .into_iter()
        .map(SecretString::from)
        .collect())
}

/// One of the five level names, or `off`.
pub(super) fn level<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<log::LevelFilter, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|_| {
        D::Error::custom(
            "expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\"",
        )
    })
}

/// Addresses and CIDR blocks; a bare address is the block of that one address.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: &String| {
        text.parse()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
    };
    list(deserializer)?
        .iter()
        .map(|text| {
            parse(text).map_err(|_| {
                D::Error::custom("expected addresses or CIDR blocks such as \"10.0.0.0/8\"")
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
            Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect())
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
