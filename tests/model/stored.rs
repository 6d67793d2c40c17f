//! The database that models are compared with: replicas of the service, and users.

use std::fmt::Debug;
use std::time::Duration;

use tokenbooth::clock::Timestamp;
use tokenbooth::db::{Db, DbConn, DbError, DbOptions, PreparedStatements, Synchronous, users};
use tokenbooth::event::{Actor, Origin};
use tokenbooth::metrics::RoundMetrics;
use tokenbooth::recent_sign_ins::RecentSignIns;
use tokenbooth::settings::{Settings, Sources};
use tokenbooth::user::{Identity, User, UserId};
use uuid::Uuid;

use crate::databases::TestDatabase;

/// When every trace begins.
pub const BEGINNING: Timestamp = Timestamp(1_800_000_000);

/// Opens the database as a replica of the service does.
pub fn replica(database: &TestDatabase) -> Db {
    let options = DbOptions {
        url: database.parsed_url(),
        prepared_statements: PreparedStatements::Detect,
        pool_size: 4,
        timeout: Duration::from_secs(30),
        max_lifetime: Duration::from_mins(5),
        // A power cut is another test's subject.
        synchronous: Synchronous::Normal,
    };
    Db::connect(options, &RoundMetrics::default()).expect("the database is there")
}

pub fn settings() -> Settings {
    let sources = Sources::defaults().with("token.secret", "the-secret-of-the-tests-0123456789abcdef");
    sources.load().expect("good settings")
}

/// Stores a new user.
pub async fn new_user(db: &Db, user: User) -> User {
    let stored = user.clone();
    write(db, move |conn| users::insert(conn, &stored)).await;
    user
}

/// Returns a user like no other, with nothing special about it.
pub fn somebody() -> User {
    let id = UserId::generate();
    User {
        id,
        email: Some(format!("{id}@example.com")),
        name: Some("Somebody".to_owned()),
        avatar_url: None,
        admin: false,
        disabled: false,
        token_version: 0,
        created_at: BEGINNING,
        last_login_at: Some(BEGINNING),
        own_name: false,
        own_avatar: false,
        has_password: false,
        revoked_at: None,
    }
}

/// Returns the user as it is stored, if it is.
pub async fn find(db: &Db, id: UserId) -> Option<User> {
    write(db, move |conn| users::find(conn, id)).await
}

/// Runs queries of the test's own in a transaction.
pub async fn write<T: Send + 'static>(
    db: &Db,
    queries: impl FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
) -> T {
    db.write(queries).await.expect("the test's own queries")
}

pub fn origin(at: Timestamp) -> Origin {
    Origin { actor: Actor::Stranger, ip: None, request_id: None, at }
}

/// Compares what is stored with what the model has.
///
/// # Errors
/// Returns both if they differ.
pub fn same<T: PartialEq + Debug + Copy>(what: &str, stored: T, model: T) -> Result<(), String> {
    if stored == model {
        Ok(())
    } else {
        Err(format!("{what}: {stored:?} is stored, the model has {model:?}"))
    }
}

/// Returns an identity of this user, which gave the address.
pub fn identity_of(user: &User) -> Identity {
    Identity {
        id: Uuid::now_v7(),
        user_id: user.id,
        provider: "google".to_owned(),
        provider_id: user.id.to_string(),
        email: user.email.clone(),
        verified_email: user.email.clone(),
        gives_email: true,
        created_at: BEGINNING,
        last_used_at: BEGINNING,
        recent_sign_ins: RecentSignIns::default(),
    }
}
