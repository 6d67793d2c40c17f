//! The commands: what they print, their exit codes, and that a running service sees what they change.

mod check;
mod copy;
mod events;
mod explain_token;
mod health;
mod import;
mod sessions;
mod user;

use std::process::Output;

use crate::databases::TestDatabase;
use crate::postgres;
use crate::support::TestApp;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// How a command ended: exit code, stdout, stderr.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ended {
    /// Exit code 0 and a silent stderr; answers with what was printed.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// Exit code 1, nothing printed, one line on stderr: answers with it.
    #[track_caller]
    pub fn bad(self) -> String {
        assert_eq!(
            (self.code, self.out.as_str(), self.err.lines().count()),
            (Some(1), "", 1),
            "{}",
            self.err
        );
        self.err.strip_prefix("tokenbooth: ").expect("who says it").trim_end().to_owned()
    }

    /// Exit code 1 of a command that reports on stdout.
    #[track_caller]
    pub fn told(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(1), ""), "{}", self.out);
        self.out
    }
}

pub fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let command = Tokenbooth::new(arguments);
    settings.iter().fold(command, |command, (key, value)| command.set(key, value)).output().into()
}

#[test]
fn help_and_version_are_told_without_settings() {
    let version = run(&["--version"], &[("no.such", "setting")]).good();
    assert_eq!(version, format!("tokenbooth {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"], &[]).good();
    for command in [
        "serve",
        "demo",
        "migrate",
        "check",
        "explain-token",
        "login",
        "selftest",
        "openapi",
        "user",
        "sessions",
        "client",
        "events",
        "db",
        "keys",
        "import",
    ] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command} in {help}");
    }
    assert!(help.ends_with("Settings: config/default.toml describes them all.\n"), "{help}");
    let unknown = run(&["nonsense"], &[]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
    assert!(unknown.err.starts_with("error: unrecognized subcommand 'nonsense'"), "{}", unknown.err);
}

#[test]
fn nobody_who_closes_the_pipe_early_sees_a_panic() {
    let db = TestDatabase::sqlite();
    for arguments in [
        &["openapi"][..],
        &["--help"],
        &["check"],
        &["user", "list"],
        &["events", "list"],
        &["keys", "list"],
        &["explain-token", "x"],
    ] {
        let ended: Ended =
            Tokenbooth::new(arguments).set("database.url", &db.url).into_a_closed_pipe().into();
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
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
    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
        .expect("the migrations")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()))
        .count();
    for (url, _keep) in empty_databases() {
        let serve = || {
            let command = Tokenbooth::new(&["serve"]).set("server.port", "0").set("database.url", &url);
            command.set("database.migrate_on_start", "false").set("token.secret", SECRET)
        };
        assert_eq!(
            Ended::from(serve().output()).bad(),
            format!(
                "database.migrate_on_start is off and {migrations} migrations have not run. Run `tokenbooth migrate`"
            )
        );
        assert_eq!(
            run(&["user", "list"], &[("database.url", &url)]).bad(),
            "the database has no users yet: run `tokenbooth migrate` first"
        );
        let told = run(&["check"], &[("database.url", &url), ("database.migrate_on_start", "false")]).told();
        assert!(
            told.contains(&format!("{migrations} migrations are pending. Run `tokenbooth migrate`")),
            "{told}"
        );
        let told = run(&["check"], &[("database.url", &url)]).good();
        assert!(told.contains(&format!("{migrations} migrations will run at the next start")), "{told}");

        let first = run(&["migrate"], &[("database.url", &url)]).good();
        assert!(
            first.ends_with(&format!("{migrations} migrations done, the schema is up to date\n")),
            "{first}"
        );
        let second = run(&["migrate"], &[("database.url", &url)]).good();
        assert_eq!(second, "0 migrations done, the schema is up to date\n");
        serve().start().url();
    }
}

#[actix_web::test]
async fn the_openapi_document_is_the_one_in_docs_and_the_one_that_is_served() {
    let printed = run(&["openapi"], &[]).good();
    let kept = include_str!("../../docs/openapi.json");
    assert!(printed == kept, "docs/openapi.json is not up to date: run `make openapi`");
    let app = TestApp::start(TestDatabase::sqlite()).await;
    assert_eq!(app.get("/openapi.json").await.text, printed);
}

#[test]
fn what_postman_imports_is_made_from_the_document() {
    for (option, file, kept) in [
        ("--postman", "collection", include_str!("../../postman/tokenbooth.postman_collection.json")),
        (
            "--postman-environment",
            "environment",
            include_str!("../../postman/tokenbooth.postman_environment.json"),
        ),
    ] {
        let printed = run(&["openapi", option], &[]).good();
        assert!(
            printed == kept,
            "postman/tokenbooth.postman_{file}.json is not up to date: run `make openapi`"
        );
    }
    assert_eq!(run(&["openapi", "--postman", "--postman-environment"], &[]).code, Some(2));
}
