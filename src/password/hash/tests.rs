use super::*;

#[test]
fn what_is_no_hash_of_argon2_or_asks_too_much_is_not_read() {
    for (text, reason) in [
        ("", "it is not a PHC string"),
        ("hunter2", "it is not a PHC string"),
        ("$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "it is not a PHC string"),
        (
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
            "its algorithm is another",
        ),
        (
            "$argon2id$v=18$m=8,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "its version is unknown",
        ),
        (
            "$argon2id$v=19$m=7,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "its parameters are not Argon2's",
        ),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ", "its salt or hash is missing"),
        (
            "$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "it asks for more work than [password] may",
        ),
        (
            "$argon2id$v=19$m=8,t=4294967295,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "it asks for more work than [password] may",
        ),
    ] {
        assert_eq!(HashedPassword::parse(text), Err(UnreadableHash(reason)), "{text}");
    }
}
