//! Clients that go on while PostgreSQL changes under them, and what holds whatever happens:
//!
//! - a valid request is answered as it should be, or 503 inside the window that a scenario states;
//! - a token that was revoked, and whose revocation was acknowledged, is never accepted;
//! - a change that was acknowledged is read by whoever reads afterwards;
//! - a refresh token whose response was lost is exchanged at the next try: no session ends without cause.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::site::{SignedIn, Site, ask, log_out_everywhere, me, try_to_ask};
use crate::support::line::Reply;

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(20);

/// What went wrong, and whether 503 is right at the moment.
pub struct Record {
    start: Instant,
    over: AtomicBool,
    /// A fault is under way, or was a moment ago.
    window: AtomicBool,
    right: AtomicUsize,
    refused: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Record {
    /// States that 503 is right from now on.
    pub fn open_window(&self) {
        self.window.store(true, Ordering::SeqCst);
    }

    /// States that 503 is wrong from now on. Requests that began before are let off.
    pub fn close_window(&self) {
        self.window.store(false, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn wrong(&self, what: &str) {
        let at = self.start.elapsed();
        self.wrong.lock().expect("no panic").push(format!("{at:?}: {what}"));
    }

    /// Asks, and answers with a status other than 503. A 503 outside of the window is wrong.
    fn patiently(&self, what: &str, mut request: impl FnMut() -> io::Result<Reply>) -> Option<Reply> {
        loop {
            let in_window = self.window.load(Ordering::SeqCst);
            match request() {
                Ok(reply) if reply.status != 503 => {
                    self.right.fetch_add(1, Ordering::SeqCst);
                    return Some(reply);
                }
                Ok(_) if in_window || self.window.load(Ordering::SeqCst) => {
                    self.refused.fetch_add(1, Ordering::SeqCst);
                }
                Ok(reply) => self.wrong(&format!("{what}: {} {}", reply.status, reply.text)),
                Err(error) => self.wrong(&format!("{what}: {error}")),
            }
            if self.is_over() {
                return None;
            }
            thread::sleep(PAUSE * 5);
        }
    }

    /// As [`Record::patiently`], and wrong unless it is this status.
    fn expect(&self, what: &str, status: u16, request: impl FnMut() -> io::Result<Reply>) -> Option<Reply> {
        let reply = self.patiently(what, request)?;
        if reply.status != status {
            self.wrong(&format!("{what}: {} instead of {status}: {}", reply.status, reply.text));
            return None;
        }
        Some(reply)
    }
}

/// Has clients work while `operator` does its part, and asserts that nothing went wrong.
pub fn while_clients_work(site: &Site, operator: impl FnOnce(&Record)) {
    let record = Record {
        start: Instant::now(),
        over: AtomicBool::new(false),
        window: AtomicBool::new(false),
        right: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        wrong: Mutex::default(),
    };
    let people = ["reader", "keeper", "renamer", "leaver"].map(|name| site.sign_in(name));
    let [reader, keeper, renamer, leaver] = people;
    thread::scope(|scope| {
        let record = &record;
        scope.spawn(move || read(site, record, &reader));
        scope.spawn(move || keep(site, record, &keeper));
        scope.spawn(move || rename(site, record, &renamer));
        scope.spawn(move || leave(site, record, leaver));
        // Also when the operator's part fails.
        let _end = End(&record.over);
        thread::sleep(PAUSE * 10);
        operator(record);
        thread::sleep(PAUSE * 10);
    });
    let (right, refused) = (record.right.into_inner(), record.refused.into_inner());
    println!("{right} requests, {refused} more refused in the window");
    let wrong = record.wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), site.said());
    assert!(right > 20, "only {right} requests");
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The replicas, one after the other.
fn in_turn(site: &Site) -> impl Iterator<Item = &String> {
    site.addresses.iter().cycle()
}

fn read(site: &Site, record: &Record, who: &SignedIn) {
    for address in in_turn(site).take_while(|_| !record.is_over()) {
        record.expect("a read", 200, || try_to_ask(address, "GET", "/api/me", Some(&who.jwt), &Value::Null));
        thread::sleep(PAUSE);
    }
}

/// Refreshes again and again. A response that was lost in a 503 is asked for once more, with the same token.
fn keep(site: &Site, record: &Record, who: &SignedIn) {
    let mut token = who.refresh_token.clone();
    for address in in_turn(site).take_while(|_| !record.is_over()) {
        let body = json!({ "refresh_token": token });
        let reply =
            record.expect("a refresh", 200, || try_to_ask(address, "POST", "/auth/refresh", None, &body));
        let next = reply.and_then(|reply| reply.body["refresh_token"].as_str().map(str::to_owned));
        if let Some(next) = next {
            token = next;
        }
        thread::sleep(PAUSE * 3);
    }
}

/// Changes a name, and reads it from the other replica.
fn rename(site: &Site, record: &Record, who: &SignedIn) {
    for (number, address) in in_turn(site).enumerate().take_while(|_| !record.is_over()) {
        let name = format!("name {number}");
        let body = json!({ "name": name });
        let jwt = Some(who.jwt.as_str());
        let Some(_) = record.expect("a change", 200, || try_to_ask(address, "PATCH", "/api/me", jwt, &body))
        else {
            continue;
        };
        let other = &site.addresses[(number + 1) % site.addresses.len()];
        let read = record.expect("a read", 200, || try_to_ask(other, "GET", "/api/me", jwt, &Value::Null));
        if read.is_some_and(|reply| reply.body["name"] != name.as_str()) {
            record.wrong(&format!("an acknowledged change is lost: {name}"));
        }
        thread::sleep(PAUSE * 2);
    }
}

/// Signs in, logs out everywhere, and tries the token again and again from then on.
fn leave(site: &Site, record: &Record, first: SignedIn) {
    let (mut who, mut revoked) = (first, Vec::new());
    for (number, address) in in_turn(site).enumerate().take_while(|_| !record.is_over()) {
        // 401: the one before was carried out and its response lost.
        let out = record.patiently("a logout", || {
            try_to_ask(address, "POST", "/auth/logout-all", Some(&who.jwt), &Value::Null)
        });
        match out.map(|reply| reply.status) {
            Some(204 | 401) => revoked.push(who.jwt.clone()),
            Some(status) => record.wrong(&format!("a logout: {status}")),
            None => return,
        }
        for jwt in &revoked {
            for address in &site.addresses {
                if me(address, jwt) == 200 {
                    record.wrong("a token is accepted that was revoked");
                }
            }
        }
        revoked.drain(..revoked.len().saturating_sub(3));
        let signed_in =
            record.patiently("a sign-in", || Ok(site.try_to_sign_in(address, &format!("leaver-{number}"))));
        let Some(reply) = signed_in else { return };
        let Some(jwt) = reply.body["access_token"].as_str() else {
            record.wrong(&format!("a sign-in: {} {}", reply.status, reply.text));
            return;
        };
        jwt.clone_into(&mut who.jwt);
    }
}

/// Asserts that a token stays revoked: never 200, and 401 in the end.
#[track_caller]
pub fn assert_stays_revoked(site: &Site, jwt: &str, duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        for address in &site.addresses {
            assert_ne!(me(address, jwt), 200, "a token is accepted that was revoked");
        }
        thread::sleep(PAUSE);
    }
}

/// Logs a new user out everywhere at this replica, and answers with the token.
#[track_caller]
pub fn revoked_token(site: &Site, address: &str, name: &str) -> String {
    let reply = site.try_to_sign_in(address, name);
    let jwt = reply.body["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(ask(address, "GET", "/api/me", Some(&jwt), &Value::Null).status, 200);
    assert_eq!(log_out_everywhere(address, &jwt), 204);
    jwt
}
