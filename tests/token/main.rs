//! Signed tokens without a server: what a single change does to a good one, and what other people's test vectors say.

mod single_changes;
mod vectors;
