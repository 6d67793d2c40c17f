//! What is stored of a password: a PHC string (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`), which names its own parameters.

use std::fmt;

use argon2::password_hash;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Params, Version};

use crate::settings::PasswordSettings;

/// What is stored of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

/// A stored text is no hash of ours. The text is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored password is not an Argon2 hash that can be verified: {0}")]
pub struct UnreadableHash(&'static str);

impl HashedPassword {
    /// A PHC string as it comes from the database. Any kind of Argon2 is read; what is not today's kind is replaced at the
    /// next sign-in ([`super::Verdict::Right`]).
    ///
    /// # Errors
    /// When it is none, or would take more memory or time than any setting may.
    pub fn parse(text: impl Into<String>) -> Result<Self, UnreadableHash> {
        let text = text.into();
        Parts::read(&text).map(|_| Self(text))
    }

    /// The PHC string, for the database and nobody else.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedPassword(…)")
    }
}

/// How a hash was, or is to be, computed.
pub(super) struct Recipe {
    pub(super) algorithm: Algorithm,
    pub(super) version: Version,
    pub(super) params: Params,
    pub(super) salt: Salt,
}

/// A stored hash, taken apart.
pub(super) struct Parts {
    pub(super) recipe: Recipe,
    pub(super) output: Output,
}

impl Parts {
    pub(super) fn write(&self) -> password_hash::Result<HashedPassword> {
        let recipe = &self.recipe;
        let phc = PasswordHash {
            algorithm: recipe.algorithm.ident(),
            version: Some(recipe.version.into()),
            params: ParamsString::try_from(&recipe.params)?,
            salt: Some(recipe.salt),
            hash: Some(self.output),
        };
        Ok(HashedPassword(phc.to_string()))
    }

    pub(super) fn read(text: &str) -> Result<Self, UnreadableHash> {
        let phc = PasswordHash::new(text).map_err(|_| UnreadableHash("it is not a PHC string"))?;
        let algorithm = Algorithm::try_from(phc.algorithm.as_str())
            .map_err(|_| UnreadableHash("its algorithm is another"))?;
        // The reference implementation began to write the version with 0x13.
        let version = phc.version.map_or(Ok(Version::V0x10), Version::try_from);
        let version = version.map_err(|_| UnreadableHash("its version is unknown"))?;
        let params = Params::try_from(&phc).map_err(|_| UnreadableHash("its parameters are not Argon2's"))?;
        if params.m_cost() > PasswordSettings::MAX_MEMORY_KIB
            || params.t_cost() > PasswordSettings::MAX_ITERATIONS
            || params.p_cost() > PasswordSettings::MAX_PARALLELISM
        {
            return Err(UnreadableHash("it asks for more work than [password] may"));
        }
        let (Some(salt), Some(output)) = (phc.salt, phc.hash) else {
            return Err(UnreadableHash("its salt or hash is missing"));
        };
        Ok(Self { recipe: Recipe { algorithm, version, params, salt }, output })
    }
}

#[cfg(test)]
mod tests;
