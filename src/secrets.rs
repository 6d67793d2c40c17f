//! What is made of `token.secret`: our tokens, and the key that seals the stored ones.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::clock::Timestamp;
use crate::jws::UnusableKey;
use crate::secret_file;
use crate::settings::Settings;
use crate::token::{DerivedKeys, Keyring, SealError, SealingKeys, Tokens};

/// `token.secret`, as it is set or made for development, and those before it.
pub(crate) struct Secrets {
    current: SecretString,
    previous: Vec<SecretString>,
}

impl Secrets {
    /// The secrets by these settings.
    ///
    /// # Errors
    /// When none is set, and the file to keep one in cannot be used: its path and the system's reason.
    pub(crate) fn of(settings: &Settings) -> Result<Self, (PathBuf, io::Error)> {
        let current = match &settings.token.secret {
            Some(secret) => secret.clone(),
            None => secret_file::read_or_create(&settings.database.url)?,
        };
        Ok(Self { current, previous: settings.token.previous_secrets.clone() })
    }

    /// What signs and verifies our tokens, told since when secrets sign.
    ///
    /// # Errors
    /// When the cryptographic library takes no such key.
    pub(crate) fn tokens(
        &self,
        settings: &Settings,
        activations: Vec<(String, Timestamp)>,
    ) -> Result<Tokens, UnusableKey> {
        let carried = carried_life(settings);
        let carried = i64::try_from(carried.as_secs()).unwrap_or(i64::MAX);
        let keyring = Keyring::new(&self.current, &self.previous)?.knowing(activations).keeping(carried);
        let issuer = settings.token.issuer.clone().unwrap_or_else(|| settings.public_url());
        Ok(Tokens::new(keyring, issuer, settings.token.audience.clone(), settings.token.access_ttl))
    }

    /// Returns keys for another purpose, which no other `purpose` gets. They do not follow the key set: only for what opens nothing by
    /// itself.
    pub(crate) fn derive(&self, purpose: &str) -> DerivedKeys {
        DerivedKeys::new(&self.current, &self.previous, purpose)
    }

    /// What stored keys are sealed with: `token.secret`, also after its `kid` was retired; the previous ones only unseal.
    ///
    /// # Errors
    /// When the cryptographic library takes no such key.
    pub(crate) fn sealing_of_stored_keys(&self) -> Result<SealingKeys, SealError> {
        SealingKeys::new(&self.current, &self.previous, "key ring")
    }
}

/// How long a value that a client carries for us is good at most. A cursor is for one look through a list, and is good as long
/// as its key verifies tokens.
fn carried_life(settings: &Settings) -> Duration {
    settings.sign_in.state_ttl.max(settings.sign_in.code_ttl)
}
