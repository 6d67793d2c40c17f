//! [`TestApp`]: what most tests begin with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokenbooth::clock::{Clock, SystemClock, Timestamp};
use tokenbooth::mock::{GithubGrant, GithubUser, Grant, MockProviders, Person};
use tokenbooth::settings::Sources;
use tokenbooth::{App, StartError};
use tokio::sync::oneshot;

use super::documented;
use crate::databases::TestDatabase;

/// 32 bytes, as every secret must have.
pub const SECRET: &str = "the-secret-of-the-tests-0123456789abcdef";

/// The service under test, in threads of its own. Stops when dropped.
pub struct TestApp {
    /// `http://127.0.0.1:<port>`
    pub base: String,
    pub db: TestDatabase,
    pub mock: MockProviders,
    pub clock: Arc<TestClock>,
    pub http: reqwest::Client,
    /// See [`TestApp::at_both_doors`].
    pub(super) both_doors: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The machine's clock, plus what a test says.
#[derive(Default)]
pub struct TestClock {
    ahead: AtomicI64,
}

impl TestClock {
    /// Moves the clock by this many seconds, backwards when negative.
    pub fn advance(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.ahead.load(Ordering::SeqCst))
    }

    fn now_in_milliseconds(&self) -> i64 {
        SystemClock.now_in_milliseconds() + self.ahead.load(Ordering::SeqCst) * 1000
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `null` when the body is no JSON.
    pub json: Value,
}

/// A user who has signed in.
#[derive(Debug)]
pub struct SignedIn {
    pub jwt: String,
    pub user_id: String,
    pub created: bool,
    /// The whole answer.
    pub json: Value,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let path = response.url().path().to_owned();
        let text = response.text().await.expect("a whole body");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Self { status, headers, text, json };
        documented::assert_content_type(&path, status, answer.header("content-type"));
        answer
    }

    /// The header as text, empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }

    /// Asserts a refusal in the documented form: status, code, `application/problem+json`; answers its detail.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) -> &str {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json["status"], status);
        assert_eq!(self.json["type"], format!("urn:tokenbooth:error:{code}"));
        assert!(self.json["title"].is_string());
        self.json["detail"].as_str().expect("every refusal explains itself")
    }

    /// Asserts that the provider is said to be in trouble: 502, 503 or 504 with `Retry-After`.
    #[track_caller]
    pub fn assert_provider_unavailable(&self) {
        assert!(matches!(self.status, 502..=504), "{} {}", self.status, self.text);
        self.assert_problem(self.status, "provider_unavailable");
        assert!(
            self.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1),
            "{:?}",
            self.headers
        );
    }

    #[track_caller]
    pub fn assert_signed_in(&self) -> SignedIn {
        assert_eq!(self.status, 200, "{}", self.text);
        SignedIn {
            jwt: self.json["access_token"].as_str().expect("a token").to_owned(),
            user_id: self.json["user"]["id"].as_str().expect("an id").to_owned(),
            created: self.json["created"].as_bool().expect("created"),
            json: self.json.clone(),
        }
    }
}

impl SignedIn {
    /// The refresh token, which was asked for.
    #[track_caller]
    pub fn refresh_token(&self) -> &str {
        self.json["refresh_token"].as_str().expect("a refresh token")
    }
}

impl TestApp {
    /// With the mock Google, GitHub and (as `acme`) OpenID Connect issuer configured.
    pub async fn start(db: TestDatabase) -> Self {
        Self::start_with(db, |sources| sources).await
    }

    /// The same, with settings changed: `|sources| sources.with("jwks.cooldown", "1s")`.
    pub async fn start_with(db: TestDatabase, change: impl FnOnce(Sources) -> Sources) -> Self {
        let mock = MockProviders::start().await.expect("the mock starts");
        Self::start_beside(mock, db, change).await
    }

    /// Beside a mock of the caller's, which may have faults already.
    pub async fn start_beside(
        mock: MockProviders,
        db: TestDatabase,
        change: impl FnOnce(Sources) -> Sources,
    ) -> Self {
        let sources = change(Self::sources(&mock, &db.url));
        Self::try_start(mock, db, sources).await.expect("the service starts")
    }

    /// As [`TestApp::start_with`], and Microsoft, Apple and GitLab under their own names as well.
    pub async fn start_with_further_providers(
        db: TestDatabase,
        change: impl FnOnce(Sources) -> Sources,
    ) -> Self {
        let mock = MockProviders::start().await.expect("the mock starts");
        Self::start_further_beside(mock, db, change).await
    }

    /// The same beside a mock of the caller's.
    pub async fn start_further_beside(
        mock: MockProviders,
        db: TestDatabase,
        change: impl FnOnce(Sources) -> Sources,
    ) -> Self {
        let further = [
            mock.microsoft_settings("microsoft"),
            mock.apple_settings("apple"),
            mock.gitlab_settings("gitlab"),
        ];
        let with_further = |sources: Sources| {
            further.into_iter().flatten().fold(sources, |sources, (key, value)| sources.with(&key, value))
        };
        Self::start_beside(mock, db, |sources| change(with_further(sources))).await
    }

    /// The settings of [`TestApp::start`].
    pub fn sources(mock: &MockProviders, database_url: &str) -> Sources {
        let settings = mock.settings().into_iter().chain(mock.oidc_settings("acme"));
        let sources = settings.fold(Sources::defaults(), |sources, (key, value)| sources.with(&key, value));
        sources
            .with("server.port", "0")
            .with("server.workers", "2")
            .with("database.url", database_url)
            .with("database.pool_size", "4")
            // A database that is away is told at once.
            .with("database.start_timeout", "0s")
            .with("token.secret", SECRET)
            // As strong as the tests need: they hash by the hundred.
            .with("password.memory_kib", "64")
            .with("password.iterations", "1")
            // All tests ask from one address; rate_limit.rs switches the limits on.
            .with("rate_limit.enabled", "false")
    }

    /// With exactly these settings.
    pub async fn try_start(
        mock: MockProviders,
        db: TestDatabase,
        sources: Sources,
    ) -> Result<Self, StartError> {
        let clock = Arc::new(TestClock::default());
        let (stop, end) = oneshot::channel();
        let (ready, port) = oneshot::channel();
        let shared_clock = Arc::clone(&clock);
        // A system of its own: the service answers while the test blocks, and everything of it ends with the thread.
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let built = sources.load().map_err(StartError::from).and_then(|settings| {
                    let app = App::build_with_clock(settings, shared_clock)?;
                    Ok((app.port(), app.start()?))
                });
                match built {
                    Err(error) => drop(ready.send(Err(error))),
                    Ok((port, (server, stopper))) => {
                        let server = actix_web::rt::spawn(server);
                        let _ = ready.send(Ok(port));
                        let _ = end.await;
                        stopper.stop_at_once().await;
                        let _ = server.await;
                    }
                }
            });
        });
        let port = port.await.expect("the service's thread lives")?;
        let base = format!("http://127.0.0.1:{port}");
        Ok(Self {
            base,
            db,
            mock,
            clock,
            http: client(),
            both_doors: false,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Another process on the same database, of the same issuer, with the same mock providers. Its clock is its own.
    pub async fn replica(&self) -> Self {
        self.replica_with(|sources| sources).await
    }

    /// The same, with settings changed.
    pub async fn replica_with(&self, change: impl FnOnce(Sources) -> Sources) -> Self {
        let sources = Self::sources(&self.mock, &self.db.url).with("token.issuer", &self.base);
        let mock = MockProviders::start().await.expect("the mock starts");
        Self::try_start(mock, TestDatabase::sqlite(), change(sources)).await.expect("the replica starts")
    }

    /// `POST /auth/{provider}` with a JSON body.
    pub async fn exchange(&self, provider: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}/auth/{provider}", self.base)).json(body);
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        if self.both_doors {
            self.compare_with_token_exchange(provider, body, &answer).await;
        }
        answer
    }

    /// `POST /auth/google` with an ID token.
    pub async fn exchange_id_token(&self, id_token: &str) -> Answer {
        self.exchange("google", &json!({ "id_token": id_token })).await
    }

    /// A request with a bearer token and, unless it is null, a JSON body.
    pub async fn send_as(&self, method: &str, path: &str, jwt: &str, body: &Value) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(jwt);
        if !body.is_null() {
            request = request.json(body);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// `POST` of a JSON body, by nobody.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Signs a person in with a Google ID token and asks for a refresh token.
    pub async fn sign_in_offline(&self, person: Person) -> SignedIn {
        let id_token = self.mock.google().id_token(person.claims());
        self.exchange("google", &json!({ "id_token": id_token, "scope": "offline_access" }))
            .await
            .assert_signed_in()
    }

    /// `POST /auth/password`.
    pub async fn sign_in_with_password(&self, email: &str, password: &str) -> Answer {
        self.post("/auth/password", &json!({ "email": email, "password": password })).await
    }

    /// `POST /auth/refresh`.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.post("/auth/refresh", &json!({ "refresh_token": refresh_token })).await
    }

    /// `POST /api/me/identities/github` with a fresh token of this GitHub account.
    pub async fn link_github(&self, jwt: &str, user: GithubUser) -> Answer {
        let token = self.mock.github().access_token(user);
        self.send_as("POST", "/api/me/identities/github", jwt, &json!({ "access_token": token })).await
    }

    /// `POST /api/me/identities/google` with a fresh ID token of this person.
    pub async fn link_google(&self, jwt: &str, person: Person) -> Answer {
        let id_token = self.mock.google().id_token(person.claims());
        self.send_as("POST", "/api/me/identities/google", jwt, &json!({ "id_token": id_token })).await
    }

    /// `GET` of a path with a bearer token.
    pub async fn get_as(&self, path: &str, jwt: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(jwt);
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// `GET` of a path.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{}{path}", self.base)).send().await.expect("an answer")).await
    }

    /// `GET /api/me`.
    pub async fn me(&self, jwt: &str) -> Answer {
        self.get_as("/api/me", jwt).await
    }

    /// Signs a person in with a Google ID token.
    pub async fn sign_in(&self, person: Person) -> SignedIn {
        self.exchange_id_token(&self.mock.google().id_token(person.claims())).await.assert_signed_in()
    }

    /// Signs in with a Google access token.
    pub async fn exchange_google_access_token(&self, grant: impl Into<Grant>) -> Answer {
        let token = self.mock.google().access_token(grant);
        self.exchange("google", &json!({ "access_token": token })).await
    }

    /// Signs in with a GitHub access token.
    pub async fn exchange_github(&self, grant: impl Into<GithubGrant>) -> Answer {
        let token = self.mock.github().access_token(grant);
        self.exchange("github", &json!({ "access_token": token })).await
    }

    /// Waits until the key caches have been filled, so that what follows is warm.
    pub async fn warm(&self) -> &Self {
        for _ in 0..200 {
            if self.get("/readyz").await.status == 200 {
                return self;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("the service does not become ready");
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // A second panic would hide the first.
        if !std::thread::panicking() {
            documented::assert_statuses(&self.base);
        }
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client for a test's own use.
#[expect(clippy::disallowed_methods, reason = "the client of the tests, not of the service")]
pub fn client() -> reqwest::Client {
    let policy = reqwest::redirect::Policy::none();
    // A kept connection is closed by the server after 5 s, on a busy machine in the very moment of the next request.
    let idle = std::time::Duration::from_secs(1);
    let client = reqwest::Client::builder().redirect(policy).no_proxy().pool_idle_timeout(idle);
    client.build().expect("a client")
}
