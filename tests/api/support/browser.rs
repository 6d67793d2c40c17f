//! [`Browser`]: what a browser does, as far as a test without one can: keeps cookies, follows redirects when told, says where a
//! request comes from.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, HeaderMap, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder};

use super::app::{Answer, TestApp, client};

/// As Chromium sends it with a navigation.
pub const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// One browser at one service.
pub struct Browser {
    pub base: String,
    http: Client,
    /// Name to value and path.
    jar: BTreeMap<String, (String, String)>,
}

impl Browser {
    pub fn at(app: &TestApp) -> Self {
        Self::at_base(&app.base)
    }

    pub fn at_base(base: &str) -> Self {
        Self { base: base.to_owned(), http: client(), jar: BTreeMap::new() }
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.get(name).map(|(value, _)| value.as_str())
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.jar.insert(name.to_owned(), (value.to_owned(), "/".to_owned()));
    }

    pub fn forget(&mut self, name: &str) {
        self.jar.remove(name);
    }

    /// The names of the cookies, in order.
    pub fn cookie_names(&self) -> Vec<&str> {
        self.jar.keys().map(String::as_str).collect()
    }

    /// The cookies of sign-ins under way.
    pub fn attempts(&self) -> Vec<String> {
        let prefix = "__Host-tokenbooth_login_";
        self.jar.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// A request with the cookies that belong to it.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let method: Method = method.parse().expect("a method");
        let path = url.trim_start_matches(&self.base).to_owned();
        let cookies: Vec<String> = self
            .jar
            .iter()
            .filter(|(_, (_, of))| path.starts_with(of.as_str()))
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        let request = self.http.request(method, url);
        if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) }
    }

    /// Sends it, and keeps the cookies of the answer.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        self.keep(&answer.headers);
        answer
    }

    /// Goes to a page.
    pub async fn visit(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path).header("accept", HTML);
        self.send(request).await
    }

    /// An unsafe request from one of our own pages.
    pub fn as_our_page(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).header(ORIGIN, &self.base)
    }

    /// From our own page, by script, without a body.
    pub async fn call(&mut self, method: &str, path: &str) -> Answer {
        let request = self.as_our_page(method, path);
        self.send(request).await
    }

    /// `/auth/{provider}/login`, and at the mock the choice of this person; answers the way back.
    pub async fn authorize(&mut self, login: &str, person: &str) -> String {
        let there = self.visit(login).await;
        assert_eq!(there.status, 302, "{}", there.text);
        let chosen = format!("{}&mock_person={person}", there.header("location"));
        let back = Answer::of(self.http.get(chosen).send().await.expect("an answer")).await;
        assert_eq!(back.status, 302, "{}", back.text);
        back.header("location").to_owned()
    }

    /// Signs in at a provider, all the way.
    pub async fn sign_in(&mut self, provider: &str, person: &str) -> Answer {
        let back = self.authorize(&format!("/auth/{provider}/login"), person).await;
        self.visit(&back).await
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE) {
            let text = header.to_str().expect("a cookie of text");
            let (pair, attributes) = text.split_once("; ").expect("a cookie with attributes");
            let (name, value) = pair.split_once('=').expect("a name");
            let path = attributes.split("; ").find_map(|part| part.strip_prefix("Path=")).expect("a path");
            assert!(attributes.split("; ").any(|part| part == "Secure"), "{text}");
            assert!(!attributes.contains("Domain="), "{text}");
            if attributes.split("; ").any(|part| part == "Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), (value.to_owned(), path.to_owned()));
            }
        }
    }
}
