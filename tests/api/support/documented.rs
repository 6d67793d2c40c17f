//! Every answer that a test gets is held against the OpenAPI document: what is not listed there is not to be answered.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;

/// One status of one method and path.
struct Listed {
    method: String,
    segments: Vec<String>,
    status: String,
    kinds: Vec<String>,
}

static LISTED: LazyLock<Vec<Listed>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(&tokenbooth::openapi::document()).expect("JSON");
    let mut listed = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let kinds =
                    response["content"].as_object().into_iter().flat_map(|content| content.keys().cloned());
                listed.push(Listed {
                    method: method.to_uppercase(),
                    segments: segments(path),
                    status: status.clone(),
                    kinds: kinds.collect(),
                });
            }
        }
    }
    listed
});

fn segments(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

fn is_name(segment: &str) -> bool {
    segment.starts_with('{')
}

/// Two patterns of one path, whatever its parameters are called.
fn same_pattern(one: &[String], other: &[String]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one == other || (is_name(one) && is_name(other)))
}

/// How well a path fits: the number of segments that are not parameters.
fn fit(pattern: &[String], path: &[String]) -> Option<usize> {
    let fits = pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(pattern, segment)| is_name(pattern) || pattern == segment);
    fits.then(|| pattern.iter().filter(|segment| !is_name(segment)).count())
}

/// The answer's content type, when it has a body, is one that the document lists for this status. The request's method is not
/// known here: any of the path may list it.
#[track_caller]
pub fn assert_content_type(path: &str, status: u16, content_type: &str) {
    let path = segments(path);
    let (status, kind) = (status.to_string(), content_type.split(';').next().unwrap_or_default());
    let best = LISTED.iter().filter_map(|listed| fit(&listed.segments, &path)).max();
    let known: Vec<&Listed> = LISTED
        .iter()
        .filter(|listed| best.is_some() && fit(&listed.segments, &path) == best && listed.status == status)
        .collect();
    if known.is_empty() || kind.is_empty() {
        return;
    }
    assert!(
        known.iter().any(|listed| listed.kinds.iter().any(|listed| listed == kind)),
        "{} {status}: {content_type:?} is not in the document",
        path.join("/")
    );
}

/// Every status that the service has answered with is listed. It counts them itself, by route and method, so that no
/// test can forget to say what it did.
pub fn assert_statuses(base: &str) {
    let Some(text) = metrics(base) else { return };
    let counts = text.lines().filter_map(|line| line.strip_prefix("tokenbooth_http_request_seconds_count{"));
    let answered: BTreeSet<(String, String, String)> = counts.filter_map(labels).collect();
    for (method, route, status) in answered {
        let pattern = segments(&route);
        let listed: Vec<&Listed> = LISTED
            .iter()
            .filter(|listed| listed.method == method && same_pattern(&listed.segments, &pattern))
            .collect();
        let known = listed.is_empty() || listed.iter().any(|listed| listed.status == status);
        assert!(known, "{method} {route} was answered with {status}, which the document does not list");
    }
}

/// `method="GET",route="/api/me",status="200"} 1`
fn labels(line: &str) -> Option<(String, String, String)> {
    let value = |name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split_once('"')?.0.to_owned());
    // RFC 9110 §9.1: what answers GET answers HEAD, which no document lists.
    let method = value("method")?.replace("HEAD", "GET");
    Some((method, value("route")?, value("status")?))
}

/// Without the test's runtime, which may be gone. A service that hangs or is stopping has said what it has to say.
fn metrics(base: &str) -> Option<String> {
    let mut line = TcpStream::connect(base.strip_prefix("http://")?).ok()?;
    line.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    line.write_all(b"GET /metrics HTTP/1.1\r\nHost: tests\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    line.read_to_string(&mut text).ok()?;
    Some(text)
}
