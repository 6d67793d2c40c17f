//! `[password]`, and how far each of its numbers may go.

use std::num::NonZero;

use serde::Deserialize;

use super::{SettingsError, values};

/// `[password]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordSettings {
    /// Whether anybody may have one.
    pub enabled: bool,
    /// The shortest new password, in Unicode characters.
    #[serde(deserialize_with = "values::positive")]
    pub min_length: u32,
    /// Memory of one computation of Argon2id, in KiB.
    #[serde(deserialize_with = "values::positive")]
    pub memory_kib: u32,
    /// Passes over that memory.
    #[serde(deserialize_with = "values::positive")]
    pub iterations: u32,
    /// Lanes of Argon2id.
    #[serde(deserialize_with = "values::positive")]
    pub parallelism: u32,
    /// Computations at a time; as many as there are cores when absent.
    #[serde(default, deserialize_with = "values::count")]
    pub concurrency: Option<usize>,
}

impl PasswordSettings {
    /// The most `memory_kib`: four times what RFC 9106 §4 has for machines with little memory.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
    /// The most `iterations`: with the default memory, well over half a second of a core.
    pub const MAX_ITERATIONS: u32 = 64;
    /// The most `parallelism`.
    pub const MAX_PARALLELISM: u32 = 64;

    /// Computations at a time.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    /// What Argon2 allows, and no more than a typing error should be able to take.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let memory = self.parallelism.saturating_mul(8)..=Self::MAX_MEMORY_KIB;
        let length = "NIST SP 800-63B-4 has 15 for a password alone and never less than 8, and wants 64 to be possible";
        let work = "OWASP's password storage cheat sheet has 19456 KiB, 2 iterations, parallelism 1";
        let lanes = "Argon2 needs 8 KiB for each of password.parallelism; OWASP's cheat sheet has 19456";
        for (key, value, accepted, remedy) in [
            ("min_length", self.min_length, 8..=64, length),
            ("parallelism", self.parallelism, 1..=Self::MAX_PARALLELISM, work),
            ("iterations", self.iterations, 1..=Self::MAX_ITERATIONS, work),
            ("memory_kib", self.memory_kib, memory, lanes),
        ] {
            if !accepted.contains(&value) {
                let problem = format!("it is not from {} to {}", accepted.start(), accepted.end());
                return Err(SettingsError::new(format!("password.{key}"), problem, remedy));
            }
        }
        if self.concurrency.is_some_and(|concurrency| concurrency > 1024) {
            let remedy = "More than there are cores only adds memory: leave it out";
            return Err(SettingsError::new("password.concurrency", "it is not from 1 to 1024", remedy));
        }
        Ok(())
    }
}
