//! Signed tokens without a server: what a single change does to a good one, and what other people's test vectors say.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod single_changes;
mod vectors;
