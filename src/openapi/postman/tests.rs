//! A document of another service: nothing here is known by its name.

use serde_json::{Value, json};

use super::super::document::Document;
use super::{collection_of, environment_of};

fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "tags": [{ "name": "things", "description": "What there is" }],
        "paths": {
            "/oauth/introspect": { "post": {
                "tags": ["things"], "operationId": "introspect", "summary": "Look into a token",
                "security": [{ "client": [] }, {}],
                "requestBody": { "content": { "application/x-www-form-urlencoded": { "schema": { "oneOf": [
                    { "$ref": "#/components/schemas/Hinted" },
                    { "type": "object", "required": ["token"], "properties": { "token": { "type": "string" } } },
                ] } } } },
                "responses": { "200": { "description": "Known", "content": { "application/json": {} } } },
            } },
            "/things/{id}": {
                "delete": {
                    "tags": ["things"], "operationId": "delete_thing", "summary": "Delete it",
                    "security": [{ "client": [] }],
                    "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
                    "responses": { "204": { "description": "Gone" } },
                },
                "get": {
                    "tags": ["things"], "operationId": "show_thing", "summary": "Show it",
                    "security": [{ "bearer": [] }],
                    "parameters": [
                        { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } },
                        { "$ref": "#/components/parameters/Version" },
                        { "name": "since", "in": "query", "required": true, "schema": { "type": "integer", "minimum": 7 } },
                        { "name": "all", "in": "query", "schema": { "type": "boolean" } },
                    ],
                    "responses": { "200": { "description": "A picture", "content": { "image/png": {}, "text/plain": {} } } },
                },
                "put": {
                    "tags": ["things"], "operationId": "put_thing", "summary": "Put it",
                    "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
                    "requestBody": { "content": {
                        "text/csv": { "schema": { "type": "string" } },
                        "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } },
                    } },
                    "responses": { "204": { "description": "Put" } },
                },
            },
        },
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "Bearer" },
                "client": { "type": "http", "scheme": "basic" },
            },
            "parameters": { "Version": {
                "name": "X-Version", "in": "header", "schema": { "type": "string" }, "example": "2",
            } },
            "schemas": {
                "Hinted": {
                    "type": "object", "required": ["token", "hint"],
                    "properties": { "token": { "type": "string" }, "hint": { "enum": ["a", "b"] } },
                },
                "Thing": { "allOf": [
                    { "type": "object", "required": ["made"], "properties": {
                        "made": { "type": "string", "format": "date-time" }, "unsaid": { "type": "string" },
                    } },
                    { "type": "object", "required": ["part"], "properties": {
                        "part": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Thing" }] },
                        "colour": { "type": ["string", "null"], "example": "red" },
                        "password": { "type": "string" },
                    } },
                ] },
            },
        },
    })
}

fn items() -> Vec<Value> {
    let document = document();
    let collection = collection_of(Document::new(&document));
    assert_eq!(collection["item"][0]["name"], "things");
    collection["item"][0]["item"].as_array().cloned().unwrap()
}

fn item(id: &str) -> Value {
    items().into_iter().find(|item| item["id"] == id).unwrap()
}

#[test]
fn the_order_is_that_of_paths_and_methods_with_deletions_last() {
    let ids: Vec<String> = items().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["introspect", "show_thing", "put_thing", "delete_thing"]);
}

#[test]
fn a_client_is_sent_by_basic_unless_it_may_be_left_out() {
    assert_eq!(item("introspect")["request"]["auth"]["type"], "noauth");
    let basic = &item("delete_thing")["request"]["auth"];
    assert_eq!((&basic["type"], &basic["basic"][0]["value"]), (&"basic".into(), &"{{client_id}}".into()));
    assert!(item("show_thing")["request"].get("auth").is_none());
    assert_eq!(item("put_thing")["request"]["auth"]["type"], "noauth");
}

#[test]
fn a_form_has_the_members_of_all_variants_and_what_all_want_is_ticked() {
    let body = &item("introspect")["request"]["body"];
    assert_eq!(body["mode"], "urlencoded");
    let token = json!({ "key": "token", "value": "{{access_token}}", "type": "text", "description": "" });
    let hint = json!({ "key": "hint", "value": "a", "type": "text", "description": "", "disabled": true });
    let entries = body["urlencoded"].as_array().unwrap();
    assert!(entries.len() == 2 && entries.contains(&token) && entries.contains(&hint), "{entries:?}");
}

#[test]
fn a_query_and_a_header_are_there_and_ticked_when_they_must_be_sent() {
    let request = &item("show_thing")["request"];
    assert_eq!(request["url"]["raw"], "{{base_url}}/things/:id?since=7");
    assert_eq!(request["url"]["variable"][0]["value"], "{{thing_id}}");
    assert_eq!(request["url"]["query"][1]["disabled"], true);
    let headers = request["header"].as_array().unwrap();
    assert_eq!(headers[0], json!({ "key": "Accept", "value": "image/png, text/plain" }));
    let version = json!({ "key": "X-Version", "value": "2", "description": "", "disabled": true });
    assert_eq!(headers[1], version);
}

#[test]
fn a_body_is_json_where_there_is_a_choice_and_ends_although_its_schema_does_not() {
    let request = &item("put_thing")["request"];
    assert_eq!(request["header"][0], json!({ "key": "Content-Type", "value": "application/json" }));
    let body: Value = serde_json::from_str(request["body"]["raw"].as_str().unwrap()).unwrap();
    assert_eq!(body["made"], "2026-11-21T05:00:00Z");
    assert_eq!((&body["colour"], &body["password"]), (&"red".into(), &"{{password}}".into()));
    assert!(body.get("unsaid").is_none(), "{body}");
    assert_eq!(body["part"]["colour"], "red");
}

#[test]
fn of_a_request_that_nobody_prepared_only_the_service_is_judged() {
    let script = item("show_thing")["event"][0]["script"]["exec"].clone();
    let lines: Vec<&str> = script.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(lines[0], "const documented = {\"200\":[\"image/png\",\"text/plain\"]};");
    assert!(lines.iter().any(|line| line.contains("below(500)")), "{lines:?}");
}

#[test]
fn every_variable_is_in_the_environment() {
    let document = document();
    let environment = environment_of(&collection_of(Document::new(&document)));
    let values = environment["values"].as_array().unwrap();
    let names: Vec<&str> = values.iter().filter_map(|value| value["key"].as_str()).collect();
    assert_eq!(
        names,
        ["base_url", "mock_url", "access_token", "client_id", "client_secret", "password", "thing_id"]
    );
}
