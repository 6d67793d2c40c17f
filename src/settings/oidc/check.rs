//! What is asked of a provider's block beyond types: that its settings go together, and with its kind.

use secrecy::ExposeSecret;

use super::{EmailVerified, OidcKind, OidcSettings, Tenancy, is_tenant_id};
use crate::jws;
use crate::settings::SettingsError;

impl OidcSettings {
    /// # Errors
    /// The first setting that does not go with the others.
    pub(in crate::settings) fn check(&self, name: &str) -> Result<(), SettingsError> {
        let wrong = |key: &str, problem: &str, remedy: &str| {
            Err(SettingsError::new(format!("providers.{name}.{key}"), problem, remedy))
        };
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return wrong("scopes", "without \"openid\" there is no ID token", "Begin the list with openid");
        }
        let apple = &self.apple;
        let made_of = [
            ("team_id", apple.team_id.is_some()),
            ("key_id", apple.key_id.is_some()),
            ("private_key", apple.private_key.is_some()),
        ];
        if self.kind == OidcKind::Apple {
            if self.client_secret.is_some() {
                let remedy = "Set team_id, key_id and private_key (or private_key_file) instead";
                return wrong(
                    "client_secret",
                    "Apple's is made anew for each use, from your team's key",
                    remedy,
                );
            }
            if made_of.iter().any(|(_, set)| *set)
                && let Some((key, _)) = made_of.iter().find(|(_, set)| !set)
            {
                let problem = "it is missing while others of team_id, key_id and private_key are set";
                return wrong(
                    key,
                    problem,
                    "Set all three, or none: then there is no sign-in by way of a browser",
                );
            }
            let unusable = |key: &_| jws::es256_key(ExposeSecret::expose_secret(key)).is_none();
            if apple.private_key.as_ref().is_some_and(unusable) {
                let remedy = "Use the .p8 file that Apple gave out with the key, as it is";
                return wrong("private_key", "it is not a private key for ES256 (PKCS #8 in PEM)", remedy);
            }
        } else if let Some((key, _)) = made_of.iter().find(|(_, set)| *set) {
            return wrong(key, "it is Apple's", "Remove it, or set kind = \"apple\"");
        }
        if self.kind == OidcKind::Microsoft {
            if self.email_verified != EmailVerified::Never {
                let problem = "whoever administers any tenant can write any address into its tokens";
                return wrong("email_verified", problem, "Remove it: for Microsoft it is \"never\"");
            }
            if self.issuer.is_some() {
                return wrong("issuer", "it follows from discovery_url", "Remove it");
            }
            if !Tenancy::of(&self.discovery_url).is_possible() {
                let problem = "it names no tenant";
                let remedy = "Write it like https://login.microsoftonline.com/TENANT/v2.0/.well-known/openid-configuration with \
                              common, organizations, consumers or a tenant's id as TENANT";
                return wrong("discovery_url", problem, remedy);
            }
            if !self.tenants.iter().all(|tenant| is_tenant_id(tenant)) {
                return wrong("tenants", "an entry is no tenant's id", "Write ids, GUIDs in lower case");
            }
        } else if !self.tenants.is_empty() {
            return wrong("tenants", "only Microsoft has them", "Remove it, or set kind = \"microsoft\"");
        }
        Ok(())
    }
}
