//! Clients that send or read slowly, or not at all: no connection is held for longer than it is worth.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::client;
use crate::support::process::{Running, Tokenbooth};

/// Each route that reads a body, with its content type.
const READERS: [(&str, &str, &str); 8] = [
    ("POST", "/auth/google", "application/json"),
    ("POST", "/auth/password", "application/json"),
    ("POST", "/auth/refresh", "application/json"),
    ("POST", "/auth/logout", "application/json"),
    ("POST", "/auth/apple/callback", "application/x-www-form-urlencoded"),
    ("POST", "/oauth/token", "application/x-www-form-urlencoded"),
    ("POST", "/oauth/introspect", "application/x-www-form-urlencoded"),
    ("POST", "/oauth/revoke", "application/x-www-form-urlencoded"),
];
/// And those that need a user.
const READERS_WITH_USER: [(&str, &str, &str); 4] = [
    ("PATCH", "/api/me", "application/json"),
    ("PUT", "/api/me/password", "application/json"),
    ("DELETE", "/api/me/password", "application/json"),
    ("POST", "/api/me/identities/google", "application/json"),
];

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

/// The head of a request whose body has a thousand bytes, of which none has come yet.
fn head(method: &str, path: &str, content_type: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: 1000\r\n{more}\r\n"
    )
}

fn head_in_chunks(method: &str, path: &str, content_type: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n{more}\r\n5\r\n"
    )
}

/// Everything until the other side closes, and how long that took. A reset counts as closing.
fn read_to_the_end(stream: &mut TcpStream) -> (String, Duration) {
    let (start, mut text) = (Instant::now(), Vec::new());
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the connection is still open: {error}"),
        }
    }
    (String::from_utf8_lossy(&text).into_owned(), start.elapsed())
}

/// A service that waits half a second for a body.
async fn impatient(db: TestDatabase) -> TestApp {
    TestApp::start_with_further_providers(db, |sources| sources.with("server.body_timeout", "500ms")).await
}

on_both_databases! {
    async fn a_body_that_does_not_arrive_in_time_is_408_and_the_connection_closes(db: TestDatabase) {
        let app = impatient(db).await;
        let address = app.base.trim_start_matches("http://").to_owned();
        let (app_jwt, who) = { let ada = app.sign_in(tokenbooth::mock::Person::named("ada")).await; (ada.jwt, ada.user_id) };
        let bearer = format!("Authorization: Bearer {app_jwt}\r\n");
        let cases = READERS.iter().map(|reader| (reader, "")).chain(READERS_WITH_USER.iter().map(|reader| (reader, bearer.as_str())));
        let mut waiting = Vec::new();
        for ((method, path, content_type), more) in cases {
            for request in [head(method, path, content_type, more), head_in_chunks(method, path, content_type, more)] {
                let mut stream = connect(&address);
                stream.write_all(request.as_bytes()).expect("sent");
                stream.write_all(b"{").expect("sent");
                waiting.push((format!("{method} {path}"), stream));
            }
        }
        for (what, mut stream) in waiting {
            let (text, took) = read_to_the_end(&mut stream);
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{what}: no answer but {text:?}"));
            assert!(head.starts_with("HTTP/1.1 408 "), "{what}: {text}");
            assert!(head.to_ascii_lowercase().contains("\r\nconnection: close"), "{what}: {text}");
            let json: Value = serde_json::from_str(body).unwrap_or_default();
            if what.contains("/oauth/") {
                assert_eq!(json["error"], "invalid_request", "{what}: {body}");
            } else if what.contains("callback") {
                assert!(body.contains("request_timeout"), "{what}: {body}");
            } else {
                let expected = (&json!("request_timeout"), &json!(408));
                assert_eq!((&json["code"], &json["status"]), expected, "{what}: {body}");
            }
            assert!(took < Duration::from_secs(5), "{what}: {took:?}");
        }
        assert_eq!(app.me(&app_jwt).await.json["id"], who);
    }
}

#[actix_web::test]
async fn a_byte_now_and_then_gains_no_time() {
    let app = impatient(TestDatabase::sqlite()).await;
    let address = app.base.trim_start_matches("http://").to_owned();
    let drip = std::thread::spawn(move || {
        let mut stream = connect(&address);
        stream.write_all(head("POST", "/auth/google", "application/json", "").as_bytes()).expect("sent");
        let start = Instant::now();
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let mut buffer = [0; 256];
        loop {
            let _ = stream.write_all(b" ");
            match stream.read(&mut buffer) {
                Ok(count) => {
                    return (String::from_utf8_lossy(&buffer[..count]).into_owned(), start.elapsed());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(start.elapsed() < Duration::from_secs(10), "it waits on");
        }
    });
    let (answer, took) = drip.join().expect("a client");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// What a connection may begin with that nobody finishes. The first is the only one that actix-web limits by itself.
fn stuck(address: &str) -> Vec<(&'static str, TcpStream)> {
    let open = |text: &str| {
        let mut stream = connect(address);
        stream.write_all(text.as_bytes()).expect("sent");
        stream
    };
    let whole = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut stuck = vec![
        ("half a first head", open("GET /healthz HTTP/1.1\r\nHos")),
        ("nothing at all", open("")),
        // Its body is not read at all, and what comes of it is thrown away.
        ("a chunked body that nobody wants", open(&head_in_chunks("GET", "/healthz", "text/plain", ""))),
        ("a body that nobody wants", open(&head("GET", "/healthz", "text/plain", ""))),
    ];
    // The second head, after the first was answered: a byte of it ends the time that a connection may be idle.
    for (what, begun) in
        [("a byte of a second head", "G"), ("half a second head", "GET /healthz HTTP/1.1\r\nHost")]
    {
        let mut stream = open(whole);
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).expect("an answer") > 0);
        stream.write_all(begun.as_bytes()).expect("sent");
        stuck.push((what, stream));
    }
    stuck
}

#[actix_web::test]
async fn no_connection_stays_open_without_a_request() {
    let app = impatient(TestDatabase::sqlite()).await;
    let address = app.base.trim_start_matches("http://").to_owned();
    let closed = std::thread::spawn(move || {
        let start = Instant::now();
        for (what, mut stream) in stuck(&address) {
            read_to_the_end(&mut stream);
            assert!(start.elapsed() < Duration::from_secs(12), "{what}: {:?}", start.elapsed());
        }
    });
    closed.join().expect("all are closed");
    assert_eq!(app.get("/healthz").await.status, 200);
}

/// The real binary, started with this soft limit of open files.
fn with_file_limit(limit: u32, change: impl FnOnce(Tokenbooth) -> Tokenbooth) -> Running {
    let script = format!("ulimit -Sn {limit} && exec {} serve", env!("CARGO_BIN_EXE_tokenbooth"));
    let command = Tokenbooth::of(Path::new("/bin/sh"), &["-c", &script])
        .set("server.port", "0")
        .set("log.level", "info")
        .set("providers.google.client_ids", "app")
        .set("providers.google.discovery_url", "http://127.0.0.1:1/x");
    change(command).start()
}

#[actix_web::test]
async fn many_bodies_that_do_not_come_stop_neither_the_service_nor_its_end() {
    // Each takes two file descriptors: the soft limit alone would be reached twice.
    let mut running = with_file_limit(256, |command| command.set("server.body_timeout", "20s"));
    let url = running.url();
    let address = url.trim_start_matches("http://").to_owned();
    let mut waiting: Vec<TcpStream> = (0..250)
        .map(|_| {
            let mut stream = connect(&address);
            let request = head("POST", "/auth/google", "application/json", "");
            stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(b"{")).expect("sent");
            stream
        })
        .collect();
    for path in ["/healthz", "/readyz", "/"] {
        let answer = client().get(format!("{url}{path}")).timeout(Duration::from_secs(10)).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}\n{}", running.stderr()));
        assert!(matches!(answer.status().as_u16(), 200 | 503), "{path}: {}", answer.status());
    }
    // As if sign-ins went on: the database opens, too.
    let body = json!({ "email": "nobody@example.com", "password": "no password" });
    let answer = client().post(format!("{url}/auth/password")).json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    let start = Instant::now();
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    let (text, _) = read_to_the_end(&mut waiting[0]);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408 "), "{text}");
}

#[test]
fn sigterm_waits_for_none_of_them() {
    let mut running = with_file_limit(1024, |command| command);
    let address = running.url().trim_start_matches("http://").to_owned();
    let mut open = stuck(&address);
    for request in [
        head("POST", "/auth/google", "application/json", ""),
        head_in_chunks("POST", "/oauth/token", "application/x-www-form-urlencoded", ""),
    ] {
        let mut stream = connect(&address);
        stream.write_all(request.as_bytes()).expect("sent");
        open.push(("a body", stream));
    }
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[actix_web::test]
async fn a_forwarded_entry_that_cannot_be_read_is_logged_once_a_minute() {
    let mut running = Tokenbooth::new(&["serve"])
        .set("server.port", "0")
        .set("server.trusted_proxies", "127.0.0.1")
        .set("providers.google.client_ids", "app")
        .set("providers.google.discovery_url", "http://127.0.0.1:1/x")
        .start();
    let address = running.url().trim_start_matches("http://").to_owned();
    let mut requests = String::new();
    for at in 0..20 {
        let _ = write!(
            requests,
            "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7, evil\"\u{e9}{at}{}\r\n\r\n",
            "x".repeat(200)
        );
    }
    requests.push_str("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut stream = connect(&address);
    stream.write_all(requests.as_bytes()).expect("sent");
    let (text, _) = read_to_the_end(&mut stream);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 21, "{text}");
    let said = running.wait_for("X-Forwarded-For from 127.0.0.1 has the entry");
    assert!(said.len() < 500 && said.is_ascii(), "{said}");
    let all = running.stdout() + &running.stderr();
    assert_eq!(all.matches("X-Forwarded-For from").count(), 1, "{all}");
    assert_eq!(all.matches("peer=127.0.0.1").count(), 21, "{all}");
}
