//! What a client of the killed service does, and what came of it.

use serde_json::{Value, json};

use super::stored::Event;

/// A way in beside the one an account began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A second Google identity of one's own.
    Second,
    /// A GitHub account that two clients are after.
    Contested,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    SignUp,
    SignIn,
    Refresh,
    Link(Way),
    Unlink(Way),
    /// The first one, or another.
    SetPassword(String),
    RemovePassword,
    LogOut,
    Delete,
}

impl Deed {
    /// The event that belongs to it, once for each time it was done.
    pub fn event(&self) -> Option<&'static str> {
        match self {
            Self::SignIn | Self::Refresh => None,
            Self::SignUp => Some("sign_in.first"),
            Self::Link(_) => Some("identity.linked"),
            Self::Unlink(_) => Some("identity.unlinked"),
            Self::SetPassword(_) => Some("password.set"),
            Self::RemovePassword => Some("password.removed"),
            Self::LogOut => Some("session.ended"),
            Self::Delete => Some("user.deleted"),
        }
    }

    /// Events that may come beside it: of a method that was not used for an hour, of a request that was repeated, of an address
    /// that came or went with an identity.
    pub fn may_tell(&self, kind: &str) -> bool {
        match self {
            Self::SignIn => kind == "sign_in.succeeded",
            Self::Refresh => kind == "session.repeated",
            Self::Link(_) | Self::Unlink(_) => kind == "user.email_changed",
            _ => false,
        }
    }

    /// For the report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Refresh => "refresh",
            _ => self.event().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

/// What a deed brought: as the client was told, or, when it was not, as the event has it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub user_id: String,
    pub identity_id: String,
    pub tokens: Option<Tokens>,
}

impl Outcome {
    pub fn told(answer: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tokens = answer["refresh_token"]
            .as_str()
            .map(|refresh| Tokens { access: text(&answer["access_token"]), refresh: refresh.to_owned() });
        Self { user_id: text(&answer["user"]["id"]), identity_id: text(&answer["id"]), tokens }
    }

    pub fn found(event: &Event) -> Self {
        let detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
        let user = json!({ "id": event.user_id });
        Self::told(&json!({ "user": user, "id": detail["identity_id"] }))
    }
}
