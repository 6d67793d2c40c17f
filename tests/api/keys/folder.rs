//! `keys.directory`: the ring in files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokenbooth::mock::Person;

use super::command::{command, printed, read_list, told};
use super::{published, signs_with};
use crate::databases::TestDatabase;
use crate::jwt::kid_of;
use crate::support::TestApp;
use crate::support::process::Tokenbooth;

fn in_folder(app: &TestApp, folder: &Path, arguments: &[&str]) -> Tokenbooth {
    command(&app.db.url, arguments).set("keys.directory", &folder.display().to_string())
}

on_both_databases! {
    async fn keys_in_files_are_rotated_and_retired_by_the_same_commands(db: TestDatabase) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let app = TestApp::start_with(db, |sources| sources.with("keys.directory", path.display().to_string())).await;
        let old = app.sign_in(Person::default()).await.jwt;
        let kid = printed(in_folder(&app, path, &["rotate", "--alg", "EdDSA"])).trim_end().to_owned();
        assert_eq!(app.db.count("signing_keys"), 0);
        let file = path.join(format!("{kid}.json"));
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        let content: Value = serde_json::from_str(&fs::read_to_string(&file).expect("a file")).expect("JSON");
        assert_eq!((&content["kty"], &content["crv"], &content["kid"]), (&"OKP".into(), &"Ed25519".into(), &kid.as_str().into()));
        signs_with(&app, &kid).await;
        assert_eq!(app.me(&old).await.status, 200);
        let next = printed(in_folder(&app, path, &["rotate"])).trim_end().to_owned();
        signs_with(&app, &next).await;
        printed(in_folder(&app, path, &["retire", &kid, "--force"]));
        let content: Value = serde_json::from_str(&fs::read_to_string(&file).expect("a file")).expect("JSON");
        assert!(content.get("d").is_none() && content["retired_at"].is_i64(), "{content}");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(published(&app).await.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&next));
        let states = read_list(&printed(in_folder(&app, path, &["list"])));
        assert_eq!(states.iter().map(|key| key.state.as_str()).collect::<Vec<_>>(), ["previous", "retired", "signing"]);
        assert_eq!(kid_of(&app.sign_in(Person::default()).await.jwt), next);
    }
}

#[actix_web::test]
async fn a_file_that_others_may_read_or_that_is_no_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let kid = printed(in_folder(&app, path, &["generate", "--alg", "ES256"])).trim_end().to_owned();
    let file = path.join(format!("{kid}.json"));
    let good = fs::read_to_string(&file).expect("a file");
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("ours");
    let refusal = || told(in_folder(&app, path, &["list"]));
    mode(0o604);
    assert!(refusal().contains("others may read it"), "{}", refusal());
    mode(0o400);
    printed(in_folder(&app, path, &["list"]));
    mode(0o600);
    for (text, why) in [
        ("{}".to_owned(), "it is no JSON object with kid, alg, created_at and a key"),
        (good.replace("ES256", "RS256"), "its alg is not one of ours"),
        (good.replace(&kid, "another"), "its kid is not its name"),
        (" ".repeat(20_000), "it is too long"),
    ] {
        fs::write(&file, text).expect("ours");
        assert!(refusal().contains(why), "{}", refusal());
        assert!(!refusal().contains("\"d\""));
    }
    let missing = path.join("nowhere");
    assert!(told(in_folder(&app, &missing, &["list"])).contains("keys.directory: "));
    // Nor does a service start with half a key.
    fs::write(&file, good.replace("\"d\"", "\"x-d\"")).expect("ours");
    let sources = TestApp::sources(&app.mock, &app.db.url).with("keys.directory", path.display().to_string());
    let refused = TestApp::try_start(app.mock.clone(), TestDatabase::sqlite(), sources).await;
    let refused = refused.err().expect("it is no key").to_string();
    assert!(
        refused.starts_with(&format!("the key {kid}: what is kept under its name is another key")),
        "{refused}"
    );
}
