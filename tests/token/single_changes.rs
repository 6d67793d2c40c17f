//! Whatever single thing is changed in a good token, it is refused: our own by `Tokens`, a provider's by `jws`. Base64
//! that decodes to the same bytes in another spelling is such a change.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use tokenbooth::clock::Timestamp;
use tokenbooth::jws::{UnverifiedJws, VerificationKey};
use tokenbooth::mock::{Signature, SigningKey, compact};
use tokenbooth::stored_key::{KeyAlgorithm, StoredKey};
use tokenbooth::token::{Keyring, PrivateJwk, RingKey, Tokens, VerifiedClaims};
use tokenbooth::user::{User, UserId};

const NOW: Timestamp = Timestamp(1_800_000_000);
const ID_TOKEN_LIMIT: usize = 16 * 1024;

/// A good token, and who can say so.
struct Subject {
    token: String,
    accepts: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// How many of them are ours: they come first.
const OURS: usize = 3;

/// Ours (HMAC: 32 bytes of signature, two bits over; Ed25519 and P-256: 64, two bits over), RSA (256, four bits over), P-256 of a
/// provider.
static SUBJECTS: LazyLock<[Subject; 5]> = LazyLock::new(|| {
    [
        ours(None),
        ours(Some(KeyAlgorithm::EdDsa)),
        ours(Some(KeyAlgorithm::Es256)),
        of_a_provider(&SigningKey::foreign().expect("an RSA key"), Algorithm::RS256),
        of_a_provider(&SigningKey::es256().expect("a P-256 key"), Algorithm::ES256),
    ]
});

/// By `token.secret`, or by a key of the ring.
fn ours(algorithm: Option<KeyAlgorithm>) -> Subject {
    // Each its own, or the ring would know the others' tokens.
    let secret = format!("the-secret-of-the-tests-0123456789abcdef-{algorithm:?}").into();
    let keyring =
        Keyring::new(&secret, &["an-earlier-secret-of-the-tests-0123456789".into()]).expect("a keyring");
    let keyring = match algorithm {
        None => keyring,
        Some(algorithm) => {
            let jwk = PrivateJwk::generate(algorithm).expect("a key");
            let row = StoredKey {
                id: jwk.kid.clone(),
                algorithm,
                material: None,
                created_at: NOW,
                signs_from: Some(NOW),
                retired_at: None,
            };
            let ready = Arc::new(RingKey::new(&jwk).expect("a usable key"));
            keyring.with(&[row], 1800, |_| Some(Arc::clone(&ready))).expect("a ring")
        }
    };
    let (issuer, audience) = ("https://auth.mail.com".into(), "tokenbooth".into());
    let tokens = Tokens::new(keyring, issuer, audience, Duration::from_mins(30));
    let user = User {
        id: UserId::generate(),
        email: None,
        name: None,
        avatar_url: None,
        admin: false,
        disabled: false,
        token_version: 3,
        created_at: NOW,
        last_login_at: None,
        own_name: false,
        own_avatar: false,
        has_password: false,
        revoked_at: None,
    };
    let token = tokens.issue(&user, None, None, NOW).expect("a token").jwt;
    let accepts = move |token: &str| {
        tokens.verify(token, NOW).and_then(VerifiedClaims::of_user).is_ok_and(|claims| {
            assert_eq!((claims.user_id, claims.token_version), (user.id, 3));
            true
        })
    };
    Subject { token, accepts: Box::new(accepts) }
}

fn of_a_provider(signing: &SigningKey, algorithm: Algorithm) -> Subject {
    let jwk = signing.jwk();
    let member = |name: &str| jwk[name].as_str().expect("a member");
    let key = match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_components(member("n"), member("e")),
        _ => DecodingKey::from_ec_components(member("x"), member("y")),
    };
    let key = VerificationKey::new(algorithm, &key.expect("a public key")).expect("a usable key");
    let claims = json!({
        "iss": "https://accounts.google.com", "aud": "web", "sub": "103159282601090220207",
        "iat": NOW.0, "exp": NOW.0 + 3600, "email": "alice@mail.com", "name": "Alice Ünal",
    });
    let header = signing.header().to_string();
    let token = compact(header, claims.to_string(), Signature::Key(signing));
    let kid = signing.kid().to_owned();
    let accepts = move |token: &str| {
        UnverifiedJws::parse(token, ID_TOKEN_LIMIT).is_ok_and(|jws| {
            jws.header().kid.as_ref() == Some(&kid)
                && jws.verify(&key).and_then(|payload| payload.claims::<Value>()).is_ok_and(|verified| {
                    assert_eq!(verified, claims);
                    true
                })
        })
    };
    Subject { token, accepts: Box::new(accepts) }
}

impl Subject {
    #[track_caller]
    fn refuses(&self, changed: &str, what: &str) {
        assert_ne!(changed, self.token, "{what} changes nothing");
        assert!(!(self.accepts)(changed), "{what} is let in: {changed}");
    }
}

/// Everything base64url is made of, and what other base64s have.
const NEAR: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n";

#[test]
fn a_good_token_is_accepted() {
    for subject in &*SUBJECTS {
        assert!((subject.accepts)(&subject.token), "{}", subject.token);
    }
}

#[test]
fn every_truncation_and_every_deletion_is_refused() {
    for subject in &*SUBJECTS {
        let token = &subject.token;
        for at in 0..token.len() {
            subject.refuses(&token[..at], &format!("cutting after {at}"));
            let without = format!("{}{}", &token[..at], &token[at + 1..]);
            subject.refuses(&without, &format!("leaving out {at}"));
            if at > 0 {
                subject.refuses(&token[at..], &format!("cutting before {at}"));
            }
        }
    }
}

#[test]
fn every_other_character_at_every_place_of_our_token_is_refused() {
    for subject in &SUBJECTS[..OURS] {
        let token = &subject.token;
        for at in 0..token.len() {
            for other in (0..128).map(char::from) {
                if !token[at..].starts_with(other) {
                    let replaced = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                    subject.refuses(&replaced, &format!("{other:?} at {at}"));
                }
            }
        }
    }
}

#[test]
fn every_character_put_in_at_every_place_of_our_token_is_refused() {
    for subject in &SUBJECTS[..OURS] {
        for at in 0..=subject.token.len() {
            for other in NEAR.chars() {
                let mut longer = subject.token.clone();
                longer.insert(at, other);
                subject.refuses(&longer, &format!("{other:?} before {at}"));
            }
        }
    }
}

#[test]
fn every_other_spelling_of_the_end_of_each_part_is_refused() {
    for subject in &*SUBJECTS {
        let token = &subject.token;
        let ends = token.match_indices('.').map(|(at, _)| at).chain([token.len()]);
        for end in ends {
            for other in NEAR.chars() {
                let changed = format!("{}{other}{}", &token[..end - 1], &token[end..]);
                if changed != *token {
                    subject.refuses(&changed, &format!("{other:?} at the end of a part"));
                }
                let longer = format!("{}{other}{}", &token[..end], &token[end..]);
                subject.refuses(&longer, &format!("{other:?} after a part"));
            }
        }
    }
}

#[test]
fn parts_that_changed_places_are_refused() {
    for subject in &*SUBJECTS {
        let parts: Vec<_> = subject.token.split('.').collect();
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let swapped = order.map(|index| parts[index]).join(".");
            subject.refuses(&swapped, &format!("{order:?}"));
        }
        for (one, other) in [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)] {
            let mut copied = parts.clone();
            copied[one] = parts[other];
            subject.refuses(&copied.join("."), &format!("{other} in place of {one}"));
        }
    }
}

#[test]
fn no_part_of_one_token_fits_into_another() {
    for subject in &*SUBJECTS {
        for other in &*SUBJECTS {
            if subject.token == other.token {
                continue;
            }
            subject.refuses(&other.token, "another token");
            let (ours, theirs): (Vec<_>, Vec<_>) =
                (subject.token.split('.').collect(), other.token.split('.').collect());
            for index in 0..3 {
                let mut mixed = ours.clone();
                mixed[index] = theirs[index];
                // Both providers sign the same claims.
                if mixed != ours {
                    subject.refuses(&mixed.join("."), &format!("another's part {index}"));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_character_in_place_of_any_other_is_refused(
        which in 0..SUBJECTS.len(), at in any::<Index>(), other in any::<char>(),
    ) {
        let subject = &SUBJECTS[which];
        let at = at.index(subject.token.len());
        prop_assume!(!subject.token[at..].starts_with(other));
        let changed = format!("{}{other}{}", &subject.token[..at], &subject.token[at + 1..]);
        prop_assert!(!(subject.accepts)(&changed), "{changed}");
    }

    #[test]
    fn any_text_put_in_anywhere_is_refused(
        which in 0..SUBJECTS.len(), at in any::<Index>(), text in "([A-Za-z0-9_.=-]{1,8}|\\PC{1,4}|\\s{1,3})",
    ) {
        let subject = &SUBJECTS[which];
        let mut changed = subject.token.clone();
        changed.insert_str(at.index(subject.token.len() + 1), &text);
        prop_assert!(!(subject.accepts)(&changed), "{changed}");
    }

    #[test]
    fn any_two_pieces_that_changed_places_are_refused(
        which in 0..SUBJECTS.len(), cuts in any::<[Index; 4]>(),
    ) {
        let subject = &SUBJECTS[which];
        let token = &subject.token;
        let mut cuts = cuts.map(|cut| cut.index(token.len() + 1));
        cuts.sort_unstable();
        let [a, b, c, d] = cuts;
        let changed = [&token[..a], &token[c..d], &token[b..c], &token[a..b], &token[d..]].concat();
        prop_assume!(changed != *token);
        prop_assert!(!(subject.accepts)(&changed), "{changed}");
    }

    #[test]
    fn any_text_at_all_is_refused_without_a_panic(
        text in "(\\PC{0,200}|[A-Za-z0-9_-]{0,99}\\.[A-Za-z0-9_-]{0,99}\\.[A-Za-z0-9_-]{0,99})",
    ) {
        for subject in &*SUBJECTS {
            prop_assert!(!(subject.accepts)(&text), "{text}");
        }
    }
}
