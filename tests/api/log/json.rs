//! The log for programs: one JSON object a line, whatever bytes come, whether it starts or not, and when it panics.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use log::LevelFilter;
use serde_json::{Value, json};
use tokenbooth::settings::{LogFormat, LogSettings};
use tokenbooth::telemetry;

use super::{Tour, json_line};
use crate::databases::TestDatabase;
use crate::support::process::Tokenbooth;

#[actix_web::test]
async fn the_json_log_stays_one_object_a_line_whatever_bytes_come() {
    let db = TestDatabase::sqlite();
    let mut tour = Tour::begin(&db.url, |command| command.set("log.format", "json")).await;
    let address = tour.url.trim_start_matches("http://").to_owned();
    let hostile: [&[u8]; 7] = [
        b"GET /\"\xff\xfe{}\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%0a%22%ff%00{%22level%22:%22error%22} HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /auth/%22%0d%0a%ff/login?redirect_to=%ff%22%0a HTTP/1.1\r\nHost: \"\xff\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\"\x7f\r\nX-Request-Id: \"\xff\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \"\xff, {}\r\nUser-Agent: \xff\"\\\r\n\r\n",
        b"MADE\"UP /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\xff\n\n\"{}",
    ];
    for bytes in hostile {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        stream.write_all(bytes).expect("sent");
        stream.shutdown(Shutdown::Write).expect("sent all");
        // Whatever it answers, or nothing: what counts is the log.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let audience = "a\"\\\n\r\t\u{0}\u{1b}[31m\u{7f}\u{85}\u{2028}\u{202e}\u{fffd}{\"level\":\"error\"}";
    let token = tour.mock.google().id_token(json!({ "aud": audience, "azp": null }));
    tour.exchange("google", json!({ "id_token": token })).await;
    // A text of digits stays a text.
    let request = tour.http.get(format!("{}/healthz", tour.url)).header("x-request-id", "12345");
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let lines: Vec<Value> = tour.end().iter().map(|line| json_line(line)).collect();
    // Nobody can make us cry; actix calls what it cannot parse an error.
    let ours = |line: &&Value| line["target"].as_str().is_some_and(|target| target.starts_with("tokenbooth"));
    assert!(lines.iter().filter(ours).all(|line| line["level"] == "info"), "{lines:#?}");
    let access: Vec<&Value> = lines.iter().filter(|line| line["target"] == "tokenbooth::access").collect();
    assert!(access.iter().all(|line| line["message"] == "request" && line["peer"] == "127.0.0.1"));
    assert!(access.iter().any(|line| line["code"] == "audience_mismatch"), "{access:#?}");
    assert!(access.iter().any(|line| line["request_id"] == "12345"), "{access:#?}");
}

#[test]
fn a_service_that_does_not_start_says_so_in_json_where_the_log_is_json() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let serve = || Tokenbooth::new(&["serve"]).set("server.port", "0").set("log.format", "json");
    let production = || Tokenbooth::new(&["serve"]).env("TOKENBOOTH_ENV", "production");
    let no_server = "postgres://alice@127.0.0.1:1/accounts";
    for (command, told) in [
        (production(), "token.secret: it is not set"),
        (production().file("config/production.toml", "[server\nport"), "not TOML"),
        (production().set("server.colour", "\"red\"\n"), "server.colour: there is no such setting"),
        (serve().set("server.port", "a\"b"), "server.port: expected a whole number"),
        (serve().set("log.level", "loud"), "log.level: expected one of"),
        (serve().file("config/default.toml", "[log\n"), "not TOML"),
        (
            serve().set("database.url", no_server).set("database.start_timeout", "0s"),
            "database.url: the database is unavailable",
        ),
        (serve().set("server.port", &port), "server.host, server.port: cannot listen on"),
        (serve().file("config/development.toml", "[log]\nformat = \"json\"\n").set("jwks.x", "1"), "jwks.x"),
    ] {
        let output = command.output();
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{said}");
        let lines: Vec<Value> = said.lines().map(json_line).collect();
        let last = lines.last().unwrap_or_else(|| panic!("nothing is said: {told}"));
        assert_eq!(last["level"], "error", "{last}");
        assert!(last["message"].as_str().is_some_and(|message| message.contains(told)), "{told} in {said}");
    }
    // Who asks for text gets it, also in production, and from a file, too.
    let text = production().set("log.format", "text").output();
    assert!(text.stderr.starts_with(b"tokenbooth: token.secret: it is not set"));
}

/// A process that panics, in a thread of its own, with everything a log must not take: this test, run again by itself.
#[test]
fn a_panic_is_one_line_of_the_log_and_quotes_nothing_that_came_from_outside() {
    const AGAIN: &str = "TOKENBOOTH_TEST_PANICS_WITH";
    let (token, name) = ("eyJhbGciOi\n\"ümlaut", "the-thread");
    let panics = |body: fn()| {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        assert!(thread.expect("a thread").join().is_err());
    };
    if let Ok(format) = std::env::var(AGAIN) {
        let format = if format == "json" { LogFormat::Json } else { LogFormat::Text };
        telemetry::start(LogSettings { format, level: LevelFilter::Info });
        panics(|| panic!("two lines\nand \"quotes\""));
        panics(|| panic!("{}", std::env::var("TOKEN").unwrap_or_default()));
        panics(|| {
            let token = std::env::var("TOKEN").unwrap_or_default();
            let cut = token.find('ü').map_or(0, |place| place + 1);
            panic!("not reached: {}", &token[cut..]);
        });
        return;
    }
    let itself = std::env::current_exe().expect("this program");
    let this_test = "log::json::a_panic_is_one_line_of_the_log_and_quotes_nothing_that_came_from_outside";
    for (format, backtrace) in [("json", "0"), ("json", "1"), ("text", "1")] {
        let output = Tokenbooth::of(&itself, &[this_test, "--exact", "--nocapture"])
            .env(AGAIN, format)
            .env("TOKEN", token)
            .env("RUST_BACKTRACE", backtrace)
            .output();
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("eyJhbGciOi"), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        if format == "text" {
            assert!(lines[0].contains(" panicked: two lines\\nand \"quotes\" location="), "{said}");
            continue;
        }
        let json: Vec<Value> = lines.into_iter().map(json_line).collect();
        assert_eq!(json[0]["message"], "panicked: two lines\nand \"quotes\"");
        for line in &json {
            assert_eq!((&line["level"], &line["thread"]), (&json!("error"), &json!(name)), "{line}");
            assert!(line["location"].as_str().is_some_and(|place| place.contains(".rs:")), "{line}");
            assert_eq!(line["backtrace"].is_string(), backtrace == "1", "{line}");
        }
    }
}
