//! The primary and the standby change places: behind a proxy that ends connections, one that forgets them, one that leads to
//! the former primary for a while, and with both in the URL.

use std::thread;
use std::time::{Duration, Instant};

use crate::clients::{Record, assert_stays_revoked, revoked_token, while_clients_work};
use crate::pair::{Pair, execute};
use crate::proxy::{Open, Proxy};
use crate::site::{Site, TIMEOUT, me, ready};

/// How soon service is back once the address leads to a server that takes changes: what is under way is given up after
/// `database.timeout`. The rest is for a busy machine.
const BACK: Duration = TIMEOUT.saturating_add(Duration::from_secs(8));
/// How long the address leads to the former primary.
const ASTRAY: Duration = Duration::from_secs(2);

#[actix_web::test]
async fn nothing_is_lost_or_accepted_wrongly_when_a_proxy_follows() {
    let Some(mut pair) = Pair::start() else { return };
    let proxy = Proxy::to(pair.primary.port());
    let site = Site::start(&url(&format!("127.0.0.1:{}", proxy.port())), 2).await;
    let start = Instant::now();
    while_clients_work(&site, |record| {
        loop {
            ended(&site, &mut pair, &proxy, record);
            forgotten(&site, &mut pair, &proxy, record);
            astray(&site, &mut pair, &proxy, record);
            if start.elapsed() >= seconds() {
                break;
            }
        }
    });
}

#[actix_web::test]
async fn nothing_is_lost_or_accepted_wrongly_when_both_servers_are_in_the_url() {
    let Some(mut pair) = Pair::start() else { return };
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", pair.primary.port(), pair.standby.port());
    let site = Site::start(&url(&hosts), 2).await;
    let start = Instant::now();
    while_clients_work(&site, |record| {
        // There and back.
        for number in 0.. {
            if number >= 2 && start.elapsed() >= seconds() {
                break;
            }
            record.open_window();
            pair.swap();
            back(&site, record, "several hosts in the URL");
            pair.former_primary_returns();
        }
    });
}

#[actix_web::test]
async fn nothing_acknowledged_is_lost_when_the_primary_is_lost() {
    let Some(mut pair) = Pair::start() else { return };
    let proxy = Proxy::to(pair.primary.port());
    let site = Site::start(&url(&format!("127.0.0.1:{}", proxy.port())), 2).await;
    let token = revoked_token(&site, &site.addresses[0], "leaver");
    while_clients_work(&site, |record| {
        record.open_window();
        pair.lose_primary();
        proxy.lead_to(pair.standby.port(), Open::Silent);
        back(&site, record, "a primary that is lost, behind a proxy that forgets connections");
        assert_stays_revoked(&site, &token, Duration::from_millis(500));
    });
}

/// `TOKENBOOTH_FAULTS_SECONDS`; each scenario happens once all the same.
fn seconds() -> Duration {
    let seconds = std::env::var("TOKENBOOTH_FAULTS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

pub fn url(hosts: &str) -> String {
    format!("postgres://tokenbooth@{hosts}/postgres?sslmode=disable")
}

/// Waits until both replicas serve, closes the window, and says how long it took.
fn back(site: &Site, record: &Record, what: &str) {
    let took = site.wait_until(BACK, what, || site.addresses.iter().all(|address| ready(address) == 200));
    // `/readyz` asks one connection: another one that says nothing may be met later.
    site.wait_until(BACK, what, || site.serves_a_crowd());
    record.close_window();
    println!("{what}: ready after {took:?}");
    thread::sleep(Duration::from_millis(500));
}

fn ended(site: &Site, pair: &mut Pair, proxy: &Proxy, record: &Record) {
    record.open_window();
    pair.swap();
    proxy.lead_to(pair.primary.port(), Open::Ended);
    back(site, record, "a proxy that ends connections");
    pair.former_primary_returns();
}

/// Connections to the former primary stay open and say nothing, as behind a balancer that forgot them.
fn forgotten(site: &Site, pair: &mut Pair, proxy: &Proxy, record: &Record) {
    record.open_window();
    proxy.lead_to(pair.standby.port(), Open::Silent);
    pair.swap();
    back(site, record, "a proxy that forgets connections");
    pair.former_primary_returns();
}

/// The address leads to the former primary, which is a standby that is behind.
fn astray(site: &Site, pair: &mut Pair, proxy: &Proxy, record: &Record) {
    let [valid, revoked] = ["valid", "revoked"].map(|name| site.sign_in(name).jwt);
    record.open_window();
    pair.swap();
    pair.former_primary_returns();
    execute(&pair.standby, "SELECT pg_wal_replay_pause()");
    // It does not hear of this.
    execute(&pair.primary, "ALTER SYSTEM SET synchronous_standby_names = ''");
    execute(&pair.primary, "SELECT pg_reload_conf()");
    let subject =
        "UPDATE users SET token_version = token_version + 1 WHERE name = 'revoked' OR email LIKE 'revoked%'";
    execute(&pair.primary, subject);
    let start = Instant::now();
    while start.elapsed() < ASTRAY {
        for address in &site.addresses {
            assert_eq!((me(address, &revoked), me(address, &valid)), (503, 503), "{}", site.said());
            assert_eq!(ready(address), 503);
        }
    }
    proxy.lead_new_to(pair.primary.port());
    back(site, record, "an address that leads to the former primary for a while");
    for address in &site.addresses {
        assert_eq!((me(address, &revoked), me(address, &valid)), (401, 200));
    }
    let token = revoked_token(site, &site.addresses[0], "late-leaver");
    assert_stays_revoked(site, &token, Duration::from_millis(200));
    execute(&pair.standby, "SELECT pg_wal_replay_resume()");
    execute(&pair.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    execute(&pair.primary, "SELECT pg_reload_conf()");
}
