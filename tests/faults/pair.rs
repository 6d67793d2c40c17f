//! A primary and its standby, which change places.

use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_types::BigInt};

use crate::postgres::Cluster;

/// How long the standby may take to follow, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Pair {
    pub primary: Cluster,
    pub standby: Cluster,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Pair {
    /// `None`, said loudly, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let mut primary = Cluster::start_primary()?;
        let standby = primary.start_standby();
        let pair = Self { primary, standby };
        pair.commits_wait_for_the_standby();
        Some(pair)
    }

    /// The first half of a planned switchover: the primary ends in order, and the standby takes changes.
    pub fn swap(&mut self) {
        execute(&self.primary, "ALTER SYSTEM SET synchronous_standby_names = ''");
        self.primary.stop();
        self.standby.promote();
        // What was copied, or followed, may have it too.
        execute(&self.standby, "ALTER SYSTEM SET synchronous_standby_names = ''");
        execute(&self.standby, "SELECT pg_reload_conf()");
        std::mem::swap(&mut self.primary, &mut self.standby);
    }

    /// The primary freezes, and the standby takes changes. They do not change places again.
    pub fn lose_primary(&mut self) {
        self.primary.pause();
        self.standby.promote();
    }

    /// The second half: the former primary comes back as a standby.
    pub fn former_primary_returns(&mut self) {
        self.standby.follow(self.primary.port());
        self.standby.start();
        self.commits_wait_for_the_standby();
    }

    /// As Patroni does it as soon as there is a standby: what was acknowledged is on both.
    fn commits_wait_for_the_standby(&self) {
        let start = Instant::now();
        let streaming = "SELECT COUNT(*) AS number FROM pg_stat_replication WHERE state = 'streaming'";
        while number(&self.primary, streaming) == 0 {
            assert!(start.elapsed() < PATIENCE, "the standby does not follow");
            thread::sleep(Duration::from_millis(50));
        }
        execute(&self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
        execute(&self.primary, "SELECT pg_reload_conf()");
        let waits = "SELECT COUNT(*) AS number FROM pg_stat_replication WHERE sync_state = 'sync'";
        while number(&self.primary, waits) == 0 {
            assert!(start.elapsed() < PATIENCE, "commits do not wait for the standby");
            thread::sleep(Duration::from_millis(50));
        }
        // Every session has heard of it.
        thread::sleep(Duration::from_millis(300));
    }
}

pub fn execute(cluster: &Cluster, sql: &str) {
    connect(cluster).batch_execute(sql).expect("the test's own statement");
}

pub fn number(cluster: &Cluster, sql: &str) -> i64 {
    let row: Number = diesel::sql_query(sql).get_result(&mut connect(cluster)).expect("the test's own query");
    row.number
}

pub fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::establish(&cluster.url()).expect("the test's own connection")
}
