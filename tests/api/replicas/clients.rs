//! Who asks, and what has to be answered.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokenbooth::mock::{MockProviders, Person, Signature, compact};

use super::tokens::{Tokens, part};
use crate::support::app::SECRET;
use crate::support::line::{Line, Reply, http_request};

/// Somebody who does the same again and again.
pub trait Role: Send {
    fn act(&mut self);
}

/// What was answered as it should be, by kind, and what was not.
pub struct Record {
    start: Instant,
    over: AtomicBool,
    right: Mutex<BTreeMap<&'static str, usize>>,
    wrong: Mutex<Vec<String>>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            over: AtomicBool::new(false),
            right: Mutex::default(),
            wrong: Mutex::default(),
        }
    }
}

/// Ends everybody's work when it goes.
pub struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Record {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn end_at_drop(&self) -> End<'_> {
        End(&self.over)
    }

    /// Asserts that nothing was answered otherwise, and that enough was asked to say so.
    pub fn assert_all_right(&self, seconds: u64, said: impl Fn() -> String) {
        let (right, wrong) = (self.right.lock().expect("a record"), self.wrong.lock().expect("a record"));
        println!("{right:#?}");
        assert!(wrong.is_empty(), "{} wrong: {:#?}\n{}", wrong.len(), &wrong[..wrong.len().min(20)], said());
        let (refused, valid): (Vec<_>, Vec<_>) =
            right.iter().partition(|(what, _)| what.starts_with("refused: "));
        for kinds in [refused, valid] {
            let sum: usize = kinds.iter().map(|(_, count)| **count).sum();
            assert!(sum as u64 > 10 * seconds, "too few to say anything: {right:#?}");
        }
    }
}

/// A connection to nginx, and where its answers are noted.
pub struct Client<'a> {
    address: String,
    line: Option<Line>,
    record: &'a Record,
    asked: usize,
}

impl<'a> Client<'a> {
    pub fn new(address: &str, record: &'a Record) -> Self {
        Self { address: address.to_owned(), line: None, record, asked: 0 }
    }

    /// A number that is another one each time.
    pub fn number(&mut self) -> usize {
        self.asked += 1;
        self.asked
    }

    /// Sends a request that has to be answered so, and answers `None` when it was not.
    pub fn ask(&mut self, what: &'static str, request: &str, status: u16) -> Option<Value> {
        match self.send(request) {
            Ok(reply) if reply.status == status => {
                *self.record.right.lock().expect("a record").entry(what).or_default() += 1;
                Some(reply.body)
            }
            Ok(reply) => self.wrong(&format!("{what}: {} instead of {status}: {}", reply.status, reply.text)),
            Err(error) => self.wrong(&format!("{what}: {error}")),
        }
    }

    /// `GET /api/me` that has to be answered with this user.
    pub fn read(&mut self, what: &'static str, jwt: &str, user_id: &str) {
        if let Some(user) = self.ask(what, &me(jwt), 200)
            && user["id"] != user_id
        {
            self.wrong(&format!("{what}: the user {} instead of {user_id}", user["id"]));
        }
    }

    fn wrong(&self, what: &str) -> Option<Value> {
        let at = self.record.start.elapsed();
        self.record.wrong.lock().expect("a record").push(format!("after {at:?}: {what}"));
        None
    }

    fn send(&mut self, request: &str) -> std::io::Result<Reply> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => Line::open(&self.address)?,
        };
        let reply = line.ask(request)?;
        if !reply.closes {
            self.line = Some(line);
        }
        Ok(reply)
    }
}

pub fn me(jwt: &str) -> String {
    http_request("GET", "/api/me", &[("Authorization", &format!("Bearer {jwt}"))], &Value::Null)
}

pub fn refresh(refresh_token: &str) -> String {
    http_request("POST", "/auth/refresh", &[], &json!({ "refresh_token": refresh_token }))
}

/// `POST /auth/google`, with a refresh token for an answer.
pub fn exchange(id_token: &str) -> String {
    let body = json!({ "id_token": id_token, "scope": "offline_access" });
    http_request("POST", "/auth/google", &[], &body)
}

/// Asks with tokens old and new.
pub struct Reader<'a> {
    client: Client<'a>,
    tokens: &'a Tokens,
    next: usize,
}

impl<'a> Reader<'a> {
    pub fn new(client: Client<'a>, tokens: &'a Tokens, first: usize) -> Self {
        Self { client, tokens, next: first * 7 }
    }
}

impl Role for Reader<'_> {
    fn act(&mut self) {
        self.next += 1;
        let token = self.tokens.good(self.next);
        self.client.read("reads", &token.jwt, &token.user_id);
    }
}

/// Signs in, every third time as somebody new, and asks at once: perhaps at the other replica.
pub struct Newcomer<'a> {
    client: Client<'a>,
    mock: &'a MockProviders,
    name: &'a str,
    tokens: &'a Tokens,
}

impl<'a> Newcomer<'a> {
    pub fn new(client: Client<'a>, mock: &'a MockProviders, name: &'a str, tokens: &'a Tokens) -> Self {
        Self { client, mock, name, tokens }
    }
}

impl Role for Newcomer<'_> {
    fn act(&mut self) {
        let person = format!("{}-{}", self.name, self.client.number() / 3);
        let id_token = self.mock.google().id_token(Person::named(&person).claims());
        let Some(answer) = self.client.ask("exchanges", &exchange(&id_token), 200) else { return };
        let (jwt, user_id) = (text(&answer["access_token"]), text(&answer["user"]["id"]));
        self.client.read("reads with a token just issued", &jwt, &user_id);
        self.tokens.add(&jwt, &user_id);
    }
}

/// Stays signed in with one refresh token after the other.
pub struct Keeper<'a> {
    client: Client<'a>,
    mock: &'a MockProviders,
    name: &'a str,
    tokens: &'a Tokens,
    refresh_token: Option<String>,
}

impl<'a> Keeper<'a> {
    pub fn new(client: Client<'a>, mock: &'a MockProviders, name: &'a str, tokens: &'a Tokens) -> Self {
        Self { client, mock, name, tokens, refresh_token: None }
    }
}

impl Role for Keeper<'_> {
    fn act(&mut self) {
        let (what, request) = if let Some(token) = self.refresh_token.take() {
            ("refreshes", refresh(&token))
        } else {
            let person = Person::named(&format!("{}-keeper", self.name));
            ("exchanges", exchange(&self.mock.google().id_token(person.claims())))
        };
        let Some(answer) = self.client.ask(what, &request, 200) else { return };
        let (jwt, user_id) = (text(&answer["access_token"]), text(&answer["user"]["id"]));
        self.refresh_token = Some(text(&answer["refresh_token"]));
        self.client.read("reads with a token just refreshed", &jwt, &user_id);
        self.tokens.add(&jwt, &user_id);
    }
}

/// Tries what nobody issued.
pub struct Forger<'a> {
    client: Client<'a>,
    mock: &'a MockProviders,
    tokens: &'a Tokens,
}

impl<'a> Forger<'a> {
    pub fn new(client: Client<'a>, mock: &'a MockProviders, tokens: &'a Tokens) -> Self {
        Self { client, mock, tokens }
    }
}

impl Role for Forger<'_> {
    fn act(&mut self) {
        let number = self.client.number();
        let token = self.tokens.good(number);
        let (header, claims) = (part(&token.jwt, 0), part(&token.jwt, 1));
        let google = self.mock.google();
        let (what, request) = match number % 7 {
            0 => ("refused: another signature", me(&with_another_signature(&token.jwt))),
            1 => {
                let other = self.tokens.good(number + 1).jwt.clone();
                if other == token.jwt {
                    return;
                }
                let (start, _) = token.jwt.rsplit_once('.').expect("a token");
                let (_, signature) = other.rsplit_once('.').expect("a token");
                ("refused: the signature of another token", me(&format!("{start}.{signature}")))
            }
            2 => {
                let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": header["kid"] });
                let secret = Signature::Hs256(b"another secret of thirty-two bytes");
                ("refused: another secret", me(&compact(header.to_string(), claims.to_string(), secret)))
            }
            3 => ("refused: expired", me(&from_before(&token.jwt, &self.tokens.first_kid(), 3600))),
            4 => {
                ("refused: a forged ID token", exchange(&with_another_signature(&google.id_token(json!({})))))
            }
            5 => (
                "refused: an ID token for another app",
                exchange(&google.id_token(json!({ "aud": "another" }))),
            ),
            _ => ("refused: no refresh token", refresh("tbr_nonsense")),
        };
        self.client.ask(what, &request, 401);
    }
}

/// Tries what was good once.
pub struct Trier<'a> {
    client: Client<'a>,
    tokens: &'a Tokens,
}

impl<'a> Trier<'a> {
    pub fn new(client: Client<'a>, tokens: &'a Tokens) -> Self {
        Self { client, tokens }
    }
}

impl Role for Trier<'_> {
    fn act(&mut self) {
        let number = self.client.number();
        if let Some(bad) = self.tokens.bad(number) {
            self.client.ask(bad.what, &bad.request, bad.status);
        }
    }
}

/// The same token, issued so many seconds earlier and signed with the secret of the settings.
pub fn from_before(jwt: &str, kid: &str, seconds: i64) -> String {
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid });
    let mut claims = part(jwt, 1);
    for time in ["iat", "exp"] {
        claims[time] = json!(claims[time].as_i64().expect("a time") - seconds);
    }
    compact(header.to_string(), claims.to_string(), Signature::Hs256(SECRET.as_bytes()))
}

/// The same token, with its signature changed in one bit.
fn with_another_signature(jwt: &str) -> String {
    let (start, signature) = jwt.rsplit_once('.').expect("a token");
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    bytes[0] ^= 1;
    format!("{start}.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
