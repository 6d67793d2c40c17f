//! Whom a token is about, as its `sub` says.

use std::fmt;

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
                let wrong = || E::invalid_value(de::Unexpected::Str("a text"), &self);
                match text.strip_prefix(CLIENT_PREFIX) {
                    Some(id) => id.parse().map(Subject::Client).map_err(|_| wrong()),
                    None => text.parse().map(Subject::User).map_err(|_| wrong()),
                }
            }
        }

        deserializer.deserialize_str(Text)
    }
}
