//! Whether `token.secret` can be guessed. Whoever knows it signs in as anybody.

use std::collections::BTreeMap;
use std::io;

use secrecy::ExposeSecret;

use super::finding::Findings;
use crate::settings::Settings;

/// Half of what 32 random bytes have; a text of 32 hexadecimal digits is estimated at a little under 128.
const LEAST_BITS: f64 = 90.0;
/// Nobody draws these by chance.
const WORDS: [&str; 10] = [
    "secret",
    "password",
    "changeme",
    "change-me",
    "change_me",
    "example",
    "tokenbooth",
    "default",
    "012345",
    "abcdef",
];
const REMEDY: &str = "Make one with `openssl rand -base64 48`, and move the old one to token.previous_secrets until its \
                      tokens have expired";

pub(super) fn check(findings: &mut Findings, settings: &Settings) -> io::Result<()> {
    let secrets = settings.token.secret.iter().map(|secret| ("token.secret", secret));
    let previous = settings.token.previous_secrets.iter().map(|secret| ("token.previous_secrets", secret));
    for (key, secret) in secrets.chain(previous) {
        if let Some(weakness) = weakness(secret.expose_secret()) {
            let found = format!("{weakness}: who guesses it signs in as anybody");
            findings.warn(key, &found, REMEDY)?;
        }
    }
    Ok(())
}

/// What makes it guessable, without showing any of it.
fn weakness(secret: &str) -> Option<&'static str> {
    let lower = secret.to_ascii_lowercase();
    if WORDS.iter().any(|word| lower.contains(word)) {
        return Some("there is a word or a sequence in it that nobody draws by chance");
    }
    (estimated_bits(secret) < LEAST_BITS).then_some("it repeats itself and is hardly random")
}

/// Shannon's entropy of its bytes, times their number, of the shortest text that it may be a repetition of.
fn estimated_bits(secret: &str) -> f64 {
    let bytes = secret.as_bytes();
    let period = (1..=bytes.len())
        .find(|period| bytes.iter().zip(bytes.iter().skip(*period)).all(|(one, other)| one == other))
        .unwrap_or(bytes.len());
    let once = bytes.get(..period).unwrap_or(bytes);
    let mut counts: BTreeMap<u8, f64> = BTreeMap::new();
    for byte in once {
        *counts.entry(*byte).or_default() += 1.0;
    }
    let length: f64 = counts.values().sum();
    counts.values().map(|count| -count * (count / length).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::weakness;

    #[test]
    fn what_was_drawn_is_strong_and_what_was_typed_is_weak() {
        for strong in [
            "3q2+7wAAy1nX0pVb5cJmQh8eRzK6uT4LwGfDoSiYAkPvBxZjE9Ws2NlMrCtUqHgF",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "c5a1f04be2d87963a0b1e94d7f263c58",
        ] {
            assert_eq!(weakness(strong), None, "{strong}");
        }
        for weak in [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7qX7",
            "please-ChangeMe-before-you-deploy-this-anywhere",
            "12121212121212121212121212121212212121121212121212",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
    }
}
