//! The audit trail's nouns: what happened to an account or a client, by whom, from where.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::user::UserId;

/// What can happen to an account, or to a client. [`EventKind::as_str`] is the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table says it")]
pub enum EventKind {
    FirstSignIn,
    SignInSucceeded,
    SignInRefused,
    IdentityLinked,
    IdentityUnlinked,
    PasswordSet,
    PasswordRemoved,
    RefreshReused,
    SessionEnded,
    SessionMoved,
    SessionRepeated,
    TokensRevoked,
    UserDisabled,
    UserEnabled,
    UserPromoted,
    UserDemoted,
    UserDeleted,
    UserImported,
    UserUpdated,
    UserEmailChanged,
    ClientCreated,
    ClientRotated,
    ClientDisabled,
    ClientEnabled,
    KeyGenerated,
    KeyRotated,
    KeyRetired,
    ProviderAccepted,
}

impl EventKind {
    /// Every kind there is.
    pub const ALL: [Self; 28] = [
        Self::FirstSignIn,
        Self::SignInSucceeded,
        Self::SignInRefused,
        Self::IdentityLinked,
        Self::IdentityUnlinked,
        Self::PasswordSet,
        Self::PasswordRemoved,
        Self::RefreshReused,
        Self::SessionEnded,
        Self::SessionMoved,
        Self::SessionRepeated,
        Self::TokensRevoked,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserPromoted,
        Self::UserDemoted,
        Self::UserDeleted,
        Self::UserImported,
        Self::UserUpdated,
        Self::UserEmailChanged,
        Self::ClientCreated,
        Self::ClientRotated,
        Self::ClientDisabled,
        Self::ClientEnabled,
        Self::KeyGenerated,
        Self::KeyRotated,
        Self::KeyRetired,
        Self::ProviderAccepted,
    ];

    /// As it is stored and shown: stable and dotted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstSignIn => "sign_in.first",
            Self::SignInSucceeded => "sign_in.succeeded",
            Self::SignInRefused => "sign_in.refused",
            Self::IdentityLinked => "identity.linked",
            Self::IdentityUnlinked => "identity.unlinked",
            Self::PasswordSet => "password.set",
            Self::PasswordRemoved => "password.removed",
            Self::RefreshReused => "refresh.reused",
            Self::SessionEnded => "session.ended",
            Self::SessionMoved => "session.moved",
            Self::SessionRepeated => "session.repeated",
            Self::TokensRevoked => "tokens.revoked",
            Self::UserDisabled => "user.disabled",
            Self::UserEnabled => "user.enabled",
            Self::UserPromoted => "user.promoted",
            Self::UserDemoted => "user.demoted",
            Self::UserDeleted => "user.deleted",
            Self::UserImported => "user.imported",
            Self::UserUpdated => "user.updated",
            Self::UserEmailChanged => "user.email_changed",
            Self::ClientCreated => "client.created",
            Self::ClientRotated => "client.rotated",
            Self::ClientDisabled => "client.disabled",
            Self::ClientEnabled => "client.enabled",
            Self::KeyGenerated => "key.generated",
            Self::KeyRotated => "key.rotated",
            Self::KeyRetired => "key.retired",
            Self::ProviderAccepted => "provider.accepted",
        }
    }
}

/// There is no such kind of event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind of event")]
pub struct UnknownKind;

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row of `events`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its own id, a UUIDv7.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// Who did it, when it was a user.
    pub actor_id: Option<UserId>,
    /// To whom.
    pub user_id: Option<UserId>,
    /// From which address.
    pub ip: Option<IpAddr>,
    /// In which request.
    pub request_id: Option<String>,
    /// A JSON object: never a token, an e-mail or a name.
    pub detail: Value,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Nobody we know yet: whoever is about to sign in.
    Stranger,
    /// A signed-in user.
    User(UserId),
    /// Somebody with a shell on the machine.
    CommandLine,
    /// The setting of this name.
    Setting(&'static str),
    /// A one-time code that was exchanged twice.
    CodeReplay,
}

/// Who asks for a change, from where, in which request, and when: what every event of that change has in common.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who.
    pub actor: Actor,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The request's `X-Request-Id`.
    pub request_id: Option<String>,
    /// When. The change is dated so, too.
    pub at: Timestamp,
}

impl Origin {
    /// A change made by the command line.
    #[must_use]
    pub fn command_line(at: Timestamp) -> Self {
        Self { actor: Actor::CommandLine, ip: None, request_id: None, at }
    }

    /// The same, by this user: who it is shows in the course of a request.
    #[must_use]
    pub fn by(&self, user: UserId) -> Self {
        Self { actor: Actor::User(user), ..self.clone() }
    }

    /// The same, by `admin.emails`.
    #[must_use]
    pub fn by_settings(&self) -> Self {
        self.by_setting("admin.emails")
    }

    /// The same, by the setting of this name: nobody asked for the change.
    #[must_use]
    pub fn by_setting(&self, name: &'static str) -> Self {
        Self { actor: Actor::Setting(name), ..self.clone() }
    }

    /// The same, by the replay of a one-time code.
    #[must_use]
    pub fn by_code_replay(&self) -> Self {
        Self { actor: Actor::CodeReplay, ..self.clone() }
    }

    /// An event of this origin. `detail` must be an object; whatever is no user is named in it under `by`.
    #[must_use]
    pub fn event(&self, kind: EventKind, user_id: impl Into<Option<UserId>>, mut detail: Value) -> Event {
        let actor_id = match self.actor {
            Actor::User(id) => Some(id),
            Actor::Stranger => None,
            Actor::CommandLine => {
                detail["by"] = json!("command_line");
                None
            }
            Actor::Setting(name) => {
                detail["by"] = json!(name);
                None
            }
            Actor::CodeReplay => {
                detail["by"] = json!("code_replayed");
                None
            }
        };
        Event {
            id: Uuid::now_v7(),
            at: self.at,
            kind,
            actor_id,
            user_id: user_id.into(),
            ip: self.ip,
            request_id: self.request_id.clone(),
            detail,
        }
    }
}
