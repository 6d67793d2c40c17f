//! Changing inputs at random, by a generator that begins with the name of the target.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What parsers trip over.
const WORDS: [&[u8]; 20] = [
    b"\0",
    b"\r\n",
    b"\xff\xfe",
    b"\xf0\x9f\x90\x8e",
    b"..",
    b"//",
    b"\\",
    b"%00",
    b"%",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"null",
    b"-1",
    b"9223372036854775808",
    b"1e400",
    b"\xe2\x80\xae",
    b"=",
];
/// As long as an input may get, in bytes.
const LONGEST: usize = 8192;

pub struct Mutator {
    state: u64,
    inputs: Vec<Vec<u8>>,
    unchanged: usize,
}

impl Mutator {
    /// Begins with the seeds as they are.
    pub fn new(name: &str, seeds: &[&[u8]]) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let inputs: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
        Self { state: hasher.finish() | 1, unchanged: inputs.len(), inputs }
    }

    pub fn next(&mut self) -> Vec<u8> {
        if self.unchanged > 0 {
            self.unchanged -= 1;
            return self.inputs[self.unchanged].clone();
        }
        let chosen = self.below(self.inputs.len());
        let mut input = self.inputs[chosen].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        // Some of them are changed again later.
        if self.inputs.len() < 200 && self.below(8) == 0 {
            self.inputs.push(input.clone());
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let place = self.below(input.len() + 1);
        let length = self.below(16) + 1;
        let end = (place + length).min(input.len());
        match self.below(7) {
            0 if place < input.len() => input[place] ^= 1 << self.below(8),
            1 if place < input.len() => input[place] = u8::try_from(self.below(256)).unwrap_or(0),
            2 => drop(input.drain(place..end)),
            3 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(place..place, word.iter().copied());
            }
            4 => {
                let again = input[place..end].repeat(self.below(20) + 1);
                input.splice(place..place, again);
            }
            5 => {
                let other = self.below(self.inputs.len());
                let other = self.inputs[other].clone();
                let from = self.below(other.len() + 1);
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(place),
        }
    }

    /// xorshift64 (Marsaglia, 2003); good enough to be different each time.
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}
