//! `tokenbooth check`: what is wrong, and how to mend it. Each test breaks one thing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, MockProviders, Person};

use super::{Ended, run};
use crate::databases::TestDatabase;
use crate::postgres;
use crate::support::TestApp;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// As `openssl rand -base64 48` makes them.
const STRONG: &str = "3q2+7wAAy1nX0pVb5cJmQh8eRzK6uT4LwGfDoSiYAkPvBxZjE9Ws2NlMrCtUqHgF";

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

/// `tokenbooth check` without providers, as in production.
fn check_production(changes: &[(&str, &str)]) -> Ended {
    let command = Tokenbooth::new(&["check"]).env("TOKENBOOTH_ENV", "production").set("token.secret", STRONG);
    let command = command.set("server.public_url", "https://auth.example.com").set("server.port", "0");
    changes.iter().fold(command, |command, (key, value)| command.set(key, value)).output().into()
}

#[track_caller]
fn assert_line(told: &str, expected: &str) {
    assert!(told.lines().any(|line| line == expected), "expected {expected}\nin {told}");
}

/// The lines that begin with this level.
fn lines<'a>(told: &'a str, level: &str) -> Vec<&'a str> {
    told.lines().filter(|line| line.starts_with(level)).collect()
}

#[test]
fn check_finds_nothing_wrong_with_good_settings() {
    let mock = mock();
    let told = check(&mock, &[("server.port", "0")]).good();
    assert_eq!(lines(&told, "ok").len(), told.lines().count(), "{told}");
    assert_line(&told, "ok       settings: complete for development");
    assert_line(&told, "ok       server: 127.0.0.1:0 is free");
    assert_line(&told, "ok       database: SQLite, the file will be made at the first start");
    for provider in ["acme", "apple", "github", "gitlab", "google", "microsoft"] {
        assert!(
            told.lines().any(|line| line.starts_with(&format!("ok       providers.{provider}: reachable, "))),
            "{told}"
        );
        let callback = format!("http://127.0.0.1:0/auth/{provider}/callback");
        assert_line(
            &told,
            &format!(
                "ok       providers.{provider}: client credentials accepted; the callback to register is {callback}"
            ),
        );
    }
    let clock = told.lines().last().expect("a line");
    assert!(clock.starts_with("ok       clock: "), "{told}");
    assert_eq!(clock.matches(',').count(), 5, "six clocks: {clock}");
}

#[test]
fn check_says_of_each_problem_what_it_is_and_how_to_mend_it() {
    let mock = mock();
    let way_out = "Check its settings and this machine's way out";
    let credentials =
        "Copy client id and secret from the provider's page of the app, and register the callback there";
    for (key, value, expected) in [
        ("server.prot", "1", "error    server.prot: there is no such setting. Did you mean server.port?".to_owned()),
        (
            "server.host",
            "203.0.113.7",
            "error    server: cannot listen on 203.0.113.7:8080: Cannot assign requested address (os error 99). Set server.host to an address of this machine, 127.0.0.1 or 0.0.0.0 for example".to_owned(),
        ),
        (
            "providers.github.client_secret",
            "not-the-secret-of-the-app",
            format!("error    providers.github: github's answer cannot be used: it refuses our own credentials, providers.github.client_id and client_secret. {way_out}"),
        ),
        (
            "providers.google.client_secret",
            "not-the-secret-of-the-app",
            format!("error    providers.google: google's answer cannot be used: it refuses our own credentials, the first of providers.google.client_ids and client_secret (callback http://127.0.0.1:8080/auth/google/callback). {credentials}"),
        ),
        (
            "providers.google.discovery_url",
            "http://127.0.0.1:1/x",
            format!("error    providers.google: google cannot be reached. {way_out}"),
        ),
        (
            "providers.google.discovery_url",
            "http://example.com/x",
            "error    providers.google.discovery_url: plain http:// to another machine would let anyone on the way sign in as anyone. Use an https:// URL (http:// only on loopback, for a mock)".to_owned(),
        ),
        (
            "database.url",
            "postgres://someone:hunter2@127.0.0.1:1/accounts",
            "error    database: the database is unavailable: connection to the server failed: Connection refused Is the server running on that host and accepting TCP/IP connections?. Check database.url and that the database runs".to_owned(),
        ),
        (
            "database.url",
            "sqlite:///no/such/folder/t.db",
            "error    database: SQLite, the folder of its file does not exist. Make it, or set database.url".to_owned(),
        ),
    ] {
        let told = check(&mock, &[(key, value)]).told();
        assert_line(&told, &expected);
        assert_eq!(lines(&told, "error").len(), 1, "{told}");
        for secret in ["hunter2", "not-the-secret-of-the-app", "accounts"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
    mock.set_fault(Endpoint::OidcDiscovery, Fault::Status(500));
    let told = check(&mock, &[]).told();
    assert_line(
        &told,
        &format!("error    providers.acme: acme's answer cannot be used: status 500. {way_out}"),
    );
}

#[test]
fn check_tells_every_problem_of_the_settings_at_once() {
    let told = run(
        &["check"],
        &[
            ("server.prot", "1"),
            ("server.port", "many"),
            ("database.url", "mysql://someone:hunter2@host/name"),
            ("token.secret", "short"),
            ("token.previous_secrets", "shorter"),
            ("admin.emails", "nobody"),
        ],
    )
    .told();
    assert_eq!(lines(&told, "error").len(), 6, "{told}");
    for subject in [
        "server.prot",
        "server.port",
        "database.url",
        "token.secret",
        "token.previous_secrets",
        "admin.emails",
    ] {
        assert!(told.contains(&format!("error    {subject}: ")), "{subject} in {told}");
    }
    assert!(!told.contains("hunter2") && !told.contains("short,"), "{told}");
    // What is read, but is not right, keeps nobody from looking at the rest.
    let told = run(&["check"], &[("admin.emails", "nobody")]).told();
    assert!(told.contains("ok       database: SQLite"), "{told}");
}

#[test]
fn check_warns_of_what_works_and_is_not_meant() {
    let told = run(&["check"], &[]).good();
    let nobody = "warning  providers: none is configured, nobody can sign in. Set providers.google.client_ids, for example";
    assert_line(&told, nobody);
    let told = check_production(&[("server.public_url", "")]).good();
    assert_line(&told, "ok       settings: complete for production");
    let derived = "warning  server.public_url: it is made from host and port, and with it token.issuer and the callbacks. Set it to the \
                   address that clients use: all replicas must agree on it";
    assert_line(&told, derived);
    assert!(!check_production(&[]).good().contains("made from host and port"));
    let told = check_production(&[("rate_limit.enabled", "false")]).good();
    assert!(
        told.contains("warning  rate_limit.enabled: it is off: passwords can be tried without end"),
        "{told}"
    );

    let warning = "warning  server.trusted_proxies: it is empty, and clients come through a proxy";
    for (public_url, warned) in [
        ("https://auth.example.com", true),
        ("http://auth.example.com", true),
        ("http://localhost:8080", false),
    ] {
        assert_eq!(run(&["check"], &[("server.public_url", public_url)]).good().contains(warning), warned);
    }
    let public_url = ("server.public_url", "https://auth.example.com");
    for remedy in [("server.trusted_proxies", "10.0.0.0/8"), ("rate_limit.enabled", "false")] {
        assert!(!run(&["check"], &[public_url, remedy]).good().contains(warning));
    }
    let warning = "is a whole network: every client in it can make its own address up";
    for (proxies, wide) in [
        ("10.0.0.5", None),
        ("127.0.0.1,::1", None),
        ("127.0.0.0/8", None),
        ("10.1.2.0/24,fd00::/64", None),
        ("10.0.0.0/23", Some("10.0.0.0/23")),
        ("127.0.0.1,172.16.0.0/12", Some("172.16.0.0/12")),
        ("fd00::/63", Some("fd00::/63")),
        ("126.0.0.0/7", Some("126.0.0.0/7")),
        ("0.0.0.0/0", Some("0.0.0.0/0")),
        ("::/0", Some("::/0")),
    ] {
        let told = run(&["check"], &[("server.trusted_proxies", proxies)]).good();
        assert_eq!(told.matches(warning).count(), usize::from(wide.is_some()), "{told}");
        if let Some(wide) = wide {
            assert!(told.contains(&format!("warning  server.trusted_proxies: {wide} {warning}")), "{told}");
        }
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
    for (secret, warned) in [(STRONG, false), (SECRET, true), (&"1234567890".repeat(5), true)] {
        let told = check_production(&[("token.secret", secret)]).good();
        assert_eq!(told.contains("warning  token.secret: "), warned, "{told}");
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn check_is_read_by_programs_too() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let settings = [
        ("TOKENBOOTH__SERVER__PORT", port.as_str()),
        ("TOKENBOOTH__DATABASE__URL", "sqlite:///no/folder/x.db"),
    ];
    let command = settings
        .iter()
        .fold(Tokenbooth::new(&["check", "--json"]), |command, (name, value)| command.env(name, value));
    let told = Ended::from(command.output()).told();
    let report: Value = serde_json::from_str(&told).expect("JSON and nothing else");
    assert_eq!((&report["errors"], &report["warnings"]), (&json!(1), &json!(1)), "{told}");
    let findings = report["findings"].as_array().expect("a list");
    let of = |level: &str| findings.iter().filter(|finding| finding["level"] == level).collect::<Vec<_>>();
    assert_eq!(
        of("error"),
        [&json!({
            "level": "error", "subject": "database", "found": "SQLite, the folder of its file does not exist",
            "remedy": "Make it, or set database.url"
        })]
    );
    assert_eq!(of("warning")[0]["subject"], "providers");
    let in_use = format!("127.0.0.1:{port} is in use: by tokenbooth, or set server.port");
    assert!(of("ok").iter().any(|finding| finding["found"] == in_use && finding["remedy"] == Value::Null));
}

on_both_databases! {
    async fn check_looks_at_the_database(db: TestDatabase) {
        let url = ("database.url", db.url.as_str());
        let told = run(&["check"], &[url]).good();
        let backend = if db.url.starts_with("sqlite") { "SQLite 3." } else { "PostgreSQL " };
        let line = lines(&told, "ok       database: ").last().copied().expect("a line");
        assert!(line.contains(backend) && line.contains(", answers in ") && line.ends_with(" ms, schema up to date"), "{line}");
        let nobody = "warning  admin.emails: it is empty, and nobody is an administrator. Set it, or run `tokenbooth user promote \
                      <e-mail>` after the first sign-in";
        assert_line(&told, nobody);
        let told = run(&["check"], &[url, ("admin.emails", "google:ann@example.com")]).good();
        assert_line(&told, "ok       admin.emails: nobody is an administrator yet: whoever of them signs in first will be one");
        if !db.url.starts_with("sqlite") {
            assert_line(&told, "ok       clock: the same as the database's");
            let told = run(&["check"], &[url, ("database.pool_size", "1000")]).told();
            assert!(told.contains("error    database.pool_size: it has ") && told.contains(" connections for all, and one replica may take 1004"), "{told}");
        }

        db.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261121000008'");
        let told = run(&["check"], &[url, ("database.migrate_on_start", "false")]).told();
        assert!(told.contains(", 1 migrations are pending. Run `tokenbooth migrate`"), "{told}");
        db.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20261121000008'), ('99991231000000')");
        let told = run(&["check"], &[url]).good();
        assert!(told.contains("its schema is of a later version of tokenbooth: 1 migrations are unknown to this one. Run that version"), "{told}");
        db.execute("CREATE TABLE __tokenbooth_copy (id TEXT PRIMARY KEY NOT NULL)");
        let told = run(&["check"], &[url]).told();
        assert!(told.contains("a copy into it was not finished, and the service does not start on it. Run `tokenbooth db copy` again"), "{told}");
    }

    async fn check_finds_an_administrator(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.sign_in(Person::named("ann")).await;
        let url = ("database.url", app.db.url.as_str());
        assert!(run(&["check"], &[url]).good().contains("nobody is an administrator"));
        run(&["user", "promote", "ann@example.com"], &[url]).good();
        assert!(!run(&["check"], &[url]).good().contains("nobody is an administrator"));
        run(&["user", "disable", "ann@example.com"], &[url]).good();
        assert!(run(&["check"], &[url]).good().contains("nobody is an administrator"));
    }
}

#[test]
fn check_looks_at_a_postgres_that_takes_no_changes_or_no_such_user() {
    let Some(db) = TestDatabase::postgres() else { return };
    let url = format!("{}{}options=-c%20default_transaction_read_only%3Don", db.url, separator(&db.url));
    let told = run(&["check"], &[("database.url", &url)]).told();
    assert!(told.contains("error    database: it takes no changes: it is a standby, or told to be read-only. Lead database.url to the primary"), "{told}");
    // No such role is what a wrong password is on this server, which asks for none.
    let stranger = db.url.replacen("tokenbooth@", "stranger:hunter2@", 1);
    if stranger != db.url {
        let told = run(&["check"], &[("database.url", &stranger)]).told();
        assert!(told.contains("error    database: the database is unavailable: "), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("stranger"), "{told}");
    }
}

fn separator(url: &str) -> char {
    if url.contains('?') { '&' } else { '?' }
}

#[test]
fn check_looks_at_the_files_of_sqlite() {
    let db = TestDatabase::sqlite();
    let file = Path::new(db.url.trim_start_matches("sqlite://")).to_owned();
    let url = ("database.url", db.url.as_str());
    let readable = "warning  database: every user of this machine can read its file, with the hashes of passwords and sessions. Take \
                    that from them: chmod 600, or a folder that is the service's own";
    let mode = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("a file of ours");
    };
    mode(0o644);
    assert_line(&check_production(&[url]).good(), readable);
    assert!(!run(&["check"], &[url]).good().contains("every user of this machine"));
    mode(0o640);
    let told = check_production(&[url]).good();
    assert!(!told.contains("every user of this machine"), "{told}");
    assert!(lines(&told, "ok       disk: ")[0].ends_with(" MiB are free where the database is"), "{told}");

    // No database at all, whatever its name says.
    std::fs::write(
        &file,
        "this is a letter and no database, and it is long enough to be looked at".repeat(20),
    )
    .expect("a file of ours");
    let told = check_production(&[url]).told();
    assert!(
        told.contains("error    database: the database is unavailable: file is not a database"),
        "{told}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/x.db", folder.path().display());
    std::fs::create_dir(folder.path().join("x.db")).expect("a folder");
    let told = check_production(&[("database.url", &url)]).told();
    assert!(told.contains("error    database: SQLite, its file cannot be read and written: "), "{told}");
}

#[test]
fn check_finds_a_database_that_went_away() {
    let Some(server) = postgres::server() else { return };
    let gone = server.create_database(None);
    let url = gone.url.replacen(&gone.name, &format!("{}-gone", gone.name), 1);
    let told = run(&["check"], &[("database.url", &url)]).told();
    assert!(
        told.contains("error    database: the database is unavailable: ") && told.contains("does not exist"),
        "{told}"
    );
    assert!(!told.contains(&gone.name), "{told}");
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
    assert!(line.starts_with("error    clock: "), "{told}");
    assert!(line.ends_with(" s ahead of acme's. Good tokens may be refused: run a time service"), "{told}");
    // No token endpoint in its document, and no secret of ours: it may be an app that only hands tokens in.
    assert!(told.contains("warning  providers.acme: acme's answer cannot be used: its discovery document names no token_endpoint. Set client_secret"), "{told}");
}

#[test]
fn check_says_where_a_cookie_arrives_and_where_a_code() {
    let told = check_production(&[
        (
            "sign_in.redirect_uris",
            "https://auth.example.com/app,com.mail.app:/callback,http://127.0.0.1/callback",
        ),
        ("sign_in.code_redirect_uris", "https://app.mail.com/callback"),
    ])
    .out;
    assert_line(
        &told,
        "ok       sign_in.redirect_uris: the browser arrives with our cookie and without a code at https://auth.example.com/app",
    );
    assert_line(
        &told,
        "ok       sign_in.redirect_uris: an app gets a code at com.mail.app:/callback, http://127.0.0.1/callback",
    );
    assert_line(
        &told,
        "ok       sign_in.code_redirect_uris: an app or a server gets a code at https://app.mail.com/callback",
    );
    // What got a code before, when a code_challenge came with it.
    let told = check_production(&[("sign_in.redirect_uris", "https://app.mail.com/callback")]).out;
    assert_line(
        &told,
        "warning  sign_in.redirect_uris: https://app.mail.com/callback is on another host than server.public_url, and browsers do \
         not send our cookie there. If an app or a server exchanges codes there, move it to sign_in.code_redirect_uris",
    );
}

/// Files that a reader copies, and what in them is believed of `X-Forwarded-For`: single addresses, never a network.
#[test]
fn no_example_trusts_more_than_a_proxy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders =
        ["docs", "contrib/debian", "contrib/docker", "examples/proxies", "examples/replicas", "config"];
    let in_folders =
        folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("a folder"));
    let files = in_folders.map(|entry| entry.expect("a file").path()).filter(|path| path.is_file());
    let (mut found, mut of_compose) = (0, String::new());
    for path in files.chain([root.join("compose.yaml"), root.join("README.md"), root.join("Dockerfile")]) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).into_owned();
        for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', '|'])) {
            let lower = line.to_lowercase();
            let Some((_, value)) = lower.split_once("trusted_proxies") else { continue };
            let Some(value) = value.trim_start().strip_prefix(['=', ':']) else { continue };
            let value = value.split('#').next().unwrap_or_default();
            for address in value.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/'))) {
                if address.contains(['.', ':']) {
                    address
                        .parse::<std::net::IpAddr>()
                        .unwrap_or_else(|_| panic!("{}: {line}", path.display()));
                    found += 1;
                    if path.ends_with("compose.yaml") {
                        of_compose = format!("gateway: {address}");
                    }
                }
            }
        }
    }
    assert!(found >= 5, "{found}");
    // The one that Docker gives to what comes from the machine itself.
    let compose = std::fs::read_to_string(root.join("compose.yaml")).expect("a file");
    assert!(!of_compose.is_empty() && compose.contains(&of_compose), "{of_compose}");
}
