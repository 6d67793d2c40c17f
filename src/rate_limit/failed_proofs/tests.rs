use std::sync::Arc;

use super::*;

fn budget() -> FailedProofs {
    let number = |number| NonZeroU32::new(number).unwrap();
    FailedProofs::new(&RateLimitSettings {
        enabled: true,
        address_burst: number(200),
        address_per_minute: number(600),
        account_burst: number(10),
        account_per_minute: number(10),
        failed_per_minute: number(3),
        failed_in_all_per_minute: number(20),
    })
}

/// One address after the other, and times that a test chooses.
struct World {
    budget: FailedProofs,
    seed: RandomState,
    start: Instant,
}

impl World {
    fn new() -> Self {
        Self { budget: budget(), seed: RandomState::new(), start: Instant::now() }
    }

    /// A whole proof of this address at this second.
    fn prove(&self, address: &str, end: End, second: u64) -> Result<(), Blocked> {
        let networks = Networks::of(address.parse().unwrap(), &self.seed);
        let now = self.start + Duration::from_secs(second);
        self.budget.try_begin("github", networks, now)?;
        self.budget.end("github", networks, end, now);
        Ok(())
    }

    fn policy(&self, address: &str, second: u64) -> Option<Policy> {
        match self.prove(address, End::Passed, second) {
            Ok(()) => None,
            Err(Blocked::Exceeded(exceeded)) => {
                assert!(exceeded.retry_after <= Duration::from_mins(2), "{exceeded:?}");
                Some(exceeded.policy)
            }
            Err(Blocked::Undecided) => panic!("nothing is under way"),
        }
    }
}

#[test]
fn an_address_has_so_many_failures_in_a_minute_and_successes_cost_nothing() {
    let world = World::new();
    for _ in 0..100 {
        world.prove("203.0.113.1", End::Passed, 0).unwrap();
    }
    for second in [0, 10, 20] {
        world.prove("203.0.113.1", End::Failed, second).unwrap();
    }
    assert_eq!(world.policy("203.0.113.1", 20), Some(Policy::FailedProofs));
    assert_eq!(world.policy("203.0.113.2", 20), None, "another address");
    assert_eq!(world.policy("203.0.113.1", 60), Some(Policy::FailedProofs));
    assert_eq!(world.policy("203.0.113.1", 80), None);
}

#[test]
fn who_is_told_when_to_come_again_is_let_through_then() {
    let world = World::new();
    for _ in 0..3 {
        world.prove("203.0.113.1", End::Failed, 0).unwrap();
    }
    let Err(Blocked::Exceeded(exceeded)) = world.prove("203.0.113.1", End::Passed, 5) else {
        panic!("the budget is used up");
    };
    assert_eq!((exceeded.burst.get(), exceeded.window_seconds()), (3, 60));
    let then = 5 + exceeded.retry_after.as_secs() + 1;
    assert_eq!(world.policy("203.0.113.1", then - 2), Some(Policy::FailedProofs));
    assert_eq!(world.policy("203.0.113.1", then), None);
}

#[test]
fn a_48_has_sixteen_times_the_budget_of_a_64() {
    let world = World::new();
    let failures = (0..100).filter(|subnet| {
        // From the budget of a provider that sees too many, only addresses that failed before are held back.
        world.prove(&format!("2001:db8:0:{subnet}::1"), End::Failed, 0).is_ok()
    });
    assert_eq!(failures.count(), 48);
    assert_eq!(world.policy("2001:db8:0:fff::1", 0), Some(Policy::FailedProofs));
    assert_eq!(world.policy("2001:db8:1:1::1", 0), None);
}

#[test]
fn when_a_provider_sees_too_many_failures_only_those_who_failed_are_held_back() {
    let world = World::new();
    world.prove("198.51.100.1", End::Failed, 0).unwrap();
    world.prove("198.51.100.2", End::Failed, 200).unwrap();
    for number in 0..21 {
        world.prove(&format!("203.0.113.{number}"), End::Failed, 599).unwrap();
    }
    assert_eq!(world.policy("203.0.113.7", 600), Some(Policy::FailedProofsInAll));
    assert_eq!(world.policy("198.51.100.2", 600), Some(Policy::FailedProofsInAll));
    assert_eq!(world.policy("198.51.100.1", 600), None, "it failed ten minutes ago");
    assert_eq!(world.policy("192.0.2.1", 600), None, "it never failed");
    // A minute later the provider has seen no more.
    assert_eq!(world.policy("203.0.113.7", 720), None);
}

#[test]
fn providers_are_counted_apart() {
    let world = World::new();
    for number in 0..21 {
        world.prove(&format!("203.0.113.{number}"), End::Failed, 0).unwrap();
    }
    let networks = Networks::of("203.0.113.7".parse().unwrap(), &world.seed);
    assert!(world.budget.try_begin("github", networks, world.start).is_err());
    assert_eq!(world.budget.try_begin("google", networks, world.start), Ok(()));
}

#[test]
fn proofs_under_way_count_until_they_end() {
    let world = World::new();
    let networks = Networks::of("203.0.113.1".parse().unwrap(), &world.seed);
    for _ in 0..3 {
        world.budget.try_begin("github", networks, world.start).unwrap();
    }
    assert_eq!(world.budget.try_begin("github", networks, world.start), Err(Blocked::Undecided));
    world.budget.end("github", networks, End::Passed, world.start);
    world.budget.try_begin("github", networks, world.start).unwrap();
    for _ in 0..3 {
        world.budget.end("github", networks, End::Failed, world.start);
    }
    assert_eq!(world.policy("203.0.113.1", 0), Some(Policy::FailedProofs));
}

/// Otherwise a client could have a provider asked without end by going away before it answers.
#[test]
fn a_proof_that_is_given_up_counts_for_its_address_and_holds_nobody_back() {
    let world = World::new();
    for number in 0..50 {
        world.prove(&format!("203.0.113.{number}"), End::Unknown, 0).unwrap();
    }
    assert_eq!(world.policy("203.0.113.1", 0), None);
    for _ in 0..2 {
        world.prove("203.0.113.1", End::Unknown, 0).unwrap();
    }
    assert_eq!(world.policy("203.0.113.1", 0), Some(Policy::FailedProofs));
}

#[test]
fn a_million_addresses_take_the_memory_of_the_bound() {
    let world = World::new();
    for number in 0..200_000_u32 {
        let networks = Networks::of(std::net::Ipv4Addr::from_bits(number).into(), &world.seed);
        world.budget.try_begin("github", networks, world.start).unwrap();
        world.budget.end("github", networks, End::Failed, world.start);
    }
    assert_eq!(world.budget.lock().networks.len(), MAX_NETWORKS);
    let networks = Networks::of("198.51.100.1".parse().unwrap(), &world.seed);
    world.budget.try_begin("google", networks, world.start).unwrap();
    world.budget.end("google", networks, End::Passed, world.start);
    assert!(world.budget.lock().networks.peek(&networks.own).is_none(), "who never failed is not remembered");
}

#[actix_web::test]
async fn a_hundred_good_proofs_at_once_are_all_let_through_and_a_hundred_bad_ones_are_not() {
    let (budget, seed) = (Arc::new(budget()), RandomState::new());
    let address = "203.0.113.1".parse().unwrap();
    let attempts = async |good: bool| {
        let asked = std::sync::atomic::AtomicU32::new(0);
        let proofs = (0..100).map(|_| async {
            let Ok(proof) = budget.begin("github", address, &seed).await else { return false };
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
            if good {
                proof.passed();
            } else {
                proof.failed();
            }
            true
        });
        let begun = futures_util::future::join_all(proofs).await;
        assert_eq!(asked.into_inner() as usize, begun.iter().filter(|begun| **begun).count());
        begun.into_iter().filter(|begun| *begun).count()
    };
    assert_eq!(attempts(true).await, 100);
    assert_eq!(attempts(false).await, 3);
}
