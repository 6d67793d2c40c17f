//! Whose people a provider's name stands for. Identities are stored under that name, and a `sub` means something within its issuer
//! only: the same name for another issuer would sign strangers in as the people who were there before.

use serde_json::json;

use crate::db::{DbConn, DbError, provider_issuers};
use crate::event::{EventKind, Origin};
use crate::settings::ProviderIssuer;

/// A provider's name stands for another issuer in the settings than in the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "providers.{name}: its issuer is {configured} in the settings, and the identities stored under this name are of {stored}. \
     If the people are the same, run `tokenbooth provider accept {name}`; otherwise use another name for the new issuer"
)]
pub struct OtherIssuer {
    /// The provider's name.
    pub name: String,
    /// The issuer by the settings.
    pub configured: String,
    /// The issuer in the database.
    pub stored: String,
}

/// Compares the configured providers with the database, and stores the issuer of each that is used for the first time.
///
/// # Errors
/// [`OtherIssuer`] within the result, for the first provider whose issuer differs; [`DbError`].
pub fn register(
    conn: &mut DbConn,
    configured: &[ProviderIssuer],
    origin: &Origin,
) -> Result<Result<(), OtherIssuer>, DbError> {
    for ProviderIssuer { name, issuer } in configured {
        match provider_issuers::find(conn, name)? {
            Some(stored) if stored == *issuer => {}
            Some(stored) => {
                return Ok(Err(OtherIssuer { name: name.clone(), configured: issuer.clone(), stored }));
            }
            None => provider_issuers::write(conn, name, issuer, origin.at)?,
        }
    }
    Ok(Ok(()))
}

/// Compares as [`register`] does, and changes nothing.
///
/// # Errors
/// [`DbError`].
pub fn differing(conn: &mut DbConn, configured: &[ProviderIssuer]) -> Result<Vec<OtherIssuer>, DbError> {
    let mut differing = Vec::new();
    for ProviderIssuer { name, issuer } in configured {
        let stored = provider_issuers::find(conn, name)?.filter(|stored| stored != issuer);
        differing.extend(stored.map(|stored| OtherIssuer {
            name: name.clone(),
            configured: issuer.clone(),
            stored,
        }));
    }
    Ok(differing)
}

/// Accepts the configured issuer for the identities that are stored under the provider's name. Returns the issuer before, or `None`
/// when there is nothing to accept.
///
/// # Errors
/// [`DbError`].
pub fn accept(
    conn: &mut DbConn,
    ProviderIssuer { name, issuer }: &ProviderIssuer,
    origin: &Origin,
) -> Result<Option<String>, DbError> {
    let stored = provider_issuers::find(conn, name)?.filter(|stored| stored != issuer);
    if let Some(stored) = &stored {
        provider_issuers::write(conn, name, issuer, origin.at)?;
        let detail = json!({ "provider": name, "from": stored, "to": issuer });
        crate::db::events::insert(conn, &origin.event(EventKind::ProviderAccepted, None, detail))?;
    }
    Ok(stored)
}
