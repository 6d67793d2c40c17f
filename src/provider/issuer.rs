//! Whose an ID token must be (OpenID Connect Core §3.1.3.7, point 2).

use serde_json::Value;

use super::Refusal;
use crate::jws::Quoted;
use crate::settings::{Tenancy, TenantScope, is_tenant_id};

/// The issuers whose tokens count.
pub(super) enum Issuers {
    /// These names, each as it is written.
    Named(Vec<String>),
    /// Microsoft's: one for each tenant.
    OfTenants(Tenants),
}

/// Microsoft's tenants, as far as they may come.
pub(super) struct Tenants {
    /// What the discovery document stands for.
    pub tenancy: Tenancy,
    /// Of these only those, when there are any.
    pub listed: Vec<String>,
}

/// What speaks of the issuer: in a token whose signature is good, and beside the key that made it.
pub(super) struct Claimed<'a> {
    pub iss: &'a Value,
    /// Microsoft's: the tenant.
    pub tid: &'a Value,
    /// Microsoft's: whose tokens the key signs.
    pub key_issuer: Option<&'a str>,
}

impl Issuers {
    /// Whether the token is of one of these issuers; answers its tenant, where there are tenants.
    ///
    /// # Errors
    /// [`Refusal::IssuerMismatch`].
    pub(super) fn check<'a>(
        &self,
        provider: &str,
        claimed: &Claimed<'a>,
    ) -> Result<Option<&'a str>, Refusal> {
        let Some(iss) = claimed.iss.as_str() else {
            return Err(Refusal::IssuerMismatch("the token's iss is not a string".to_owned()));
        };
        match self {
            Self::Named(names) if names.iter().any(|name| name == iss) => Ok(None),
            Self::Named(_) => Err(self.foreign(provider, iss)),
            Self::OfTenants(tenants) => {
                let tid = claimed.tid.as_str().filter(|tid| is_tenant_id(tid)).ok_or_else(|| {
                    let problem = "the token's tid is no tenant's id, a GUID in lower case";
                    Refusal::IssuerMismatch(problem.to_owned())
                })?;
                if tenants.tenancy.issuer_of(tid) != iss {
                    return Err(self.foreign(provider, iss));
                }
                tenants.check(provider, tid, claimed.key_issuer)?;
                Ok(Some(tid))
            }
        }
    }

    /// Whether `iss`, of which nothing is proved, could be one of these.
    pub(super) fn could_be(&self, iss: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| name == iss),
            Self::OfTenants(Tenants { tenancy, .. }) => {
                iss.split('/').any(|tenant| is_tenant_id(tenant) && tenancy.issuer_of(tenant) == iss)
            }
        }
    }

    /// The refusal of another's token.
    pub(super) fn foreign(&self, provider: &str, iss: &str) -> Refusal {
        let expected = match self {
            Self::Named(names) => {
                names.iter().map(|name| Quoted(name).to_string()).collect::<Vec<_>>().join(" or ")
            }
            Self::OfTenants(Tenants { tenancy, .. }) => {
                format!("{} of the token's own tid", Quoted(&tenancy.issuer_of("{tenantid}")))
            }
        };
        Refusal::IssuerMismatch(format!(
            "token issuer {} is not {provider}'s, expected {expected}",
            Quoted(iss)
        ))
    }
}

impl Tenants {
    /// `tid` is the token's, and its issuer's.
    fn check(&self, provider: &str, tid: &str, key_issuer: Option<&str>) -> Result<(), Refusal> {
        let refused = |problem: String| Err(Refusal::IssuerMismatch(problem));
        // Of the keys in one set some are for one tenant only
        // (<https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signing-key-issuer>).
        if !key_issuer.is_some_and(|issuer| self.tenancy.is_key_of(issuer, tid)) {
            return refused(format!("the token is of tenant {}, its key is not", Quoted(tid)));
        }
        if !self.tenancy.includes(tid) {
            let setting = format!("providers.{provider}.discovery_url");
            return refused(match self.tenancy.scope {
                TenantScope::Organizations => {
                    format!(
                        "token tenant {} is that of personal accounts, which {setting} leaves out",
                        Quoted(tid)
                    )
                }
                _ => format!("token tenant {} is not the one that {setting} names", Quoted(tid)),
            });
        }
        if !self.listed.is_empty() && !self.listed.iter().any(|listed| listed == tid) {
            return refused(format!("token tenant {} is not in providers.{provider}.tenants", Quoted(tid)));
        }
        Ok(())
    }
}
