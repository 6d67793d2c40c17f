//! The real keyring, compared with the model in every state: which key signs, which verify, and
//! what an operator is shown.

use std::collections::HashSet;
use std::sync::Arc;

use tokenbooth::clock::Timestamp;
use tokenbooth::stored_key::{KeyAlgorithm, StoredKey};
use tokenbooth::token::{KeyState as RealState, Keyring, PrivateJwk, RingKey};

use super::{Key, KeyState, Keys, LIFE, Replica, SECRETS, Stored};
use crate::explorer::holds;
use crate::stored::BEGINNING;

/// Seconds of one unit of the model's clock: what the clocks of replicas may differ.
const UNIT: i64 = 60;

/// The keys of the model, as they really are.
struct Real {
    /// With the one and with the other secret as `token.secret`.
    keyrings: [Keyring; 2],
    ready: Vec<Arc<RingKey>>,
    kids: Vec<String>,
}

fn moment(number: u8) -> Timestamp {
    BEGINNING.plus(i64::from(number) * UNIT)
}

impl Real {
    fn new() -> Self {
        let secrets =
            ["one-secret-of-the-tests-0123456789abcdef", "two-secret-of-the-tests-0123456789abcdef"];
        let keyring = |secret: usize| {
            Keyring::new(&secrets[secret].into(), &[secrets[1 - secret].into()]).expect("a keyring")
        };
        let keyrings = [keyring(0), keyring(1)];
        let jwks = [(); 2].map(|()| PrivateJwk::generate(KeyAlgorithm::EdDsa).expect("a key"));
        let ready = jwks.iter().map(|jwk| Arc::new(RingKey::new(jwk).expect("a key"))).collect();
        let secret_kids = keyrings.iter().map(|keyring| keyring.base_id().to_owned());
        let kids = secret_kids.chain(jwks.iter().map(|jwk| jwk.kid.clone())).collect();
        Self { keyrings, ready, kids }
    }

    fn rows(&self, stored: &Stored) -> Vec<StoredKey> {
        let row = |(number, key): (usize, &Key)| StoredKey {
            id: self.kids[number].clone(),
            algorithm: if number < SECRETS { KeyAlgorithm::Hs256 } else { KeyAlgorithm::EdDsa },
            material: None,
            created_at: BEGINNING,
            signs_from: key.signs_from.filter(|_| number >= SECRETS).map(moment),
            retired_at: key.retired_at.map(moment),
        };
        // A secret has a row once it was retired.
        stored.iter().enumerate().filter(|(_, key)| key.exists).map(row).collect()
    }

    /// Which key signs, and of each key whether it verifies and what it is shown as.
    fn seen(&self, replica: &Replica, now: u8) -> (Option<usize>, Vec<(bool, KeyState)>) {
        let secrets = replica.seen.iter().take(SECRETS).zip(&self.kids);
        let known = secrets.filter_map(|(key, kid)| Some((kid.clone(), moment(key.signs_from?))));
        let (rows, life, now) = (self.rows(&replica.seen), i64::from(LIFE) * UNIT, moment(now));
        let keyring = self.keyrings[replica.secret].clone().knowing(known.collect());
        let ready = |row: &StoredKey| {
            let number = self.kids.iter().position(|kid| *kid == row.id)?;
            self.ready.get(number.checked_sub(SECRETS)?).map(Arc::clone)
        };
        let keyring = keyring.with(&rows, life, ready).expect("a key signs");
        let schedule = keyring.schedule(&rows, life);
        let signing = self.kids.iter().position(|kid| kid == keyring.signing(now).0);
        let of = |kid: &String| (keyring.find(kid, now).is_some(), shown(schedule.state(kid, now)));
        (signing, self.kids.iter().map(of).collect())
    }
}

fn shown(state: Option<RealState>) -> KeyState {
    match state {
        None => KeyState::Unknown,
        Some(RealState::Signing) => KeyState::Signing,
        Some(RealState::Next) => KeyState::Next,
        Some(RealState::Added) => KeyState::Added,
        Some(RealState::Previous) => KeyState::Previous,
        Some(RealState::Expired) => KeyState::Expired,
        Some(RealState::Retired) => KeyState::Retired,
    }
}

#[test]
fn the_keyring_is_what_the_model_is_in_every_state() {
    let (model, real) = (Keys::default(), Real::new());
    let explored = holds("keys", &model);
    let mut compared = HashSet::new();
    for state in explored.states() {
        for replica in &state.replicas {
            if !compared.insert((state.now, replica)) {
                continue;
            }
            let stored = &replica.seen;
            let of = |key| (model.verifies(stored, key, state.now), model.state(stored, key, state.now));
            let expected = (model.signing(stored, state.now), (0..real.kids.len()).map(of).collect());
            assert_eq!(real.seen(replica, state.now), expected, "at {} with {replica:?}", state.now);
        }
    }
    println!("keys: {} views of replicas compared", compared.len());
}
