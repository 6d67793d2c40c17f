//! [`Chromium`]: one browser with a profile of its own, and the few commands of <https://www.w3.org/TR/webdriver2/> that the
//! tests need. Written here because the crates for it bring a second `cookie` and a second ICU, and change features of what
//! the product is built with: `cargo run` after `cargo test` would compile most of the tree once more.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use super::driver::Driver;
use crate::support::app::client;

/// The member that holds the id of an element (`WebDriver` §11).
pub const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// For one command; a page may take long to load on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(150);

const ARGUMENTS: &str = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=1200,800 --hide-scrollbars \
    --lang=en-US --force-color-profile=srgb --no-proxy-server --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --disable-breakpad";

/// Nothing leaves the machine; `evil.test` is one more site on it, and the hosts of `mail.localhost` are of one site. Browsers take
/// `Secure` cookies of those without TLS.
const HOSTS: &str = "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP *.mail.localhost 127.0.0.1, MAP * ~NOTFOUND, \
    EXCLUDE 127.0.0.1, EXCLUDE localhost";

pub struct Chromium {
    http: Client,
    /// Of the session, at the driver.
    url: String,
}

/// Why a command was not obeyed (`WebDriver` §6.6).
#[derive(Debug)]
pub struct Trouble {
    error: String,
    message: String,
}

impl Trouble {
    /// Of our own: what was waited for has not come.
    pub(super) fn not_yet(message: String) -> Self {
        Self { error: "not yet".to_owned(), message }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error, self.message.lines().next().unwrap_or_default())
    }
}

impl Chromium {
    pub(super) async fn start(driver: &Driver, more: &[&str]) -> Self {
        let arguments: Vec<&str> =
            ARGUMENTS.split_whitespace().chain([HOSTS]).chain(more.iter().copied()).collect();
        let wanted = json!({
            "goog:chromeOptions": { "binary": driver.chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "pageLoad": 120_000, "script": 60_000 },
        });
        let mut browser = Self { http: client(), url: driver.url.clone() };
        let session = browser.post("/session", json!({ "capabilities": { "alwaysMatch": wanted } })).await;
        let session = session.unwrap_or_else(|trouble| panic!("no browser: {trouble}"));
        browser.url = format!("{}/session/{}", driver.url, session["sessionId"].as_str().expect("an id"));
        browser
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Value, Trouble> {
        self.command(self.http.post(format!("{}{path}", self.url)).json(&body)).await
    }

    pub async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.command(self.http.get(format!("{}{path}", self.url))).await
    }

    async fn command(&self, request: reqwest::RequestBuilder) -> Result<Value, Trouble> {
        let answer = request.timeout(TIME_LIMIT).send().await.expect("the driver answers");
        let well = answer.status().is_success();
        let mut answer: Value = answer.json().await.expect("the driver answers in JSON");
        let value = answer["value"].take();
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        if well { Ok(value) } else { Err(Trouble { error: text("error"), message: text("message") }) }
    }

    /// The path of the first element, for commands to it.
    pub async fn find(&self, css: &str) -> Result<String, Trouble> {
        let found = self.post("/element", json!({ "using": "css selector", "value": css })).await?;
        Ok(format!("/element/{}", found[ELEMENT].as_str().expect("an id")))
    }

    /// Runs the body of a function in the page.
    pub async fn script(&self, body: &str) -> Result<Value, Trouble> {
        self.post("/execute/sync", json!({ "script": body, "args": [] })).await
    }

    /// A command of the `DevTools` protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", body).await.unwrap_or_else(|trouble| panic!("{command}: {trouble}"))
    }

    /// What the console has got since the last call: level and text.
    pub async fn console(&self) -> Vec<(String, String)> {
        let log = self.post("/se/log", json!({ "type": "browser" })).await.expect("a log");
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let entries = log.as_array().expect("a list").iter();
        entries.map(|entry| (text(entry, "level"), text(entry, "message"))).collect()
    }
}

impl Drop for Chromium {
    /// Without the async client, which cannot be waited for here.
    fn drop(&mut self) {
        let Some((authority, path)) = self.url.trim_start_matches("http://").split_once('/') else { return };
        let Ok(mut driver) = TcpStream::connect(authority) else { return };
        let _ = driver.set_read_timeout(Some(Duration::from_secs(30)));
        let _ = write!(driver, "DELETE /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        let _ = driver.read(&mut [0; 64]);
    }
}
