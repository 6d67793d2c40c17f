//! Which tokens are good at the moment, and what is not good any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// So many of one key are kept: the old ones are to be asked for often.
const KEPT: usize = 20;

/// How soon a new key signs, on a busy machine.
const SIGNS_WITHIN: Duration = Duration::from_secs(30);

/// An access token that is good.
pub struct Good {
    pub jwt: String,
    pub user_id: String,
}

/// A request that has to be refused, and how.
pub struct Bad {
    pub what: &'static str,
    pub request: String,
    pub status: u16,
}

#[derive(Default)]
pub struct Tokens {
    /// By the id of their key.
    good: Mutex<BTreeMap<String, Vec<Arc<Good>>>>,
    bad: Mutex<Vec<Arc<Bad>>>,
    /// Of every token that was issued: the id of its key, and the algorithm.
    kids: Mutex<BTreeMap<String, String>>,
    first_kid: Mutex<String>,
}

impl Tokens {
    /// A token was issued.
    pub fn add(&self, jwt: &str, user_id: &str) {
        let (kid, algorithm) = key_of(jwt);
        let mut kids = lock(&self.kids);
        if kids.is_empty() {
            lock(&self.first_kid).clone_from(&kid);
        }
        kids.insert(kid.clone(), algorithm);
        drop(kids);
        let mut good = lock(&self.good);
        let of_key = good.entry(kid).or_default();
        if of_key.len() < KEPT {
            of_key.push(Arc::new(Good { jwt: jwt.to_owned(), user_id: user_id.to_owned() }));
        }
    }

    /// One of them; of each key as often, so that the old ones have their turn.
    pub fn good(&self, number: usize) -> Arc<Good> {
        let good = lock(&self.good);
        let keys: Vec<&Vec<Arc<Good>>> = good.values().filter(|tokens| !tokens.is_empty()).collect();
        let of_key = keys[number % keys.len()];
        Arc::clone(&of_key[number / keys.len() % of_key.len()])
    }

    /// What is to be refused from now on.
    pub fn refuse(&self, what: &'static str, request: String, status: u16) {
        lock(&self.bad).push(Arc::new(Bad { what, request, status }));
    }

    pub fn bad(&self, number: usize) -> Option<Arc<Bad>> {
        let bad = lock(&self.bad);
        (!bad.is_empty()).then(|| Arc::clone(&bad[number % bad.len()]))
    }

    /// Takes the tokens of a key out of use, and waits for the requests that are on their way with one.
    pub fn withdraw(&self, kid: &str) -> Vec<Arc<Good>> {
        let withdrawn = lock(&self.good).remove(kid).unwrap_or_default();
        while withdrawn.iter().any(|token| Arc::strong_count(token) > 1) {
            thread::sleep(Duration::from_millis(5));
        }
        withdrawn
    }

    /// The key that signed before all others: the one in the settings.
    pub fn first_kid(&self) -> String {
        lock(&self.first_kid).clone()
    }

    /// Waits until a token of this key has been issued.
    pub fn wait_for_key(&self, kid: &str) {
        let deadline = Instant::now() + SIGNS_WITHIN;
        while !lock(&self.kids).contains_key(kid) {
            assert!(Instant::now() < deadline, "the key does not sign");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asserts that tokens were signed by keys of all three algorithms.
    pub fn assert_rotated(&self) {
        let kids = lock(&self.kids);
        println!("{} keys signed: {kids:?}", kids.len());
        for algorithm in ["HS256", "EdDSA", "ES256"] {
            assert!(kids.values().any(|known| known == algorithm), "no key of {algorithm}: {kids:?}");
        }
        assert!(kids.len() >= 4, "{kids:?}");
    }
}

/// Key id and algorithm of a token.
pub fn key_of(jwt: &str) -> (String, String) {
    let header = part(jwt, 0);
    let text = |name: &str| header[name].as_str().expect("a header").to_owned();
    (text("kid"), text("alg"))
}

/// Header (0) or claims (1).
pub fn part(jwt: &str, index: usize) -> Value {
    let part = jwt.split('.').nth(index).expect("a part");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
