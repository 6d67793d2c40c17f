//! The audiences that a client is registered for.

use std::fmt;
use std::str::FromStr;

/// Audiences, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audiences(Vec<String>);

/// The text is not a list of audiences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "An audience is the value of a token's aud claim: it is not empty and has neither white space nor control characters."
)]
pub struct NoAudiences;

impl Audiences {
    /// Returns whether a client of these audiences may see a token for this one. Without any it may see all.
    #[must_use]
    pub fn allow(&self, audience: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|own| own == audience)
    }

    /// Returns each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl TryFrom<Vec<String>> for Audiences {
    type Error = NoAudiences;

    fn try_from(audiences: Vec<String>) -> Result<Self, NoAudiences> {
        let fits = |audience: &String| {
            !audience.is_empty() && !audience.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if !audiences.iter().all(fits) {
            return Err(NoAudiences);
        }
        let mut list: Vec<String> = Vec::new();
        for audience in audiences {
            if !list.contains(&audience) {
                list.push(audience);
            }
        }
        Ok(Self(list))
    }
}

impl FromStr for Audiences {
    type Err = NoAudiences;

    /// Reads audiences that are separated by one space.
    fn from_str(text: &str) -> Result<Self, NoAudiences> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::try_from(text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }
}

impl fmt::Display for Audiences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_audiences_all_are_allowed_and_with_some_only_those() {
        assert!(Audiences::default().allow("anything"));
        let two: Audiences = "tokenbooth https://api.mail.com tokenbooth".parse().unwrap();
        assert_eq!(two.to_string(), "tokenbooth https://api.mail.com");
        assert!(two.allow("tokenbooth") && two.allow("https://api.mail.com"));
        for other in
            ["", "Tokenbooth", "tokenboot", "https://api.mail.com/", "tokenbooth https://api.mail.com"]
        {
            assert!(!two.allow(other), "{other}");
        }
        for text in [" ", "a ", " a", "a  b", "a\tb", "a\u{a0}b"] {
            assert_eq!(text.parse::<Audiences>(), Err(NoAudiences), "{text:?}");
        }
    }
}
