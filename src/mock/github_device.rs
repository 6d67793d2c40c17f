//! GitHub's device flow: codes for devices without a browser, the page where a person enters one, and what polling
//! answers (RFC 8628,
//! <https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow>).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::authorize::TWICE;
use super::github::{CLIENT_ID, GithubGrant};
use super::github_login::{DOCS_DEVICE, LoginError, PROVIDER, answer, scopes, wrong_client};
use super::page::{self, Choice};
use super::params::Params;
use super::values::{random_bytes, unix_now};
use super::world::World;
use super::{GithubUser, lock};

/// The `grant_type` of a poll (RFC 8628 §3.4).
pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

const LIFETIME: i64 = 900;
const INTERVAL: u64 = 5;
/// What polling too fast adds to the interval (RFC 8628 §3.5).
const PENALTY: u64 = 5;

/// The devices that wait for their person.
pub(super) struct Devices {
    state: Mutex<State>,
}

struct State {
    /// By device code.
    waiting: HashMap<String, Device>,
    interval: u64,
}

struct Device {
    user_code: String,
    scope: String,
    expires_at: i64,
    last_poll: Option<Instant>,
    /// What was added to the interval, in seconds.
    penalty: u64,
    decision: Decision,
}

enum Decision {
    Open,
    Approved(GithubUser),
    Denied,
}

impl Default for Devices {
    fn default() -> Self {
        Self { state: Mutex::new(State { waiting: HashMap::new(), interval: INTERVAL }) }
    }
}

impl Devices {
    pub(super) fn set_interval(&self, seconds: u64) {
        lock(&self.state).interval = seconds;
    }

    pub(super) fn expire(&self) {
        for device in lock(&self.state).waiting.values_mut() {
            device.expires_at = 0;
        }
    }

    /// What the device that waits with this code asks for.
    fn scope_asked(&self, user_code: &str) -> Option<String> {
        let state = lock(&self.state);
        state.waiting.values().find(|device| device.is_open_as(user_code)).map(|device| device.scope.clone())
    }

    pub(super) fn approve(&self, user_code: &str, user: GithubUser) -> bool {
        self.decide(user_code, Decision::Approved(user))
    }

    pub(super) fn deny(&self, user_code: &str) -> bool {
        self.decide(user_code, Decision::Denied)
    }

    fn decide(&self, user_code: &str, decision: Decision) -> bool {
        let mut state = lock(&self.state);
        let device = state.waiting.values_mut().find(|device| device.is_open_as(user_code));
        device.map(|device| device.decision = decision).is_some()
    }

    /// One poll of the token endpoint; the grant is handed out once.
    pub(super) fn poll(&self, form: &Params) -> Result<GithubGrant, LoginError> {
        if form.get("client_id") != Some(CLIENT_ID) {
            return Err(wrong_client());
        }
        let refuse = |error, description| Err(LoginError::new(error, description, DOCS_DEVICE));
        let code = form.get("device_code").unwrap_or_default();
        let mut state = lock(&self.state);
        let interval = state.interval;
        let Some(device) = state.waiting.get_mut(code) else {
            return refuse("incorrect_device_code", "The device_code provided is not valid.");
        };
        if device.expires_at <= unix_now() {
            return refuse("expired_token", "The device_code has expired.");
        }
        if let Some(seconds) = device.polled_too_fast(interval) {
            let description = "Too many requests have been made in the same timeframe.";
            return refuse("slow_down", description).map_err(|error| error.with_interval(seconds));
        }
        match &device.decision {
            Decision::Open => refuse("authorization_pending", "The authorization request is still pending."),
            Decision::Denied => refuse("access_denied", "The authorization request was denied."),
            Decision::Approved(user) => {
                let grant = GithubGrant { scopes: scopes(&device.scope), ..user.clone().into() };
                state.waiting.remove(code);
                Ok(grant)
            }
        }
    }

    fn begin(&self, scope: String) -> (String, String, u64) {
        let (device_code, user_code) = (hex::encode(random_bytes(20)), random_user_code());
        let device = Device {
            user_code: user_code.clone(),
            scope,
            expires_at: unix_now().saturating_add(LIFETIME),
            last_poll: None,
            penalty: 0,
            decision: Decision::Open,
        };
        let mut state = lock(&self.state);
        state.waiting.insert(device_code.clone(), device);
        (device_code, user_code, state.interval)
    }
}

impl Device {
    /// Case and hyphens do not matter in what a person types (RFC 8628 §6.1).
    fn is_open_as(&self, typed: &str) -> bool {
        let open = matches!(self.decision, Decision::Open) && self.expires_at > unix_now();
        open && letters(typed) == letters(&self.user_code)
    }

    /// Notes a poll; answers with the new interval when it came too early. With an interval of 0 none does.
    fn polled_too_fast(&mut self, interval: u64) -> Option<u64> {
        let now = Instant::now();
        let due = Duration::from_secs(interval.saturating_add(self.penalty));
        let last = self.last_poll.replace(now);
        let too_fast = interval > 0 && last.is_some_and(|last| now.duration_since(last) < due);
        too_fast.then(|| {
            self.penalty += PENALTY;
            interval.saturating_add(self.penalty)
        })
    }
}

fn letters(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// Four consonants, a hyphen, four more: no words, and nothing to mistake for something else (RFC 8628 §6.1).
fn random_user_code() -> String {
    const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut code: String = random_bytes(8)
        .into_iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect();
    code.insert(4, '-');
    code
}

/// `POST /github/login/device/code` (RFC 8628 §3.1).
pub(super) async fn device_code(world: web::Data<World>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let github = &world.github;
    let form = Params::of_form(&request, &body).filter(|form| form.get("client_id") == Some(CLIENT_ID));
    let Some(form) = form else {
        return answer(github, &request, &wrong_client().members());
    };
    let (device_code, user_code, interval) = github.devices().begin(form.owned("scope").unwrap_or_default());
    let members = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{}/github/login/device", world.base_url),
        "expires_in": LIFETIME,
        "interval": interval
    });
    answer(github, &request, &members)
}

/// `GET /github/login/device`: asks for the user code, then (with `?user_code=…`) who to be; the forms of that second page
/// come back with `POST`.
pub(super) async fn device(world: web::Data<World>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let devices = world.github.devices();
    let Some(query) = Params::of_query(&request) else {
        return page::refusal(PROVIDER, TWICE);
    };
    let Some(user_code) = query.get("user_code") else {
        return ask_for_code(StatusCode::OK, "");
    };
    let unknown = || ask_for_code(StatusCode::BAD_REQUEST, "No device waits with this code.");
    match Choice::of(&request, &query, &body) {
        Choice::Open => match devices.scope_asked(user_code) {
            Some(scope) => page::consent(PROVIDER, CLIENT_ID, &scope, request.query_string()),
            None => unknown(),
        },
        Choice::Person(login) => {
            if !devices.approve(user_code, world.github.user(&login)) {
                return unknown();
            }
            decided("Your device is connected.")
        }
        Choice::Deny => {
            if !devices.deny(user_code) {
                return unknown();
            }
            decided("Your device was not connected.")
        }
    }
}

fn ask_for_code(status: StatusCode, error: &str) -> HttpResponse {
    let alert = if error.is_empty() {
        String::new()
    } else {
        format!("<p role=\"alert\" id=\"error\">{}</p>\n", page::escape(error))
    };
    let content = format!(
        "{alert}<h2>Connect a device</h2>\n<form method=\"get\">\
         <label for=\"user_code\">The code that your device shows</label> \
         <input id=\"user_code\" name=\"user_code\" required autocomplete=\"off\" autocapitalize=\"characters\"> \
         <button type=\"submit\" id=\"continue\">Continue</button></form>\n"
    );
    page::page(status, PROVIDER, &content)
}

fn decided(what: &str) -> HttpResponse {
    let content = format!("<p role=\"status\" id=\"done\">{}</p>\n", page::escape(what));
    page::page(StatusCode::OK, PROVIDER, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_may_be_typed_carelessly() {
        let devices = Devices::default();
        let (_, user_code, _) = devices.begin(String::new());
        assert_eq!((user_code.len(), user_code.find('-')), (9, Some(4)));
        let careless = format!(" {} ", user_code.replace('-', " ").to_lowercase());
        assert!(devices.scope_asked(&careless).is_some());
        assert!(devices.scope_asked("").is_none());
        assert!(devices.deny(&careless));
        assert!(devices.scope_asked(&user_code).is_none());
    }
}
