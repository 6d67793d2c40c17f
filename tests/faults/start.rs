//! A replica that starts while no server takes changes.

use std::time::{Duration, Instant};

use tokenbooth::mock::MockProviders;

use crate::pair::Pair;
use crate::postgres::Cluster;
use crate::site::{ready, replica};
use crate::support::process::Tokenbooth;
use crate::switchover::url;

#[actix_web::test]
async fn a_replica_waits_for_a_server_that_takes_changes() {
    let Some(pair) = Pair::start() else { return };
    let Pair { mut primary, mut standby } = pair;
    let mock = MockProviders::start().await.expect("the mock starts");
    let url = url(&format!("127.0.0.1:{}", standby.port()));
    let mut waiting = replica(&mock, &url, &[]).start();
    let line = waiting.wait_for("waiting for a database server that takes changes");
    assert!(line.contains("read-only") && !line.contains(&standby.port().to_string()), "{line}");
    // `check` says it at once.
    let start = Instant::now();
    let check = Tokenbooth::new(&["check"]).set("database.url", &url).output();
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(told.contains("it takes no changes"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    primary.stop();
    standby.promote();
    let address = waiting.url().trim_start_matches("http://").to_owned();
    let deadline = Instant::now() + Duration::from_secs(20);
    while ready(&address) != 200 {
        assert!(Instant::now() < deadline, "not ready:\n{}", waiting.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[actix_web::test]
async fn a_replica_that_waits_ends_when_its_time_is_over_or_it_is_told_to() {
    let Some(mut cluster) = Cluster::start_own() else { return };
    cluster.stop();
    let mock = MockProviders::start().await.expect("the mock starts");
    let url = url(&format!("127.0.0.1:{}", cluster.port()));
    let mut ending = replica(&mock, &url, &[("database.start_timeout", "1s")]).start();
    let start = Instant::now();
    let status = ending.wait();
    assert!(!status.success() && start.elapsed() >= Duration::from_secs(1), "{status}");
    let told = ending.stderr();
    assert!(told.contains("database.url: ") && told.contains("refused"), "{told}");
    assert!(!told.contains(&cluster.port().to_string()) && !told.contains("127.0.0.1"), "{told}");
    let mut waiting = replica(&mock, &url, &[]).start();
    waiting.wait_for("waiting for a database server that takes changes");
    waiting.signal("TERM");
    waiting.wait();
}
