//! What Postman imports (Collection v2.1), made from the document: every path and method once, in an order in which a
//! person can click through them beside `tokenbooth demo`. The same document gives the same text.

mod request;
mod sample;
mod scripts;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::document::{Document, Operation};

/// Postman tells by it whether an import replaces a collection that is there already.
const COLLECTION_ID: &str = "9f4c1d52-6b0e-4f0a-8d5c-2a7e31c0b7f1";
const ENVIRONMENT_ID: &str = "3c8e7a04-51d9-4b6e-9a1f-70d2f6b4c9e8";
/// Where the demo is, unless its port is taken.
const BASE_URL: &str = "http://127.0.0.1:8080";
/// Of the demo's people, once they have one.
const PASSWORD: &str = "correct horse battery staple";
/// Fills in what a request needs, before each.
const BEFORE_EACH: &str = include_str!("postman/before_each.js");

/// The collection as pretty-printed JSON with a final line break.
#[must_use]
pub fn collection() -> String {
    printed(&collection_of(Document::new(&super::value())))
}

/// The environment beside it: where the service is, and a place for everything that the requests hand to each other.
#[must_use]
pub fn environment() -> String {
    printed(&environment_of(&collection_of(Document::new(&super::value()))))
}

fn printed(value: &Value) -> String {
    format!("{value:#}\n")
}

fn collection_of(document: Document<'_>) -> Value {
    let folders: Vec<Value> = document
        .tags()
        .map(|(tag, description)| {
            let operations = in_order(document.operations().filter(|operation| operation.tag() == tag));
            let requests: Vec<Value> = operations.iter().map(request::item).collect();
            json!({ "name": tag, "description": description, "item": requests })
        })
        .collect();
    json!({
        "info": {
            "_postman_id": COLLECTION_ID,
            "name": "tokenbooth",
            "description": "Import the environment beside this file, choose it, start `tokenbooth demo`, and click through the \
                requests from the first to the last. Beside the demo, each gets what it needs by itself: a provider's token from \
                the demo's mock, a user who is signed in, an administrator. For another service set `base_url` and put a \
                provider's token into `id_token`; requests that delete are the last of their folder.",
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": request::bearer("access_token"),
        "event": [scripts::event("prerequest", BEFORE_EACH.lines())],
        "item": folders,
    })
}

/// Steps first and as they are listed, then what no step knows; what takes something away comes last.
fn in_order<'a>(operations: impl Iterator<Item = Operation<'a>>) -> Vec<Operation<'a>> {
    let mut operations: Vec<Operation<'a>> = operations.collect();
    operations.sort_by_key(|operation| {
        let rank = steps::rank(operation.id());
        let takes_away =
            operation.method == "DELETE" || steps::of(operation.id()).is_some_and(|step| step.last);
        (takes_away, rank, operation.path, operation.method)
    });
    operations
}

fn environment_of(collection: &Value) -> Value {
    let text = collection.to_string();
    let used = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name);
    let used: BTreeSet<&str> = used.filter(|name| is_variable(name)).collect();
    let first = ["base_url", "mock_url"];
    let others = used.into_iter().filter(|name| !first.contains(name));
    let values: Vec<Value> = first.into_iter().chain(others).map(variable).collect();
    json!({
        "id": ENVIRONMENT_ID,
        "name": "tokenbooth demo",
        "values": values,
        "_postman_variable_scope": "environment",
    })
}

/// Not Postman's own, which begin with a dollar, and nothing that merely has braces.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn variable(name: &str) -> Value {
    let value = match name {
        "base_url" => BASE_URL,
        "password" => PASSWORD,
        _ => "",
    };
    let secret = ["token", "secret", "password", "verifier", "code"].iter().any(|end| name.ends_with(end));
    let kind = if secret { "secret" } else { "default" };
    json!({ "key": name, "value": value, "type": kind, "enabled": true })
}
