//! `/metrics` as a running service answers it, against those who rely on it: docs/METRICS.md, the dashboard, the alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, GithubUser, MockProviders, Person};

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::Answer;

/// What Prometheus adds to every sample.
const ADDED: [&str; 2] = ["job", "instance"];
/// Of Prometheus's language, as far as our expressions need it.
const FUNCTIONS: [&str; 8] =
    ["changes", "count", "histogram_quantile", "max", "min", "rate", "sum", "vector"];

/// One answer of `/metrics`, taken apart.
#[derive(Default)]
struct Exposition {
    /// Family to type.
    types: BTreeMap<String, String>,
    /// Sample to its labels.
    samples: BTreeMap<String, BTreeSet<String>>,
}

impl Exposition {
    fn parse(text: &str) -> Self {
        let mut this = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a type");
                assert!(this.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else if !line.starts_with('#') {
                let end = line.find(['{', ' ']).expect("a name and a value");
                let labels = match line[end..].strip_prefix('{') {
                    Some(rest) => label_names(rest.rsplit_once('}').expect("an end").0),
                    None => BTreeSet::new(),
                };
                this.samples.entry(line[..end].to_owned()).or_default().extend(labels);
            }
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
        this
    }

    /// The labels of a family's samples, without those that belong to the type.
    fn labels_of(&self, family: &str) -> BTreeSet<String> {
        let samples = self.samples.iter().filter(|(name, _)| {
            let rest = name.strip_prefix(family);
            rest.is_some_and(|rest| ["", "_total", "_info", "_bucket", "_sum", "_count"].contains(&rest))
        });
        samples.flat_map(|(_, labels)| labels.clone()).filter(|label| label != "le").collect()
    }
}

fn label_names(pairs: &str) -> BTreeSet<String> {
    // Values are ours and hold neither quotes nor commas within braces that would confuse this.
    pairs.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())).collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of ours")
}

/// A service to which everything has happened that is counted.
async fn after_a_tour(db: TestDatabase) -> Exposition {
    let mock = MockProviders::start().await.expect("the mock starts");
    let app = TestApp::start_beside(mock, db, |sources| {
        sources
            .with("rate_limit.enabled", "true")
            .with("rate_limit.account_burst", "1")
            .with("rate_limit.account_per_minute", "1")
    })
    .await;
    app.warm().await;
    let jwt = app.sign_in(Person::named("bob")).await.jwt;
    app.exchange_github(GithubUser::default()).await.assert_signed_in();
    let foreign = app.mock.google().id_token(json!({ "aud": "another", "azp": null }));
    app.exchange_id_token(&foreign).await.assert_problem(401, "audience_mismatch");
    assert_eq!(app.me(&jwt).await.status, 200);
    let body = json!({ "email": "bob@example.com", "password": "x" });
    let statuses = [password(&app, &body).await.status, password(&app, &body).await.status];
    assert_eq!(statuses, [401, 429]);
    app.mock.set_fault(Endpoint::GithubCheck, Fault::CloseAtOnce);
    app.exchange_github(GithubUser::default()).await.assert_provider_unavailable();
    Exposition::parse(&app.get("/metrics").await.text)
}

async fn password(app: &TestApp, body: &Value) -> Answer {
    let request = app.http.post(format!("{}/auth/password", app.base)).json(body);
    Answer::of(request.send().await.expect("an answer")).await
}

/// Asserts that an expression asks only for what is there, by labels that are there.
#[track_caller]
fn assert_answerable(expression: &str, exposition: &Exposition) {
    let asked = Asked::of(expression);
    assert!(!asked.metrics.is_empty(), "no metric in {expression}");
    // Prometheus's own `up`, of every target.
    let own = BTreeSet::new();
    let mut known: BTreeSet<&str> = ADDED.into();
    for (metric, labels) in &asked.metrics {
        let there = if metric == "up" { Some(&own) } else { exposition.samples.get(metric) };
        let there = there.unwrap_or_else(|| panic!("there is no {metric}, for {expression}"));
        known.extend(there.iter().map(String::as_str));
        assert!(labels.iter().any(|label| label == "job"), "{metric} of every job, in {expression}");
        for label in labels.iter().filter(|label| !ADDED.contains(&label.as_str())) {
            assert!(there.contains(label), "{metric} has no label {label}, for {expression}");
        }
    }
    for label in &asked.by {
        assert!(known.contains(label.as_str()), "nothing has a label {label}, in {expression}");
    }
}

/// The metrics with their matchers' labels, and the labels of `by`.
#[derive(Default)]
struct Asked {
    metrics: Vec<(String, Vec<String>)>,
    by: Vec<String>,
}

impl Asked {
    fn of(expression: &str) -> Self {
        let mut this = Self::default();
        let tokens = tokens(expression);
        let mut tokens = tokens.iter().map(String::as_str).peekable();
        while let Some(token) = tokens.next() {
            if !token.starts_with(|c: char| c.is_ascii_alphabetic()) || token == "or" {
                continue;
            }
            match (token, tokens.peek().copied()) {
                ("by", Some("(")) => this.by.extend(words(tokens.by_ref().take_while(|token| *token != ")"))),
                ("sum" | "count" | "max" | "min", Some("by")) => {}
                (metric, Some("{")) => {
                    let labels = words(tokens.by_ref().take_while(|token| *token != "}"));
                    this.metrics.push((metric.to_owned(), labels));
                }
                (function, Some("(")) => assert!(FUNCTIONS.contains(&function), "{function}?"),
                (word, _) => panic!("{word} in {expression}?"),
            }
        }
        this
    }
}

fn words<'a>(tokens: impl Iterator<Item = &'a str>) -> Vec<String> {
    tokens.filter(|token| token.starts_with(|c: char| c.is_ascii_alphabetic())).map(str::to_owned).collect()
}

/// Words and signs; texts, ranges and numbers are left out.
fn tokens(expression: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = match first {
            '"' => rest[1..].find('"').expect("an end of the text") + 2,
            '[' => rest.find(']').expect("an end of the range") + 1,
            _ if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !token.starts_with(['"', '[']) && !token.trim().is_empty() {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// Every value of this member, however deep.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name).and_then(Value::as_str));
            object.values().for_each(|value| members(value, name, found));
        }
        Value::Array(items) => items.iter().for_each(|value| members(value, name, found)),
        _ => {}
    }
}

on_both_databases! {
    async fn the_table_of_the_documentation_is_what_a_running_service_answers(db: TestDatabase) {
        let exposition = after_a_tour(db).await;
        let documentation = file("docs/METRICS.md");
        let mut documented = BTreeMap::new();
        for line in documentation.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, text] = cells[..] else { panic!("{line}") };
            assert!(!text.is_empty(), "{line}");
            let labels: BTreeSet<String> = labels.split(", ").map(|label| label.trim_matches('`').to_owned())
                .filter(|label| !label.is_empty()).collect();
            let name = name.trim_matches('`');
            assert_eq!(labels, exposition.labels_of(name), "labels of {name}");
            documented.insert(name.to_owned(), kind.to_owned());
        }
        assert_eq!(documented, exposition.types);
    }

    async fn every_panel_and_every_alert_asks_for_what_a_running_service_answers(db: TestDatabase) {
        let exposition = after_a_tour(db).await;
        let dashboard: Value = serde_json::from_str(&file("contrib/grafana/tokenbooth.json")).expect("JSON");
        let mut expressions = Vec::new();
        members(&dashboard, "expr", &mut expressions);
        assert!(expressions.len() > 20, "{}", expressions.len());
        let alerts = file("contrib/prometheus/alerts.yaml");
        let of_alerts: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
        assert_eq!(of_alerts.len(), alerts.matches("- alert: ").count(), "each on one line");
        assert!(of_alerts.len() > 5);
        for expression in expressions.iter().chain(&of_alerts) {
            assert_answerable(expression, &exposition);
        }
    }
}

#[test]
fn an_expression_that_asks_for_what_is_not_there_is_noticed() {
    let text = "# TYPE a counter\na_total{b=\"1\",c=\"x,y\"} 1\n# EOF\n";
    let exposition = Exposition::parse(text);
    assert_answerable("sum by (b, c) (rate(a_total{job=\"x\", c=~\"y|z\"}[5m])) > 0", &exposition);
    for wrong in [
        "sum(rate(a{job=\"x\"}[5m]))",
        "sum(rate(a_total{job=\"x\", d=\"y\"}[5m]))",
        "sum by (d) (rate(a_total{job=\"x\"}[5m]))",
        "sum(rate(a_total{b=\"1\"}[5m]))",
        "sum(a_total)",
        "1 + 1",
    ] {
        let checked = std::panic::catch_unwind(|| assert_answerable(wrong, &exposition));
        assert!(checked.is_err(), "{wrong}");
    }
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard: Value = serde_json::from_str(&file("contrib/grafana/tokenbooth.json")).expect("JSON");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert_eq!((&variables[0]["name"], &variables[0]["type"]), (&json!("datasource"), &json!("datasource")));
    let mut uids = Vec::new();
    members(&dashboard["panels"], "uid", &mut uids);
    assert!(!uids.is_empty() && uids.iter().all(|uid| *uid == "${datasource}"), "{uids:?}");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    // On a grid of 24 columns; two in one place hide each other.
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
        assert!(x + w <= 24, "{panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "two panels at {place:?}");
        }
    }
}
