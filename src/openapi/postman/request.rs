//! One operation as a request.

use serde_json::{Value, json};

use super::super::document::{Credential, Operation, Parameter, Schema};
use super::sample::{sample, sample_member, variable_for};
use super::scripts;
use super::steps::{self, Step};

pub(super) fn item(operation: &Operation<'_>) -> Value {
    let step = steps::of(operation.id());
    let description = [operation.summary(), operation.description()];
    let description: Vec<&str> = description.into_iter().filter(|text| !text.is_empty()).collect();
    let mut request = json!({
        "method": operation.method,
        "description": description.join("\n\n"),
        "header": headers(operation, step),
        "url": url(operation, step),
    });
    if let Some(auth) = auth(operation) {
        request["auth"] = auth;
    }
    if let Some(body) = body(operation, step) {
        request["body"] = body;
    }
    let mut item = json!({
        "id": operation.id(),
        "name": operation.summary(),
        "event": [scripts::after(operation, step)],
        "request": request,
        "response": [],
    });
    // The redirect is the answer: what it leads to is the provider's, or a page's.
    if operation.responses().any(|(status, _)| status.starts_with('3')) {
        item["protocolProfileBehavior"] = json!({ "followRedirects": false });
    }
    item
}

/// HTTP bearer by a variable.
pub(super) fn bearer(variable: &str) -> Value {
    let token = json!({ "key": "token", "value": format!("{{{{{variable}}}}}"), "type": "string" });
    json!({ "type": "bearer", "bearer": [token] })
}

/// What differs from the collection's own.
fn auth(operation: &Operation<'_>) -> Option<Value> {
    match operation.credential() {
        Credential::Bearer if operation.path.starts_with("/api/admin/") => Some(bearer("admin_token")),
        Credential::Bearer => None,
        Credential::None => Some(json!({ "type": "noauth" })),
        Credential::Basic => Some(json!({ "type": "basic", "basic": [
            { "key": "username", "value": "{{client_id}}", "type": "string" },
            { "key": "password", "value": "{{client_secret}}", "type": "string" },
        ] })),
    }
}

fn url(operation: &Operation<'_>, step: Option<&Step>) -> Value {
    let segments: Vec<String> = operation.path.split('/').skip(1).map(postman_segment).collect();
    let in_place = |place: &'static str| operation.parameters().filter(move |found| found.place == place);
    let variables: Vec<Value> = in_place("path")
        .map(|parameter| {
            let value = value_of(&parameter, step)
                .unwrap_or_else(|| format!("{{{{{}}}}}", path_variable(operation.path, parameter.name)));
            json!({ "key": parameter.name, "value": value, "description": parameter.description })
        })
        .collect();
    let query: Vec<Value> = in_place("query").map(|parameter| entry(&parameter, step)).collect();
    let sent: Vec<String> = query
        .iter()
        .filter(|entry| entry["disabled"] != true)
        .map(|entry| format!("{}={}", text(&entry["key"]), text(&entry["value"])))
        .collect();
    let mark = if sent.is_empty() { "" } else { "?" };
    let mut url = json!({
        "raw": format!("{{{{base_url}}}}/{}{mark}{}", segments.join("/"), sent.join("&")),
        "host": ["{{base_url}}"],
        "path": segments,
    });
    if !variables.is_empty() {
        url["variable"] = variables.into();
    }
    if !query.is_empty() {
        url["query"] = query.into();
    }
    url
}

fn headers(operation: &Operation<'_>, step: Option<&Step>) -> Vec<Value> {
    let mut kinds: Vec<&str> =
        operation.responses().flat_map(|(_, contents)| contents).map(|(kind, _)| kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut headers = Vec::new();
    // A page is there for people who come by a browser.
    if kinds.len() > 1 {
        kinds.retain(|kind| *kind != "text/html");
    }
    if !kinds.is_empty() {
        headers.push(json!({ "key": "Accept", "value": kinds.join(", ") }));
    }
    if let Some((kind, _)) = chosen_body(operation) {
        headers.push(json!({ "key": "Content-Type", "value": kind }));
    }
    headers.extend(
        step.into_iter()
            .flat_map(|step| step.headers)
            .map(|(key, value)| json!({ "key": key, "value": value })),
    );
    let declared = operation.parameters().filter(|parameter| parameter.place == "header");
    headers.extend(declared.map(|parameter| entry(&parameter, step)));
    headers
}

/// A parameter of the query or a header; those that may be left out are there to be ticked.
fn entry(parameter: &Parameter<'_>, step: Option<&Step>) -> Value {
    let asked = step.is_some_and(|step| step.parameters.iter().any(|(name, _)| *name == parameter.name));
    let mut entry = json!({
        "key": parameter.name,
        "value": value_of(parameter, step).unwrap_or_default(),
        "description": parameter.description,
    });
    if !asked && !parameter.required {
        entry["disabled"] = true.into();
    }
    entry
}

fn value_of(parameter: &Parameter<'_>, step: Option<&Step>) -> Option<String> {
    let asked = step.and_then(|step| step.parameters.iter().find(|(name, _)| *name == parameter.name));
    asked
        .map(|(_, value)| (*value).to_owned())
        .or_else(|| Some(as_text(parameter.example)).filter(|text| !text.is_empty()))
        .or_else(|| variable_for(parameter.name))
        .or_else(|| Some(as_text(&sample(&parameter.schema))).filter(|text| !text.is_empty()))
}

fn body(operation: &Operation<'_>, step: Option<&Step>) -> Option<Value> {
    let (kind, schema) = chosen_body(operation)?;
    let asked = step.map_or(&[][..], |step| step.body);
    if kind == "application/x-www-form-urlencoded" {
        return Some(json!({ "mode": "urlencoded", "urlencoded": form(&schema, asked) }));
    }
    let body = if asked.is_empty() {
        sample(&schema)
    } else {
        asked.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
    };
    let (raw, language) = match &body {
        _ if kind == "application/json" => (format!("{body:#}"), "json"),
        Value::String(text) => (text.clone(), "text"),
        other => (other.to_string(), "text"),
    };
    Some(json!({ "mode": "raw", "raw": raw, "options": { "raw": { "language": language } } }))
}

/// JSON where there is a choice.
fn chosen_body<'a>(operation: &Operation<'a>) -> Option<(&'a str, Schema<'a>)> {
    let mut bodies: Vec<_> = operation.bodies().collect();
    bodies.sort_by_key(|(kind, _)| *kind != "application/json");
    bodies.into_iter().next()
}

fn form(schema: &Schema<'_>, asked: &[(&str, &str)]) -> Vec<Value> {
    let entries = schema.members().into_iter().map(|(name, member, required)| {
        let asked_value =
            asked.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let enabled = if asked.is_empty() { required } else { asked_value.is_some() };
        let value = asked_value.unwrap_or_else(|| as_text(&sample_member(name, &member)));
        let mut entry = json!({
            "key": name,
            "value": value,
            "type": "text",
            "description": text(member.get("description")),
        });
        if !enabled {
            entry["disabled"] = true.into();
        }
        entry
    });
    entries.collect()
}

/// `{id}` as Postman writes it: `:id`.
fn postman_segment(segment: &str) -> String {
    match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => format!(":{name}"),
        None => segment.to_owned(),
    }
}

/// The variable of an id: `user_id` for the `id` in `/api/admin/users/{id}`.
fn path_variable(path: &str, name: &str) -> String {
    let marker = format!("{{{name}}}");
    let mut segments = path.split('/');
    let mut before = "";
    for segment in segments.by_ref().take_while(|segment| *segment != marker) {
        before = segment;
    }
    if name != "id" {
        return name.to_owned();
    }
    let one = match before.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => before.trim_end_matches('s').to_owned(),
    };
    format!("{}_id", one.replace('-', "_"))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
