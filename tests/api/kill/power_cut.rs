//! A power cut, on SQLite: what was answered is on the disk (`database.synchronous`). PostgreSQL has a write-ahead log of its own.

use std::time::Duration;

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use serde_json::{Value, json};
use tokenbooth::db::{self, DatabaseUrl, DbConn};
use tokenbooth::mock::{MockProviders, Person};

use super::chance::Chance;
use super::client::{Client, ask};
use super::deed::Tokens;
use super::disk::Disk;
use super::stored::{Number, Stored, Trail};
use super::{all_at_once, ready, serve_and_kill, serving, settle};
use crate::databases::TestDatabase;
use crate::support::app::SECRET;
use crate::support::line::{Line, Reply};
use crate::support::process::{Running, Tokenbooth};

const CLIENTS: usize = 8;
const CUTS: u32 = 8;

/// A service on a [`Disk`], and one person who uses it.
struct Site {
    mock: MockProviders,
    db: TestDatabase,
    disk: Disk,
    _running: Running,
    line: Line,
    tokens: Option<Tokens>,
}

impl Site {
    async fn start(synchronous: &str, disk: impl FnOnce(&TestDatabase) -> Disk) -> Self {
        let (mock, db) = (MockProviders::start().await.expect("the mock starts"), TestDatabase::sqlite());
        let disk = disk(&db);
        let mut running = disk.of(serving(&mock, &db)).set("database.synchronous", synchronous).start();
        let line = Line::open(&ready(&mut running)).expect("a connection");
        Self { mock, db, disk, _running: running, line, tokens: None }
    }

    /// Sends a request as the person, and keeps the tokens of the response.
    fn send(&mut self, method: &str, path: &str, body: Value) -> Reply {
        let request = (method, path.to_owned(), body);
        let reply = ask(&mut self.line, "request", request, self.tokens.clone()).expect("a response");
        assert!((200..300).contains(&reply.status), "{method} {path}: {}", reply.text);
        let text = |name: &str| reply.body[name].as_str().map(str::to_owned);
        if let (Some(access), Some(refresh)) = (text("access_token"), text("refresh_token")) {
            self.tokens = Some(Tokens { access, refresh });
        }
        reply
    }

    fn sign_in(&mut self) -> Reply {
        let token = self.mock.google().access_token(Person::named("alice"));
        self.tokens = None;
        self.send("POST", "/auth/google", json!({ "access_token": token, "scope": "offline_access" }))
    }

    /// Runs a command on the same disk, and answers with what it printed.
    fn run(&self, arguments: &[&str]) -> String {
        let command =
            Tokenbooth::new(arguments).set("database.url", &self.db.url).set("token.secret", SECRET);
        let output = self.disk.of(command).output();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a power cut at this moment would leave has a row of this kind.
    #[track_caller]
    fn assert_survives(&self, rows: &str) {
        assert!(self.survives(rows), "lost in a power cut after it was answered: {rows}");
    }

    fn survives(&self, rows: &str) -> bool {
        let (_folder, url) = self.disk.cut();
        let query = format!("SELECT COUNT(*) AS number FROM {rows}");
        sql_query(query).get_result::<Number>(&mut open(&url)).expect("a number").number > 0
    }
}

#[derive(QueryableByName)]
struct Integrity {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

fn open(url: &str) -> DbConn {
    db::connect(&DatabaseUrl::parse(url).expect("a URL")).expect("the database opens")
}

#[actix_web::test]
async fn every_kind_of_change_is_on_the_disk_when_it_is_answered() {
    let mut site = Site::start("full", |db| Disk::under(db).with_history()).await;
    let alice = site.sign_in().body["user"]["id"].as_str().expect("an id").to_owned();
    site.assert_survives("users u JOIN identities i ON i.user_id = u.id JOIN sessions s ON s.user_id = u.id");

    let refresh = site.tokens.clone().expect("tokens").refresh;
    site.send("POST", "/auth/refresh", json!({ "refresh_token": refresh }));
    site.assert_survives("sessions WHERE previous_secret_hash IS NOT NULL");

    let second = site.mock.google().access_token(Person::named("second"));
    let linked = site.send("POST", "/api/me/identities/google", json!({ "access_token": second }));
    site.assert_survives("identities GROUP BY user_id HAVING COUNT(*) = 2");
    let linked = linked.body["id"].as_str().expect("an id").to_owned();
    site.send("DELETE", &format!("/api/me/identities/{linked}"), Value::Null);
    site.assert_survives("identities GROUP BY user_id HAVING COUNT(*) = 1");
    site.assert_survives("removed_identities");
    site.sign_in();

    let password = "a password that nobody else has";
    site.send("PUT", "/api/me/password", json!({ "new_password": password }));
    site.assert_survives("users WHERE password_hash IS NOT NULL");
    site.send("DELETE", "/api/me/password", json!({ "current_password": password }));
    site.assert_survives("users WHERE password_hash IS NULL");
    site.sign_in();
    site.send("PATCH", "/api/me", json!({ "name": "Alice Liddell" }));
    site.assert_survives("users WHERE name = 'Alice Liddell'");

    let refresh = site.tokens.clone().expect("tokens").refresh;
    site.send("POST", "/auth/logout", json!({ "refresh_token": refresh }));
    site.assert_survives("ended_sessions");
    site.sign_in();
    let versions = "users WHERE token_version = ";
    let before = site.db.number("SELECT token_version AS number FROM users");
    site.send("POST", "/auth/logout-all", Value::Null);
    site.assert_survives(&format!("{versions}{}", before + 1));

    // An administrator, by the service and on the command line.
    site.run(&["user", "promote", &alice]);
    site.assert_survives("users WHERE admin");
    let of_bob = json!({ "access_token": site.mock.google().access_token(Person::named("bob")) });
    let bob =
        site.send("POST", "/auth/google", of_bob).body["user"]["id"].as_str().expect("an id").to_owned();
    site.sign_in();
    let users = "/api/admin/users";
    site.send("PATCH", &format!("{users}/{bob}"), json!({ "disabled": true }));
    site.assert_survives(&format!("users WHERE id = '{bob}' AND disabled"));
    site.send("PATCH", &format!("{users}/{bob}"), json!({ "disabled": false, "admin": true }));
    site.assert_survives(&format!("users WHERE id = '{bob}' AND admin AND NOT disabled"));
    site.send("PATCH", &format!("{users}/{bob}"), json!({ "admin": false }));
    site.assert_survives(&format!("users WHERE id = '{bob}' AND NOT admin"));
    site.run(&["user", "disable", &bob]);
    site.assert_survives(&format!("users WHERE id = '{bob}' AND disabled"));

    let client: Value = serde_json::from_str(&site.run(&["client", "create", "reports"])).expect("JSON");
    let id = client["client_id"].as_str().expect("an id");
    site.assert_survives(&format!("clients WHERE id = '{id}'"));
    site.run(&["client", "rotate", id]);
    site.assert_survives("clients WHERE previous_secret_hash IS NOT NULL");
    site.run(&["client", "disable", id]);
    site.assert_survives("clients WHERE disabled");
    let first = site.run(&["keys", "rotate"]);
    site.assert_survives("signing_keys");
    site.run(&["keys", "rotate"]);
    site.run(&["keys", "retire", first.trim(), "--force"]);
    site.assert_survives("signing_keys WHERE retired_at IS NOT NULL");

    site.run(&["user", "demote", &alice]);
    site.assert_survives(&format!("users WHERE id = '{alice}' AND NOT admin"));
    site.sign_in();
    site.send("DELETE", "/api/me", Value::Null);
    site.assert_survives("events WHERE kind = 'user.deleted'");
    assert!(!site.survives(&format!("users WHERE id = '{alice}'")));

    // Cut at any other moment it is whole, too: all of a change or nothing.
    let mut cuts = 0;
    for (_folder, url) in site.disk.cuts() {
        let conn = &mut open(&url);
        let check: Integrity = sql_query("PRAGMA integrity_check").get_result(conn).expect("a result");
        assert_eq!(check.integrity_check, "ok");
        Stored::read(conn).assert_whole();
        cuts += 1;
    }
    assert!(cuts > 30, "only {cuts} syncs");
}

/// Or nothing of the above would prove anything.
#[actix_web::test]
async fn with_normal_synchronization_a_power_cut_undoes_what_was_answered() {
    let mut site = Site::start("normal", Disk::under).await;
    site.sign_in();
    assert_eq!(site.db.count("users"), 1);
    assert!(!site.survives("users"));
}

#[actix_web::test]
async fn whenever_the_power_is_cut_what_was_answered_stays_and_the_rest_is_whole_or_not_at_all() {
    let (mock, db) = (MockProviders::start().await.expect("the mock starts"), TestDatabase::sqlite());
    let (disk, mut chance) = (Disk::under(&db), Chance::new(14));
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|number| Client::new(&mock, number, chance.below(u64::MAX))).collect();
    let mut trail = Trail::default();
    for _ in 0..CUTS {
        disk.power_on();
        let mut running = disk.of(serving(&mock, &db)).start();
        let address = ready(&mut running);
        serve_and_kill(&mut running, &address, &mut clients, Duration::from_millis(100 + chance.below(300)));
        disk.lose_what_is_not_synced();
        settle(&db, &mut trail, &mut clients);
    }
    let mut running = serving(&mock, &db).start();
    let address = ready(&mut running);
    all_at_once(&mut clients, |client| client.confirm(&address));
}
