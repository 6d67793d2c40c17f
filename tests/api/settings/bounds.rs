//! How long what we issue may live, which secrets are none, where settings were read from, and who may read what is kept.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokenbooth::mock::MockProviders;
use tokenbooth::settings::Sources;

use super::{refusal, refusal_of, serve};
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

#[test]
fn what_lives_too_long_does_not_start() {
    for (key, most, more, shown) in [
        ("token.access_ttl", "24h", "86401s", "1day 1s"),
        ("sign_in.code_ttl", "10m", "601s", "10m 1s"),
        ("sign_in.state_ttl", "1h", "61m", "1h 1m"),
    ] {
        assert!(Sources::defaults().with(key, most).load().is_ok(), "{key}");
        let expected = format!("{key}: it is {shown}, at most {most} are accepted. Use \"{most}\" or less");
        assert_eq!(refusal_of(key, more), expected);
    }
}

#[test]
fn a_secret_that_everybody_knows_does_not_start_in_production() {
    let in_production = |secret: &str| {
        let sources = Sources::defaults().environment("production").with("token.secret", secret);
        sources.load().err().map(|problem| problem.to_string())
    };
    for weak in [
        "s".repeat(48),
        "0".repeat(32),
        "abab".repeat(12),
        "for-this-check-and-for-nothing-else-0123456789".to_owned(),
    ] {
        let told = in_production(&weak).expect("it is refused");
        assert!(told.starts_with("token.secret: ") && told.contains("openssl rand -base64 48"), "{told}");
        assert!(!told.contains(&weak));
        assert!(
            Sources::defaults().with("token.secret", weak).load().is_ok(),
            "in development it is only told"
        );
    }
    assert_eq!(in_production(SECRET), None);
    let previous = Sources::defaults().environment("production").with("token.secret", SECRET);
    assert!(previous.with("token.previous_secrets", "s".repeat(48)).load().is_ok(), "it still unseals");
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").permissions().mode() & 0o777
}

#[actix_web::test]
async fn files_are_made_for_their_owner_and_what_was_read_is_named_first() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let mut running = Tokenbooth::serving(&mock, "sqlite://kept.db")
        .set("token.secret", "")
        .file("config/default.toml", "[log]\nlevel = \"info\"\n")
        .env("TOKENBOOTH_ENV", "development")
        .start();
    running.url();
    for name in ["kept.db", "kept.db-wal", "kept.db-shm", "kept.db.secret"] {
        assert_eq!(mode(&running.folder().join(name)), 0o600, "{name}");
    }
    let log = running.stderr();
    let mut lines = log.lines();
    let files = lines.next().expect("a line");
    assert!(files.ends_with("settings: files read: config/default.toml, kept.db.secret"), "{files}");
    let variables = lines.next().expect("a line");
    assert!(
        variables.contains("settings: variables read: TOKENBOOTH_ENV, TOKENBOOTH__DATABASE__URL"),
        "{variables}"
    );
    assert!(variables.contains("TOKENBOOTH__PROVIDERS__GITHUB__CLIENT_SECRET"), "{variables}");
    assert!(!variables.contains("TOKENBOOTH__TOKEN__SECRET"), "an empty variable is none: {variables}");
}

#[test]
fn check_names_what_it_read_and_shows_no_value() {
    let output = Tokenbooth::new(&["check"])
        .file("elsewhere/production.toml", "[log]\nformat = \"text\"\n")
        .env("TOKENBOOTH_CONFIG_DIR", "elsewhere")
        .env("TOKENBOOTH_ENV", "production")
        .env("DATABASE_URL", "sqlite://secret-place.db")
        .set("token.secret", SECRET)
        .output();
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(told.starts_with("ok       settings: files read: elsewhere/production.toml\n"), "{told}");
    let expected = "ok       settings: variables read: DATABASE_URL, TOKENBOOTH_CONFIG_DIR, TOKENBOOTH_ENV, TOKENBOOTH__TOKEN__SECRET";
    assert_eq!(told.lines().nth(1), Some(expected));
    assert!(!told.contains("secret-place") && !told.contains(SECRET));
}

#[test]
fn a_file_that_is_there_keeps_its_mode() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.db");
    std::fs::write(&file, "").expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("ours");
    let url = format!("sqlite://{}", file.display());
    assert_eq!(Tokenbooth::new(&["migrate"]).set("database.url", &url).output().status.code(), Some(0));
    assert_eq!(mode(&file), 0o640);
    // What cannot be made is told as before.
    let line = refusal(serve().set("database.url", "sqlite:///no/such/folder/t.db"));
    assert!(line.starts_with("database.url: the database is unavailable"), "{line}");
}
