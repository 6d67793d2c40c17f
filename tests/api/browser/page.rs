//! What a person does at a page and sees on it. Everything waits until it can be done: pages load, and parts of them are
//! fetched anew by script.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::chromium::{Chromium, ELEMENT, Trouble};

/// Long, because other tests share the machine; a test that passes never waits as long.
const PATIENCE: Duration = Duration::from_mins(1);

/// Nothing is on its way any more that could replace what is to be clicked.
const SETTLED: &str = "return document.readyState === 'complete' \
    && !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling, [aria-busy=true]')";

/// One of a browser's.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub http_only: bool,
}

impl Chromium {
    pub async fn visit(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await.unwrap_or_else(|trouble| panic!("{url}: {trouble}"));
    }

    pub async fn url(&self) -> String {
        self.get("/url").await.expect("a URL").as_str().expect("text").to_owned()
    }

    /// Tries until it works.
    async fn persist<T>(&self, what: &str, attempt: impl AsyncFn() -> Result<T, Trouble>) -> T {
        let begun = Instant::now();
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(trouble) if begun.elapsed() > PATIENCE => {
                    let page = self.script("return document.body.innerText").await.unwrap_or_default();
                    panic!(
                        "{what}: {trouble}\nat {}:\n{}",
                        self.url().await,
                        page.as_str().unwrap_or_default()
                    );
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Waits until a script's result is true.
    pub async fn until(&self, condition: &str) {
        self.persist(condition, async || match self.script(condition).await? {
            Value::Bool(true) => Ok(()),
            other => Err(Trouble::not_yet(format!("{other}"))),
        })
        .await;
    }

    pub async fn settled(&self) {
        self.until(SETTLED).await;
    }

    /// Waits until the page's path, and its query, are these.
    pub async fn until_at(&self, path: &str) {
        self.persist(&format!("at {path}"), async || {
            let url = self.url().await;
            let here = url.splitn(4, '/').nth(3).unwrap_or_default();
            if here == path.trim_start_matches('/') { Ok(()) } else { Err(Trouble::not_yet(url)) }
        })
        .await;
    }

    pub async fn click(&self, css: &str) {
        self.settled().await;
        self.click_at_once(css).await;
    }

    /// Where the page may run no script, not even the one that tells whether it has settled.
    pub async fn click_at_once(&self, css: &str) {
        self.persist(css, async || self.post(&format!("{}/click", self.find(css).await?), json!({})).await)
            .await;
    }

    /// Types into an empty field.
    pub async fn fill(&self, css: &str, text: &str) {
        self.settled().await;
        self.persist(css, async || {
            let field = self.find(css).await?;
            self.post(&format!("{field}/clear"), json!({})).await?;
            self.post(&format!("{field}/value"), json!({ "text": text })).await
        })
        .await;
    }

    /// The text that is seen of an element.
    pub async fn text(&self, css: &str) -> String {
        let text =
            self.persist(css, async || self.get(&format!("{}/text", self.find(css).await?)).await).await;
        text.as_str().expect("text").to_owned()
    }

    /// Waits until the element shows this text.
    pub async fn until_text(&self, css: &str, expected: &str) {
        self.persist(&format!("{css} has {expected:?}"), async || {
            let text = self.get(&format!("{}/text", self.find(css).await?)).await?;
            let found = text.as_str().is_some_and(|text| text.contains(expected));
            if found { Ok(()) } else { Err(Trouble::not_yet(text.to_string())) }
        })
        .await;
    }

    pub async fn has(&self, css: &str) -> bool {
        self.find(css).await.is_ok()
    }

    /// Waits until there is no such element.
    pub async fn until_gone(&self, css: &str) {
        self.persist(&format!("{css} is gone"), async || match self.find(css).await {
            Ok(_) => Err(Trouble::not_yet("it is there".to_owned())),
            Err(_) => Ok(()),
        })
        .await;
    }

    pub async fn back(&self) {
        self.post("/back", json!({})).await.expect("a page before");
    }

    /// The tab that commands go to.
    pub async fn tab(&self) -> String {
        self.get("/window").await.expect("a tab").as_str().expect("a handle").to_owned()
    }

    pub async fn new_tab(&self) -> String {
        let tab = self.post("/window/new", json!({ "type": "tab" })).await.expect("a tab");
        tab["handle"].as_str().expect("a handle").to_owned()
    }

    pub async fn switch_to(&self, tab: &str) {
        self.post("/window", json!({ "handle": tab })).await.expect("the tab is there");
    }

    /// The names of all cookies of the profile, those no script sees among them, in order.
    pub async fn cookies(&self) -> Vec<String> {
        let mut names: Vec<String> = self.jar().await.into_iter().map(|cookie| cookie.name).collect();
        names.sort_unstable();
        names
    }

    /// All cookies of the profile. Not `WebDriver`'s command for it, which leaves out those that are `Secure`: no page here is.
    pub async fn jar(&self) -> Vec<Cookie> {
        let mut found = self.devtools("Storage.getCookies", json!({})).await;
        serde_json::from_value(found["cookies"].take()).expect("a list")
    }

    /// What follows is said to the page in the frame.
    pub async fn enter_frame(&self, css: &str) {
        let frame = self.find(css).await.expect("a frame");
        let id = frame.trim_start_matches("/element/");
        self.post("/frame", json!({ "id": { ELEMENT: id } })).await.expect("a page in the frame");
    }

    pub async fn leave_frame(&self) {
        self.post("/frame", json!({ "id": null })).await.expect("the page around it");
    }
}
