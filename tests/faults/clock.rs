//! A process whose clock differs from the database server's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::pair::{execute, number};
use crate::postgres::Cluster;
use crate::site::{Site, ask, ready, refresh};
use crate::switchover::url;

/// Before PostgreSQL's own `clock_timestamp()`: the server's clock as the test sets it.
const SERVER_CLOCK: &str = "
    CREATE SCHEMA moved;
    CREATE TABLE moved.clock (seconds bigint NOT NULL);
    INSERT INTO moved.clock VALUES (0);
    CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS
        'SELECT pg_catalog.clock_timestamp() + seconds * interval ''1 second'' FROM moved.clock';
    ALTER DATABASE postgres SET search_path = moved, pg_catalog, public;
";

#[actix_web::test]
async fn a_clock_that_differs_makes_not_ready_and_ends_no_session() {
    let Some(cluster) = Cluster::start_own() else { return };
    execute(&cluster, SERVER_CLOCK);
    // A session is over when it was not used for a minute.
    let settings = [("refresh.idle_ttl", "1m"), ("token.access_ttl", "1m")];
    let address = url(&format!("127.0.0.1:{}", cluster.port()));
    let mut site = Site::start_with(&address, 1, &settings).await;
    let address = site.addresses[0].clone();
    let signed_in = site.sign_in("ada");
    let sessions = || number(&cluster, "SELECT COUNT(*) AS number FROM moved.sessions");
    assert_eq!(sessions(), 1);
    for (seconds, word) in [(-3600, "ahead"), (3600, "behind"), (-62, "ahead"), (63, "behind")] {
        execute(&cluster, &format!("UPDATE moved.clock SET seconds = {seconds}"));
        site.wait_until(Duration::from_secs(5), word, || ready(&address) == 503);
        let readiness = ask(&address, "GET", "/readyz", None, &Value::Null);
        assert_eq!(readiness.body["database"], "clock-differs", "{}", readiness.text);
        // Here the session has expired, by a clock that nobody can trust.
        execute(&cluster, "UPDATE moved.sessions SET last_used_at = last_used_at - 7200");
        let refused = refresh(&address, &signed_in.refresh_token);
        assert_eq!((refused.status, &refused.body["code"]), (503, &json!("database_unavailable")));
        assert_eq!(sessions(), 1, "a session was ended");
        execute(&cluster, "UPDATE moved.sessions SET last_used_at = last_used_at + 7200");
        execute(&cluster, "UPDATE moved.clock SET seconds = 0");
        site.wait_until(Duration::from_secs(5), "ready", || ready(&address) == 200);
    }
    site.replicas[0].wait_for("seconds ahead of the database server's");
    assert_eq!(refresh(&address, &signed_in.refresh_token).status, 200);
    // As far apart as two machines with a time service may be for a moment.
    execute(&cluster, "UPDATE moved.clock SET seconds = -50");
    assert_eq!(ready(&address), 200);
}
