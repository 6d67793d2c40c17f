//! The scripts that run in Postman after each request: the answer against what the document lists, and what the next
//! requests want of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::document::{Operation, Schema};
use super::steps::Step;

/// Members of an answer that other requests are sent with.
const KEPT: [&str; 2] = ["access_token", "refresh_token"];

/// A script as the collection holds it.
pub(super) fn event<'a>(listen: &str, lines: impl Iterator<Item = &'a str>) -> Value {
    let lines: Vec<&str> = lines.collect();
    json!({ "listen": listen, "script": { "type": "text/javascript", "exec": lines } })
}

/// What runs after a request.
pub(super) fn after(operation: &Operation<'_>, step: Option<&Step>) -> Value {
    let documented: BTreeMap<&str, Vec<&str>> = operation
        .responses()
        .map(|(status, contents)| (status, contents.iter().map(|(kind, _)| *kind).collect()))
        .collect();
    let mut lines = vec![
        format!("const documented = {};", json!(documented)),
        "const type = (pm.response.headers.get(\"Content-Type\") || \"\").split(\";\")[0];".to_owned(),
        "pm.test(\"the status is one that the document lists\", () => {".to_owned(),
        "    pm.expect(Object.keys(documented)).to.include(String(pm.response.code));".to_owned(),
        "});".to_owned(),
        "pm.test(\"so is the content type\", () => {".to_owned(),
        "    const types = documented[pm.response.code] || [];".to_owned(),
        "    if (types.length > 0) pm.expect(types).to.include(type);".to_owned(),
        "    else pm.expect(pm.response.text()).to.equal(\"\");".to_owned(),
        "});".to_owned(),
    ];
    lines.extend(verdict(&documented, step));
    let captures = captures(operation, step);
    if !captures.is_empty() {
        lines.push("if (pm.response.code < 300) {".to_owned());
        if captures.iter().any(|line| line.contains("answer")) {
            lines.push("    const answer = pm.response.json();".to_owned());
        }
        lines.extend(captures.into_iter().map(|line| format!("    {line}")));
        lines.push("}".to_owned());
    }
    event("test", lines.iter().map(String::as_str))
}

/// A request that is a step has all it needs and must succeed. Of another it is only known that it cannot be the service's fault.
fn verdict(documented: &BTreeMap<&str, Vec<&str>>, step: Option<&Step>) -> [String; 3] {
    let good: Vec<&str> = documented.keys().copied().filter(|status| *status < "400").collect();
    let (name, check) = match step {
        Some(_) => ("it succeeds", format!("to.be.oneOf([{}])", good.join(", "))),
        None => ("the service is well", "to.be.below(500)".to_owned()),
    };
    [
        format!("pm.test(\"{name}\", () => {{"),
        format!("    pm.expect(pm.response.code, pm.response.text()).{check};"),
        "});".to_owned(),
    ]
}

fn captures(operation: &Operation<'_>, step: Option<&Step>) -> Vec<String> {
    let answers = operation.responses().filter(|(status, _)| status.starts_with('2'));
    let schemas: Vec<Schema<'_>> =
        answers.flat_map(|(_, contents)| contents).map(|(_, schema)| schema).collect();
    let has = |name: &str| schemas.iter().flat_map(Schema::members).any(|(member, ..)| member == name);
    let kept = KEPT.into_iter().filter(|name| has(name));
    let kept = kept.map(|name| format!("if (answer.{name}) pm.environment.set(\"{name}\", answer.{name});"));
    kept.chain(step.into_iter().flat_map(|step| step.then.lines()).map(str::to_owned)).collect()
}
