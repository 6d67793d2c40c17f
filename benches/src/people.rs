//! Made-up people, and the ID tokens that the mock Google signs for them.

use std::ops::Range;
use std::thread;

use serde_json::{Value, json};
use tokenbooth::mock::MockProviders;

/// The people of these numbers, each with a token that is good for an hour from now; signed on all cores.
pub fn id_tokens(mock: &MockProviders, numbers: Range<usize>) -> Vec<String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = numbers.len().div_ceil(cores).max(1);
    let all: Vec<usize> = numbers.collect();
    thread::scope(|scope| {
        let signing: Vec<_> = all
            .chunks(share)
            .map(|numbers| scope.spawn(|| numbers.iter().map(|number| id_token(mock, *number)).collect()))
            .collect();
        // A thread that panicked leaves its tokens out, and the run is refused for having too few.
        signing.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| Vec::new())).collect()
    })
}

/// One of them.
pub fn id_token(mock: &MockProviders, number: usize) -> String {
    mock.google().id_token(claims(number))
}

fn claims(number: usize) -> Value {
    json!({
        "sub": subject(number),
        "email": email(number),
        "email_verified": true,
        "name": name(number),
        "picture": picture(number),
        "given_name": "Person",
        "family_name": format!("{number:06}"),
    })
}

/// 21 digits, as Google's have.
pub fn subject(number: usize) -> String {
    format!("1{number:020}")
}

/// A verified address.
pub fn email(number: usize) -> String {
    format!("person-{number:06}@mail.com")
}

/// A display name.
pub fn name(number: usize) -> String {
    format!("Person {number:06}")
}

/// A portrait.
pub fn picture(number: usize) -> String {
    format!("https://mail.com/portraits/{number:06}.png")
}
