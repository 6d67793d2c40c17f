//! `tokenbooth demo`: what it promises a newcomer, and that it leaves nothing behind.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::app::{Answer, client};
use crate::support::browser::Browser;
use crate::support::process::{Running, Tokenbooth};

/// The demo on any free port, with a folder for temporary files of its own.
fn demo() -> Tokenbooth {
    let command = Tokenbooth::new(&["demo"]).file("tmp/here", "");
    let tmp = command.folder().join("tmp");
    command.env("TMPDIR", tmp)
}

/// Waits until the demo has said everything; answers with it.
#[track_caller]
fn said(running: &mut Running) -> String {
    running.wait_for("Serving until Ctrl-C; nothing is kept.");
    running.stdout()
}

/// Where it is.
fn base(said: &str) -> &str {
    said.split([' ', ',']).nth(2).expect("an address")
}

/// What the demo left in the folder for temporary files.
fn left(running: &Running) -> Vec<String> {
    let entries = std::fs::read_dir(running.folder().join("tmp")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "here").collect()
}

#[actix_web::test]
async fn the_demo_exchanges_a_token_of_each_kind_refuses_a_forgery_and_serves_until_ctrl_c() {
    let mut running = demo().set("server.port", "0").start();
    let said = said(&mut running);
    let line = |start: &str| {
        let found = said.lines().find(|line| line.trim_start().starts_with(start));
        found.unwrap_or_else(|| panic!("no line begins with {start}:\n{said}")).trim_start().to_owned()
    };
    for (start, expected) in [
        ("Google ID token ", "Google ID token      200  signed in Alice Example, a new user: "),
        ("Google access token ", "Google access token  200  signed in Alice Example, the same user again: "),
        ("GitHub access token ", "GitHub access token  200  signed in Alice Example, a new user: "),
        ("Acme ID token ", "Acme ID token        200  signed in Alice Example, a new user: "),
        ("GET /api/me ", "GET /api/me          200  Alice Example <alice@example.com>"),
        (
            "forged ID token ",
            "forged ID token      401  refused, invalid_token: the token's signature is wrong",
        ),
        ("forged JWT of ours ", "forged JWT of ours   401  refused, invalid_token"),
    ] {
        assert!(line(start).starts_with(expected), "{}", line(start));
    }
    let id = |start: &str| line(start).rsplit(' ').next().expect("an id").to_owned();
    assert_eq!(id("Google ID token "), id("Google access token "));
    assert_ne!(id("Google ID token "), id("GitHub access token "));

    let page = line("The sign-in page, where Google's \"ada\" is the administrator:");
    assert!(page.ends_with("/sign-in"), "{page}");
    let docs = line("The API, to try in the browser:");
    let docs = docs.rsplit(' ').next().expect("a URL");
    assert_eq!(get(&format!("{docs}/")).await.status, 200);
    assert_eq!(get(&docs.replace("/docs", "/readyz")).await.status, 200);
    assert_eq!(left(&running).len(), 1, "one folder with the database");
    assert_eq!(running.stderr(), "", "nothing to worry a newcomer");

    running.signal("INT");
    assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
    assert_eq!(left(&running), [] as [String; 0]);
}

async fn get(url: &str) -> Answer {
    Answer::of(client().get(url).send().await.expect("an answer")).await
}

#[test]
fn the_lines_that_the_demo_says_to_type_work() {
    let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
    if !curl.is_ok_and(|status| status.success()) {
        return;
    }
    let mut running = demo().set("server.port", "0").start();
    let said = said(&mut running);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 7, "{said}");
    for line in lines {
        let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
        assert!(output.status.success(), "{line}");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        if line.contains("/api/me") {
            assert_eq!(answer["email"], "alice@example.com", "{line}\n{answer}");
        } else if line.contains("/api/admin/users") {
            let emails: Vec<_> =
                answer["items"].as_array().expect("users").iter().map(|user| &user["email"]).collect();
            assert_eq!(emails.last(), Some(&&Value::from("ada@example.com")), "{line}\n{answer}");
        } else {
            // The standard endpoint spells it as RFC 6749 does.
            assert!(
                answer["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")),
                "{line}\n{answer}"
            );
        }
    }
}

#[actix_web::test]
async fn who_says_ada_at_google_is_an_administrator_and_at_no_other_provider() {
    let mut running = demo().set("server.port", "0").start();
    let said = said(&mut running);
    let base = base(&said);
    for provider in ["google", "github", "acme"] {
        let mut browser = Browser::at_base(base);
        browser.sign_in(provider, "ada").await;
        let me = browser.call("GET", "/api/me").await;
        assert_eq!(
            (me.status, me.json["admin"].as_bool()),
            (200, Some(provider == "google")),
            "{provider}: {}",
            me.text
        );
        browser.sign_in(provider, "bob").await;
        assert_eq!(browser.call("GET", "/api/me").await.json["admin"], false, "{provider}");
    }
}

#[actix_web::test]
async fn the_line_for_a_terminal_signs_in_with_a_code_entered_at_the_mock() {
    let mut running = demo().set("server.port", "0").start();
    let said = said(&mut running);
    let line = said.lines().find(|line| line.contains(" login --server ")).expect("a line").trim();
    let mut login = Tokenbooth::of(Path::new("/bin/sh"), &["-c", line]).start();
    login.wait_for("Waiting, at most");
    let asked = login.stderr();
    let mut words = asked.split_whitespace();
    let (page, code) = (words.nth(1).expect("a page"), words.nth(4).expect("a code"));
    let answer = get(&format!("{page}?user_code={code}&mock_person=ada")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(login.wait().code(), Some(0), "{}", login.stderr());
    let me = client().get(format!("{}/api/me", base(&said))).bearer_auth(login.stdout().trim()).send();
    let me = me.await.expect("an answer");
    let me = Answer::of(me).await;
    // The administrator is the ada of Google; this one is the ada of GitHub.
    assert_eq!(
        (&me.json["email"], &me.json["admin"]),
        (&Value::from("ada@example.com"), &Value::from(false))
    );
}

#[test]
fn the_demo_refuses_to_start_in_production() {
    for name in ["production", "Production"] {
        let output = demo().env("TOKENBOOTH_ENV", name).output();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "tokenbooth: the mock providers do not start with TOKENBOOTH_ENV=production: they sign in anyone\n"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn settings_meant_for_the_service_do_not_lead_the_demo_astray() {
    let running = demo()
        .set("server.port", "0")
        .set("database.url", "postgres://nobody@127.0.0.1:1/none")
        .set("providers.google.client_ids", "somebody-elses-app")
        .set("token.secret", "short")
        .env("DATABASE_URL", "mysql://x")
        .file("config/default.toml", "[no.such]\nsetting = 1\n");
    let mut running = running.start();
    said(&mut running);
    assert!(!running.folder().join("tokenbooth.db").exists());
}

/// Takes the port that is used when nobody asks for another, unless somebody has it already.
fn take_the_usual_port() -> Option<TcpListener> {
    TcpListener::bind("127.0.0.1:8080").ok()
}

#[test]
fn a_port_that_is_taken_is_another_port_unless_it_was_asked_for() {
    let _taken = take_the_usual_port();
    let mut running = demo().start();
    let said = said(&mut running);
    let first = said.lines().next().expect("a line");
    assert!(first.starts_with("tokenbooth on http://127.0.0.1:"), "{first}");
    assert!(!first.starts_with("tokenbooth on http://127.0.0.1:8080,"), "{first}");

    let output = demo().set("server.port", "8080").output();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "tokenbooth: server.host, server.port: cannot listen on 127.0.0.1:8080: Address already in use (os error 98). \
         Choose another port, with TOKENBOOTH__SERVER__PORT for example\n"
    );
    assert!(output.stdout.is_empty(), "nothing is said of a start that did not happen");
}
