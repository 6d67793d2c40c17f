//! What is made of `token.secret`: our tokens, and keys for every other end.

use std::io;
use std::path::PathBuf;

use secrecy::SecretString;

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

    /// What signs and verifies our tokens.
    ///
    /// # Errors
    /// When the cryptographic library takes no such key.
    pub(crate) fn tokens(&self, settings: &Settings) -> Result<Tokens, UnusableKey> {
        let keyring = Keyring::new(&self.current, &self.previous)?;
        let issuer = settings.token.issuer.clone().unwrap_or_else(|| settings.public_url());
        Ok(Tokens::new(keyring, issuer, settings.token.audience.clone(), settings.token.access_ttl))
    }

    /// Keys that seal what clients carry for us, for an end that no other `purpose` has.
    ///
    /// # Errors
    /// When the cryptographic library takes no such key.
    pub(crate) fn sealing(&self, purpose: &str) -> Result<SealingKeys, SealError> {
        SealingKeys::new(&self.current, &self.previous, purpose)
    }

    /// Keys for another end, which no other `purpose` gets.
    pub(crate) fn derive(&self, purpose: &str) -> DerivedKeys {
        DerivedKeys::new(&self.current, &self.previous, purpose)
    }
}
