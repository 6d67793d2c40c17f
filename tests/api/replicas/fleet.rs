//! What runs: PostgreSQL, PgBouncer, two replicas, nginx.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokenbooth::mock::MockProviders;

use crate::databases::TestDatabase;
use crate::postgres::free_port;
use crate::support::app::SECRET;
use crate::support::line::{Line, http_request};
use crate::support::nginx::Nginx;
use crate::support::process::{Running, Tokenbooth};

/// How long a replica may take to be ready, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// As many as in the guide.
const SESSIONS: u32 = 20;

pub struct Fleet {
    pub mock: MockProviders,
    db: TestDatabase,
    nginx: Nginx,
    ports: [u16; 2],
    replicas: [Running; 2],
    /// What earlier processes said.
    gone: String,
}

/// `examples/replicas/nginx.conf` for replicas on these addresses, without TLS.
pub fn site(port: u16, replicas: [&str; 2]) -> String {
    let example = include_str!("../../../examples/replicas/nginx.conf");
    let lines: Vec<&str> = example.lines().filter(|line| !line.trim_start().starts_with("ssl_")).collect();
    let mut site = lines.join("\n");
    for (theirs, ours) in [
        ("listen 443 ssl http2;", format!("listen 127.0.0.1:{port};")),
        ("server 10.0.0.11:8080 ", format!("server {} ", replicas[0])),
        ("server 10.0.0.12:8080 ", format!("server {} ", replicas[1])),
    ] {
        assert!(site.contains(theirs), "the example has no {theirs:?}");
        site = site.replace(theirs, &ours);
    }
    site
}

impl Fleet {
    /// `None`, said loudly, where one of the programs is missing.
    pub async fn start() -> Option<Self> {
        let db = TestDatabase::behind_pgbouncer(SESSIONS)?;
        let ports = [free_port(), free_port()];
        let addresses = ports.map(|port| format!("127.0.0.1:{port}"));
        let nginx = Nginx::start(|port| site(port, [&addresses[0], &addresses[1]]))?;
        let mock = MockProviders::start().await.expect("the mock starts");
        let replicas = ports.map(|port| replica(&mock, &db, &nginx.base, port).start());
        let fleet = Self { mock, db, nginx, ports, replicas, gone: String::new() };
        fleet.wait_until_ready(0);
        fleet.wait_until_ready(1);
        Some(fleet)
    }

    /// Where clients ask.
    pub fn address(&self) -> &str {
        self.nginx.base.strip_prefix("http://").expect("a URL")
    }

    /// Where one replica listens.
    pub fn address_of(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.ports[number])
    }

    /// Ends a replica with this signal, leaves it away for a moment, and starts it again.
    pub fn restart(&mut self, number: usize, signal: &str) {
        let replica = &mut self.replicas[number];
        replica.signal(signal);
        let status = replica.wait();
        assert_eq!(status.success(), signal == "TERM", "{status}: {}", replica.stderr());
        self.gone += &replica.stderr();
        thread::sleep(Duration::from_millis(500));
        let port = self.ports[number];
        self.replicas[number] = self::replica(&self.mock, &self.db, &self.nginx.base, port).start();
        self.wait_until_ready(number);
    }

    /// Runs `tokenbooth <arguments…>` with the replicas' settings and answers what it printed.
    pub fn command(&self, arguments: &[&str]) -> String {
        let command = Tokenbooth::new(arguments);
        let output = configured(command, &self.db, &self.nginx.base).output();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Asserts that each replica, as it runs now, has answered requests that came through nginx.
    pub fn assert_both_serve(&self) {
        for number in 0..2 {
            let metrics = self.ask(number, "/metrics").unwrap_or_default();
            let served = metrics.lines().any(|line| {
                line.starts_with("tokenbooth_http_request_seconds_count")
                    && line.contains(r#"route="/api/me""#)
                    && line.contains(r#"status="200""#)
            });
            assert!(served, "replica {number} served nobody:\n{metrics}");
        }
    }

    /// What nginx had to ask twice.
    pub fn print_retried(&self) {
        let log = self.nginx.log();
        let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
        let refused = count("Connection refused");
        let cut_off = count("prematurely closed") + count("Connection reset by peer") + count("Broken pipe");
        println!("asked the other replica: {refused} times refused, {cut_off} times cut off");
        assert!(refused + cut_off > 0, "nobody asked while a replica was away");
    }

    /// All logs, for a failure.
    pub fn said(&self) -> String {
        let errors = self
            .nginx
            .log()
            .lines()
            .filter(|line| line.contains("[error]"))
            .fold(String::new(), |all, line| all + line + "\n");
        format!(
            "nginx:\n{errors}\nreplicas:\n{}{}{}",
            self.gone,
            self.replicas[0].stderr(),
            self.replicas[1].stderr()
        )
    }

    fn wait_until_ready(&self, number: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask(number, "/readyz").is_none() {
            assert!(Instant::now() < deadline, "not ready:\n{}", self.replicas[number].stderr());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A page of one replica, when it is answered 200.
    fn ask(&self, number: usize, path: &str) -> Option<String> {
        let mut line = Line::open(&self.address_of(number)).ok()?;
        let reply = line.ask(&http_request("GET", path, &[], &Value::Null)).ok()?;
        (reply.status == 200).then_some(reply.text)
    }
}

/// One replica, as the guide has it.
fn replica(mock: &MockProviders, db: &TestDatabase, base: &str, port: u16) -> Tokenbooth {
    configured(Tokenbooth::serving(mock, &db.url), db, base).set("server.port", &port.to_string())
}

/// What the replicas and the commands have in common.
fn configured(command: Tokenbooth, db: &TestDatabase, base: &str) -> Tokenbooth {
    command
        .set("database.url", &db.url)
        // A busy machine is not what is tried.
        .set("database.timeout", "30s")
        .set("token.secret", SECRET)
        .set("server.public_url", base)
        .set("server.trusted_proxies", "127.0.0.1")
}
