//! A provider as a button.

use crate::provider::Providers;

/// A provider that browsers can be sent to.
pub(super) struct WayIn {
    /// As in `/auth/{provider}`.
    pub(super) provider: String,
    /// Whose mark it has: as `Provider::kind`.
    pub(super) kind: &'static str,
    pub(super) name: String,
}

/// Those that are configured for it: first the two that most people look for, then the others by name.
pub(super) fn ways_in(providers: &Providers) -> Vec<WayIn> {
    let able = providers.iter().filter(|provider| provider.redirect_flow().is_some());
    let mut ways: Vec<WayIn> = able
        .map(|provider| WayIn {
            provider: provider.name().to_owned(),
            kind: provider.kind(),
            name: provider.display_name().to_owned(),
        })
        .collect();
    ways.sort_by_key(|way| match way.kind {
        "google" => 0,
        "github" => 1,
        _ => 2,
    });
    ways
}
