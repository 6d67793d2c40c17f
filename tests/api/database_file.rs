//! The file of an embedded database that is taken away, replaced, or not there.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

fn file_of(app: &TestApp) -> PathBuf {
    PathBuf::from(app.db.url.strip_prefix("sqlite://").expect("a path"))
}

/// Waits until `/readyz` has this status.
async fn wait_for(app: &TestApp, status: u16) {
    let start = Instant::now();
    while app.get("/readyz").await.status != status {
        assert!(start.elapsed() < Duration::from_secs(20), "/readyz does not become {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn nothing_is_read_from_a_file_that_nobody_else_sees() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let alice = app.sign_in(Person::named("alice")).await;
    wait_for(&app, 200).await;
    let file = file_of(&app);
    let aside = file.with_extension("aside");

    fs::rename(&file, &aside).expect("moved");
    wait_for(&app, 503).await;
    let refused = app.me(&alice.jwt).await;
    refused.assert_problem(503, "database_unavailable");
    assert!(!refused.text.contains("test.db"), "{}", refused.text);
    fs::rename(&aside, &file).expect("moved");
    wait_for(&app, 200).await;
    assert_eq!(app.me(&alice.jwt).await.status, 200);

    // Another one with its name, and the same rows: a backup was put back.
    fs::copy(&file, &aside).expect("copied");
    fs::rename(&aside, &file).expect("moved");
    wait_for(&app, 503).await;
    app.me(&alice.jwt).await.assert_problem(503, "database_unavailable");

    fs::remove_file(&file).expect("removed");
    app.me(&alice.jwt).await.assert_problem(503, "database_unavailable");
}

#[test]
fn a_command_makes_no_database_and_says_where_it_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("of-somebody-else.db");
    for arguments in [
        &["user", "list"][..],
        &["user", "disable", "alice@example.com"],
        &["client", "list"],
        &["client", "create", "reports"],
        &["events", "list"],
        &["keys", "rotate"],
        &["sessions", "end", "alice@example.com"],
    ] {
        let url = format!("sqlite://{}", file.display());
        let command = Tokenbooth::new(arguments).set("database.url", &url).set("token.secret", SECRET);
        let output = command.output();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(
            told.contains("there is no database at ") && told.contains("of-somebody-else.db"),
            "{arguments:?}: {told}"
        );
        assert!(!file.exists(), "{arguments:?} made a database");
    }
}
