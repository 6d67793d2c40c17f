//! What Postman imports, against the document that it is made of. `.ci/check-postman` clicks through it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokenbooth::openapi;

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn document() -> Value {
    read(&openapi::document())
}

fn collection() -> Value {
    read(&openapi::postman::collection())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every request with the folder it is in.
fn requests(collection: &Value) -> Vec<(&str, &Value)> {
    let folders = array(&collection["item"]).iter();
    folders
        .flat_map(|folder| {
            let name = folder["name"].as_str().expect("a name");
            array(&folder["item"]).iter().map(move |item| (name, item))
        })
        .collect()
}

/// `GET /api/admin/users/{id}` of a request.
fn operation(item: &Value) -> String {
    let path: Vec<String> = array(&item["request"]["url"]["path"])
        .iter()
        .filter_map(Value::as_str)
        .map(|segment| segment.strip_prefix(':').map_or(segment.to_owned(), |name| format!("{{{name}}}")))
        .collect();
    format!("{} /{}", item["request"]["method"].as_str().expect("a method"), path.join("/"))
}

/// The document's operations by the same name.
fn documented(document: &Value) -> BTreeMap<String, &Value> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    operations.collect()
}

fn script<'a>(item: &'a Value, listen: &str) -> Vec<&'a str> {
    let event = array(&item["event"]).iter().find(|event| event["listen"] == listen).expect("a script");
    array(&event["script"]["exec"]).iter().filter_map(Value::as_str).collect()
}

#[test]
fn every_path_and_method_is_there_once_in_the_folder_of_its_tag() {
    let (document, collection) = (document(), collection());
    let operations = documented(&document);
    let mut found = BTreeSet::new();
    for (folder, item) in requests(&collection) {
        let name = operation(item);
        assert_eq!(operations[&name]["tags"][0], folder, "{name}");
        assert_eq!(operations[&name]["summary"], item["name"], "{name}");
        assert!(found.insert(name.clone()), "{name} is there twice");
    }
    assert_eq!(found, operations.into_keys().collect());
    let folders: Vec<&Value> = array(&collection["item"]).iter().map(|folder| &folder["name"]).collect();
    let tags: Vec<&Value> = array(&document["tags"]).iter().map(|tag| &tag["name"]).collect();
    assert_eq!(folders, tags);
}

#[test]
fn it_is_a_collection_of_version_2_1_and_its_urls_are_postmans() {
    let collection = collection();
    let schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";
    assert_eq!(collection["info"]["schema"], schema);
    for (_, item) in requests(&collection) {
        let url = &item["request"]["url"];
        let raw = url["raw"].as_str().expect("a raw URL");
        let path: Vec<&str> = array(&url["path"]).iter().filter_map(Value::as_str).collect();
        let (before, query) = raw.split_once('?').unwrap_or((raw, ""));
        assert_eq!(before, format!("{{{{base_url}}}}/{}", path.join("/")));
        let ticked = array(&url["query"]).iter().filter(|entry| entry["disabled"] != true).count();
        assert_eq!(query.split('&').filter(|pair| !pair.is_empty()).count(), ticked, "{raw}");
        let in_path: Vec<&str> = path.iter().filter_map(|segment| segment.strip_prefix(':')).collect();
        let given: Vec<&str> = array(&url["variable"]).iter().filter_map(|one| one["key"].as_str()).collect();
        assert_eq!(given, in_path, "{raw}");
    }
}

#[test]
fn a_credential_is_sent_where_the_document_wants_one_and_nowhere_else() {
    let (document, collection) = (document(), collection());
    assert_eq!(collection["auth"]["bearer"][0]["value"], "{{access_token}}");
    let operations = documented(&document);
    for (folder, item) in requests(&collection) {
        let auth = &item["request"]["auth"];
        let wanted = |scheme: &str| {
            let ways = operations[&operation(item)]["security"].as_array();
            // One that is empty says that it may be left out.
            ways.is_some_and(|ways| ways.iter().all(|way| way[scheme].is_array()))
        };
        let expected = match (wanted("bearer"), wanted("client")) {
            (true, _) if folder == "administration" => json!("bearer"),
            (true, _) => Value::Null,
            (_, true) => json!("basic"),
            _ => json!("noauth"),
        };
        assert_eq!(auth["type"], expected, "{}", operation(item));
    }
}

#[test]
fn every_answer_is_held_against_what_the_document_lists() {
    let (document, collection) = (document(), collection());
    let operations = documented(&document);
    for (_, item) in requests(&collection) {
        let lines = script(item, "test");
        let list = lines.iter().find_map(|line| line.strip_prefix("const documented = ")).expect("a list");
        let list = read(list.trim_end_matches(';'));
        let responses = operations[&operation(item)]["responses"].as_object().expect("responses");
        assert_eq!(list.as_object().map(serde_json::Map::len), Some(responses.len()));
        for (status, response) in responses {
            let empty = serde_json::Map::new();
            let kinds: Vec<&String> = response["content"].as_object().unwrap_or(&empty).keys().collect();
            assert_eq!(list[status], serde_json::json!(kinds), "{} {status}", operation(item));
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("pm.test(")).count(), 3);
    }
}

#[test]
fn whatever_a_request_uses_is_in_the_environment_and_the_tokens_are_kept() {
    let (collection, environment) = (openapi::postman::collection(), read(&openapi::postman::environment()));
    let names: BTreeSet<&str> =
        array(&environment["values"]).iter().filter_map(|one| one["key"].as_str()).collect();
    assert_eq!(names.len(), array(&environment["values"]).len(), "a variable is there twice");
    for variable in collection.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")) {
        if !variable.0.contains('$') {
            assert!(names.contains(variable.0), "{} is not in the environment", variable.0);
        }
    }
    for (name, kind) in [("base_url", "default"), ("access_token", "secret"), ("password", "secret")] {
        let found = array(&environment["values"]).iter().find(|one| one["key"] == name).expect("a variable");
        assert_eq!(found["type"], kind, "{name}");
    }
    let collection = read(&collection);
    let kept: BTreeMap<String, String> = requests(&collection)
        .into_iter()
        .map(|(_, item)| (operation(item), script(item, "test").join("\n")))
        .collect();
    for (operation, variable) in [
        ("POST /auth/{provider}", "access_token"),
        ("POST /auth/{provider}", "refresh_token"),
        ("POST /auth/password", "access_token"),
        ("POST /auth/refresh", "refresh_token"),
        ("POST /oauth/token", "access_token"),
        ("POST /api/me/identities/{provider}", "identity_id"),
        ("GET /api/me/sessions", "session_id"),
    ] {
        assert!(kept[operation].contains(&format!("pm.environment.set(\"{variable}\", ")), "{operation}");
    }
}

#[test]
fn what_takes_something_away_comes_last() {
    let collection = collection();
    let mut gone = BTreeMap::new();
    for (folder, item) in requests(&collection) {
        let takes_away = item["request"]["method"] == "DELETE" || operation(item).contains("/logout");
        let before = gone.insert(folder, takes_away);
        assert!(
            takes_away || operation(item).ends_with("/revoke-tokens") || before != Some(true),
            "{}",
            operation(item)
        );
    }
}
