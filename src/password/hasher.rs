//! Argon2id (RFC 9106): hashing a new password, and verifying at the same cost whatever there is to compare with.

use std::fmt;
use std::hint::black_box;

use argon2::password_hash::phc::{Output, Salt};
use argon2::password_hash::try_generate_salt;
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};

use super::hash::{Parts, Recipe};
use super::memory::Memory;
use super::{HashedPassword, MAX_PASSWORD_BYTES, PasswordError, Typed, Verdict};
use crate::settings::{PasswordSettings, SettingsError};

/// What is computed and stored, in bytes: 256 bits, as RFC 9106 §4 recommends.
const OUTPUT_BYTES: usize = 32;

/// Hashes with the parameters of the settings, verifies with those of the stored hash.
#[derive(Debug)]
pub(super) struct Hasher {
    params: Params,
    /// The parameters of every computation so far.
    #[cfg(test)]
    pub(super) work: std::sync::Mutex<Vec<Params>>,
}

impl Hasher {
    pub(super) fn new(settings: &PasswordSettings) -> Result<Self, SettingsError> {
        let (memory, iterations, lanes) = (settings.memory_kib, settings.iterations, settings.parallelism);
        let params = Params::new(memory, iterations, lanes, Some(OUTPUT_BYTES)).map_err(|error| {
            SettingsError::new("password", error.to_string(), "config/default.toml says what is possible")
        })?;
        Ok(Self {
            params,
            #[cfg(test)]
            work: std::sync::Mutex::default(),
        })
    }

    pub(super) fn hash(
        &self,
        password: &SecretString,
        memory: &mut Memory,
    ) -> Result<HashedPassword, PasswordError> {
        let recipe = self.recipe(&try_generate_salt().map_err(failed)?)?;
        let output = self.compute(password.expose_secret().as_bytes(), &recipe, memory)?;
        Parts { recipe, output }.write().map_err(failed)
    }

    /// One computation whatever there is to compare with; a second one for a password that is not in NFC, since earlier
    /// versions hashed it as it came; and one more for a right password that is to be stored anew. While such old hashes last, a wrong password for one of them costs what the old
    /// parameters did, so by the time of the answer these accounts can be told from none.
    pub(super) fn verify(
        &self,
        typed: &Typed,
        stored: Option<&HashedPassword>,
        memory: &mut Memory,
    ) -> Result<Verdict, PasswordError> {
        let stored = stored.map(|stored| Parts::read(stored.as_phc())).transpose().map_err(failed)?;
        let (parts, exists) = match stored {
            Some(parts) => (parts, true),
            None => (self.dummy()?, false),
        };
        let composed = self.is_right(&typed.composed, &parts, exists, memory)?;
        // Whether this is computed depends on what was typed alone, unless the password was right.
        let as_sent = match &typed.as_sent {
            Some(as_sent) if !composed => self.is_right(as_sent, &parts, exists, memory)?,
            _ => false,
        };
        if !composed && !as_sent {
            return Ok(Verdict::Wrong);
        }
        let rehash = if composed && self.is_todays(&parts.recipe) {
            None
        } else {
            // Whoever is right is let in all the same; the next sign-in tries again.
            self.hash(&typed.composed, memory).inspect_err(|error| log::warn!("{error}")).ok()
        };
        Ok(Verdict::Right { rehash })
    }

    /// Computes the hash of a password, and compares it if it can be one and there is something to compare with.
    fn is_right(
        &self,
        password: &SecretString,
        parts: &Parts,
        exists: bool,
        memory: &mut Memory,
    ) -> Result<bool, PasswordError> {
        let typed = password.expose_secret().as_bytes();
        let bounded = typed.get(..MAX_PASSWORD_BYTES).unwrap_or(typed);
        let output = self.compute(bounded, &parts.recipe, memory)?;
        let comparable = exists & (typed.len() <= MAX_PASSWORD_BYTES);
        // `Output` compares in constant time. The box keeps the work from being optimised away where it decides nothing.
        Ok(black_box(output == parts.output) & comparable)
    }

    /// Stands in where nothing is stored. Its salt and output need not be secret, nor computed, at start or ever:
    /// what is compared with it is wrong whatever comes out.
    fn dummy(&self) -> Result<Parts, PasswordError> {
        let output = Output::new(&[0; OUTPUT_BYTES]).map_err(failed)?;
        Ok(Parts { recipe: self.recipe(&[0; 16])?, output })
    }

    fn recipe(&self, salt: &[u8]) -> Result<Recipe, PasswordError> {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let salt = Salt::new(salt).map_err(failed)?;
        Ok(Recipe { algorithm, version, params: self.params.clone(), salt })
    }

    fn is_todays(&self, recipe: &Recipe) -> bool {
        recipe.algorithm == Algorithm::Argon2id
            && recipe.version == Version::V0x13
            && recipe.params == self.params
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests count what is computed"))]
    fn compute(
        &self,
        password: &[u8],
        recipe: &Recipe,
        memory: &mut Memory,
    ) -> Result<Output, PasswordError> {
        #[cfg(test)]
        self.work.lock().unwrap().push(recipe.params.clone());
        let blocks = memory.blocks(recipe.params.block_count()).map_err(failed)?;
        let argon2 = Argon2::new(recipe.algorithm, recipe.version, recipe.params.clone());
        let mut output = vec![0; recipe.params.output_len().unwrap_or(OUTPUT_BYTES)];
        argon2
            .hash_password_into_with_memory(password, recipe.salt.as_ref(), &mut output, blocks)
            .map_err(failed)?;
        Output::new(&output).map_err(failed)
    }
}

fn failed(reason: impl fmt::Display) -> PasswordError {
    PasswordError::Failed(reason.to_string())
}

#[cfg(test)]
mod tests;
