//! The queries, the migrations, the connections and the loader, on both databases.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
mod daemon;
#[path = "../support/databases.rs"]
#[macro_use]
mod databases;
#[path = "../support/pgbouncer.rs"]
mod pgbouncer;
#[path = "../support/postgres.rs"]
mod postgres;

mod connections;
mod copy;
mod loader;
mod migrations;
mod pooler;
mod retention;
mod search;
mod tables;
mod waits;
mod writer;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokenbooth::clock::Timestamp;
use tokenbooth::db::{Db, DbError, DbOptions, PreparedStatements, Synchronous};
use tokenbooth::metrics::RoundMetrics;
use tokenbooth::recent_sign_ins::RecentSignIns;
use tokenbooth::session::{HashedToken, Place, Session};
use tokenbooth::user::{BearerKey, Identity, User, UserId};
use uuid::Uuid;

use crate::databases::TestDatabase;

/// A pool of four, the loaders and the writer.
async fn load(db: &Db, user_id: UserId) -> Result<Option<User>, DbError> {
    let bearer = db.bearer(BearerKey { user_id, session_id: None }).await?;
    Ok(bearer.map(|bearer| bearer.user))
}

fn open(database: &TestDatabase) -> Db {
    open_with(database, Duration::from_secs(30), &RoundMetrics::default())
}

fn open_with(database: &TestDatabase, timeout: Duration, metrics: &RoundMetrics) -> Db {
    let options = DbOptions {
        url: database.parsed_url(),
        prepared_statements: PreparedStatements::Detect,
        pool_size: 4,
        timeout,
        max_lifetime: Duration::from_mins(5),
        synchronous: Synchronous::Full,
    };
    Db::connect(options, metrics).expect("the database is there")
}

/// A user like no other, with nothing special about it.
fn somebody() -> User {
    static MOMENT: AtomicI64 = AtomicI64::new(1_700_000_000);
    let now = Timestamp(MOMENT.fetch_add(1, Ordering::Relaxed));
    User {
        id: UserId::generate(),
        email: Some(format!("{}@example.com", Uuid::new_v4().simple())),
        name: Some("Somebody".to_owned()),
        avatar_url: None,
        admin: false,
        disabled: false,
        token_version: 0,
        created_at: now,
        last_login_at: Some(now),
        own_name: false,
        own_avatar: false,
        has_password: false,
        revoked_at: None,
    }
}

/// A way in for this user.
fn identity_of(user: &User, provider: &str, provider_id: &str) -> Identity {
    Identity {
        id: Uuid::now_v7(),
        user_id: user.id,
        provider: provider.to_owned(),
        provider_id: provider_id.to_owned(),
        email: user.email.clone(),
        verified_email: user.email.clone(),
        gives_email: true,
        created_at: user.created_at,
        last_used_at: user.created_at,
        recent_sign_ins: RecentSignIns::default(),
    }
}

/// The rounds' own counts, to be read.
struct Rounds {
    registry: Registry,
    metrics: RoundMetrics,
}

impl Rounds {
    fn new() -> Self {
        let mut registry = Registry::default();
        let mut counted = |name: &str| {
            let sizes = Histogram::new([1.0]);
            registry.register(name, "Requests in one round", sizes.clone());
            sizes
        };
        let metrics = RoundMetrics {
            users: counted("users"),
            identities: counted("identities"),
            clients: counted("clients"),
            writes: counted("writes"),
            pool_waits: counted("pool_waits"),
            writer_waits: counted("writer_waits"),
        };
        Self { registry, metrics }
    }

    /// (rounds, requests in all of them)
    fn count(&self, kind: &str) -> (u64, u64) {
        let whole = |value: String| value.split('.').next().and_then(|number| number.parse().ok());
        let value = |name| whole(self.value(&format!("{kind}_{name}"))).expect("a whole number");
        (value("count"), value("sum"))
    }

    /// (how many waited, seconds in all)
    fn waits(&self, kind: &str) -> (u64, f64) {
        let value = |name| self.value(&format!("{kind}_{name}"));
        (value("count").parse().expect("a number"), value("sum").parse().expect("a number"))
    }

    fn value(&self, name: &str) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a text");
        let line = text.lines().find(|line| line.starts_with(name)).expect("a metric");
        line.rsplit(' ').next().expect("a value").to_owned()
    }
}

fn session_of(user: &User) -> Session {
    Session {
        id: Uuid::now_v7(),
        user_id: user.id,
        token_version: user.token_version,
        handle: HashedToken(Uuid::new_v4().to_string()),
        secret: HashedToken(Uuid::new_v4().to_string()),
        previous: None,
        place: Place::default(),
        created_at: user.created_at,
        last_used_at: user.created_at,
        authentication: None,
        repeats: 0,
    }
}
