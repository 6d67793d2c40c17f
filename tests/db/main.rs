//! The queries, the migrations, the connections and the loader, on both databases.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../support/databases.rs"]
#[macro_use]
mod databases;
#[path = "../support/postgres.rs"]
mod postgres;

mod connections;
mod loader;
mod migrations;
mod tables;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tokenbooth::clock::Timestamp;
use tokenbooth::db::{Db, DbOptions};
use tokenbooth::metrics::LoaderMetrics;
use tokenbooth::user::{Identity, User, UserId};
use uuid::Uuid;

use crate::databases::TestDatabase;

/// A pool of four, and a loader.
fn open(database: &TestDatabase) -> Db {
    open_with(database, Duration::from_secs(30), &LoaderMetrics { batch_size: Histogram::new([]) })
}

fn open_with(database: &TestDatabase, timeout: Duration, metrics: &LoaderMetrics) -> Db {
    let options = DbOptions { url: database.parsed_url(), pool_size: 4, timeout };
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
        gives_email: true,
        created_at: user.created_at,
        last_used_at: user.created_at,
    }
}
