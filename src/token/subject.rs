//! Whom a token is about, as its `sub` says.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::client::ClientId;
use crate::user::UserId;

/// What a client's `sub` begins with. No user's does: a user's is a UUID.
const CLIENT_PREFIX: &str = "client:";

/// `sub` (RFC 7519 §4.1.2): a user's id, or `client:` and a client's. One type for both, so that whoever reads it has to say
/// which of them is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A person.
    User(UserId),
    /// A service (RFC 6749 §4.4).
    Client(ClientId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Client(id) => write!(f, "{CLIENT_PREFIX}{id}"),
        }
    }
}

/// The text is nobody's `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a user's id nor a client's")]
pub struct NoSubject;

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        match text.strip_prefix(CLIENT_PREFIX) {
            Some(id) => id.parse().map(Self::Client).map_err(|_| NoSubject),
            None => text.parse().map(Self::User).map_err(|_| NoSubject),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Without the formatting machinery: this is in every token.
            Self::User(id) => Uuid::from(*id).serialize(serializer),
            Self::Client(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Subject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user's id or a client's")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Subject, E> {
                text.parse().map_err(|_: NoSubject| E::invalid_value(de::Unexpected::Str("a text"), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}
