//! Bytes of anybody's choice for the tests of parsers that only this crate can call (`…::fuzzed`). `PROPTEST_CASES=1000000 cargo test
//! --lib fuzzed` tries more of them than every run does.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// How many inputs each test tries, unless `PROPTEST_CASES` says it.
const CASES: u32 = 4096;

/// Returns how a test is run. An input that breaks it is printed, and not kept in a file.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases: CASES, ..default }
    }
}

/// Returns up to 24 pieces in a row: most of them words of the format, some of them random bytes.
pub(crate) fn bytes(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..4),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Returns the same as text.
pub(crate) fn text(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    bytes(words).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
