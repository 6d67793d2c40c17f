//! The fuzz targets on stable Rust: inputs that are changed at random, the same ones in every run, for a few seconds in all.
//! `TOKENBOOTH_FUZZ_FACTOR=100` (`make fuzz`) tries as many times as many. `fuzz/` drives the same functions with coverage.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod import;
mod mutation;
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::panic::catch_unwind;

use self::mutation::Mutator;
use self::targets::TARGETS;

/// How many inputs a target is tried with: those that ask a service take a hundred times as long.
fn inputs(name: &str) -> u32 {
    let factor = std::env::var("TOKENBOOTH_FUZZ_FACTOR").ok().and_then(|factor| factor.parse().ok());
    let inputs = match name {
        "jws" | "access_token" => 10_000,
        "settings" => 300,
        "provider_responses" => 100,
        _ => 250,
    };
    inputs * factor.unwrap_or(1)
}

fn run(name: &str) {
    let (_, target, seeds) = TARGETS.iter().find(|(known, ..)| *known == name).expect("a target");
    let mut mutator = Mutator::new(name, seeds);
    for number in 0..inputs(name) {
        let input = mutator.next();
        // The name of the target and the bytes are what a new test begins with.
        assert!(
            catch_unwind(|| target(&input)).is_ok(),
            "input {number} of {name}: b\"{}\"",
            input.escape_ascii()
        );
    }
}

#[test]
fn no_jws_is_too_odd() {
    run("jws");
}

#[test]
fn no_other_text_is_as_good_as_our_token() {
    run("access_token");
}

#[test]
fn no_claims_are_too_odd() {
    run("id_token");
}

#[test]
fn no_header_is_too_odd() {
    run("headers");
}

#[test]
fn no_json_is_too_odd() {
    run("json_body");
}

#[test]
fn no_form_is_too_odd() {
    run("form");
}

#[test]
fn no_place_of_somebody_else_is_led_to() {
    run("redirect_to");
}

#[test]
fn no_settings_are_too_odd() {
    run("settings");
}

#[test]
fn no_provider_s_response_is_too_odd() {
    run("provider_responses");
}
