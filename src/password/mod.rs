//! Passwords: which are taken, how they are stored, and how much hashing there may be at once. Knows neither HTTP nor
//! the database.
//!
//! [`Passwords::verify`] costs the same whether the user is unknown, has no password or gave a wrong one: who measures
//! the answer learns nothing about who has an account.

mod hash;
mod hasher;
mod memory;
mod policy;
mod pool;

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

pub use self::hash::{HashedPassword, UnreadableHash};
use self::hasher::Hasher;
use self::memory::Memory;
pub use self::policy::{MAX_PASSWORD_BYTES, Weakness};
use self::pool::HashingPool;
use crate::settings::{PasswordSettings, SettingsError};
use crate::text::nfc;

/// What came of comparing a password with the stored one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is another one, or there is none to compare with.
    Wrong,
    /// It is the one.
    Right {
        /// To be stored instead: what is stored was made by other settings than today's.
        rehash: Option<HashedPassword>,
    },
}

/// Why there is no answer. The text is for the caller; it never holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It would be guessed.
    #[error(transparent)]
    Weak(#[from] Weakness),
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("the password has {bytes} bytes, at most {MAX_PASSWORD_BYTES} are accepted")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// As many wait as may wait (`password.concurrency` decides).
    #[error("too many passwords are being checked at once; please try again")]
    Overloaded,
    /// Memory or randomness could not be had, or the process is stopping.
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

/// A password in the forms that are compared.
struct Typed {
    /// In Unicode's composed form (NFC), which does not depend on the keyboard. This one is hashed.
    composed: SecretString,
    /// As it came, if that differs. Earlier versions hashed passwords so.
    as_sent: Option<SecretString>,
}

impl Typed {
    fn new(password: &SecretString) -> Self {
        let sent = password.expose_secret();
        if sent.len() > MAX_PASSWORD_BYTES {
            // No password is that long, so there is no need to look at all of it.
            return Self { composed: password.clone(), as_sent: None };
        }
        let composed = nfc(sent);
        let as_sent = (composed != sent).then(|| password.clone());
        Self { composed: SecretString::from(composed.into_owned()), as_sent }
    }
}

/// Hashes and verifies passwords, off the threads that serve requests.
#[derive(Debug)]
pub struct Passwords {
    min_length: usize,
    hasher: Arc<Hasher>,
    pool: HashingPool,
}

impl Passwords {
    /// As `[password]` says. Cheap: nothing is hashed and no memory is taken yet.
    ///
    /// # Errors
    /// When Argon2 cannot work with these settings.
    pub fn new(settings: &PasswordSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            min_length: settings.min_length as usize,
            hasher: Arc::new(Hasher::new(settings)?),
            pool: HashingPool::new(settings.concurrency()),
        })
    }

    /// Makes of a new password what is stored of it, with a salt of its own. `email` is the account's.
    ///
    /// # Errors
    /// [`PasswordError::Weak`], [`PasswordError::TooLong`], [`PasswordError::Overloaded`], [`PasswordError::Failed`].
    pub async fn hash(
        &self,
        password: SecretString,
        email: Option<&str>,
    ) -> Result<HashedPassword, PasswordError> {
        policy::check_bytes(&password)?;
        let password = Typed::new(&password).composed;
        policy::check_length(&password, self.min_length)?;
        policy::check_address(&password, email)?;
        let hasher = Arc::clone(&self.hasher);
        let work = move |memory: &mut Memory| {
            // Not before the queue: it reads a list of a megabyte.
            policy::check_common(&password)?;
            hasher.hash(&password, memory)
        };
        self.pool.run(work).await?
    }

    /// Compares a password with the stored one; `None` when there is none, or no such user.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`], [`PasswordError::Failed`].
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<HashedPassword>,
    ) -> Result<Verdict, PasswordError> {
        let hasher = Arc::clone(&self.hasher);
        let typed = Typed::new(&password);
        self.pool.run(move |memory| hasher.verify(&typed, stored.as_ref(), memory)).await?
    }
}

#[cfg(test)]
mod tests;
