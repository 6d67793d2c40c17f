//! Bodies and values made from schemas: what the document gives as an example, with a variable wherever a request before this
//! one, or the demo, has the real thing.

use serde_json::{Map, Value};

use super::super::document::{Schema, text};

/// Deeper than any body of ours; a schema of itself ends here.
const DEEPEST: usize = 8;

/// The variable that holds what goes by this name in a request, as Postman writes it.
pub(super) fn variable_for(name: &str) -> Option<String> {
    let variable = match name {
        "id_token" | "credential" | "subject_token" => "id_token",
        "token" | "access_token" => "access_token",
        "password" | "new_password" | "current_password" => "password",
        "refresh_token" | "email" | "code_verifier" | "client_id" | "client_secret" => name,
        _ => return None,
    };
    Some(format!("{{{{{variable}}}}}"))
}

/// A value that the schema allows.
pub(super) fn sample(schema: &Schema<'_>) -> Value {
    of(schema, DEEPEST)
}

/// The same for a member of this name.
pub(super) fn sample_member(name: &str, schema: &Schema<'_>) -> Value {
    variable_for(name).map_or_else(|| sample(schema), Value::from)
}

fn of(schema: &Schema<'_>, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(given) = given(schema) {
        return with_variables(given);
    }
    let variant = ["oneOf", "anyOf"].into_iter().find_map(|keyword| schema.parts(keyword).next());
    if let Some(variant) = variant {
        return of(&variant, depth);
    }
    match kind(schema) {
        "array" => Value::Array(vec![of(&schema.items(), depth)]),
        "string" => of_text(schema).into(),
        "integer" | "number" => schema.get("minimum").as_i64().unwrap_or(1).into(),
        "boolean" => false.into(),
        _ => object(schema, depth),
    }
}

/// What the document itself says.
fn given<'a>(schema: &Schema<'a>) -> Option<&'a Value> {
    let first = |keyword: &str| schema.get(keyword).as_array().and_then(|values| values.first());
    [
        Some(schema.get("example")),
        first("examples"),
        Some(schema.get("const")),
        Some(schema.get("default")),
        first("enum"),
    ]
    .into_iter()
    .flatten()
    .find(|value| !value.is_null())
}

/// Members that must be there, and those that the document or a variable has a value for.
fn object(schema: &Schema<'_>, depth: usize) -> Value {
    let members = schema.members().into_iter().filter_map(|(name, member, required)| {
        let value = match variable_for(name) {
            Some(variable) => variable.into(),
            None if required || given(&member).is_some() => of(&member, depth),
            None => return None,
        };
        Some((name.to_owned(), value))
    });
    Value::Object(members.collect())
}

fn with_variables(given: &Value) -> Value {
    let Value::Object(members) = given else { return given.clone() };
    let members = members
        .iter()
        .map(|(name, value)| (name.clone(), variable_for(name).map_or_else(|| value.clone(), Value::from)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn of_text(schema: &Schema<'_>) -> &'static str {
    match text(schema.get("format")) {
        "date-time" => "2026-11-21T05:00:00Z",
        "uuid" => "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10",
        "uri" => "https://example.com/",
        "email" => "alice@example.com",
        _ => "",
    }
}

/// The type, the first that is not null where there are several.
fn kind<'a>(schema: &Schema<'a>) -> &'a str {
    match schema.get("type") {
        Value::Array(kinds) => kinds.iter().map(text).find(|kind| *kind != "null").unwrap_or_default(),
        kind => text(kind),
    }
}
