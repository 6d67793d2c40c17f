//! Load by wrk: which requests, over how many connections, for how long.

mod outcome;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::process::Command;

pub use self::outcome::Outcome;
use crate::error::{Result, failed};

const SCRIPT: &str = include_str!("replay.lua");
/// Of wrk: half of a machine of four cores, and what keeps a server on two cores busy.
const THREADS: usize = 2;

/// One request each, to be sent in this order.
#[derive(Debug, Clone)]
pub enum Traffic<'a> {
    /// `GET /api/me` with these tokens of ours, over and over.
    Read(&'a [String]),
    /// `POST /auth/google` with these ID tokens, over and over.
    Exchange(&'a [String]),
    /// The same, and each asks for a refresh token.
    OfflineExchange(&'a [String]),
    /// `POST /auth/google`, each token once.
    ExchangeOnce(&'a [String]),
    /// Reads and exchanges in turns, over and over.
    Both(&'a [String], &'a [String]),
}

/// How hard.
#[derive(Debug, Clone, Copy)]
pub struct Pressure {
    /// Connections, each with one request under way at most.
    pub connections: usize,
    /// Seconds.
    pub seconds: u64,
    /// Mean milliseconds between an answer and the connection's next request, evenly spread from none to twice that.
    /// `None`: none at all.
    pub delay: Option<u64>,
}

/// Drives a server at a port of loopback.
///
/// # Errors
/// wrk is missing, or the run is no measurement: see [`Outcome::parse`].
pub fn drive(port: u16, traffic: &Traffic<'_>, pressure: Pressure) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    for thread in 0..THREADS {
        fs::write(folder.path().join(format!("lines.{thread}")), lines(traffic, thread))?;
    }
    let script = folder.path().join("replay.lua");
    let once = matches!(traffic, Traffic::ExchangeOnce(_));
    let delay = pressure.delay.unwrap_or_default();
    let at = folder.path().display();
    fs::write(
        &script,
        format!("FOLDER, HOST, ONCE, DELAY = '{at}', '127.0.0.1:{port}', {once}, {delay}\n{SCRIPT}"),
    )?;
    let output = Command::new("wrk")
        .arg(format!("--threads={THREADS}"))
        .arg(format!("--connections={}", pressure.connections))
        .arg(format!("--duration={}s", pressure.seconds))
        .arg("--timeout=10s")
        .arg("--script")
        .arg(&script)
        .arg(format!("http://127.0.0.1:{port}"))
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed("wrk is missing: apt-get install wrk"),
            _ => error.into(),
        })?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Outcome::parse(&said)
}

/// The lines of one thread: every `THREADS`th, so that no two threads send the same token at the same time.
fn lines(traffic: &Traffic<'_>, thread: usize) -> String {
    let mut text = String::new();
    let mut add = |kind: &str, tokens: &[String]| {
        for token in tokens {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{kind} {token}");
        }
    };
    let share = |tokens: &[String]| -> Vec<String> {
        // A single token is everybody's.
        let first = if tokens.len() < THREADS { 0 } else { thread };
        tokens.iter().skip(first).step_by(THREADS).cloned().collect()
    };
    match traffic {
        Traffic::Read(tokens) => add("read", &share(tokens)),
        Traffic::Exchange(tokens) | Traffic::ExchangeOnce(tokens) => add("exchange", &share(tokens)),
        Traffic::OfflineExchange(tokens) => add("offline", &share(tokens)),
        Traffic::Both(ours, theirs) => {
            for (our, their) in share(ours).iter().zip(&share(theirs)) {
                add("read", std::slice::from_ref(our));
                add("exchange", std::slice::from_ref(their));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn threads_share_the_tokens_without_overlap() {
        let all = tokens(&["a", "b", "c"]);
        assert_eq!(lines(&Traffic::Read(&all), 0), "read a\nread c\n");
        assert_eq!(lines(&Traffic::ExchangeOnce(&all), 1), "exchange b\n");
        assert_eq!(lines(&Traffic::OfflineExchange(&all), 1), "offline b\n");
        assert_eq!(lines(&Traffic::Both(&all, &tokens(&["x", "y"])), 0), "read a\nexchange x\n");
    }

    #[test]
    fn a_single_token_is_everybodys() {
        let one = tokens(&["a"]);
        assert_eq!(lines(&Traffic::Read(&one), 0), lines(&Traffic::Read(&one), 1));
    }
}
