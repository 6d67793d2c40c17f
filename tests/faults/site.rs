//! Two replicas on a PostgreSQL, with the mock providers, and how they are asked.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenbooth::mock::{MockProviders, Person};

use crate::support::line::{Line, Reply, http_request};
use crate::support::process::{Running, Tokenbooth};

/// `database.timeout` of the replicas.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a replica may take to be ready, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Site {
    pub mock: MockProviders,
    pub replicas: Vec<Running>,
    pub addresses: Vec<String>,
}

/// What a client got when it signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub jwt: String,
    pub refresh_token: String,
}

impl Site {
    /// Starts `number` replicas with this `database.url`, and waits until they are ready.
    pub async fn start(url: &str, number: usize) -> Self {
        Self::start_with(url, number, &[]).await
    }

    /// The same, with further settings.
    pub async fn start_with(url: &str, number: usize, settings: &[(&str, &str)]) -> Self {
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut replicas: Vec<Running> = (0..number).map(|_| replica(&mock, url, settings).start()).collect();
        let address = |replica: &mut Running| replica.url().trim_start_matches("http://").to_owned();
        let addresses = replicas.iter_mut().map(address).collect();
        let site = Self { mock, replicas, addresses };
        for address in &site.addresses {
            site.wait_until(PATIENCE, "a replica is ready", || ready(address) == 200);
        }
        site
    }

    /// Signs in at the first replica.
    pub fn sign_in(&self, name: &str) -> SignedIn {
        let reply = self.try_to_sign_in(&self.addresses[0], name);
        assert_eq!(reply.status, 200, "{}", reply.text);
        let text = |field: &str| reply.body[field].as_str().expect("a token").to_owned();
        SignedIn { jwt: text("access_token"), refresh_token: text("refresh_token") }
    }

    pub fn try_to_sign_in(&self, address: &str, name: &str) -> Reply {
        let id_token = self.mock.google().id_token(Person::named(name).claims());
        let body = json!({ "id_token": id_token, "scope": "offline_access" });
        ask(address, "POST", "/auth/google", None, &body)
    }

    /// Signs in so many at once that every connection of each replica is used, and answers whether all succeed.
    pub fn serves_a_crowd(&self) -> bool {
        thread::scope(|scope| {
            let crowd: Vec<_> = self
                .addresses
                .iter()
                .flat_map(|address| (0..10).map(move |number| (address, format!("crowd-{number}"))))
                .map(|(address, name)| scope.spawn(move || self.try_to_sign_in(address, &name).status == 200))
                .collect();
            // All of them, also after one that failed.
            let served: Vec<bool> = crowd.into_iter().map(|one| one.join().expect("no panic")).collect();
            served.into_iter().all(|served| served)
        })
    }

    /// Waits, and says how long it took.
    #[track_caller]
    pub fn wait_until(&self, limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < limit, "not within {limit:?}: {what}\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
        start.elapsed()
    }

    /// All logs, for a failure.
    pub fn said(&self) -> String {
        self.replicas.iter().map(Running::stderr).collect::<Vec<_>>().join("\n")
    }
}

/// One replica. All have one issuer, or the tokens of one would be foreign to the other.
pub fn replica(mock: &MockProviders, url: &str, settings: &[(&str, &str)]) -> Tokenbooth {
    let replica = Tokenbooth::serving(mock, url)
        .set("database.timeout", "2s")
        .set("token.issuer", "https://auth.mail.com");
    settings.iter().fold(replica, |replica, (key, value)| replica.set(key, value))
}

/// One request on a connection of its own.
pub fn try_to_ask(
    address: &str,
    method: &str,
    path: &str,
    jwt: Option<&str>,
    body: &Value,
) -> std::io::Result<Reply> {
    let bearer = jwt.map(|jwt| format!("Bearer {jwt}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    Line::open(address)?.ask(&http_request(method, path, &headers, body))
}

/// The same; a replica responds whatever its database does.
#[track_caller]
pub fn ask(address: &str, method: &str, path: &str, jwt: Option<&str>, body: &Value) -> Reply {
    try_to_ask(address, method, path, jwt, body).expect("a replica responds")
}

/// `GET /api/me`
#[track_caller]
pub fn me(address: &str, jwt: &str) -> u16 {
    ask(address, "GET", "/api/me", Some(jwt), &Value::Null).status
}

/// `GET /readyz`
#[track_caller]
pub fn ready(address: &str) -> u16 {
    ask(address, "GET", "/readyz", None, &Value::Null).status
}

/// `POST /auth/logout-all`
#[track_caller]
pub fn log_out_everywhere(address: &str, jwt: &str) -> u16 {
    ask(address, "POST", "/auth/logout-all", Some(jwt), &Value::Null).status
}

/// `POST /auth/refresh`
#[track_caller]
pub fn refresh(address: &str, token: &str) -> Reply {
    ask(address, "POST", "/auth/refresh", None, &json!({ "refresh_token": token }))
}
