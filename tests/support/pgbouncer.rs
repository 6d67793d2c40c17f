//! A real PgBouncer, as docs/REPLICAS.md has it, in front of a test's database.

#![allow(dead_code, reason = "each test binary that includes this file uses a part of it")]

use crate::daemon::{Daemon, find_program, say_that_it_is_missing};

/// Of the one user, whom PostgreSQL itself asks for none.
const PASSWORD: &str = "of-the-tests";

/// A running PgBouncer; stopped when dropped.
pub struct PgBouncer {
    daemon: Daemon,
}

impl PgBouncer {
    /// Starts it in front of the database at `url`, of which it opens `sessions` at most. `None`, said loudly, where it is not
    /// installed.
    ///
    /// # Panics
    /// When it does not start, and when `TOKENBOOTH_REQUIRE_PGBOUNCER=1` and there is none.
    pub fn start(url: &str, sessions: u32) -> Option<Self> {
        Self::start_with(url, sessions, "")
    }

    /// The same, with more settings.
    pub fn start_with(url: &str, sessions: u32, settings: &str) -> Option<Self> {
        let Some(program) = find_program("pgbouncer") else {
            say_that_it_is_missing("PGBOUNCER", "pgbouncer", "TOKENBOOTH_REQUIRE_PGBOUNCER");
            return None;
        };
        let url = url::Url::parse(url).expect("a database of the tests");
        let user = url.username();
        let daemon = Daemon::start(&program, &["pgbouncer.ini"], |port| {
            let ini = configuration(&url, sessions, port) + settings;
            vec![("pgbouncer.ini", ini), ("userlist.txt", format!("\"{user}\" \"{PASSWORD}\"\n"))]
        });
        Some(Self { daemon })
    }

    /// The way to `url` through it.
    pub fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).expect("a database of the tests");
        url.set_port(Some(self.daemon.port())).expect("a host");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_password(Some(PASSWORD)).expect("a user");
        url.to_string()
    }

    pub fn port(&self) -> u16 {
        self.daemon.port()
    }

    /// What it said.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// The guide's file with our addresses in it.
fn configuration(url: &url::Url, sessions: u32, port: u16) -> String {
    let database = url.path().trim_start_matches('/');
    let host = url.host_str().unwrap_or("127.0.0.1");
    let password = url.password().map_or_else(String::new, |password| format!(" password={password}"));
    let server = format!("{database} = host={host} port={}{password}", url.port().unwrap_or(5432));
    let mut text = include_str!("../../examples/replicas/pgbouncer.ini").to_owned();
    for (theirs, ours) in [
        ("tokenbooth = host=10.0.0.31 port=5432", server),
        ("dbname=tokenbooth", format!("dbname={database}")),
        ("listen_addr = 10.0.0.21", "listen_addr = 127.0.0.1\nunix_socket_dir =".to_owned()),
        ("listen_port = 6432", format!("listen_port = {port}")),
        ("/etc/pgbouncer/", String::new()),
        ("default_pool_size = 20", format!("default_pool_size = {sessions}")),
    ] {
        assert!(text.contains(theirs), "the example has no {theirs:?}");
        text = text.replace(theirs, &ours);
    }
    text
}
