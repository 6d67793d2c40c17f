//! Which new passwords are taken (NIST SP 800-63B-4 §3.1.1.2): long enough and not among those that everybody tries
//! first. No rules about digits and symbols, which that document forbids: they lead to `Password1!`.

use secrecy::{ExposeSecret, SecretString};

use super::PasswordError;
use crate::text::nfc;

/// The longest password, in bytes. NIST asks for 64 characters at least; a bound there must be, or a body full of
/// password is copied and hashed for nothing.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Why a new password would be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Too short. In Unicode characters, as a person counts them.
    #[error("the password has {length} characters, at least {least} are needed (password.min_length)")]
    Short {
        /// Its length.
        length: usize,
        /// `password.min_length`.
        least: usize,
    },
    /// Among the 100 000 most common ones, as typed or in lower case.
    #[error("the password is on the list of common passwords, which are tried first: choose another")]
    Common,
    /// The account's e-mail address, or the part of it before the `@`.
    #[error(
        "The password is the account's e-mail address, or the part of it before the @. Choose another one."
    )]
    Address,
}

/// Rejects what is too long to be looked at.
pub(super) fn check_bytes(password: &SecretString) -> Result<(), PasswordError> {
    let bytes = password.expose_secret().len();
    if bytes > MAX_PASSWORD_BYTES { Err(PasswordError::TooLong { bytes }) } else { Ok(()) }
}

/// Checks the length of a password in NFC: the same password has the same length on every keyboard.
pub(super) fn check_length(password: &SecretString, least: usize) -> Result<(), PasswordError> {
    // In the rare case that the composed form is longer than what was sent.
    check_bytes(password)?;
    let length = password.expose_secret().chars().count();
    if length < least {
        return Err(Weakness::Short { length, least }.into());
    }
    Ok(())
}

/// Rejects the account's own address and the part before the `@`, which are known to whoever guesses.
pub(super) fn check_address(password: &SecretString, email: Option<&str>) -> Result<(), PasswordError> {
    let Some(email) = email.map(nfc) else { return Ok(()) };
    let password = password.expose_secret();
    let local = email.rsplit_once('@').map_or(&*email, |(local, _)| local);
    let is = |text: &str| password.to_lowercase() == text.to_lowercase();
    if is(&email) || is(local) {
        return Err(Weakness::Address.into());
    }
    Ok(())
}

/// Takes milliseconds: the list is read from its beginning (Cargo.toml says why).
pub(super) fn check_common(password: &SecretString) -> Result<(), PasswordError> {
    let is_common = |text: &str| passwords::analyzer::is_common_password(text);
    let typed = password.expose_secret();
    let lower_case = SecretString::from(typed.to_ascii_lowercase());
    let lower_case = lower_case.expose_secret();
    if is_common(typed) || (lower_case != typed && is_common(lower_case)) {
        return Err(Weakness::Common.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), PasswordError> {
        let password = SecretString::from(password);
        check_length(&password, 12)?;
        check_common(&password)
    }

    #[test]
    fn a_length_counts_characters_and_not_bytes() {
        let short = |length| Err(PasswordError::Weak(Weakness::Short { length, least: 12 }));
        for (password, expected) in [
            ("", short(0)),
            ("xkcd horses", short(11)),
            ("xkcd horses!", Ok(())),
            ("йцукенйцуке", short(11)),
            ("ключ-от-дома", Ok(())),
            ("🐎🔋📎🐎🔋📎🐎🔋📎🐎🔋", short(11)),
            ("🐎🔋📎🐎🔋📎🐎🔋📎🐎🔋📎", Ok(())),
        ] {
            assert_eq!(check(password), expected, "{password}");
        }
    }

    #[test]
    fn a_length_ends_at_1024_bytes() {
        assert_eq!(check(&"ab".repeat(512)), Ok(()));
        assert_eq!(check(&format!("{}c", "ab".repeat(512))), Err(PasswordError::TooLong { bytes: 1025 }));
        // 513 characters.
        assert_eq!(check(&format!("{}a", "я".repeat(512))), Err(PasswordError::TooLong { bytes: 1025 }));
    }

    #[test]
    fn what_everybody_tries_first_is_refused_in_any_case() {
        for password in [
            "123456789012",
            "qwertyuiop123",
            "password1234",
            "PassWord1234",
            "PASSWORDPASSWORD",
            // In the list with its capital only.
            "Lightpower12345",
            "йцукенгшщзхъ",
        ] {
            assert_eq!(check(password), Err(PasswordError::Weak(Weakness::Common)), "{password}");
        }
        for password in ["password1234 ", "correct horse battery staple", "\",\"123456789"] {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn an_explanation_names_lengths_and_the_setting_and_never_the_password() {
        assert_eq!(
            check("hunter2").unwrap_err().to_string(),
            "the password has 7 characters, at least 12 are needed (password.min_length)"
        );
        let too_long = check(&"hunter2".repeat(150)).unwrap_err();
        assert_eq!(too_long.to_string(), "the password has 1050 bytes, at most 1024 are accepted");
        let common = check("password1234").unwrap_err();
        assert!(!format!("{common} {common:?}").contains("1234"));
    }
}
