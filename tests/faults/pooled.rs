//! Through PgBouncer, which keeps the sessions of its clients and gives their next transaction another server.

use std::time::{Duration, Instant};

use crate::pair::{Pair, execute};
use crate::pgbouncer::PgBouncer;
use crate::proxy::Proxy;
use crate::site::{Site, TIMEOUT, me, ready};
use crate::switchover::url;

#[actix_web::test]
async fn a_session_that_a_pooler_gives_a_standby_reads_nothing_there() {
    let Some(mut pair) = Pair::start() else { return };
    let proxy = Proxy::to(pair.primary.port());
    let direct = url(&format!("127.0.0.1:{}", proxy.port()));
    let Some(pooler) = PgBouncer::start(&direct, 5) else { return };
    let site = Site::start(&pooler.url(&direct), 2).await;
    let [valid, revoked] = ["valid", "revoked"].map(|name| site.sign_in(name).jwt);
    pair.swap();
    pair.former_primary_returns();
    execute(&pair.standby, "SELECT pg_wal_replay_pause()");
    execute(&pair.primary, "ALTER SYSTEM SET synchronous_standby_names = ''");
    execute(&pair.primary, "SELECT pg_reload_conf()");
    execute(&pair.primary, "UPDATE users SET token_version = token_version + 1 WHERE email LIKE 'revoked%'");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        for address in &site.addresses {
            assert_eq!((me(address, &revoked), me(address, &valid)), (503, 503), "{}", site.said());
            assert_eq!(ready(address), 503);
        }
    }
    // PgBouncer's own sessions on the former primary go on.
    proxy.lead_new_to(pair.primary.port());
    let took = site.wait_until(TIMEOUT + Duration::from_secs(8), "service", || {
        site.addresses.iter().all(|address| ready(address) == 200 && me(address, &valid) == 200)
    });
    println!("through PgBouncer: service after {took:?}");
    for address in &site.addresses {
        assert_eq!(me(address, &revoked), 401);
    }
}
