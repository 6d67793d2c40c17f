//! What nobody looks at while all is well: the console, and what scripts could get hold of.

use serde_json::Value;

use super::chromium::Chromium;
use super::turn;
use crate::databases::TestDatabase;
use crate::support::TestApp;

/// Pictures of people are elsewhere, and no test goes there.
const PICTURES: [&str; 2] = ["https://lh3.googleusercontent.com/", "https://avatars.githubusercontent.com/"];

impl Chromium {
    /// Nothing was said in the console since it was last read, hints to developers aside: no warning, no error, no violation
    /// of the policy.
    pub async fn assert_quiet(&self) {
        let said = self.said().await;
        assert!(said.is_empty(), "at {}: {said:#?}", self.url().await);
    }

    async fn said(&self) -> Vec<(String, String)> {
        let counts = |(level, text): &(String, String)| {
            level != "DEBUG" && !PICTURES.iter().any(|host| text.starts_with(host))
        };
        self.console().await.into_iter().filter(counts).collect()
    }

    /// The values of all cookies of the profile that no script sees.
    async fn hidden_values(&self) -> Vec<String> {
        let hidden = self.jar().await.into_iter().filter(|cookie| cookie.http_only);
        hidden.map(|cookie| cookie.value).collect()
    }

    /// Everything that a script on the page could read.
    async fn readable(&self) -> String {
        let everything = "return JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, \
            document.documentElement.outerHTML, location.href, document.referrer, history.state, name])";
        let text = self.script(everything).await.expect("a text");
        text.as_str().expect("text").to_owned()
    }
}

#[actix_web::test]
async fn no_page_complains_and_none_shows_a_token_to_its_scripts() {
    let Some(turn) = turn().await else { return };
    let (app, _) = TestApp::start_with_ada(TestDatabase::sqlite()).await;
    let browser = turn.browser().await;
    browser.sign_in(&app, "google", "ada").await;
    let tokens = browser.hidden_values().await;
    assert_eq!(tokens.len(), 3, "the session's token, the refresh token, and what names the device");
    for path in ["/", "/account", "/admin", "/admin?q=ada", "/admin/events", "/docs/", "/account"] {
        browser.visit(&format!("{}{path}", app.base)).await;
        browser.settled().await;
        browser.assert_quiet().await;
        let readable = browser.readable().await;
        assert!(readable.contains("__Host-tokenbooth_csrf"), "that one is for scripts: {readable}");
        let parts = tokens.iter().flat_map(|token| token.split('.').filter(|part| part.len() > 20));
        for part in parts {
            assert!(!readable.contains(part), "{path} shows a token: {readable}");
        }
    }
    // That a violation would have been seen.
    let styled = "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">'); return null";
    assert_eq!(browser.script(styled).await.expect("run"), Value::Null);
    let said = browser.said().await;
    assert!(said.iter().any(|(_, text)| text.contains("Content Security Policy")), "{said:?}");

    browser.click("#sign-out").await;
    browser.until_at("/").await;
    browser.console().await;
    for path in ["/", "/sign-in", "/sign-in?redirect_to=%2Faccount"] {
        browser.visit(&format!("{}{path}", app.base)).await;
        browser.settled().await;
        browser.assert_quiet().await;
    }
    // That a page is a refusal, the console says itself.
    browser.visit(&format!("{}/auth/google/callback", app.base)).await;
    browser.settled().await;
    let said = browser.said().await;
    assert!(said.iter().all(|(_, text)| text.contains("responded with a status of 400")), "{said:?}");
    // What is left behind is of no use to anybody.
    assert_eq!(browser.hidden_values().await, [""; 0]);
}
