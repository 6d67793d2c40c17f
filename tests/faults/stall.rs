//! Commits that stall: the primary waits for a standby that is gone, or for a lock.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use serde_json::Value;

use crate::pair::{connect, execute};
use crate::postgres::Cluster;
use crate::site::{Site, TIMEOUT, ask, me, refresh};
use crate::switchover::url;

/// What a busy machine may add.
const MARGIN: Duration = Duration::from_secs(3);

/// Refreshes while `stall` is in force: 503, and the same token is exchanged afterwards, at any replica.
fn assert_no_session_is_lost(site: &Site, name: &str, stall: impl FnOnce(), resume: impl FnOnce()) {
    let signed_in = site.sign_in(name);
    let token = &signed_in.refresh_token;
    stall();
    let start = Instant::now();
    for address in &site.addresses {
        let stalled = refresh(address, token);
        assert_eq!(stalled.status, 503, "{}", stalled.text);
    }
    assert!(start.elapsed() < TIMEOUT * 2 + MARGIN, "{:?}", start.elapsed());
    resume();
    // The first change of those that stalled may still be on its way.
    let mut successors = Vec::new();
    for address in &site.addresses {
        site.wait_until(TIMEOUT + MARGIN, "a refresh", || {
            let reply = refresh(address, token);
            assert!(matches!(reply.status, 200 | 503), "{}\n{}", reply.text, site.said());
            successors.extend(reply.body["refresh_token"].as_str().map(str::to_owned));
            reply.status == 200
        });
    }
    assert!(successors.iter().all(|next| *next == successors[0]), "one token, two successors");
    for address in &site.addresses {
        assert_eq!(me(address, &signed_in.jwt), 200, "the session ended");
    }
    assert_eq!(refresh(&site.addresses[0], &successors[0]).status, 200);
    let events = ask(&site.addresses[0], "GET", "/api/me/events", Some(&signed_in.jwt), &Value::Null);
    assert!(!events.text.contains("refresh.reused"), "{}", events.text);
}

#[actix_web::test]
async fn a_refresh_that_stalls_ends_no_session() {
    let Some(cluster) = Cluster::start_primary() else { return };
    let site = Site::start(&url(&format!("127.0.0.1:{}", cluster.port())), 2).await;
    let waits_for = |standby: &str| {
        execute(&cluster, &format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'"));
        execute(&cluster, "SELECT pg_reload_conf()");
        // The reload is under way; a change before it would not stall.
        std::thread::sleep(Duration::from_millis(300));
    };
    assert_no_session_is_lost(&site, "ada", || waits_for("gone"), || waits_for(""));

    let mut other = connect(&cluster);
    let mut lock = |sql: &str| other.batch_execute(sql).expect("the test's own statement");
    lock("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE");
    let signed_in = refresh(&site.addresses[0], "not a token");
    assert_eq!(signed_in.status, 401, "{}", signed_in.text);
    lock("ROLLBACK");
    let cell = std::cell::RefCell::new(lock);
    assert_no_session_is_lost(
        &site,
        "ben",
        || cell.borrow_mut()("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"),
        || cell.borrow_mut()("ROLLBACK"),
    );
}
