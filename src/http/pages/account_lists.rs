//! The lists of `/account`: ways in, and devices.

use uuid::Uuid;

use super::device;
use super::when::When;
use crate::provider::Providers;
use crate::session::Session;
use crate::user::Identity;

/// A way in.
pub(super) struct IdentityRow {
    pub(super) id: Uuid,
    /// As in the settings.
    pub(super) provider: String,
    /// As people know it.
    pub(super) name: String,
    /// Whose it is there.
    pub(super) whose: String,
    pub(super) created: When,
    pub(super) used: When,
}

impl IdentityRow {
    pub(super) fn new(identity: Identity, providers: &Providers) -> Self {
        let provider = providers.get(&identity.provider);
        Self {
            id: identity.id,
            // One that is not configured any more is still linked.
            name: provider.map_or_else(|| identity.provider.clone(), |known| known.display_name().to_owned()),
            provider: identity.provider,
            whose: identity.email.unwrap_or(identity.provider_id),
            created: When(identity.created_at),
            used: When(identity.last_used_at),
        }
    }
}

/// A device that stays signed in.
pub(super) struct DeviceRow {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// All that it says of itself, for who wants to know.
    pub(super) user_agent: String,
    pub(super) ip: String,
    pub(super) created: When,
    pub(super) used: When,
    pub(super) current: bool,
}

impl From<(Session, bool)> for DeviceRow {
    fn from((session, current): (Session, bool)) -> Self {
        Self {
            id: session.id,
            name: device::readable(session.place.device.as_deref()),
            user_agent: session.place.device.unwrap_or_default(),
            ip: session.place.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            created: When(session.created_at),
            used: When(session.last_used_at),
            current,
        }
    }
}
