use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const PASSWORD: &str = "hunter2-must-not-be-shown";
const WEAK_COST: PasswordSettings = PasswordSettings {
    enabled: true,
    min_length: 12,
    memory_kib: 8,
    iterations: 1,
    parallelism: 1,
    concurrency: Some(2),
};

fn passwords(settings: PasswordSettings) -> Passwords {
    Passwords::new(&settings).unwrap()
}

impl Passwords {
    /// The memory (KiB) and passes of every computation since the last call.
    fn work(&self) -> Vec<(u32, u32)> {
        let done = std::mem::take(&mut *self.hasher.work.lock().unwrap());
        done.iter().map(|params| (params.m_cost(), params.t_cost())).collect()
    }
}

#[tokio::test]
async fn a_password_is_right_and_another_is_wrong() {
    let passwords = passwords(WEAK_COST);
    let stored = passwords.hash(PASSWORD.into(), None).await.unwrap();
    assert!(stored.as_phc().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", stored.as_phc());
    let verdict = passwords.verify(PASSWORD.into(), Some(stored.clone())).await;
    assert_eq!(verdict, Ok(Verdict::Right { rehash: None }));
    for wrong in ["", "hunter2-must-not-be-showN", "hunter2-must-not-be-shown\0"] {
        assert_eq!(passwords.verify(wrong.into(), Some(stored.clone())).await, Ok(Verdict::Wrong));
    }
    assert_ne!(passwords.hash(PASSWORD.into(), None).await.unwrap(), stored, "the salt is new each time");
}

#[tokio::test]
async fn a_new_password_is_held_to_the_policy_and_an_old_one_is_not() {
    let lenient = passwords(PasswordSettings { min_length: 8, ..WEAK_COST });
    let strict = passwords(WEAK_COST);
    let stored = lenient.hash("xkcd horse".into(), None).await.unwrap();
    let short = Weakness::Short { length: 10, least: 12 };
    assert_eq!(strict.hash("xkcd horse".into(), None).await, Err(PasswordError::Weak(short)));
    assert_eq!(strict.hash("Password1234".into(), None).await, Err(PasswordError::Weak(Weakness::Common)));
    let too_long = strict.hash("ab ".repeat(400).into(), None).await;
    assert_eq!(too_long, Err(PasswordError::TooLong { bytes: 1200 }));
    assert_eq!(strict.work(), [], "nothing of it was hashed");
    let verdict = strict.verify("xkcd horse".into(), Some(stored)).await;
    assert_eq!(verdict, Ok(Verdict::Right { rehash: None }));
}

#[tokio::test]
async fn an_unknown_user_costs_what_a_wrong_password_costs() {
    let passwords = passwords(PasswordSettings { memory_kib: 16, iterations: 3, ..WEAK_COST });
    // From the very first call on.
    assert_eq!(passwords.verify(PASSWORD.into(), None).await, Ok(Verdict::Wrong));
    assert_eq!(passwords.work(), [(16, 3)], "no user, or no password");
    let stored = passwords.hash(PASSWORD.into(), None).await.unwrap();
    passwords.work();
    for (typed, verdict) in [
        ("wrong".to_owned(), Verdict::Wrong),
        (PASSWORD.to_owned(), Verdict::Right { rehash: None }),
        ("a".repeat(1025), Verdict::Wrong),
        ("a".repeat(60_000), Verdict::Wrong),
    ] {
        let length = typed.len();
        assert_eq!(passwords.verify(typed.clone().into(), Some(stored.clone())).await, Ok(verdict));
        assert_eq!(passwords.work(), [(16, 3)], "{length} bytes");
        assert_eq!(passwords.verify(typed.into(), None).await, Ok(Verdict::Wrong));
        assert_eq!(passwords.work(), [(16, 3)], "{length} bytes, no user");
    }
}

#[tokio::test]
async fn more_than_1024_bytes_are_wrong_even_when_they_begin_right() {
    let passwords = passwords(WEAK_COST);
    let longest = "ab".repeat(512);
    let stored = passwords.hash(longest.clone().into(), None).await.unwrap();
    let longer = format!("{longest}!");
    assert_eq!(passwords.verify(longer.into(), Some(stored.clone())).await, Ok(Verdict::Wrong));
    let verdict = passwords.verify(longest.into(), Some(stored)).await;
    assert_eq!(verdict, Ok(Verdict::Right { rehash: None }));
}

#[tokio::test]
async fn a_right_password_that_was_stored_by_other_settings_is_hashed_anew() {
    let before = passwords(WEAK_COST);
    let stored = before.hash(PASSWORD.into(), None).await.unwrap();
    for settings in [
        PasswordSettings { memory_kib: 32, ..WEAK_COST },
        PasswordSettings { iterations: 2, ..WEAK_COST },
        PasswordSettings { memory_kib: 16, parallelism: 2, ..WEAK_COST },
    ] {
        let now = passwords(settings);
        assert_eq!(now.verify("wrong".into(), Some(stored.clone())).await, Ok(Verdict::Wrong));
        assert_eq!(now.work(), [(8, 1)], "hashed anew only when it is right");
        let verdict = now.verify(PASSWORD.into(), Some(stored.clone())).await;
        let Ok(Verdict::Right { rehash: Some(rehashed) }) = verdict else {
            panic!("{settings:?}: {verdict:?}");
        };
        assert_eq!(now.work().len(), 2);
        let again = now.verify(PASSWORD.into(), Some(rehashed)).await;
        assert_eq!(again, Ok(Verdict::Right { rehash: None }));
    }
}

#[tokio::test]
async fn a_crowd_is_served_or_told_to_come_back() {
    let passwords = Arc::new(passwords(WEAK_COST));
    let stored = passwords.hash(PASSWORD.into(), None).await.unwrap();
    let (right, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let crowd = (0..100).map(|_| {
        let (passwords, stored) = (Arc::clone(&passwords), stored.clone());
        let (right, refused) = (Arc::clone(&right), Arc::clone(&refused));
        async move {
            match passwords.verify(PASSWORD.into(), Some(stored)).await {
                Ok(Verdict::Right { rehash: None }) => right.fetch_add(1, Ordering::Relaxed),
                Err(PasswordError::Overloaded) => refused.fetch_add(1, Ordering::Relaxed),
                other => panic!("{other:?}"),
            }
        }
    });
    futures_util::future::join_all(crowd).await;
    let (right, refused) = (right.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    assert!(right >= 2 * 33 && right + refused == 100, "{right} right, {refused} refused");
    assert_eq!(passwords.verify("wrong".into(), None).await, Ok(Verdict::Wrong), "and it goes on");
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_password_or_a_hash() {
    let passwords = passwords(WEAK_COST);
    let stored = passwords.hash(PASSWORD.into(), None).await.unwrap();
    let now = self::passwords(PasswordSettings { iterations: 2, ..WEAK_COST });
    let verdict = now.verify(PASSWORD.into(), Some(stored.clone())).await;
    let errors = [
        passwords.hash("hunter2".into(), None).await,
        passwords.hash(PASSWORD.repeat(99).into(), None).await,
    ];
    let unreadable = HashedPassword::parse(PASSWORD);
    let shown = format!("{passwords:?} {stored:?} {verdict:?} {errors:?} {unreadable:?} {now:?}");
    assert!(shown.contains("HashedPassword(…)"), "{shown}");
    let secrets = stored.as_phc().split('$').skip(4);
    for secret in secrets.chain(["hunter2", "$argon2id"]) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn a_password_that_was_hashed_as_it_came_is_still_right_and_is_hashed_composed_from_then_on() {
    let passwords = passwords(WEAK_COST);
    let (composed, decomposed) =
        ("zo\u{eb} zo\u{eb} zo\u{eb} zo\u{eb}", "zoe\u{308} zoe\u{308} zoe\u{308} zoe\u{308}");
    let old = passwords.hasher.hash(&decomposed.into(), &mut Memory::default()).unwrap();
    let verdict = passwords.verify(decomposed.into(), Some(old)).await.unwrap();
    let Verdict::Right { rehash: Some(new) } = verdict else { panic!("{verdict:?}") };
    for typed in [composed, decomposed] {
        assert_eq!(
            passwords.verify(typed.into(), Some(new.clone())).await,
            Ok(Verdict::Right { rehash: None })
        );
    }
    passwords.work();
    // What is computed for a wrong password depends on what was typed, and not on who has one.
    for (typed, computations) in [("zo\u{eb}", 1), ("zoe\u{308}", 2)] {
        for stored in [None, Some(new.clone())] {
            assert_eq!(passwords.verify(typed.into(), stored).await, Ok(Verdict::Wrong));
            assert_eq!(passwords.work().len(), computations, "{typed}");
        }
    }
}

#[tokio::test]
async fn a_length_is_that_of_the_composed_form() {
    let passwords = passwords(WEAK_COST);
    let short = Weakness::Short { length: 11, least: 12 };
    assert_eq!(passwords.hash("e\u{301}".repeat(11).into(), None).await, Err(PasswordError::Weak(short)));
    assert!(passwords.hash("e\u{301}a".repeat(6).into(), None).await.is_ok());
    // One of the few that are longer when they are composed.
    assert!(matches!(
        passwords.hash("\u{fb2c}".repeat(341).into(), None).await,
        Err(PasswordError::TooLong { .. })
    ));
}
