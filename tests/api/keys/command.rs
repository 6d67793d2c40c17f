//! `tokenbooth keys …`, from the outside.

use crate::databases::TestDatabase;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// A line of `keys list`.
#[derive(Debug)]
pub struct Listed {
    pub kid: String,
    pub alg: String,
    pub state: String,
    pub created: String,
}

pub fn command(url: &str, arguments: &[&str]) -> Tokenbooth {
    Tokenbooth::new(&[&["keys"], arguments].concat()).set("database.url", url).set("token.secret", SECRET)
}

/// What a command that succeeds prints.
#[track_caller]
pub fn printed(command: Tokenbooth) -> String {
    let output = command.output();
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    assert_eq!((output.status.code(), err.as_deref()), (Some(0), Ok("")));
    out.expect("UTF-8")
}

/// The one line of a command that is refused.
#[track_caller]
pub fn told(command: Tokenbooth) -> String {
    let output = command.output();
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), output.stdout.len(), err.lines().count()), (Some(1), 0, 1), "{err}");
    err.trim_end().to_owned()
}

#[track_caller]
pub fn keys(db: &TestDatabase, arguments: &[&str]) -> String {
    printed(command(&db.url, arguments))
}

#[track_caller]
pub fn refused(db: &TestDatabase, arguments: &[&str]) -> String {
    told(command(&db.url, arguments))
}

/// `keys rotate`: the kid, and nothing else.
#[track_caller]
pub fn rotate(db: &TestDatabase, arguments: &[&str]) -> String {
    let kid = keys(db, &[&["rotate"], arguments].concat());
    let kid = kid.strip_suffix('\n').expect("a line");
    assert!(!kid.is_empty() && !kid.contains(char::is_whitespace), "{kid:?}");
    kid.to_owned()
}

/// `keys list`, without its heading.
#[track_caller]
pub fn listed(db: &TestDatabase) -> Vec<Listed> {
    read_list(&keys(db, &["list"]))
}

pub fn read_list(text: &str) -> Vec<Listed> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kid, alg, state, created @ ..] = words.as_slice() else { panic!("{line:?}") };
        Listed {
            kid: (*kid).to_owned(),
            alg: (*alg).to_owned(),
            state: (*state).to_owned(),
            created: created.join(" "),
        }
    };
    text.lines().skip(1).map(line).collect()
}

#[test]
fn every_key_is_listed_with_its_algorithm_its_state_and_when_it_was_made() {
    let db = TestDatabase::sqlite();
    let of_secret = &listed(&db)[0];
    assert_eq!((of_secret.alg.as_str(), of_secret.state.as_str()), ("HS256", "signing"));
    assert_eq!(of_secret.created, "in the settings");
    let kid = keys(&db, &["generate", "--alg", "ES256"]);
    let text = keys(&db, &["list"]);
    assert!(text.starts_with("KID  "), "{text}");
    let added = &read_list(&text)[1];
    assert_eq!(
        (added.kid.as_str(), added.alg.as_str(), added.state.as_str()),
        (kid.trim_end(), "ES256", "added")
    );
    assert!(added.created.starts_with("20") && added.created.ends_with('Z'), "{}", added.created);
    let previous = command(&db.url, &["list"])
        .set("token.previous_secrets", "an-earlier-secret-of-the-tests-0123456789");
    assert_eq!(
        read_list(&printed(previous)).iter().map(|key| key.state.as_str()).collect::<Vec<_>>(),
        ["previous", "signing", "added"]
    );
}

#[test]
fn an_algorithm_that_we_do_not_have_and_a_database_without_tables_are_told() {
    let db = TestDatabase::sqlite();
    let output = command(&db.url, &["rotate", "--alg", "RS256"]).output();
    assert_eq!(output.status.code(), Some(2));
    let told_of = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(told_of.contains("the algorithms are HS256, EdDSA and ES256"), "{told_of}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("empty.db");
    std::fs::write(&file, "").expect("a file");
    let empty = format!("sqlite://{}", file.display());
    let refusal = told(command(&empty, &["list"]));
    assert!(refusal.contains("run `tokenbooth migrate` first"), "{refusal}");
}
