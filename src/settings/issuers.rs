//! Whose people the names of the configured providers stand for.

use super::{OidcKind, OidcSettings, ProvidersSettings, SettingsError, Tenancy, TenantScope};

/// Where a discovery document is, seen from its issuer (OpenID Connect Discovery §4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// Apple's names, the one that it documents first. For some days in June 2025 its discovery document had the other one, and
/// its tokens either (<https://github.com/supabase/auth/issues/2051>).
pub(crate) const APPLE_ISSUERS: [&str; 2] = ["https://appleid.apple.com", "https://account.apple.com"];

/// A configured provider, and the issuer whose people its name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderIssuer {
    /// The provider's name in the settings.
    pub name: String,
    /// Its issuer; for GitHub `api_url`. For Microsoft the one of all tenants, whichever of them may come, because its identities
    /// are stored with their tenant.
    pub issuer: String,
}

/// Returns the issuer that belongs to a discovery URL.
pub(crate) fn issuer_of(discovery_url: &str) -> &str {
    discovery_url.strip_suffix(DISCOVERY_PATH).unwrap_or(discovery_url)
}

impl OidcSettings {
    /// Returns the issuer whose people this provider's name stands for.
    fn issuer_name(&self) -> String {
        match (&self.issuer, self.kind) {
            (Some(issuer), _) => issuer.clone(),
            (None, OidcKind::Microsoft) => Tenancy::of(&self.discovery_url).issuer_of("{tenantid}"),
            (None, OidcKind::Apple) => APPLE_ISSUERS[0].to_owned(),
            (None, OidcKind::Oidc | OidcKind::Gitlab) => issuer_of(&self.discovery_url).to_owned(),
        }
    }

    /// Whether one person may come by both of two blocks for the same issuer: at Microsoft not, if they are for other tenants.
    fn shares_people_with(&self, other: &Self) -> bool {
        if self.kind != OidcKind::Microsoft || other.kind != OidcKind::Microsoft {
            return true;
        }
        match (self.only_tenants(), other.only_tenants()) {
            (Some(tenants), _) => tenants.iter().any(|tenant| other.takes_tenant(tenant)),
            (None, Some(tenants)) => tenants.iter().any(|tenant| self.takes_tenant(tenant)),
            (None, None) => true,
        }
    }

    /// `None`: they cannot be counted.
    fn only_tenants(&self) -> Option<Vec<String>> {
        match Tenancy::of(&self.discovery_url).scope {
            _ if !self.tenants.is_empty() => Some(self.tenants.clone()),
            TenantScope::One(tenant) => Some(vec![tenant]),
            TenantScope::Everybody | TenantScope::Organizations => None,
        }
    }

    fn takes_tenant(&self, tenant: &str) -> bool {
        let listed = self.tenants.is_empty() || self.tenants.iter().any(|listed| listed == tenant);
        listed && Tenancy::of(&self.discovery_url).includes(tenant)
    }
}

impl ProvidersSettings {
    /// Returns every provider that is configured, with its issuer.
    #[must_use]
    pub fn issuers(&self) -> Vec<ProviderIssuer> {
        let mut issuers = Vec::new();
        let mut add = |name: &str, issuer: &str| {
            issuers.push(ProviderIssuer { name: name.to_owned(), issuer: issuer.to_owned() });
        };
        if !self.google.client_ids.is_empty() {
            add("google", issuer_of(&self.google.discovery_url));
        }
        if self.github.client_id.is_some() {
            add("github", self.github.api_url.trim_end_matches('/'));
        }
        for (name, oidc) in self.oidc.iter().filter(|(_, oidc)| !oidc.client_ids.is_empty()) {
            add(name, &oidc.issuer_name());
        }
        issuers
    }

    /// Two names for one issuer and a common client id: the same token would make two users of one person.
    pub(super) fn check_issuers(&self) -> Result<(), SettingsError> {
        let google = (self.google.discovery_url.as_str(), &self.google.client_ids);
        let mut seen: Vec<(&str, String, &Vec<String>, Option<&OidcSettings>)> =
            vec![("google", issuer_of(google.0).to_owned(), google.1, None)];
        for (name, oidc) in &self.oidc {
            let issuer = oidc.issuer_name();
            let same = seen.iter().find(|(_, other, client_ids, settings)| {
                *other == issuer
                    && client_ids.iter().any(|id| oidc.client_ids.contains(id))
                    && settings.is_none_or(|settings| settings.shares_people_with(oidc))
            });
            if let Some((other, ..)) = same {
                return Err(SettingsError::new(
                    format!("providers.{name}"),
                    format!("it has its issuer and a client id in common with providers.{other}"),
                    "One person would be two users: remove one of the two, or give each its own client ids",
                ));
            }
            seen.push((name, issuer, &oidc.client_ids, Some(oidc)));
        }
        Ok(())
    }
}
