//! Microsoft's issuers: there is one for each tenant, and one discovery document may stand for many
//! (<https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc>).

/// In the issuer of a discovery document that stands for many tenants.
const PLACE: &str = "{tenantid}";
/// What follows the tenant in the URL of a discovery document. Without `v2.0` it is another protocol's.
const SUFFIX: &str = "/v2.0/.well-known/openid-configuration";
/// The tenant that all personal accounts belong to.
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The issuers that a discovery document stands for, by its URL: they are ours to know, not the document's to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenancy {
    /// Up to the tenant.
    base: String,
    /// Whose people may come.
    pub scope: TenantScope,
}

/// Whose people a discovery document lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantScope {
    /// `common`: those of every organization, and personal accounts.
    Everybody,
    /// `organizations`: without personal accounts.
    Organizations,
    /// `consumers`, which is a tenant as well, or one organization's id.
    One(String),
}

impl Tenancy {
    /// What `discovery_url` stands for. One that `Settings` would not take stands for a tenant that no token is of.
    #[must_use]
    pub fn of(discovery_url: &str) -> Self {
        let (base, tenant) =
            discovery_url.strip_suffix(SUFFIX).and_then(|url| url.rsplit_once('/')).unwrap_or_default();
        let scope = match tenant {
            "common" => TenantScope::Everybody,
            "organizations" => TenantScope::Organizations,
            "consumers" => TenantScope::One(PERSONAL.to_owned()),
            other => TenantScope::One(other.to_owned()),
        };
        Self { base: base.to_owned(), scope }
    }

    /// Whether a token can be of what it stands for.
    pub(super) fn is_possible(&self) -> bool {
        match &self.scope {
            TenantScope::One(tenant) => is_tenant_id(tenant),
            _ => true,
        }
    }

    /// The `iss` of this tenant's tokens.
    #[must_use]
    pub fn issuer_of(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.base)
    }

    /// The `issuer` of the discovery document itself.
    #[must_use]
    pub fn document_issuer(&self) -> String {
        match &self.scope {
            TenantScope::One(tenant) => self.issuer_of(tenant),
            _ => self.issuer_of(PLACE),
        }
    }

    /// Whether a key whose `issuer` is this signs for the tenant.
    #[must_use]
    pub fn is_key_of(&self, key_issuer: &str, tenant: &str) -> bool {
        key_issuer.replace(PLACE, tenant) == self.issuer_of(tenant)
    }

    /// Whether the tenant is among those that it stands for.
    #[must_use]
    pub fn includes(&self, tenant: &str) -> bool {
        match &self.scope {
            TenantScope::Everybody => true,
            TenantScope::Organizations => tenant != PERSONAL,
            TenantScope::One(one) => one == tenant,
        }
    }
}

/// A GUID as Microsoft writes it, in lower case: nothing that could end a path or begin another.
#[must_use]
pub fn is_tenant_id(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => hex(byte),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn of(tenant: &str) -> Tenancy {
        Tenancy::of(&format!("https://login.microsoftonline.com/{tenant}{SUFFIX}"))
    }

    #[test]
    fn a_discovery_url_says_whose_people_may_come() {
        assert_eq!(of("common").document_issuer(), "https://login.microsoftonline.com/{tenantid}/v2.0");
        assert!(of("common").includes(TENANT) && of("common").includes(PERSONAL));
        assert!(of("organizations").includes(TENANT) && !of("organizations").includes(PERSONAL));
        assert!(!of("consumers").includes(TENANT) && of("consumers").includes(PERSONAL));
        assert!(of(TENANT).includes(TENANT) && !of(TENANT).includes(PERSONAL));
        let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
        assert_eq!(of(TENANT).document_issuer(), issuer);
        assert!(of("common").is_key_of(&issuer, TENANT) && !of("common").is_key_of(&issuer, PERSONAL));
        for wrong in ["contoso.onmicrosoft.com", "", "Common"] {
            assert!(!of(wrong).is_possible(), "{wrong}");
        }
        assert!(
            !Tenancy::of("https://login.microsoftonline.com/common/.well-known/openid-configuration")
                .is_possible()
        );
    }

    #[test]
    fn a_tenant_is_a_guid_and_nothing_else() {
        assert!(is_tenant_id(TENANT));
        for wrong in [
            "",
            "common",
            "{tenantid}",
            "72F988BF-86F1-41AF-91AB-2D7CD011DB47",
            "72f988bf86f141af91ab2d7cd011db47",
            "{72f988bf-86f1-41af-91ab-2d7cd011db4}",
            "72f988bf-86f1-41af-91ab-2d7cd011db47/",
            "72f988bf-86f1-41af-91ab-2d7cd011db4/",
            "../../86f1-41af-91ab-2d7cd011db47aaaa",
        ] {
            assert!(!is_tenant_id(wrong), "{wrong}");
        }
    }
}
