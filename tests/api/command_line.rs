//! The commands: what they print, their exit codes, and that a running service sees what they change.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::{Endpoint, Fault, GithubUser, MockProviders, Person};

use crate::databases::TestDatabase;
use crate::postgres;
use crate::support::TestApp;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// How a command ended: exit code, stdout, stderr.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Ended {
    /// Exit code 0 and a silent stderr; answers with what was printed.
    #[track_caller]
    fn good(self) -> String {
        assert_eq!(
            (self.code, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        self.out
    }

    /// Exit code 1, nothing printed, one line on stderr: answers with it.
    #[track_caller]
    fn bad(self) -> String {
        assert_eq!(
            (self.code, self.out.as_str(), self.err.lines().count()),
            (Some(1), "", 1),
            "{}",
            self.err
        );
        self.err
            .strip_prefix("tokenbooth: ")
            .expect("who says it")
            .trim_end()
            .to_owned()
    }

    /// Exit code 1 of a command that reports on stdout.
    #[track_caller]
    fn told(self) -> String {
        assert_eq!(
            (self.code, self.err.as_str()),
            (Some(1), ""),
            "{}",
            self.out
        );
        self.out
    }
}

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let command = Tokenbooth::new(arguments);
    settings
        .iter()
        .fold(command, |command, (key, value)| command.set(key, value))
        .output()
        .into()
}

/// `tokenbooth user …` on a database.
fn user(db: &TestDatabase, arguments: &[&str]) -> Ended {
    run(
        &[&["user"], arguments].concat(),
        &[("database.url", &db.url)],
    )
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn help_and_version_are_told_without_settings() {
    let version = run(&["--version"], &[("no.such", "setting")]).good();
    assert_eq!(
        version,
        format!("tokenbooth {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = run(&["--help"], &[]).good();
    for command in [
        "serve",
        "demo",
        "migrate",
        "check",
        "explain-token",
        "openapi",
        "user",
    ] {
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(command)),
            "{command} in {help}"
        );
    }
    assert!(
        help.ends_with("Settings: config/default.toml describes them all.\n"),
        "{help}"
    );
    let unknown = run(&["nonsense"], &[]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
    assert!(
        unknown
            .err
            .starts_with("error: unrecognized subcommand 'nonsense'"),
        "{}",
        unknown.err
    );
}

#[test]
fn nobody_who_closes_the_pipe_early_sees_a_panic() {
    let db = TestDatabase::sqlite();
    for arguments in [
        &["openapi"][..],
        &["--help"],
        &["check"],
        &["user", "list"],
        &["explain-token", "x"],
    ] {
        let ended: Ended = Tokenbooth::new(arguments)
            .set("database.url", &db.url)
            .into_a_closed_pipe()
            .into();
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

/// An empty database of each kind.
fn empty_databases() -> Vec<(String, Box<dyn std::any::Any>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("new.db").display());
    let mut databases: Vec<(String, Box<dyn std::any::Any>)> = vec![(url, Box::new(folder))];
    if let Some(server) = postgres::server() {
        let database = server.create_database(None);
        databases.push((database.url.clone(), Box::new(database)));
    }
    databases
}

#[test]
fn migrate_brings_the_schema_up_to_date_and_a_service_told_not_to_insists_on_it() {
    for (url, _keep) in empty_databases() {
        let serve = || {
            let command = Tokenbooth::new(&["serve"])
                .set("server.port", "0")
                .set("database.url", &url);
            command
                .set("database.migrate_on_start", "false")
                .set("token.secret", SECRET)
        };
        assert_eq!(
            Ended::from(serve().output()).bad(),
            "database.migrate_on_start is off and 2 migrations have not run. Run `tokenbooth migrate`"
        );
        assert_eq!(
            run(&["user", "list"], &[("database.url", &url)]).bad(),
            "the database has no users yet: run `tokenbooth migrate` first"
        );
        let told = run(
            &["check"],
            &[
                ("database.url", &url),
                ("database.migrate_on_start", "false"),
            ],
        )
        .told();
        assert!(
            told.contains("2 migrations are pending: run `tokenbooth migrate`"),
            "{told}"
        );
        let told = run(&["check"], &[("database.url", &url)]).good();
        assert!(
            told.contains("2 migrations will run at the next start"),
            "{told}"
        );

        let first = run(&["migrate"], &[("database.url", &url)]).good();
        assert!(
            first.ends_with("2 migrations done, the schema is up to date\n"),
            "{first}"
        );
        let second = run(&["migrate"], &[("database.url", &url)]).good();
        assert_eq!(second, "0 migrations done, the schema is up to date\n");
        serve().start().url();
    }
}

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
    for provider in ["acme", "github", "google"] {
        assert!(
            told.contains(&format!("ok       providers.{provider}: reachable, ")),
            "{told}"
        );
    }
    assert_eq!(
        lines.last(),
        Some(&"ok       clock: within 30 s of the providers'")
    );
}

fn mock() -> MockProviders {
    actix_web::rt::System::new()
        .block_on(MockProviders::start())
        .expect("the mock starts")
}

/// `tokenbooth check` beside the mock, with settings changed.
fn check(mock: &MockProviders, changes: &[(&str, &str)]) -> Ended {
    let all = mock
        .settings()
        .into_iter()
        .chain(mock.oidc_settings("acme"));
    let command = all.fold(Tokenbooth::new(&["check"]), |command, (key, value)| {
        command.set(&key, &value)
    });
    changes
        .iter()
        .fold(command, |command, (key, value)| command.set(key, value))
        .output()
        .into()
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
            format!("problem  providers.github: github's answer cannot be used: it refuses our own credentials; are providers.github.client_id and client_secret right?. {way_out}"),
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
    assert!(
        told.contains("warning  providers: none is configured, nobody can sign in"),
        "{told}"
    );
    let command = Tokenbooth::new(&["check"])
        .env("TOKENBOOTH_ENV", "production")
        .set("token.secret", SECRET);
    let told = Ended::from(command.output()).good();
    assert!(
        told.contains("ok       settings: complete for production"),
        "{told}"
    );
    assert!(
        told.contains("warning  server.public_url: it is made from host and port; set it"),
        "{told}"
    );
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
            while head
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
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
        line.ends_with(
            " s ahead of the providers': good tokens may be refused. Run a time service"
        ),
        "{told}"
    );
}

/// `tokenbooth explain-token` with the settings of a running service.
fn explain(app: &TestApp, token: &str) -> Ended {
    let settings = app
        .mock
        .settings()
        .into_iter()
        .chain(app.mock.oidc_settings("acme"));
    let ended: Ended = settings
        .fold(
            Tokenbooth::new(&["explain-token", "-"]),
            |command, (key, value)| command.set(&key, &value),
        )
        .set("database.url", &app.db.url)
        .set("token.secret", SECRET)
        .set("token.issuer", &app.base)
        .input(token)
        .output()
        .into();
    // What is shown can be passed on.
    if let Some((_, signature)) = token
        .trim()
        .rsplit_once('.')
        .filter(|(_, signature)| !signature.is_empty())
    {
        assert!(
            !ended.out.contains(signature) && !ended.err.contains(signature),
            "the signature is printed: {}",
            ended.out
        );
    }
    ended
}

on_both_databases! {
    async fn explain_token_knows_our_own_tokens_and_what_became_of_them(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let accepted = format!("accepted as our access token: it is a token of user {}", bob.user_id);
        let told = explain(&app, &bob.jwt).good();
        assert!(told.lines().any(|line| line == accepted), "{told}");
        assert!(told.contains("\"typ\": \"at+jwt\"") && told.contains(&format!("\"sub\": \"{}\"", bob.user_id)), "{told}");
        assert!(told.lines().any(|line| line.trim_start().starts_with("exp  2") && line.ends_with(" s")), "{told}");
        // As people paste it.
        let told = explain(&app, &format!("  Bearer {}\n", bob.jwt)).good();
        assert!(told.lines().any(|line| line == accepted), "{told}");

        app.clock.advance(-4000);
        let mut claims = Person::named("bob").claims();
        claims["iat"] = json!(app.clock.now().0);
        let expired = app.exchange_id_token(&app.mock.google().id_token(claims)).await.assert_signed_in();
        let told = explain(&app, &expired.jwt).told();
        assert!(told.contains("refused  as our access token: it expired 2"), "{told}");
        app.clock.advance(4000);

        let forged = format!("{}{}", &bob.jwt[..bob.jwt.len() - 4], "AAAA");
        let told = explain(&app, &forged).told();
        assert!(told.contains("refused  as our access token: the token's signature is wrong"), "{told}");

        user(&app.db, &["disable", &bob.user_id]).good();
        let told = explain(&app, &bob.jwt).told();
        assert!(told.contains("refused  as our access token: the user's tokens were revoked"), "{told}");
    }
}

#[actix_web::test]
async fn explain_token_says_what_each_provider_makes_of_a_token() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let google = app.mock.google();
    let token = google.id_token(json!({}));
    let told = explain(&app, &token).good();
    let sub = Person::default().sub;
    assert!(
        told.contains(&format!(
            "accepted at POST /auth/google: it proves {sub} of google"
        )),
        "{told}"
    );
    assert!(
        told.contains("refused  as our access token: its typ is "),
        "{told}"
    );
    assert!(told.contains("refused  at POST /auth/acme: "), "{told}");

    let told = explain(
        &app,
        &google.id_token(json!({ "aud": "somebody-elses-app", "azp": null })),
    )
    .told();
    assert!(told.contains("refused  at POST /auth/google: token audience \"somebody-elses-app\" is not in providers.google.client_ids"), "{told}");
    let told = explain(&app, &google.id_token(json!({ "iat": 1_000_000_000 }))).told();
    assert!(
        told.contains("refused  at POST /auth/google: the token expired "),
        "{told}"
    );

    let opaque = google.access_token(Person::default());
    let told = explain(&app, &opaque).good();
    assert!(
        told.starts_with(
            "This is no signed JWT (header.payload.signature), so an opaque access token at best.\n"
        ),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "accepted at POST /auth/google: it proves {sub} of google"
        )),
        "{told}"
    );
    assert!(!told.contains(&opaque), "{told}");
    let told = explain(&app, &app.mock.github().access_token(GithubUser::default())).good();
    assert!(
        told.contains("accepted at POST /auth/github: it proves "),
        "{told}"
    );
    let told = explain(&app, "neither-one-nor-the-other").told();
    assert!(
        told.contains("refused  as our access token: it is no JWT"),
        "{told}"
    );
    assert!(
        told.contains(
            "refused  at POST /auth/github: this is not a GitHub app's user access token"
        ),
        "{told}"
    );
}

#[test]
fn explain_token_takes_the_token_as_argument_too_and_wants_one() {
    let told = run(&["explain-token", "opaque"], &[]).told();
    assert!(
        told.ends_with("No provider is configured, so no exchange would take it.\n"),
        "{told}"
    );
    assert_eq!(
        run(&["explain-token"], &[]).bad(),
        "there is no token: give it as argument or on standard input"
    );
}

#[actix_web::test]
async fn the_openapi_document_is_the_one_in_docs_and_the_one_that_is_served() {
    let printed = run(&["openapi"], &[]).good();
    let kept = include_str!("../../docs/openapi.json");
    assert!(
        printed == kept,
        "docs/openapi.json is not up to date: run `make openapi`"
    );
    let app = TestApp::start(TestDatabase::sqlite()).await;
    assert_eq!(app.get("/openapi.json").await.text, printed);
}

on_both_databases! {
    async fn user_commands_are_seen_by_the_running_service_at_the_next_request(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let shown = json_of(&user(&app.db, &["show", "Bob@Example.com"]).good());
        assert_eq!(
            (&shown["id"], &shown["email"], &shown["admin"], &shown["disabled"]),
            (&json!(bob.user_id), &json!("bob@example.com"), &json!(false), &json!(false))
        );
        assert_eq!(shown["identities"][0]["provider"], "google");
        assert_eq!(shown["identities"][0]["provider_id"], json!(Person::named("bob").sub));

        // By id and by e-mail.
        assert_eq!(json_of(&user(&app.db, &["promote", &bob.user_id]).good())["admin"], true);
        assert_eq!(app.me(&bob.jwt).await.json["admin"], true);
        assert_eq!(json_of(&user(&app.db, &["demote", "bob@example.com"]).good())["admin"], false);
        assert_eq!(app.me(&bob.jwt).await.json["admin"], false);

        assert_eq!(json_of(&user(&app.db, &["disable", "bob@example.com"]).good())["disabled"], true);
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        let token = app.mock.google().id_token(Person::named("bob").claims());
        app.exchange_id_token(&token).await.assert_problem(403, "user_disabled");

        assert_eq!(json_of(&user(&app.db, &["enable", &bob.user_id]).good())["disabled"], false);
        // Let in again, with a new token: no old one comes back to life.
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        let again = app.exchange_id_token(&token).await.assert_signed_in();
        assert_eq!(again.user_id, bob.user_id);
        assert_eq!(app.me(&again.jwt).await.status, 200);
    }

    async fn user_list_has_every_user_once_oldest_first(db: TestDatabase) {
        let app = TestApp::start(db).await;
        assert_eq!(user(&app.db, &["list"]).good(), "");
        let mut ids = Vec::new();
        for name in ["carol", "alice", "bob"] {
            ids.push(app.sign_in(Person::named(name)).await.user_id);
        }
        let listed = user(&app.db, &["list"]).good();
        let listed: Vec<Value> = listed.lines().map(json_of).collect();
        assert_eq!(listed.iter().map(|user| user["id"].as_str().expect("an id")).collect::<Vec<_>>(), ids);
        assert_eq!(listed[0]["email"], "carol@example.com");
    }

    async fn an_address_of_several_users_is_refused_with_their_ids(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let google = app.sign_in(Person::named("alice")).await;
        let github = app.exchange_github(GithubUser::named("alice")).await.assert_signed_in();
        assert_ne!(google.user_id, github.user_id);
        for command in ["show", "disable", "enable", "promote", "demote"] {
            assert_eq!(
                user(&app.db, &[command, "alice@example.com"]).bad(),
                format!("several users have this address, name one by its id: {}, {}", google.user_id, github.user_id)
            );
        }
        assert_eq!(app.me(&google.jwt).await.status, 200);
        assert_eq!(app.me(&github.jwt).await.status, 200);
    }

    async fn a_user_who_is_not_there_is_told_so(db: TestDatabase) {
        for name in ["nobody@example.com", "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10", "%", ""] {
            for command in ["show", "disable"] {
                assert_eq!(user(&db, &[command, name]).bad(), "there is no such user; `tokenbooth user list` shows them all");
            }
        }
    }
}
