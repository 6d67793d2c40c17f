//! What a client may do, as its operator names it.

use std::fmt;
use std::str::FromStr;

/// Longest list of scopes, in bytes: all of it is in the client's tokens, which have a length that is looked at.
const MAX_BYTES: usize = 1024;

/// A list of scopes (RFC 6749 §3.3), each of them once, in the order they were given. As text they are separated by spaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<String>);

/// The text is no list of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "scopes are separated by one space, have printable ASCII characters other than \" and \\, and {MAX_BYTES} bytes together"
)]
pub struct NoScopes;

/// Whether the text is one scope (RFC 6749 §3.3, `scope-token`).
#[must_use]
pub const fn is_scope(text: &str) -> bool {
    let mut rest = text.as_bytes();
    // No iterator in a constant.
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e) {
            return false;
        }
        rest = tail;
    }
    !text.is_empty()
}

impl Scopes {
    /// Whether this scope is among them.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|one| one == scope)
    }

    /// Whether all of them are among `others`.
    #[must_use]
    pub fn are_within(&self, others: &Self) -> bool {
        self.iter().all(|scope| others.contains(scope))
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromStr for Scopes {
    type Err = NoScopes;

    fn from_str(text: &str) -> Result<Self, NoScopes> {
        let mut scopes = Self::default();
        if text.is_empty() {
            return Ok(scopes);
        }
        if text.len() > MAX_BYTES {
            return Err(NoScopes);
        }
        for scope in text.split(' ') {
            if !is_scope(scope) {
                return Err(NoScopes);
            }
            if !scopes.contains(scope) {
                scopes.0.push(scope.to_owned());
            }
        }
        Ok(scopes)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        text.parse().expect("scopes")
    }

    #[test]
    fn scopes_are_read_as_the_standard_has_them_and_written_in_their_order() {
        for (text, written) in [
            ("", ""),
            ("reports.read", "reports.read"),
            ("b a b", "b a"),
            ("https://mail.com/x!#[]~ urn:a", "https://mail.com/x!#[]~ urn:a"),
        ] {
            assert_eq!(scopes(text).to_string(), written);
        }
        let long = "x".repeat(MAX_BYTES + 1);
        for odd in [" ", "a ", " a", "a  b", "a\"", "a\\", "a\tb", "a\u{7f}", "\u{e4}", "a\n", "a\0", &long] {
            assert_eq!(odd.parse::<Scopes>(), Err(NoScopes), "{odd:?}");
        }
        assert!("x".repeat(MAX_BYTES).parse::<Scopes>().is_ok());
    }

    #[test]
    fn a_scope_is_within_others_when_all_of_it_is() {
        let all = scopes("a b c");
        for (some, within) in
            [("", true), ("c a", true), ("a b c", true), ("d", false), ("a d", false), ("A", false)]
        {
            assert_eq!(scopes(some).are_within(&all), within, "{some}");
        }
        assert!(!scopes("ab").are_within(&all), "no part of a scope is a scope");
    }
}
