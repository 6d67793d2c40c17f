//! `kill -9`, again and again, while many clients sign in, refresh, link, set passwords and leave: what was answered stays,
//! what was not answered is done whole or not at all, and tables and audit trail tell one story.

mod account;
mod chance;
mod client;
mod confirm;
mod deed;
mod disk;
mod power_cut;
mod stored;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokenbooth::mock::MockProviders;

use self::chance::Chance;
use self::client::{Client, CutOff};
use self::stored::{Trail, wait_until_at_rest};
use crate::databases::TestDatabase;
use crate::support::line::{Line, http_request};
use crate::support::process::{Running, Tokenbooth};

const KILLS: u32 = 100;
/// More than the service has workers and connections, so that every moment has a transaction in it.
const CLIENTS: usize = 24;
/// The rows are looked at after each kill; what they are good for over HTTP, after so many.
const KILLS_BETWEEN_CONFIRMATIONS: u32 = 5;
/// In milliseconds after the service said that it was ready: most of them early, and some late enough for what takes long.
const EARLY: Range<u64> = 20..150;
const LATE: Range<u64> = 150..600;

/// How many requests of a kind were cut off: done, not done, and no telling.
#[derive(Default)]
struct Report(BTreeMap<&'static str, [u32; 3]>);

impl Report {
    fn add(&mut self, CutOff { deed, done }: &CutOff) {
        let column = match done {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        };
        self.0.entry(deed.name()).or_default()[column] += 1;
    }

    /// A test whose kills hit nothing proves nothing.
    fn assert_telling(&self) {
        for (kind, counts) in &self.0 {
            println!(
                "cut off: {kind:18} done {:4}, not done {:4}, unknown {:4}",
                counts[0], counts[1], counts[2]
            );
        }
        for column in 0..2 {
            assert!(self.0.values().any(|counts| counts[column] > 0), "every kill came at the same moment");
        }
    }
}

fn serving(mock: &MockProviders, db: &TestDatabase) -> Tokenbooth {
    Tokenbooth::serving(mock, &db.url)
        // Its default has the port in it, which is another one each time.
        .set("token.issuer", "https://tokenbooth.example.com")
        // The request ids of the clients are looked for in the audit trail.
        .set("server.trusted_proxies", "127.0.0.1")
        // A client may come back late: the machine is busy.
        .set("refresh.grace", "1h")
        .set("password.memory_kib", "64")
        .set("password.iterations", "1")
        // The request ids of strangers are not stored.
        .set("server.trusted_proxies", "127.0.0.1")
}

/// Waits until the keys of the providers are there too, and answers with the address.
fn ready(running: &mut Running) -> String {
    let url = running.url();
    let address = url.strip_prefix("http://").expect("a URL").to_owned();
    let mut line = Line::open(&address).expect("a connection");
    let start = Instant::now();
    while line.ask(&http_request("GET", "/readyz", &[], &Value::Null)).expect("an answer").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not become ready");
        thread::sleep(Duration::from_millis(5));
    }
    address
}

fn all_at_once(clients: &mut [Client], what: impl Fn(&mut Client) + Sync) {
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| what(client));
        }
    });
}

/// With the service dead: what was answered is in the database. Answers with what was cut off.
fn settle(db: &TestDatabase, trail: &mut Trail, clients: &mut [Client]) -> Vec<CutOff> {
    let (stored, mut news) = trail.read(db);
    let cut_off = clients.iter_mut().filter_map(|client| client.settle(&stored, &mut news)).collect();
    // The passwords that were tried besides.
    news.retain(|_, events| events.iter().any(|event| event.kind != "sign_in.succeeded"));
    assert!(news.is_empty(), "events of nothing that was asked for: {news:?}");
    cut_off
}

/// One life of the service, and its end.
fn serve_and_kill(running: &mut Running, address: &str, clients: &mut [Client], moment: Duration) {
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| client.work(address));
        }
        thread::sleep(moment);
        running.signal("KILL");
    });
    let status = running.wait();
    assert_eq!(status.signal(), Some(9), "it ended by itself ({status}):\n{}", running.stderr());
}

on_both_databases! {
    async fn whenever_it_is_killed_what_was_answered_stays_and_the_rest_is_whole_or_not_at_all(db: TestDatabase) {
        let seed = std::env::var("TOKENBOOTH_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(()));
        // Shown when the test fails.
        println!("TOKENBOOTH_KILL_SEED={seed} makes the same choices again, although not the same moments");
        let mut chance = Chance::new(seed);
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut clients: Vec<Client> =
            (0..CLIENTS).map(|number| Client::new(&mock, number, chance.below(u64::MAX))).collect();
        let (mut trail, mut report) = (Trail::default(), Report::default());
        for kill in 0..KILLS {
            let mut running = serving(&mock, &db).start();
            let address = ready(&mut running);
            if kill % KILLS_BETWEEN_CONFIRMATIONS == 0 {
                all_at_once(&mut clients, |client| client.confirm(&address));
            }
            let moments = if chance.below(4) == 0 { LATE } else { EARLY };
            let moment = Duration::from_millis(moments.start + chance.below(moments.end - moments.start));
            serve_and_kill(&mut running, &address, &mut clients, moment);
            wait_until_at_rest(&db);
            for cut_off in settle(&db, &mut trail, &mut clients) {
                report.add(&cut_off);
            }
        }
        let mut running = serving(&mock, &db).start();
        let address = ready(&mut running);
        all_at_once(&mut clients, |client| client.confirm(&address));
        report.assert_telling();
    }
}
