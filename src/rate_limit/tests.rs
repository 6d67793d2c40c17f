use super::*;

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// One at once for an address, two for an account, and one a minute for either.
fn settings() -> RateLimitSettings {
    let one = NonZeroU32::MIN;
    RateLimitSettings {
        enabled: true,
        address_burst: one,
        address_per_minute: one,
        account_burst: number(2),
        account_per_minute: one,
        failed_per_minute: number(30),
        failed_in_all_per_minute: number(300),
    }
}

fn email<'a>(folded: &'a str, from: &str) -> Account<'a> {
    Account::Email { folded, from: from.parse().unwrap() }
}

fn user(id: UserId, from: &str) -> Account<'static> {
    Account::User { id, from: from.parse().unwrap() }
}

#[test]
fn an_address_counts_by_what_one_subscriber_has() {
    let limits = RateLimits::new(&settings());
    for (address, allowed) in [
        ("203.0.113.9", true),
        ("203.0.113.9", false),
        ("203.0.113.8", true),
        ("::ffff:203.0.113.9", false),
        ("::ffff:203.0.113.7", true),
        ("2001:db8:0:1::1", true),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", false),
        ("2001:db8:0:2::1", true),
        ("2001:db8:1:1::1", true),
        // Its first 64 bits are the number that 203.0.113.9 is.
        ("0:0:cb00:7109::", true),
    ] {
        let counted = limits.address(address.parse().unwrap());
        assert_eq!(counted.is_ok(), allowed, "{address}");
    }
}

#[test]
fn a_48_has_sixteen_times_the_limits_however_many_64s_it_uses() {
    let limits = RateLimits::new(&settings());
    let allowed = |site: u16| {
        let addresses = (0..100_u16).map(|subnet| [0x2001, 0xdb8, site, subnet, 0, 0, 0, 1].into());
        addresses.map(|address| limits.address(address)).collect::<Vec<_>>()
    };
    let counted = allowed(1);
    assert_eq!(counted.iter().filter(|counted| counted.is_ok()).count(), 16);
    let refused = counted[16].unwrap_err();
    assert_eq!((refused.policy, refused.burst, refused.per_minute), (Policy::Site, number(16), number(16)));
    assert_eq!(allowed(2).iter().filter(|counted| counted.is_ok()).count(), 16, "another site");
}

#[test]
fn what_is_refused_for_a_64_does_not_count_for_its_48() {
    let limits = RateLimits::new(&settings());
    for _ in 0..1000 {
        let _ = limits.address("2001:db8::1".parse().unwrap());
    }
    assert_eq!(limits.address("2001:db8:0:1::1".parse().unwrap()), Ok(()));
}

#[test]
fn each_kind_of_account_is_counted_by_itself() {
    let limits = RateLimits::new(&settings());
    let (ada, here) = (UserId::generate(), "203.0.113.9");
    let as_text = ada.to_string();
    let (session, other) = (HashedToken::of(b"one"), HashedToken::of(b"other"));
    for (account, allowed) in [
        (email("ada@mail.com", here), true),
        (email("ada@mail.com", here), true),
        (email("ada@mail.com", here), false),
        (email("bob@mail.com", here), true),
        (user(ada, here), true),
        (user(ada, here), true),
        (user(ada, here), false),
        (email(&as_text, here), true),
        (user(UserId::generate(), here), true),
        (Account::Session(&session), true),
        (Account::Session(&session), true),
        (Account::Session(&session), false),
        (Account::Session(&other), true),
        (email(&session.0, here), true),
    ] {
        assert_eq!(limits.account(account).is_ok(), allowed, "{account:?}");
    }
}

#[test]
fn a_user_is_counted_by_client_address_and_ten_times_as_much_in_all() {
    let limits = RateLimits::new(&settings());
    let (ada, bob) = (UserId::generate(), UserId::generate());
    let attempts = |from: &str| (0..5).filter(|_| limits.account(user(ada, from)).is_ok()).count();
    for number in 1..=9 {
        assert_eq!(attempts(&format!("203.0.113.{number}")), 2);
    }
    assert_eq!(attempts("198.51.100.1"), 2, "the owner");
    let refused = limits.account(user(ada, "198.51.100.2")).unwrap_err();
    assert_eq!((refused.policy, refused.burst, refused.per_minute), (Policy::User, number(20), number(10)));
    assert!(limits.account(user(bob, "198.51.100.2")).is_ok());
}

#[test]
fn attempts_from_elsewhere_leave_the_owner_his_own_until_there_are_ten_times_as_many() {
    let limits = RateLimits::new(&settings());
    let attempts =
        |from: &str| (0..5).filter(|_| limits.account(email("ada@mail.com", from)).is_ok()).count();
    assert_eq!(attempts("203.0.113.1"), 2);
    // Of one subscriber all addresses are one.
    assert_eq!(attempts("2001:db8::1") + attempts("2001:db8::2"), 2);
    // What was refused by address has not been counted, so these and the owner are within the 20.
    for number in 2..=8 {
        assert_eq!(attempts(&format!("203.0.113.{number}")), 2);
    }
    assert_eq!(attempts("198.51.100.1"), 2, "the owner");
    let refused = limits.account(email("ada@mail.com", "198.51.100.2")).unwrap_err();
    assert_eq!((refused.policy, refused.burst, refused.per_minute), (Policy::Email, number(20), number(10)));
    assert!(limits.account(email("bob@mail.com", "198.51.100.2")).is_ok());
}

#[test]
fn a_flood_of_invented_sessions_does_not_reset_an_e_mail_address() {
    let limits = RateLimits::new(&settings());
    let ada = email("ada@mail.com", "203.0.113.9");
    assert_eq!((0..3).filter(|_| limits.account(ada).is_ok()).count(), 2);
    for number in 0..70_000_u32 {
        let handle = HashedToken(number.to_string());
        assert!(limits.account(Account::Session(&handle)).is_ok());
    }
    assert!(limits.account(ada).is_err());
}

#[test]
fn a_refusal_names_its_limit_and_when_to_come_again() {
    let limits = RateLimits::new(&settings());
    let address = "203.0.113.9".parse().unwrap();
    let ada = email("ada@mail.com", "203.0.113.9");
    assert!(limits.address(address).is_ok() && limits.account(ada).is_ok() && limits.account(ada).is_ok());
    for (refusal, policy, burst, window) in
        [(limits.address(address), "address", 1, 60), (limits.account(ada), "account", 2, 120)]
    {
        let refusal = refusal.unwrap_err();
        assert_eq!(
            (refusal.policy.as_str(), refusal.burst.get(), refusal.window_seconds()),
            (policy, burst, window)
        );
        let wait = refusal.retry_after;
        assert!(Duration::from_secs(50) < wait && wait <= Duration::from_mins(1), "{refusal:?}");
    }
}

#[test]
fn the_highest_rates_there_are_do_not_overflow() {
    let highest = number(100_000_000);
    let limits = RateLimits::new(&RateLimitSettings {
        enabled: true,
        address_burst: highest,
        address_per_minute: NonZeroU32::MIN,
        account_burst: NonZeroU32::MIN,
        account_per_minute: highest,
        failed_per_minute: highest,
        failed_in_all_per_minute: highest,
    });
    for address in ["203.0.113.9", "2001:db8::1"] {
        let address = address.parse().unwrap();
        assert!((0..1000).all(|_| limits.address(address).is_ok()));
    }
    assert!(limits.account(email("ada@mail.com", "203.0.113.9")).is_ok());
}
