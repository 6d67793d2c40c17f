//! A primary that was told to take no changes: a former one after a move of the data, or one whose disk is full.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use crate::pair::connect;
use crate::postgres::Cluster;
use crate::site::{Site, TIMEOUT, ask, me, ready};
use crate::switchover::url;

#[actix_web::test]
async fn a_primary_that_takes_no_changes_is_not_used() {
    let Some(cluster) = Cluster::start_own() else { return };
    let site = Site::start(&url(&format!("127.0.0.1:{}", cluster.port())), 1).await;
    let (address, jwt) = (&site.addresses[0], site.sign_in("ada").jwt);
    // It says no to the sessions that it has already.
    let tell = |value: &str| {
        let mut conn = connect(&cluster);
        let mut execute = |sql: &str| conn.batch_execute(sql).expect("the test's own statement");
        execute("SET default_transaction_read_only = off");
        execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        execute("SELECT pg_reload_conf()");
    };
    for _ in 0..2 {
        tell("on");
        site.wait_until(Duration::from_secs(5), "not ready", || ready(address) == 503);
        let readiness = ask(address, "GET", "/readyz", None, &Value::Null);
        assert_eq!(readiness.body["database"], "read-only", "{}", readiness.text);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(500) {
            assert_eq!(me(address, &jwt), 503);
            assert_eq!(ready(address), 503);
        }
        let body = json!({ "name": "Ada" });
        let changed = ask(address, "PATCH", "/api/me", Some(&jwt), &body);
        assert_eq!((changed.status, &changed.body["code"]), (503, &json!("database_unavailable")));
        tell("off");
        let took = site.wait_until(TIMEOUT + Duration::from_secs(5), "service", || {
            ready(address) == 200 && me(address, &jwt) == 200
        });
        println!("service after {took:?}");
        assert_eq!(ask(address, "PATCH", "/api/me", Some(&jwt), &body).status, 200);
    }
}
