//! `tokenbooth check`: what is wrong, and how to mend it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::json;
use tokenbooth::mock::{Endpoint, Fault, MockProviders};

use super::{Ended, run};
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

#[test]
fn check_finds_nothing_wrong_with_good_settings() {
    let mock = mock();
    let told = check(&mock, &[]).good();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "ok       settings: complete for development",
            "ok       database: SQLite, the file will be made at the first start"
        ]
    );
    for provider in ["acme", "apple", "github", "gitlab", "google", "microsoft"] {
        let line = lines
            .iter()
            .find(|line| line.starts_with(&format!("ok       providers.{provider}: reachable, ")));
        let callback =
            format!("; the callback to register is http://127.0.0.1:8080/auth/{provider}/callback");
        assert!(line.is_some_and(|line| line.ends_with(&callback)), "{told}");
    }
    assert_eq!(lines.last(), Some(&"ok       clock: within 30 s of the providers'"));
}

fn mock() -> MockProviders {
    actix_web::rt::System::new().block_on(MockProviders::start()).expect("the mock starts")
}

/// `tokenbooth check` beside the mock, with settings changed.
fn check(mock: &MockProviders, changes: &[(&str, &str)]) -> Ended {
    let all = [
        mock.settings(),
        mock.oidc_settings("acme"),
        mock.microsoft_settings("microsoft"),
        mock.apple_settings("apple"),
        mock.gitlab_settings("gitlab"),
    ];
    let all = all.into_iter().flatten();
    let command = all.fold(Tokenbooth::new(&["check"]), |command, (key, value)| command.set(&key, &value));
    changes.iter().fold(command, |command, (key, value)| command.set(key, value)).output().into()
}

#[test]
fn check_says_of_each_problem_what_it_is_and_how_to_mend_it() {
    let mock = mock();
    let way_out = "Check its settings and this machine's way out";
    for (key, value, expected) in [
        ("server.prot", "1", "problem  settings: server.prot: there is no such setting. Did you mean server.port?".to_owned()),
        (
            "providers.github.client_secret",
            "not-the-secret-of-the-app",
            format!("problem  providers.github: github's answer cannot be used: it refuses our own credentials, providers.github.client_id and client_secret. {way_out}"),
        ),
        (
            "providers.google.discovery_url",
            "http://127.0.0.1:1/x",
            format!("problem  providers.google: google cannot be reached. {way_out}"),
        ),
        (
            "database.url",
            "postgres://someone:hunter2@127.0.0.1:1/accounts",
            "problem  database: the database is unavailable: connection to the server failed: Connection refused Is the server running on that host and accepting TCP/IP connections?. Check database.url and that the database runs".to_owned(),
        ),
        (
            "database.url",
            "sqlite:///no/such/folder/t.db",
            "problem  database: SQLite, the folder of its file does not exist. Make it, or set database.url".to_owned(),
        ),
    ] {
        let told = check(&mock, &[(key, value)]).told();
        assert!(told.lines().any(|line| line == expected), "expected {expected}\nin {told}");
        assert_eq!(told.lines().filter(|line| line.starts_with("problem")).count(), 1, "{told}");
        for secret in ["hunter2", "not-the-secret-of-the-app", "accounts"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
    mock.set_fault(Endpoint::OidcDiscovery, Fault::Status(500));
    let told = check(&mock, &[]).told();
    assert!(
        told.contains(&format!(
            "problem  providers.acme: acme's answer cannot be used: status 500. {way_out}"
        )),
        "{told}"
    );
}

#[test]
fn check_warns_of_what_works_and_is_not_meant() {
    let told = run(&["check"], &[]).good();
    assert!(told.contains("warning  providers: none is configured, nobody can sign in"), "{told}");
    let command = Tokenbooth::new(&["check"]).env("TOKENBOOTH_ENV", "production").set("token.secret", SECRET);
    let told = Ended::from(command.output()).good();
    assert!(told.contains("ok       settings: complete for production"), "{told}");
    assert!(told.contains("warning  server.public_url: it is made from host and port; set it"), "{told}");
    let public_url = ("server.public_url", "https://auth.example.com");
    let warning = "warning  server.trusted_proxies: it is empty, and clients come through a proxy";
    assert!(run(&["check"], &[public_url]).good().contains(warning));
    for remedy in [("server.trusted_proxies", "10.0.0.0/8"), ("rate_limit.enabled", "false")] {
        assert!(!run(&["check"], &[public_url, remedy]).good().contains(warning));
    }
    let warning = "browsers keep no cookie of ours there";
    for (public_url, warned) in [
        ("http://auth.example.com", true),
        ("https://auth.example.com", false),
        ("http://localhost:8080", false),
    ] {
        let told = run(&["check"], &[("server.public_url", public_url)]).good();
        assert_eq!(told.contains(warning), warned, "{told}");
    }
}

#[test]
fn check_finds_a_clock_that_differs_from_the_providers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let document =

        json!({ "issuer": base, "jwks_uri": format!("{base}/keys"), "keys": mock().oidc().keys().published() }).to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = BufReader::new(stream.try_clone().expect("a handle")).lines();
            while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{document}",
                document.len()
            );
        }
    });
    let url = format!("{base}/.well-known/openid-configuration");
    let told = run(
        &["check"],
        &[
            ("providers.acme.kind", "oidc"),
            ("providers.acme.client_ids", "app"),
            ("providers.acme.discovery_url", &url),
        ],
    )
    .told();
    let line = told.lines().last().expect("a line");
    assert!(line.starts_with("problem  clock: "), "{told}");
    assert!(
        line.ends_with(" s ahead of the providers': good tokens may be refused. Run a time service"),
        "{told}"
    );
}
