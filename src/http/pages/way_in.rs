//! A provider as a button.

use std::collections::BTreeSet;

use crate::db::identities;
use crate::error::ApiError;
use crate::provider::Providers;
use crate::state::AppState;
use crate::user::UserId;

/// More identities than a person has. Of an account with more, a provider of a later one is not offered.
const MAX_IDENTITIES: i64 = 200;

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

/// Returns those that are linked to this account.
///
/// # Errors
/// Returns 503 if the database fails.
pub(super) async fn linked_ways_in(state: &AppState, id: UserId) -> Result<Vec<WayIn>, ApiError> {
    let linked = state.db.run(move |conn| identities::page(conn, id, None, MAX_IDENTITIES)).await?;
    let linked: BTreeSet<String> = linked.into_iter().map(|identity| identity.provider).collect();
    Ok(ways_in(&state.providers).into_iter().filter(|way| linked.contains(&way.provider)).collect())
}

/// Returns the names for a sentence: `A, B or C`.
pub(super) fn names(ways: &[WayIn]) -> String {
    let names: Vec<&str> = ways.iter().map(|way| way.name.as_str()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{WayIn, names};

    #[test]
    fn names_make_a_sentence() {
        let way_in = |name: &&str| WayIn { provider: String::new(), kind: "oidc", name: (*name).to_owned() };
        for (ways, expected) in
            [(&[][..], ""), (&["A"], "A"), (&["A", "B"], "A or B"), (&["A", "B", "C"], "A, B or C")]
        {
            assert_eq!(names(&ways.iter().map(way_in).collect::<Vec<_>>()), expected);
        }
    }
}
