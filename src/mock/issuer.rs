//! An OpenID Connect issuer: its discovery document, its keys, the tokens it mints and the three
//! endpoints that every issuer has. Google is one (`google.rs`), the generic issuer another
//! (`oidc.rs`), then there are Microsoft, Apple and GitLab. How it signs people in is in `authorize.rs` and `token_endpoint.rs`.

use std::collections::HashMap;
use std::sync::Mutex;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::apple::AppleTeam;
use super::codes::Codes;
use super::grant::{AccessTokens, Issued, LIFETIME};
use super::keys::KeyOwner;
use super::values::{lay_over, unix_now};
use super::{Grant, KeySet, MockError, Person, Signature, compact, lock};

/// What tells one issuer from another.
pub(super) struct Profile {
    pub(super) owner: KeyOwner,
    pub(super) discovery: Value,
    /// Claims of every ID token besides the person's and the times.
    pub(super) base_claims: Value,
    /// What it says of a person, in tokens and at userinfo.
    pub(super) describe: fn(&Person) -> Value,
    pub(super) token_prefix: &'static str,
    /// The realm of its `WWW-Authenticate`.
    pub(super) realm: String,
    pub(super) sign_in: SignIn,
}

/// What tells one issuer's redirect flow from another's.
pub(super) struct SignIn {
    /// What its pages are headed with.
    pub(super) provider: &'static str,
    pub(super) client_id: &'static str,
    pub(super) client_secret: Secret,
    pub(super) code_prefix: &'static str,
    /// What an asked scope is called once it is granted.
    pub(super) granted: fn(&str) -> String,
    /// Whose ways the answer to the application has.
    pub(super) ways: Ways,
}

/// How a client's secret is known to be its own.
pub(super) enum Secret {
    /// It is this text.
    Text(&'static str),
    /// It is a JWT by a key that the client registered.
    Signed(AppleTeam),
}

/// In what answers to an application differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ways {
    /// As the standards have them.
    Standard,
    /// With members that only Google sends.
    Google,
    /// In a form, with what only Apple sends.
    Apple,
}

/// The controls of one mock issuer.
pub struct Issuer {
    keys: KeySet,
    tokens: AccessTokens,
    base_claims: Value,
    describe: fn(&Person) -> Value,
    realm: String,
    discovery: Value,
    discovery_changes: Mutex<Value>,
    sign_in: SignIn,
    codes: Codes,
    introduced: Mutex<HashMap<String, Person>>,
    claim_changes: Mutex<Map<String, Value>>,
    token_answer_changes: Mutex<Value>,
}

impl Issuer {
    pub(super) fn new(profile: Profile) -> Result<Self, MockError> {
        Ok(Self {
            keys: KeySet::new(profile.owner)?,
            tokens: AccessTokens::new(profile.token_prefix),
            base_claims: profile.base_claims,
            describe: profile.describe,
            realm: profile.realm,
            discovery: profile.discovery,
            discovery_changes: Mutex::default(),
            sign_in: profile.sign_in,
            codes: Codes::default(),
            introduced: Mutex::default(),
            claim_changes: Mutex::default(),
            token_answer_changes: Mutex::default(),
        })
    }

    /// The keys: which one signs, which ones are published, for how long they may be cached.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// An ID token: Alice's, valid for an hour from now, with `changes` laid over its claims
    /// (`json!({})` for none). `null` removes a claim; `exp` follows a changed `iat`.
    ///
    /// To send a literal `null`, edit [`Self::claims`] and sign that with [`Self::sign_claims`].
    pub fn id_token(&self, changes: Value) -> String {
        self.sign_claims(&self.claims(changes))
    }

    /// The same for another person, described as this issuer describes people.
    pub fn id_token_of(&self, person: &Person, changes: Value) -> String {
        self.sign_claims(&self.claims_of(person, changes))
    }

    /// The claims that [`Self::id_token`] would sign.
    pub fn claims(&self, changes: Value) -> Value {
        self.claims_of(&Person::default(), changes)
    }

    /// The claims that [`Self::id_token_of`] would sign.
    pub fn claims_of(&self, person: &Person, changes: Value) -> Value {
        let iat = changes["iat"].as_i64().unwrap_or_else(unix_now);
        let exp = iat.saturating_add(LIFETIME);
        let mut claims = Map::new();
        lay_over(&mut claims, self.base_claims.clone());
        lay_over(&mut claims, (self.describe)(person));
        lay_over(&mut claims, json!({ "iat": iat, "exp": exp }));
        lay_over(&mut claims, changes);
        Value::Object(claims)
    }

    /// Signs `claims` as they are, with the current key and its ordinary header. For another
    /// header, other text or another key see [`compact`].
    pub fn sign_claims(&self, claims: &Value) -> String {
        let key = self.keys.current();
        let header = key.header().to_string();
        compact(header, claims.to_string(), Signature::Key(&key))
    }

    /// Gives out an access token for a [`Person`] or, with all particulars, for a [`Grant`].
    pub fn access_token(&self, grant: impl Into<Grant>) -> String {
        self.tokens.issue(grant.into())
    }

    /// Forgets an access token: it is answered like one that never was.
    pub fn revoke(&self, access_token: &str) {
        self.tokens.revoke(access_token);
    }

    pub(super) fn find(&self, access_token: &str) -> Option<Issued> {
        self.tokens.find(access_token)
    }

    /// The discovery document as it is served (OpenID Connect Discovery §3).
    pub fn discovery(&self) -> Value {
        let mut document = Map::new();
        lay_over(&mut document, self.discovery.clone());
        lay_over(&mut document, lock(&self.discovery_changes).clone());
        Value::Object(document)
    }

    /// Lays `changes` over the discovery document, for instance a wrong `issuer` or a `jwks_uri`
    /// elsewhere; `null` removes a member, `json!({})` undoes earlier changes.
    pub fn set_discovery(&self, changes: Value) {
        *lock(&self.discovery_changes) = changes;
    }

    /// Lets `person` be who signs in by this name in the redirect flow; other names are those of [`Person::named`].
    pub fn introduce(&self, name: &str, person: Person) {
        lock(&self.introduced).insert(name.to_owned(), person);
    }

    /// Forgets all outstanding authorization codes, as time does after ten minutes.
    pub fn expire_codes(&self) {
        self.codes.forget();
    }

    /// Lays `changes` over the claims of ID tokens that the token endpoint gives out, for instance another `nonce`;
    /// `null` removes a claim, `json!({})` undoes earlier changes.
    pub fn set_token_claims(&self, changes: Value) {
        let changes = if let Value::Object(changes) = changes { changes } else { Map::new() };
        *lock(&self.claim_changes) = changes;
    }

    /// Lays `changes` over the members of the token endpoint's successful answers, for instance no `id_token`; `null`
    /// removes a member, `json!({})` undoes earlier changes.
    pub fn set_token_answer(&self, changes: Value) {
        *lock(&self.token_answer_changes) = changes;
    }

    pub(super) fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    pub(super) fn codes(&self) -> &Codes {
        &self.codes
    }

    pub(super) fn realm(&self) -> &str {
        &self.realm
    }

    pub(super) fn person(&self, name: &str) -> Person {
        lock(&self.introduced).get(name).cloned().unwrap_or_else(|| Person::named(name))
    }

    pub(super) fn claim_changes(&self) -> Map<String, Value> {
        lock(&self.claim_changes).clone()
    }

    pub(super) fn token_answer_changes(&self) -> Value {
        lock(&self.token_answer_changes).clone()
    }

    /// The `iss` of redirects back to the application (RFC 9207 §2): Google always sends it, others when their discovery
    /// document says so.
    pub(super) fn issuer_in_answers(&self) -> Option<String> {
        let document = self.discovery();
        let announced = document["authorization_response_iss_parameter_supported"] == true;
        let issuer = document["issuer"].as_str().map(str::to_owned);
        issuer.filter(|_| self.sign_in.ways == Ways::Google || announced)
    }
}

pub(super) async fn discovery(issuer: web::Data<Issuer>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=3600")).json(issuer.discovery())
}

pub(super) async fn jwks(issuer: web::Data<Issuer>) -> HttpResponse {
    let caching = issuer.keys.caching();
    let mut answer = HttpResponse::Ok();
    if let Some(text) = caching.cache_control {
        answer.insert_header((header::CACHE_CONTROL, text));
    }
    if let Some(seconds) = caching.age {
        answer.insert_header((header::AGE, seconds));
    }
    answer.json(json!({ "keys": issuer.keys.published() }))
}

/// The person behind a bearer token (OpenID Connect Core §5.3). The refusal's body is Google's.
pub(super) async fn userinfo(issuer: web::Data<Issuer>, request: HttpRequest) -> HttpResponse {
    let Some(found) = bearer(&request).and_then(|token| issuer.find(token)) else {
        let challenge = format!(r#"Bearer realm="{}", error="invalid_token""#, issuer.realm);
        return HttpResponse::Unauthorized()
            .insert_header((header::WWW_AUTHENTICATE, challenge))
            .json(json!({ "error": "invalid_request", "error_description": "Invalid Credentials" }));
    };
    let mut members = Map::new();
    lay_over(&mut members, (issuer.describe)(&found.grant.person));
    lay_over(&mut members, found.grant.userinfo);
    HttpResponse::Ok().json(members)
}

pub(super) fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
