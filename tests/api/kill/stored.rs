//! The database while nobody serves it: read past the service, and compared with itself.

use std::collections::{HashMap, HashSet};

use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use tokenbooth::db::{self, DbConn};

use crate::databases::TestDatabase;

#[derive(QueryableByName)]
pub struct User {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Bool)]
    pub has_password: bool,
    #[diesel(sql_type = Bool)]
    has_email: bool,
}

#[derive(QueryableByName)]
pub struct Identity {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    pub provider: String,
    #[diesel(sql_type = Text)]
    pub provider_id: String,
}

#[derive(QueryableByName)]
pub struct Session {
    #[diesel(sql_type = Text)]
    pub user_id: String,
    #[diesel(sql_type = Text)]
    handle_hash: String,
    #[diesel(sql_type = Text)]
    pub secret_hash: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub previous_secret_hash: Option<String>,
}

#[derive(Debug, QueryableByName)]
pub struct Event {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub request_id: Option<String>,
    #[diesel(sql_type = Text)]
    pub detail: String,
}

#[derive(QueryableByName)]
struct Ended {
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(QueryableByName)]
pub struct Number {
    #[diesel(sql_type = BigInt)]
    pub number: i64,
}

/// Everything there is.
pub struct Stored {
    pub users: HashMap<String, User>,
    /// By user.
    pub identities: HashMap<String, Vec<Identity>>,
    /// By handle.
    pub sessions: HashMap<String, Session>,
    /// By id.
    pub ended_sessions: HashSet<String>,
}

impl Stored {
    pub fn read(conn: &mut DbConn) -> Self {
        let users =
            "SELECT id, password_hash IS NOT NULL AS has_password, email IS NOT NULL AS has_email FROM users";
        let identities = "SELECT id, user_id, provider, provider_id FROM identities";
        let sessions = "SELECT user_id, handle_hash, secret_hash, previous_secret_hash FROM sessions";
        let ended: Vec<Ended> =
            sql_query("SELECT id FROM ended_sessions").load(conn).expect("ended sessions");
        let users: Vec<User> = sql_query(users).load(conn).expect("users");
        let rows: Vec<Identity> = sql_query(identities).load(conn).expect("identities");
        let sessions: Vec<Session> = sql_query(sessions).load(conn).expect("sessions");
        let mut identities: HashMap<String, Vec<Identity>> = HashMap::new();
        for row in rows {
            identities.entry(row.user_id.clone()).or_default().push(row);
        }
        Self {
            users: users.into_iter().map(|row| (row.id.clone(), row)).collect(),
            identities,
            sessions: sessions.into_iter().map(|row| (row.handle_hash.clone(), row)).collect(),
            ended_sessions: ended.into_iter().map(|row| row.id).collect(),
        }
    }

    pub fn assert_whole(&self) {
        for owner in self.identities.keys().chain(self.sessions.values().map(|row| &row.user_id)) {
            assert!(
                self.users.contains_key(owner),
                "an identity or a session of {owner}, who does not exist"
            );
        }
        let mut keys: Vec<_> =
            self.identities.values().flatten().map(|row| (&row.provider, &row.provider_id)).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all, "an identity with two owners");
        for user in self.users.values() {
            let way_in = self.identities.contains_key(&user.id) || user.has_password && user.has_email;
            assert!(way_in, "{} has no way in", user.id);
        }
    }

    pub fn has_identity(&self, provider: &str, provider_id: &str) -> bool {
        let mut all = self.identities.values().flatten();
        all.any(|row| (row.provider.as_str(), row.provider_id.as_str()) == (provider, provider_id))
    }
}

/// What the audit trail says of one user, in numbers.
#[derive(Debug, Default)]
struct Life {
    first: usize,
    linked: usize,
    unlinked: usize,
    deleted: usize,
}

/// The audit trail, read to its end so far.
#[derive(Default)]
pub struct Trail {
    last: String,
    lives: HashMap<String, Life>,
}

impl Trail {
    /// Reads everything, asserts that tables and events tell the same story, and answers with the events that are new, by
    /// request.
    pub fn read(&mut self, db: &TestDatabase) -> (Stored, HashMap<String, Vec<Event>>) {
        let mut conn = db::connect(&db.parsed_url()).expect("the test's own connection");
        let stored = Stored::read(&mut conn);
        let last = &self.last;
        let events = format!(
            // Rejected sign-ins are counted for many requests together.
            "SELECT id, kind, user_id, request_id, detail FROM events WHERE id > '{last}' AND kind <> 'sign_in.refused' ORDER BY id"
        );
        let events: Vec<Event> = sql_query(events).load(&mut conn).expect("events");
        let mut news: HashMap<String, Vec<Event>> = HashMap::new();
        for event in events {
            self.last.clone_from(&event.id);
            self.count(&event);
            let request_id = event.request_id.clone().expect("whoever asks here names the request");
            news.entry(request_id).or_default().push(event);
        }
        stored.assert_whole();
        self.assert_told_by(&stored);
        (stored, news)
    }

    fn count(&mut self, event: &Event) {
        let Some(user_id) = event.user_id.clone() else { return };
        let life = self.lives.entry(user_id).or_default();
        match event.kind.as_str() {
            "sign_in.first" => life.first += 1,
            "identity.linked" => life.linked += 1,
            "identity.unlinked" => life.unlinked += 1,
            "user.deleted" => life.deleted += 1,
            _ => {}
        }
    }

    fn assert_told_by(&self, stored: &Stored) {
        for user in stored.users.keys() {
            assert!(self.lives.contains_key(user), "{user} came without an event");
        }
        for (user, life) in &self.lives {
            let there = usize::from(stored.users.contains_key(user));
            assert_eq!((life.first, life.deleted), (1, 1 - there), "{user}: {life:?}");
            // Those of a deleted user went with the user, and have no event of their own.
            let identities = stored.identities.get(user).map_or(0, Vec::len);
            let ever = identities + life.unlinked;
            assert!(
                there == 0 || ever == life.first + life.linked,
                "{user}: {identities} identities, {life:?}"
            );
        }
    }
}

/// PostgreSQL goes on with what it was told until it notices that nobody listens: a commit may come after the kill.
pub fn wait_until_at_rest(db: &TestDatabase) {
    if !db.url.starts_with("postgres") {
        return;
    }
    let mut conn = db::connect(&db.parsed_url()).expect("the test's own connection");
    let others = "SELECT COUNT(*) AS number FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    for _ in 0..2000 {
        let row: Number = sql_query(others).get_result(&mut conn).expect("a number");
        if row.number == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("somebody is still connected");
}
