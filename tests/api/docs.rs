//! The OpenAPI document and the page made of it: complete, self-contained, and rendered by a real browser.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::databases::TestDatabase;
use crate::support::TestApp;

async fn document(app: &TestApp) -> Value {
    let answer = app.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.json
}

async fn start() -> TestApp {
    TestApp::start(TestDatabase::sqlite()).await
}

/// Paths and methods as `src/http/mod.rs` routes them; what answers GET answers HEAD, which no document lists.
fn routes() -> BTreeMap<String, BTreeSet<String>> {
    let source = include_str!("../../src/http/mod.rs");
    let mut routes = BTreeMap::new();
    for call in source.split("endpoint(\"").skip(1) {
        let mut texts = call.split('"');
        let (path, methods) = (texts.next().expect("a path"), texts.nth(1).expect("methods"));
        if !path.starts_with("/docs") {
            let methods = methods.split(", ").filter(|method| *method != "HEAD").map(str::to_ascii_lowercase);
            let known: &mut BTreeSet<String> = routes.entry(shape(path)).or_default();
            known.extend(methods);
        }
    }
    assert!(routes.len() >= 6, "the routes are not found in the source: {routes:?}");
    routes
}

/// A path without the names of its parameters: one path may be two things, by method.
fn shape(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Every operation: path, method, operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods.iter().map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.collect()
}

#[actix_web::test]
async fn every_route_is_documented_and_nothing_else_is() {
    let app = start().await;
    let document = document(&app).await;
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, method, _) in operations(&document) {
        documented.entry(shape(path)).or_default().insert(method.to_owned());
    }
    assert_eq!(documented, routes());
}

#[actix_web::test]
async fn the_document_is_openapi_3_1_by_its_structure() {
    let app = start().await;
    let document = document(&app).await;
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")),
        "{}",
        document["openapi"]
    );
    assert_eq!(document["info"]["title"], "tokenbooth");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let tags: BTreeSet<&str> =
        document["tags"].as_array().expect("tags").iter().filter_map(|tag| tag["name"].as_str()).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(
            ids.insert(
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{at} has no operationId"))
            ),
            "{at}"
        );
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at} has no summary");
        let tag = operation["tags"][0].as_str().unwrap_or_else(|| panic!("{at} has no tag"));
        assert!(tags.contains(tag), "{at}: {tag} is not explained");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with(['2', '3'])), "{at} never succeeds");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{at} {status}");
        }
        let in_path: BTreeSet<&str> =
            path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let empty = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&empty);
        let declared: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert_eq!(declared, in_path, "{at}");
    }
    assert_references_lead_somewhere(&document, &document);
}

fn assert_references_lead_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            for (name, value) in members {
                if name == "$ref" {
                    let reference =
                        value.as_str().and_then(|text| text.strip_prefix('#')).expect("a local reference");
                    assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
                }
                assert_references_lead_somewhere(document, value);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_references_lead_somewhere(document, item)),
        _ => {}
    }
}

#[actix_web::test]
async fn tokens_are_sent_by_plain_http_bearer_and_a_client_s_secret_by_basic() {
    let app = start().await;
    let document = document(&app).await;
    let schemes = document["components"]["securitySchemes"].as_object().expect("schemes");
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["bearer", "client"]);
    for (name, scheme) in [("bearer", "bearer"), ("client", "basic")] {
        assert_eq!((&schemes[name]["type"], &schemes[name]["scheme"]), (&"http".into(), &scheme.into()));
    }
    for (path, method, operation) in operations(&document) {
        let takes = |scheme: &str| {
            let all = operation["security"].as_array();
            all.is_some_and(|all| all.iter().any(|one| one[scheme].is_array()))
        };
        let by_bearer = path.starts_with("/api/") || ["/auth/logout-all", "/auth/verify"].contains(&path);
        assert_eq!(takes("bearer"), by_bearer, "{method} {path}");
        let by_client = path.starts_with("/oauth/") && path != "/oauth/revocations";
        assert_eq!(takes("client"), by_client, "{method} {path}");
    }
}

#[actix_web::test]
async fn refusals_are_documented_in_the_form_they_have() {
    let app = start().await;
    let document = document(&app).await;
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().expect("responses");
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            // Not ready is no refusal: the body says what is missing.
            let (form, schema) = if path == "/readyz" {
                ("application/json", "#/components/schemas/Readiness")
            } else if path.starts_with("/oauth/") {
                ("application/json", "#/components/schemas/OAuthProblem")
            } else {
                ("application/problem+json", "#/components/schemas/Problem")
            };
            assert_eq!(response["content"][form]["schema"]["$ref"], schema, "{method} {path} {status}");
        }
        if operation["security"].is_array() {
            assert!(responses.contains_key("401") && responses.contains_key("503"), "{method} {path}");
        }
    }
    let exchange = document["paths"]["/auth/{provider}"]["post"]["responses"].as_object().expect("responses");
    let statuses: Vec<&str> = exchange.keys().map(String::as_str).collect();
    assert_eq!(
        statuses,
        ["200", "303", "400", "401", "403", "404", "408", "413", "415", "429", "502", "503", "504"]
    );
    let members = document["components"]["schemas"]["Problem"]["properties"].as_object().expect("members");
    let members: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["code", "detail", "status", "title", "type"]));
}

/// The values of `src` and `href`.
fn assets(html: &str) -> Vec<&str> {
    let after = |name: &'static str| html.split(name).skip(1).filter_map(|rest| rest.split('"').next());
    after("src=\"").chain(after("href=\"")).collect()
}

#[actix_web::test]
async fn the_page_and_all_it_needs_come_from_us_with_the_headers_of_a_page() {
    let app = start().await;
    let answer = app.get("/docs").await;
    assert_eq!((answer.status, answer.header("location")), (301, "docs/"));
    let page = app.get("/docs/").await;
    let files = assets(&page.text);
    assert!(files.len() >= 5, "{files:?}");
    for file in files.iter().copied().chain(["index.html", ""]) {
        let answer = app.get(&format!("/docs/{}", file.trim_start_matches("./"))).await;
        assert_eq!(answer.status, 200, "{file}");
        let extension = file.rsplit('.').next().unwrap_or_default();
        let expected = match extension {
            "css" => "text/css",
            "js" => "text/javascript",
            "png" => "image/png",
            _ => "text/html",
        };
        let found = answer.header("content-type").split(';').next().unwrap_or_default();
        assert!(
            found == expected || (extension == "js" && found == "application/javascript"),
            "{file}: {found}"
        );
        assert_headers_of_a_page(&answer.headers);
    }
    app.get("/docs/no-such-file.js").await.assert_problem(404, "not_found");
    app.get("/docs/../Cargo.toml").await.assert_problem(404, "not_found");
}

fn assert_headers_of_a_page(headers: &reqwest::header::HeaderMap) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "same-origin");
    assert_eq!(header("cache-control"), "no-store");
    let policy = header("content-security-policy");
    let directives: BTreeMap<&str, &str> =
        policy.split(';').filter_map(|directive| directive.trim().split_once(' ')).collect();
    assert_eq!(directives.get("default-src"), Some(&"'self'"), "{policy}");
    assert_eq!(directives.get("frame-ancestors"), Some(&"'none'"), "{policy}");
    assert!(!policy.contains("unsafe-eval"), "{policy}");
    // Swagger UI sets styles from script; scripts may not be inline.
    for (name, sources) in &directives {
        assert_eq!(sources.contains("unsafe-inline"), *name == "style-src", "{policy}");
        assert!(
            !sources.contains("http:") && !sources.contains("https:") && !sources.contains('*'),
            "{policy}"
        );
    }
}

#[actix_web::test]
async fn the_page_and_its_settings_name_no_other_host() {
    let app = start().await;
    for file in ["index.html", "swagger-initializer.js", "index.css"] {
        let text = app.get(&format!("/docs/{file}")).await.text;
        assert!(!text.contains("//") || !text.contains("http"), "{file} names a host:\n{text}");
        for scheme in ["http://", "https://", "src=\"//", "href=\"//"] {
            assert!(!text.contains(scheme), "{scheme} in {file}:\n{text}");
        }
    }
    let settings = app.get("/docs/swagger-initializer.js").await.text;
    assert!(settings.contains("\"url\": \"../openapi.json\""), "{settings}");
    assert!(settings.contains("\"validatorUrl\": \"none\""), "{settings}");
}

const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The name of an installed browser, or a loud notice.
fn browser() -> Option<&'static str> {
    let works = |name: &&&str| {
        let version =
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let found = CHROMIUM.iter().find(works).copied();
    if found.is_none() {
        let notice = "\n*** NO CHROMIUM: that a browser can show /docs is NOT TESTED. To test it: apt install chromium ***\n\n";
        assert!(std::env::var("TOKENBOOTH_REQUIRE_CHROMIUM").as_deref() != Ok("1"), "{notice}");
        // Not `eprintln!`: libtest shows what that prints only when the test fails.
        let _ = std::io::stderr().write_all(notice.as_bytes());
    }
    found
}

/// What the page has become after its scripts ran.
fn rendered(browser: &str, url: &str) -> String {
    let profile = tempfile::tempdir().expect("a folder");
    let (out, path) = tempfile::NamedTempFile::new().expect("a file").into_parts();
    let mut child = Command::new(browser)
        .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split(' '))
        .args("--disable-component-update --disable-sync --virtual-time-budget=10000 --dump-dom".split(' '))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .expect("the browser runs");
    let deadline = Instant::now() + Duration::from_secs(90);
    while child.try_wait().expect("a process of ours").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the browser does not end");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::read_to_string(path).expect("a page")
}

#[actix_web::test]
async fn a_real_browser_shows_every_operation_and_the_authorize_button() {
    let Some(browser) = browser() else { return };
    let app = start().await;
    let page = rendered(browser, &format!("{}/docs/", app.base));
    for (path, method, _) in operations(&document(&app).await) {
        assert!(page.contains(&format!("data-path=\"{path}\"")), "{path} is not shown:\n{page}");
        assert!(page.contains(&format!("opblock-{method}")), "{method} {path}");
    }
    assert!(page.contains("<span>Authorize</span>"), "no Authorize button:\n{page}");
    assert!(!page.contains("Failed to load API definition"), "{page}");
}
