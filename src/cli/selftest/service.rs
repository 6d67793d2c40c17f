//! The service that is tried: how it is asked, as its profile says, and what it responds.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::CommandError;
use super::corpus::{Operation, Request};

/// How tokenbooth itself is asked.
const PROFILE: &str = include_str!("../../../corpus/profile.json");
/// For one response.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A service that limits requests is asked again as often, and waited for as long.
const RETRIES: u32 = 5;
const LONGEST_WAIT: u64 = 65;

/// What placeholders stand for.
pub(super) type Values = BTreeMap<String, String>;
/// The cookies of a browser.
pub(super) type Jar = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    #[serde(rename = "about")]
    _about: String,
    sign_in: Option<Request>,
    read: Option<Request>,
    refresh: Option<Request>,
    log_out: Option<Request>,
    log_out_everywhere: Option<Request>,
    delete_account: Option<Request>,
    begin_login: Option<Request>,
    begin_app_login: Option<Request>,
    redeem_code: Option<Request>,
    #[serde(default)]
    values: Values,
}

pub(super) struct Service {
    pub(super) base: Url,
    profile: Profile,
    provider: String,
    http: reqwest::Client,
}

/// What counts of a response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: Value,
    /// It sets a cookie, and does not only clear some.
    pub(super) sets_cookie: bool,
}

impl Service {
    /// # Errors
    /// Returns an error if the address is no URL, or the profile cannot be read.
    #[expect(
        clippy::disallowed_methods,
        reason = "the shared client is for providers, and does not show redirects"
    )]
    pub(super) fn new(url: &str, provider: &str, profile: Option<&Path>) -> Result<Self, CommandError> {
        let other = |reason: String| CommandError::Other(reason);
        let base = Url::parse(url).map_err(|error| other(format!("--url {url}: {error}")))?;
        let text = match profile {
            None => PROFILE.to_owned(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| other(format!("{}: {error}", path.display())))?,
        };
        let profile = serde_json::from_str(&text).map_err(|error| other(format!("the profile: {error}")))?;
        // The cases are to meet the service and no cache, proxy or other page.
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(TIMEOUT).no_proxy();
        let http = http.build().map_err(|error| other(error.to_string()))?;
        Ok(Self { base, profile, provider: provider.to_owned(), http })
    }

    /// Returns how to ask for an operation, if the service has it.
    pub(super) fn operation(&self, operation: Operation) -> Option<&Request> {
        let profile = &self.profile;
        match operation {
            Operation::SignIn => profile.sign_in.as_ref(),
            Operation::Read => profile.read.as_ref(),
            Operation::Refresh => profile.refresh.as_ref(),
            Operation::LogOut => profile.log_out.as_ref(),
            Operation::LogOutEverywhere => profile.log_out_everywhere.as_ref(),
            Operation::DeleteAccount => profile.delete_account.as_ref(),
            Operation::BeginLogin => profile.begin_login.as_ref(),
            Operation::BeginAppLogin => profile.begin_app_login.as_ref(),
            Operation::RedeemCode => profile.redeem_code.as_ref(),
            // Where the callback leads is the provider's word.
            Operation::FinishLogin => None,
        }
    }

    /// Returns the values that every request may use.
    pub(super) fn values(&self) -> Values {
        let mut values = self.profile.values.clone();
        let path = self.profile.read.as_ref().map(|read| read.path.clone()).unwrap_or_default();
        values.insert("read_path_upper".to_owned(), path.to_uppercase());
        values.insert("read_path".to_owned(), path);
        values.insert("provider".to_owned(), self.provider.clone());
        values.insert("base".to_owned(), self.base.as_str().trim_end_matches('/').to_owned());
        values
    }

    /// Sends a request, and again if the service asks to wait.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub(super) async fn send(
        &self,
        request: &Request,
        values: &Values,
        jar: Option<&mut Jar>,
    ) -> Result<Response, String> {
        let (path, query) = request
            .path
            .split_once('?')
            .map_or((request.path.as_str(), None), |(path, query)| (path, Some(query)));
        let mut url = format!("{}{}", values["base"], fill(path, values));
        if let Some(query) = query {
            let encoded = values.iter().map(|(name, value)| (name.clone(), encode(value))).collect();
            url = format!("{url}?{}", fill(query, &encoded));
        }
        self.get(&request.method, &url, Some(request), values, jar).await
    }

    /// Goes to an address, as a browser does.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub(super) async fn visit(&self, url: &str, jar: &mut Jar) -> Result<Response, String> {
        self.get("GET", url, None, &Values::new(), Some(jar)).await
    }

    async fn get(
        &self,
        method: &str,
        url: &str,
        request: Option<&Request>,
        values: &Values,
        jar: Option<&mut Jar>,
    ) -> Result<Response, String> {
        let method: reqwest::Method = method.parse().map_err(|_| format!("no method: {method}"))?;
        let mut tries = 0;
        let response = loop {
            let mut builder = self.http.request(method.clone(), url);
            if let Some(jar) = jar.as_deref().filter(|jar| !jar.is_empty()) {
                let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
                builder = builder.header("cookie", cookies.join("; "));
            }
            if let Some(request) = request {
                for (name, value) in &request.headers {
                    builder = builder.header(name, fill(value, values));
                }
                if let Some(json) = &request.json {
                    builder = builder.json(&fill_json(json, values));
                }
                if let Some(form) = &request.form {
                    builder = builder.form(&filled_form(form, values));
                }
            }
            let response = builder.send().await.map_err(|error| reason(&error))?;
            tries += 1;
            match wait_for(&response) {
                Some(wait) if tries <= RETRIES => tokio::time::sleep(wait).await,
                Some(_) => return Err(format!("the service keeps responding {}", response.status())),
                None => break response,
            }
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let sets_cookie = keep_cookies(&headers, jar);
        // Not only ASCII: an attack may have any character in it.
        let location =
            headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = response.json().await.unwrap_or(Value::Null);
        Ok(Response { status, location, body, sets_cookie })
    }
}

/// How long to wait before the same request is sent again: it was not judged.
fn wait_for(response: &reqwest::Response) -> Option<Duration> {
    if !matches!(response.status().as_u16(), 429 | 503) {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(1).clamp(1, LONGEST_WAIT)))
}

/// The outermost reason of `reqwest` has the URL, and the innermost the reason.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Keeps the cookies of a response, and returns whether one of them is set.
fn keep_cookies(headers: &HeaderMap, jar: Option<&mut Jar>) -> bool {
    let mut set = Jar::new();
    let mut cleared = Vec::new();
    for cookie in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let Some((name, value)) = pair.split_once('=') else { continue };
        if value.is_empty() || attributes.to_ascii_lowercase().contains("max-age=0") {
            cleared.push(name.to_owned());
        } else {
            set.insert(name.to_owned(), value.to_owned());
        }
    }
    let is_set = !set.is_empty();
    if let Some(jar) = jar {
        jar.retain(|name, _| !cleared.contains(name));
        jar.append(&mut set);
    }
    is_set
}

/// Puts values in place of `{name}`. A name that has none stays.
pub(super) fn fill(text: &str, values: &Values) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The same in every text of a JSON value.
pub(super) fn fill_json(value: &Value, values: &Values) -> Value {
    match value {
        Value::String(text) => fill(text, values).into(),
        Value::Array(items) => items.iter().map(|item| fill_json(item, values)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), fill_json(value, values)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// A field without a value is left out.
fn filled_form(form: &Map<String, Value>, values: &Values) -> Vec<(String, String)> {
    let filled =
        form.iter().map(|(name, value)| (name.clone(), fill(value.as_str().unwrap_or_default(), values)));
    filled.filter(|(_, value)| !value.is_empty()).collect()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
