use super::*;

const SETTINGS: PasswordSettings = PasswordSettings {
    enabled: true,
    min_length: 12,
    memory_kib: 256,
    iterations: 2,
    parallelism: 1,
    concurrency: Some(1),
};

fn verdict(password: &str, stored: &str) -> Verdict {
    let hasher = Hasher::new(&SETTINGS).unwrap();
    let stored = HashedPassword::parse(stored).unwrap();
    hasher.verify(&Typed::new(&password.into()), Some(&stored), &mut Memory::default()).unwrap()
}

/// From `src/test.c` of the reference implementation (P-H-C/phc-winner-argon2), and what is asked of each.
#[test]
fn hashes_of_the_reference_implementation_verify() {
    let todays = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    assert_eq!(verdict("password", todays), Verdict::Right { rehash: None });
    assert_eq!(verdict("sassword", todays), Verdict::Wrong);
    for outdated in [
        // Two lanes.
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        // Another kind of Argon2, and a version that went without saying.
        "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
        "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
    ] {
        assert_eq!(verdict("sassword", outdated), Verdict::Wrong, "{outdated}");
        let verdict = verdict("password", outdated);
        let Verdict::Right { rehash: Some(rehashed) } = verdict else { panic!("{outdated}: {verdict:?}") };
        assert!(rehashed.as_phc().starts_with("$argon2id$v=19$m=256,t=2,p=1$"), "{outdated}");
    }
}
