//! The log, over a whole tour: one access line per request, reasons for refusals, and never a token, a secret, an e-mail
//! address or the database's password.

mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, GithubUser, MockProviders, Person, github};

use crate::databases::TestDatabase;
use crate::postgres::Cluster;
use crate::support::app::{Answer, SECRET, client};
use crate::support::process::{Running, Tokenbooth};

const DATABASE_PASSWORD: &str = "hunter2-of-the-database";

/// A request that was sent: its id, method and route, and how it was answered.
struct Sent {
    id: String,
    method: &'static str,
    route: &'static str,
    answer: Answer,
}

/// A walk through the service that remembers everything the log must and must not say.
struct Tour {
    running: Running,
    url: String,
    http: Client,
    mock: MockProviders,
    database_url: String,
    secrets: Vec<String>,
    sent: Vec<Sent>,
}

impl Tour {
    async fn begin(database_url: &str, change: impl FnOnce(Tokenbooth) -> Tokenbooth) -> Self {
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut running = change(Tokenbooth::serving(&mock, database_url)).start();
        let url = running.url();
        let secrets = [SECRET, github::CLIENT_SECRET, DATABASE_PASSWORD, "@example.com", "%40example.com"];
        let secrets = secrets.map(str::to_owned).into();
        let database_url = database_url.to_owned();
        Self { running, url, http: client(), mock, database_url, secrets, sent: Vec::new() }
    }

    /// A token that must not be seen again, as a whole or as the part that makes it one.
    fn secret(&mut self, token: impl Into<String>) -> String {
        let token = token.into();
        if let Some((_, signature)) = token.rsplit_once('.') {
            self.secrets.push(signature.to_owned());
        }
        // A token cut short is a token still.
        self.secrets.push(token.chars().take(40).collect());
        self.secrets.push(token.clone());
        token
    }

    async fn send(&mut self, method: &'static str, route: &'static str, request: RequestBuilder) -> &Answer {
        let id = format!("tour-{}", self.sent.len());
        let request = request.header("x-request-id", &id);
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(answer.header("x-request-id"), id);
        self.sent.push(Sent { id, method, route, answer });
        &self.sent.last().expect("just sent").answer
    }

    async fn exchange(&mut self, provider: &str, body: Value) -> String {
        for member in ["id_token", "access_token", "token"] {
            if let Some(token) = body[member].as_str() {
                self.secret(token);
            }
        }
        let request = self.http.post(format!("{}/auth/{provider}", self.url)).json(&body);
        let answer = self.send("POST", "/auth/{provider}", request).await;
        let text = |member: &str| answer.json[member].as_str().unwrap_or_default().to_owned();
        let (jwt, refresh_token) = (text("access_token"), text("refresh_token"));
        for token in [&jwt, &refresh_token] {
            if !token.is_empty() {
                self.secret(token);
            }
        }
        jwt
    }

    /// With a JSON body, or none when it is null.
    async fn ask(
        &mut self,
        method: &'static str,
        route: &'static str,
        path: &str,
        jwt: &str,
        body: Value,
    ) -> Value {
        let mut request = self.http.request(method.parse().expect("a method"), format!("{}{path}", self.url));
        if !jwt.is_empty() {
            request = request.bearer_auth(jwt);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = self.send(method, route, request).await.json.clone();
        for member in ["access_token", "refresh_token"] {
            if let Some(token) = answer[member].as_str() {
                self.secret(token);
            }
        }
        answer
    }

    /// An account's life, with what is right and what is wrong of everything.
    async fn an_account(&mut self, id_token: &str) {
        let mock = self.mock.clone();
        let [first, second] = ["correct horse battery staple", "another horse, another staple"];
        self.secrets.extend([first.to_owned(), second.to_owned(), "wrong horse battery".to_owned()]);
        let offline = json!({ "id_token": id_token, "scope": "offline_access" });
        let answer = self.ask("POST", "/auth/{provider}", "/auth/google", "", offline).await;
        let token = |answer: &Value, member: &str| answer[member].as_str().expect("a token").to_owned();
        let (jwt, refresh) = (token(&answer, "access_token"), token(&answer, "refresh_token"));
        let refresh_body = json!({ "refresh_token": refresh });
        let next = self.ask("POST", "/auth/refresh", "/auth/refresh", "", refresh_body.clone()).await;
        let next = json!({ "refresh_token": token(&next, "refresh_token") });
        self.ask("POST", "/auth/refresh", "/auth/refresh", "", next.clone()).await;
        for body in
            [refresh_body, next, json!({ "refresh_token": jwt }), json!({ "refresh_token": [refresh] })]
        {
            let refused = self.ask("POST", "/auth/refresh", "/auth/refresh", "", body).await;
            assert!(refused["code"].is_string());
        }
        let path = "/api/me/password";
        self.ask("PUT", path, path, &jwt, json!({ "new_password": first })).await;
        self.ask(
            "PUT",
            path,
            path,
            &jwt,
            json!({ "new_password": second, "current_password": "wrong horse battery" }),
        )
        .await;
        self.ask("PUT", path, path, &jwt, json!({ "new_password": [second], first: 1 })).await;
        for (email, password) in
            [("alice@example.com", first), ("alice@example.com", second), ("nobody@example.com", first)]
        {
            let body = json!({ "email": email, "password": password });
            self.ask("POST", "/auth/password", "/auth/password", "", body).await;
        }
        let github = mock.github().access_token(GithubUser::named("alice-at-work"));
        let link = json!({ "access_token": self.secret(github) });
        let identity = "/api/me/identities/{id}";
        self.ask("POST", identity, "/api/me/identities/github", &jwt, link).await;
        self.ask("DELETE", identity, &format!("/api/me/identities/{refresh}"), &jwt, Value::Null).await;
        self.ask("GET", "/api/me/identities", "/api/me/identities", &jwt, Value::Null).await;
        self.ask("PATCH", "/api/me", "/api/me", &jwt, json!({ "name": "Al", "email": "al@example.com" }))
            .await;
        self.ask(
            "DELETE",
            "/api/me/sessions/{id}",
            &format!("/api/me/sessions/{refresh}"),
            &jwt,
            Value::Null,
        )
        .await;
        self.ask("POST", "/auth/logout", "/auth/logout", "", json!({ "refresh_token": refresh })).await;
        self.ask("POST", "/auth/logout-all", "/auth/logout-all", &jwt, Value::Null).await;
    }

    /// A form at `/oauth/token`, and the tokens that come back for it.
    async fn grant(&mut self, basic: Option<(&str, &str)>, form: &[(&str, &str)]) -> Value {
        let mut request = self.http.post(format!("{}/oauth/token", self.url)).form(form);
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        let answer = self.send("POST", "/oauth/token", request).await.json.clone();
        for member in ["access_token", "refresh_token"] {
            if let Some(token) = answer[member].as_str() {
                self.secret(token);
            }
        }
        answer
    }

    /// A service, which an operator makes while ours runs; and what the standard endpoint is told rightly and wrongly.
    async fn a_service(&mut self, id_token: &str) {
        let create = Tokenbooth::new(&["client", "create", "Night job", "--scope", "reports.read"]);
        let made = create.set("database.url", &self.database_url).output();
        let made: Value = serde_json::from_slice(&made.stdout).expect("a client");
        let member = |name: &str| made[name].as_str().expect("a text").to_owned();
        let (id, secret) = (member("client_id"), member("client_secret"));
        self.secret(&secret);
        let wrong = self.secret(format!("{secret}x"));
        let client = ("grant_type", "client_credentials");
        assert!(self.grant(Some((&id, &secret)), &[client]).await["access_token"].is_string());
        for (basic, form) in [
            (Some((id.as_str(), wrong.as_str())), vec![client]),
            (Some((&secret, &id)), vec![client]),
            (Some((&id, &secret)), vec![client, ("scope", &secret)]),
            (Some((&id, &secret)), vec![client, ("client_secret", &secret)]),
            (None, vec![client, ("client_id", &secret), ("client_secret", &wrong)]),
            (None, vec![("grant_type", &secret), (&secret, &secret), (&secret, "")]),
            (None, vec![("grant_type", "refresh_token"), ("refresh_token", &secret)]),
        ] {
            assert!(self.grant(basic, &form).await["error"].is_string(), "{form:?}");
        }
        let exchange = |token, issuer| {
            vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", token),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
                ("subject_issuer", issuer),
                ("scope", "offline_access"),
            ]
        };
        let exchanged = self.grant(None, &exchange(id_token, "google")).await;
        let refresh_token = exchanged["refresh_token"].as_str().expect("a refresh token");
        self.grant(None, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await;
        for form in
            [exchange(&secret, "google"), exchange(id_token, &secret), exchange(refresh_token, "google")]
        {
            assert!(self.grant(None, &form).await["error"].is_string(), "{form:?}");
        }
    }

    async fn me(&mut self, authorization: &str) {
        let request = self.http.get(format!("{}/api/me", self.url)).header("authorization", authorization);
        self.send("GET", "/api/me", request).await;
    }

    async fn get(&mut self, route: &'static str, path: &str) {
        let request = self.http.request(Method::GET, format!("{}{path}", self.url));
        self.send("GET", route, request).await;
    }

    /// Good and bad, of every kind.
    async fn everything(&mut self) {
        let mock = self.mock.clone();
        let id_token = mock.google().id_token(json!({}));
        let jwt = self.exchange("google", json!({ "id_token": id_token, "nonce": "x" })).await;
        assert_eq!(jwt, "", "a nonce was sent and none is in the token");
        self.exchange("google", json!({ "id_token": id_token })).await;
        self.exchange("google", json!({ "access_token": mock.google().access_token(Person::named("bob")) }))
            .await;
        self.exchange("github", json!({ "access_token": mock.github().access_token(GithubUser::default()) }))
            .await;
        self.exchange("acme", json!({ "id_token": mock.oidc().id_token(json!({})) })).await;
        let answered: Vec<u16> = self.sent.iter().map(|sent| sent.answer.status).collect();
        assert_eq!(answered, [401, 200, 200, 200, 200]);

        let foreign =
            mock.google().id_token(json!({ "aud": "a\nERROR tokenbooth forged line\r\n", "azp": null }));
        self.exchange("google", json!({ "id_token": foreign })).await;
        self.exchange(
            "google",
            json!({ "id_token": mock.google().id_token(json!({ "iat": 1_000_000_000 })) }),
        )
        .await;
        self.exchange("google", json!({ "id_token": format!("{id_token}x") })).await;
        self.exchange("google", json!({ "access_token": "ya29.never-issued-to-anybody-at-all-0123456789" }))
            .await;
        self.exchange(
            "github",
            json!({ "access_token": mock.github().foreign_access_token(GithubUser::default()) }),
        )
        .await;
        self.exchange("github", json!({ "access_token": "ghp_personal0access0token0000000000000000" })).await;
        self.exchange("acme", json!({ "id_token": mock.google().id_token(json!({})) })).await;
        self.exchange("google", json!({ "id_token": id_token, "access_token": id_token })).await;
        self.exchange("nobody", json!({ "id_token": id_token })).await;
        mock.set_fault(Endpoint::Tokeninfo, Fault::CloseAtOnce);
        mock.set_fault(Endpoint::GithubCheck, Fault::Status(500));
        self.exchange("google", json!({ "access_token": mock.google().access_token(Person::named("bob")) }))
            .await;
        self.exchange("github", json!({ "access_token": mock.github().access_token(GithubUser::default()) }))
            .await;
        mock.clear_faults();
        let not_json =
            self.http.post(format!("{}/auth/google", self.url)).header("content-type", "application/json");
        self.send("POST", "/auth/{provider}", not_json.body(format!("{{\"id_token\": {id_token}"))).await;
        let form = self.http.post(format!("{}/auth/google", self.url)).form(&[("credential", &id_token)]);
        self.send("POST", "/auth/{provider}", form).await;

        self.an_account(&id_token).await;
        self.a_service(&id_token).await;
        let jwt = self.exchange("google", json!({ "id_token": id_token })).await;
        self.everything_but_exchanges(&jwt, &id_token).await;
    }

    async fn everything_but_exchanges(&mut self, jwt: &str, id_token: &str) {
        self.me(&format!("Bearer {jwt}")).await;
        self.me(&format!("Bearer {jwt}x")).await;
        self.me(&format!("Bearer {id_token}")).await;
        self.me(&format!("Basic {jwt}")).await;
        // Where people paste tokens.
        self.get("none", &format!("/{jwt}")).await;
        self.get("/auth/{provider}", &format!("/auth/{id_token}")).await;
        let pasted =
            self.http.post(format!("{}/auth/{id_token}?access_token={jwt}", self.url)).json(&json!({}));
        self.send("POST", "/auth/{provider}", pasted).await;
        self.get("/api/me", &format!("/api/me?access_token={jwt}&email=alice@example.com")).await;
        self.get("/docs/{file:.*}", &format!("/docs/{jwt}")).await;
        self.get("/readyz", "/readyz").await;
        self.get("/metrics", "/metrics").await;
    }

    /// Ends the service; answers with all it ever said.
    fn end(&mut self) -> Vec<String> {
        self.running.signal("TERM");
        assert!(self.running.wait().success());
        let said = self.running.stdout() + &self.running.stderr();
        for secret in &self.secrets {
            let line = said.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "the log shows {secret}");
        }
        said.lines().map(str::to_owned).collect()
    }

    /// The one line about each request.
    fn access_lines<'a>(
        &self,
        lines: &'a [String],
        shows_id: impl Fn(&str, &str) -> bool,
    ) -> Vec<(&Sent, &'a str)> {
        let access: Vec<&String> = lines.iter().filter(|line| line.contains("tokenbooth::access")).collect();
        assert_eq!(access.len(), self.sent.len(), "one line per request");
        let mut pairs = Vec::new();
        for sent in &self.sent {
            let mut found = access.iter().filter(|line| shows_id(line, &sent.id));
            let line = found.next().unwrap_or_else(|| panic!("no line about {}", sent.id));
            assert!(found.next().is_none(), "two lines about {}", sent.id);
            pairs.push((sent, line.as_str()));
        }
        pairs
    }
}

fn assert_text_lines(tour: &Tour, lines: &[String]) {
    for (sent, line) in
        tour.access_lines(lines, |line, id| line.split(' ').any(|word| word == format!("request_id={id}")))
    {
        let expected =
            format!("method={} route={} status={} ms=", sent.method, sent.route, sent.answer.status);
        assert!(line.contains(&expected), "expected {expected} in {line}");
        assert!(line.contains(" peer=127.0.0.1 "), "{line}");
        if let Some(code) = sent.answer.code() {
            assert!(line.contains(&format!(" code={code} reason=")), "{line}");
        } else {
            assert!(!line.contains(" code="), "{line}");
        }
    }
    // Nothing a stranger sends can begin a line.
    for line in lines {
        let time = line.split(' ').next().unwrap_or_default();
        assert!(
            time.len() == 24 && time.ends_with('Z') && time.starts_with("20"),
            "not a line of the log: {line}"
        );
    }
}

#[actix_web::test]
async fn the_text_log_at_its_loudest_gives_nothing_away_with_postgres_up_and_down() {
    let Some(mut cluster) = Cluster::start_own() else {
        return;
    };
    let database_url = cluster.url().replace("tokenbooth@", &format!("tokenbooth:{DATABASE_PASSWORD}@"));
    assert!(database_url.contains(DATABASE_PASSWORD));
    let mut tour = Tour::begin(&database_url, |command| {
        command.env("RUST_LOG", "trace").set("log.level", "trace").set("database.timeout", "1s")
    })
    .await;
    tour.everything().await;
    cluster.stop();
    let id_token = tour.mock.google().id_token(json!({}));
    let jwt = tour.secrets.iter().find(|secret| secret.matches('.').count() == 2).cloned().expect("a token");
    tour.exchange("google", json!({ "id_token": id_token })).await;
    assert_eq!(tour.sent.last().expect("sent").answer.status, 503);
    tour.me(&format!("Bearer {jwt}")).await;
    tour.get("/readyz", "/readyz").await;
    assert_eq!(tour.sent.last().expect("sent").answer.status, 503);
    let lines = tour.end();
    assert_text_lines(&tour, &lines);
    for address in [cluster.port().to_string(), database_url] {
        let line = lines.iter().find(|line| line.contains(&address));
        assert_eq!(line, None, "the log shows the database's address");
    }
    assert!(lines.iter().any(|line| line.contains(" code=database_unavailable reason=")), "{lines:#?}");
}

#[actix_web::test]
async fn the_json_log_has_an_object_a_line_and_gives_nothing_away() {
    let db = TestDatabase::sqlite();
    let mut tour =
        Tour::begin(&db.url, |command| command.set("log.format", "json").env("RUST_LOG", "trace")).await;
    tour.everything().await;
    let lines = tour.end();
    let documented = documented_members();
    let mut seen = BTreeSet::new();
    for line in &lines {
        let json = json_line(line);
        for (name, value) in json.as_object().expect("an object") {
            let kind = if value.is_number() { "number" } else { "string" };
            assert!(kind == "number" || value.is_string(), "{line}");
            assert_eq!(documented.get(name).map(String::as_str), Some(kind), "{name} of {line}");
            seen.insert(name.clone());
        }
    }
    let of_panics = ["backtrace", "location", "thread"].map(str::to_owned);
    let expected: BTreeSet<String> =
        documented.into_keys().filter(|name| !of_panics.contains(name)).collect();
    assert_eq!(seen, expected);
    for (sent, line) in
        tour.access_lines(&lines, |line, id| line.contains(&format!("\"request_id\":\"{id}\"")))
    {
        let json: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(
            (&json["method"], &json["route"], &json["status"], &json["code"]),
            (&json!(sent.method), &json!(sent.route), &json!(sent.answer.status), &json!(sent.answer.code())),
            "{line}"
        );
        let ms = json["ms"].as_number().expect("milliseconds").to_string();
        assert!(ms.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 3), "{line}");
        assert_eq!(json["reason"].is_string(), json["code"].is_string(), "{line}");
        let level = if sent.answer.status >= 500 { "warn" } else { "info" };
        assert_eq!(json["level"], level, "{line}");
    }
}

/// The members that docs/LOGS.md lists, with their types.
fn documented_members() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/LOGS.md");
    let text = std::fs::read_to_string(path).expect("a file of ours");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()));
    cells.map(|mut cells| (cells.nth(1).expect("a name"), cells.next().expect("a type"))).collect()
}

/// A line of the log with the four members that each has.
#[track_caller]
fn json_line(line: &str) -> Value {
    let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    for member in ["time", "level", "target", "message"] {
        assert!(json[member].is_string(), "no {member} in {line}");
    }
    json
}

#[actix_web::test]
async fn bearer_routes_tell_the_log_what_they_do_not_tell_the_client() {
    let db = TestDatabase::sqlite();
    let mut tour = Tour::begin(&db.url, |command| command).await;
    let jwt = tour.exchange("google", json!({ "id_token": tour.mock.google().id_token(json!({})) })).await;
    db.execute("UPDATE users SET disabled = TRUE");
    tour.me(&format!("Bearer {jwt}")).await;
    db.execute("UPDATE users SET disabled = FALSE, token_version = 7");
    tour.me(&format!("Bearer {jwt}")).await;
    db.execute("DELETE FROM users");
    tour.me(&format!("Bearer {jwt}")).await;
    let told: Vec<&Value> = tour.sent[1..].iter().map(|sent| &sent.answer.json).collect();
    assert!(told[0] == told[1] && told[1] == told[2], "{told:?}");
    let lines = tour.end().join("\n");
    for reason in ["the user is disabled", "the user's tokens were revoked", "its user was deleted"] {
        assert!(lines.contains(&format!(" code=invalid_token reason=\"{reason}\"")), "{reason} in {lines}");
    }
}

#[actix_web::test]
async fn a_request_id_that_is_not_harmless_is_replaced() {
    let db = TestDatabase::sqlite();
    let mut tour = Tour::begin(&db.url, |command| command).await;
    let too_long = "x".repeat(129);
    let hostile = ["a b", "a\"b", "a=b\tERROR forged", "a;b", "<script>", &too_long, "ümlaut"];
    for id in hostile {
        let request = tour.http.get(format!("{}/healthz", tour.url)).header("x-request-id", id.as_bytes());
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        let given = answer.header("x-request-id");
        assert!(given.len() == 32 && given.chars().all(|c| c.is_ascii_hexdigit()), "{id} became {given}");
    }
    for id in ["x".repeat(128), "A-z.0_9".to_owned()] {
        let request = tour.http.get(format!("{}/healthz", tour.url)).header("x-request-id", &id);
        assert_eq!(Answer::of(request.send().await.expect("an answer")).await.header("x-request-id"), id);
    }
    let lines = tour.end();
    let shown = lines
        .iter()
        .find(|line| line.contains("forged") || line.contains("script") || line.contains(&too_long));
    assert_eq!(shown, None);
}

#[test]
fn a_service_that_does_not_start_gives_nothing_away_either() {
    for (key, value) in [
        ("token.secret", "hunter2"),
        ("token", "hunter2"),
        ("providers.github.client_secret", "hunter2"),
        ("database.url", "postgres://alice:hunter2@127.0.0.1:1/accounts"),
        ("database.url", "postgres://alice:hunter2@no-such-host.invalid/accounts"),
        ("database.url", "mysql://alice:hunter2@127.0.0.1/accounts"),
        ("server.port", "hunter2"),
        ("server.hunter3", "hunter2"),
    ] {
        for command in ["serve", "check", "migrate"] {
            let output = Tokenbooth::new(&[command])
                .env("RUST_LOG", "trace")
                .set("server.port", "0")
                .set("database.start_timeout", "1s")
                .set(key, value)
                .output();
            assert_eq!(output.status.code(), Some(1), "{command} {key}");
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            for secret in ["hunter2", "alice", "127.0.0.1:1", "no-such-host"] {
                assert!(!said.contains(secret), "{command} with {key} shows {secret}:\n{said}");
            }
        }
    }
}
