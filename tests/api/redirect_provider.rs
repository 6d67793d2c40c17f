//! The providers' part of signing in by way of a browser: where it is sent, and what becomes of the code that comes back.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use reqwest::Url;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokenbooth::clock::{SharedClock, SystemClock};
use tokenbooth::metrics::Metrics;
use tokenbooth::mock::{Endpoint, Fault, GithubEmail, GithubUser, MockProviders, Person};
use tokenbooth::mock::{github, google, oidc};
use tokenbooth::provider::{
    AuthorizationRequest, OutageKind, ProviderClient, Providers, Refusal, ReturnedCode, VerifiedIdentity,
};
use tokenbooth::settings::Sources;

use crate::support::TestApp;
use crate::support::app::client;

const ALL: [&str; 3] = ["google", "acme", "github"];
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const NONCE: &str = "n-0S6_WzA2Mj";
/// What a URL and a form must escape.
const STATE: &str = "s &=+#%";

/// The providers of a service, without the service.
struct Booth {
    mock: MockProviders,
    providers: Providers,
}

/// What a code is redeemed with; a test changes one of them.
#[derive(Clone)]
struct Returned {
    redirect_uri: String,
    verifier: &'static str,
    nonce: &'static str,
}

impl Returned {
    fn to(name: &str) -> Self {
        let redirect_uri = format!("http://127.0.0.1:9/auth/{name}/callback");
        Self { redirect_uri, verifier: VERIFIER, nonce: NONCE }
    }
}

impl Booth {
    async fn start() -> Self {
        Self::start_with(|sources| sources).await
    }

    async fn start_with(change: impl FnOnce(Sources) -> Sources) -> Self {
        let mock = MockProviders::start().await.expect("the mock starts");
        Self::beside(mock, change)
    }

    fn beside(mock: MockProviders, change: impl FnOnce(Sources) -> Sources) -> Self {
        let sources = TestApp::sources(&mock, "sqlite://unused.db")
            .with("providers.google.client_secret", google::CLIENT_SECRET)
            .with("providers.acme.client_secret", oidc::CLIENT_SECRET);
        let settings = change(sources).load().expect("good settings");
        let clock: SharedClock = Arc::new(SystemClock);
        let latency = Metrics::default().provider_latency;
        let client = ProviderClient::new(settings.http_client.timeout, latency, &clock).expect("a client");
        let providers = Providers::new(&settings, &client, &clock);
        Self { mock, providers }
    }

    async fn authorization_url(&self, name: &str) -> Result<Url, tokenbooth::provider::Outage> {
        let provider = self.providers.get(name).expect("a provider");
        let flow = provider.redirect_flow().expect("a flow");
        let redirect_uri = Returned::to(name).redirect_uri;
        let request = AuthorizationRequest {
            redirect_uri: &redirect_uri,
            state: STATE,
            nonce: NONCE,
            code_challenge: CHALLENGE,
        };
        flow.authorization_url(&request).await
    }

    /// The code that this person's browser brings back.
    async fn code_of(&self, name: &str, person: &str) -> String {
        let mut url = self.authorization_url(name).await.expect("a URL");
        url.query_pairs_mut().append_pair("mock_person", person);
        let answer = client().get(url).send().await.expect("an answer");
        let location = answer.headers().get("location").expect("a redirect").to_str().expect("text");
        let back = Url::parse(location).expect("a URL");
        assert!(back.as_str().starts_with(&Returned::to(name).redirect_uri), "{back}");
        let parameter =
            |name| back.query_pairs().find(|(known, _)| known == name).expect(name).1.into_owned();
        assert_eq!(parameter("state"), STATE);
        parameter("code")
    }

    async fn redeem_as(&self, name: &str, code: &str, shown: Returned) -> Result<VerifiedIdentity, Refusal> {
        let provider = self.providers.get(name).expect("a provider");
        let flow = provider.redirect_flow().expect("a flow");
        let returned = ReturnedCode {
            code: &SecretString::from(code),
            redirect_uri: &shown.redirect_uri,
            code_verifier: &SecretString::from(shown.verifier),
            nonce: shown.nonce,
        };
        let result = self.providers.redeem(provider.as_ref(), flow, &returned).await;
        if let Err(refusal) = &result {
            for secret in
                [code, shown.verifier, github::CLIENT_SECRET, oidc::CLIENT_SECRET, google::CLIENT_SECRET]
            {
                let told = format!("{refusal} {refusal:?}");
                assert!(secret.is_empty() || !told.contains(secret), "{told}");
            }
        }
        result
    }

    async fn redeem(&self, name: &str, code: &str) -> Result<VerifiedIdentity, Refusal> {
        self.redeem_as(name, code, Returned::to(name)).await
    }

    /// Alice signs in.
    async fn sign_in(&self, name: &str) -> Result<VerifiedIdentity, Refusal> {
        self.redeem(name, &self.code_of(name, "alice").await).await
    }
}

fn token_endpoint(name: &str) -> Endpoint {
    match name {
        "google" => Endpoint::GoogleToken,
        "acme" => Endpoint::OidcToken,
        _ => Endpoint::GithubToken,
    }
}

#[track_caller]
fn assert_code_refused(result: Result<VerifiedIdentity, Refusal>, what: &str) {
    match result {
        Err(Refusal::CodeRefused(detail)) => {
            assert!(
                detail.contains("does not take this code") && detail.ends_with("; start again"),
                "{detail}"
            );
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn assert_outage(result: Result<VerifiedIdentity, Refusal>, kind: OutageKind, text: &str, what: &str) {
    match result {
        Err(Refusal::Outage(outage)) => {
            assert_eq!(outage.kind, kind, "{what}: {outage}");
            assert!(outage.to_string().contains(text), "{what}: {outage}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[actix_web::test]
async fn a_code_becomes_the_identity_of_who_signed_in() {
    let booth = Booth::start().await;
    for name in ALL {
        let identity = booth.sign_in(name).await.expect("an identity");
        let exchanged = match name {
            "github" => GithubUser::named("alice").id.to_string(),
            _ => Person::named("alice").sub,
        };
        assert_eq!((identity.provider.as_str(), identity.provider_id.clone()), (name, exchanged));
        assert_eq!(identity.verified_email(), Some("alice@example.com"));
        assert!(identity.name.is_some());
        assert_eq!(booth.mock.requests(token_endpoint(name)), 1);
    }
}

#[actix_web::test]
async fn the_browser_is_sent_with_what_the_protocol_asks_and_no_secret() {
    let booth = Booth::start().await;
    let common = |client_id: &str, name: &str, scope: &str| {
        vec![
            ("client_id", client_id.to_owned()),
            ("redirect_uri", Returned::to(name).redirect_uri),
            ("scope", scope.to_owned()),
            ("state", STATE.to_owned()),
            ("code_challenge", CHALLENGE.to_owned()),
            ("code_challenge_method", "S256".to_owned()),
        ]
    };
    for (name, endpoint, client_id) in [
        ("google", Endpoint::GoogleAuthorize, google::WEB_CLIENT_ID),
        ("acme", Endpoint::OidcAuthorize, oidc::CLIENT_ID),
        ("github", Endpoint::GithubAuthorize, github::CLIENT_ID),
    ] {
        let url = booth.authorization_url(name).await.expect("a URL");
        assert!(url.as_str().starts_with(&format!("{}{}?", booth.mock.base_url(), endpoint.path())), "{url}");
        let mut expected = if name == "github" {
            common(client_id, name, "read:user user:email")
        } else {
            let mut expected = common(client_id, name, "openid email profile");
            expected.extend([("response_type", "code".to_owned()), ("nonce", NONCE.to_owned())]);
            expected
        };
        expected.sort();
        let mut parameters: Vec<_> = url.query_pairs().into_owned().collect();
        parameters.sort();
        let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(parameters, expected, "{name}");
    }
}

#[actix_web::test]
async fn the_query_of_an_authorization_endpoint_is_kept() {
    let mock = MockProviders::start().await.expect("the mock starts");
    mock.oidc().set_discovery(json!({ "authorization_endpoint": "https://id.example.com/go?realm=a%20b" }));
    let booth = Booth::beside(mock, |sources| sources);
    let url = booth.authorization_url("acme").await.expect("a URL");
    assert!(url.as_str().starts_with("https://id.example.com/go?realm=a%20b&response_type=code&"), "{url}");
}

#[actix_web::test]
async fn google_needs_a_secret_for_it_and_the_others_do_not() {
    let without = |sources: Sources| {
        sources.with("providers.google.client_secret", "").with("providers.acme.client_secret", "")
    };
    let booth = Booth::start_with(without).await;
    let flows = ALL.map(|name| booth.providers.get(name).is_some_and(|it| it.redirect_flow().is_some()));
    assert_eq!(flows, [false, true, true]);
}

#[actix_web::test]
async fn a_code_is_good_once_and_with_its_own_verifier_and_callback() {
    let booth = Booth::start().await;
    for name in ALL {
        let code = booth.code_of(name, "alice").await;
        let wrong =
            Returned { verifier: "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong", ..Returned::to(name) };
        assert_code_refused(booth.redeem_as(name, &code, wrong).await, "a wrong verifier");

        let code = booth.code_of(name, "alice").await;
        let elsewhere =
            Returned { redirect_uri: "http://127.0.0.1:9/elsewhere".to_owned(), ..Returned::to(name) };
        let result = booth.redeem_as(name, &code, elsewhere).await;
        if name == "github" {
            let text = "{server.public_url}/auth/github/callback must be registered";
            assert_outage(result, OutageKind::BadAnswer, text, name);
        } else {
            assert_code_refused(result, "another callback");
        }

        let code = booth.code_of(name, "alice").await;
        booth.redeem(name, &code).await.expect("an identity");
        assert_code_refused(booth.redeem(name, &code).await, "a used code");
        assert_code_refused(booth.redeem(name, "4/made-up").await, "a made-up code");
    }
}

#[actix_web::test]
async fn the_id_token_must_answer_this_request_of_this_client() {
    let ios = google::IOS_CLIENT_ID;
    let hash = hex::encode(digest::digest(&digest::SHA256, NONCE.as_bytes()));
    let booth = Booth::start_with(|sources| {
        sources.with("providers.acme.client_ids", format!("{},second", oidc::CLIENT_ID))
    })
    .await;
    for (name, claims, kind) in [
        ("google", json!({ "nonce": "another" }), "nonce"),
        ("google", json!({ "nonce": null }), "nonce"),
        ("acme", json!({ "nonce": "another" }), "nonce"),
        ("acme", json!({ "nonce": null }), "nonce"),
        // A hash will do where a client cannot help it; here we asked ourselves.
        ("acme", json!({ "nonce": hash }), "nonce"),
        ("acme", json!({ "aud": "somebody-else" }), "audience"),
        // One of ours, but not the one that asked.
        ("acme", json!({ "aud": "second" }), "audience"),
        ("acme", json!({ "aud": "second", "azp": null }), "audience"),
        ("acme", json!({ "aud": [oidc::CLIENT_ID, "second"], "azp": "second" }), "audience"),
        ("google", json!({ "aud": ios, "azp": ios }), "audience"),
        ("google", json!({ "azp": ios }), "audience"),
        ("google", json!({ "iss": "https://id.example.com" }), "issuer"),
        ("acme", json!({ "iat": 1_000_000_000 }), "expired"),
    ] {
        let issuer = if name == "google" { booth.mock.google() } else { booth.mock.oidc() };
        issuer.set_token_claims(claims.clone());
        let result = booth.sign_in(name).await;
        let refused = match &result {
            Err(Refusal::NonceMismatch(_)) => "nonce",
            Err(Refusal::AudienceMismatch(_)) => "audience",
            Err(Refusal::IssuerMismatch(_)) => "issuer",
            Err(Refusal::TokenExpired(_)) => "expired",
            _ => "",
        };
        assert_eq!(refused, kind, "{name} {claims}: {result:?}");
        issuer.set_token_claims(json!({}));
        booth.sign_in(name).await.expect("an identity");
    }
    booth.mock.oidc().set_token_claims(json!({ "aud": "second", "azp": null }));
    let told = booth.sign_in("acme").await.expect_err("a refusal").to_string();
    assert_eq!(told, "token audience \"second\" is not the first of providers.acme.client_ids");
    // An empty nonce would be met by a token without any.
    let code = booth.code_of("google", "alice").await;
    booth.mock.google().set_token_claims(json!({ "nonce": "" }));
    let shown = Returned { nonce: "", ..Returned::to("google") };
    let result = booth.redeem_as("google", &code, shown).await;
    assert!(matches!(result, Err(Refusal::NonceMismatch(_))), "{result:?}");
}

#[actix_web::test]
async fn an_address_that_is_not_in_the_id_token_is_asked_for() {
    let booth = Booth::start().await;
    booth.sign_in("acme").await.expect("an identity");
    assert_eq!(booth.mock.requests(Endpoint::OidcUserinfo), 0, "nothing is asked that is known");

    booth.mock.oidc().set_token_claims(
        json!({ "email": null, "email_verified": null, "name": "Of The Token", "picture": null }),
    );
    let identity = booth.sign_in("acme").await.expect("an identity");
    assert_eq!(identity.verified_email(), Some("alice@example.com"));
    assert_eq!(
        (identity.name, identity.avatar_url),
        (Person::named("alice").name, Person::named("alice").picture)
    );
    assert_eq!(booth.mock.requests(Endpoint::OidcUserinfo), 1);

    // What is not said there stays as it was said before; an address that is nowhere is none.
    booth
        .mock
        .oidc()
        .introduce("bob", Person { email: None, email_verified: None, name: None, ..Person::named("bob") });
    let identity = booth.redeem("acme", &booth.code_of("acme", "bob").await).await.expect("an identity");
    assert_eq!((identity.name.as_deref(), identity.email), (Some("Of The Token"), None));

    // Somebody else's access token beside Alice's ID token.
    let bobs = booth.mock.oidc().access_token(Person::named("bob"));
    booth.mock.oidc().set_token_answer(json!({ "access_token": bobs }));
    match booth.sign_in("acme").await {
        Err(Refusal::InvalidToken(detail)) => assert!(detail.contains("different people"), "{detail}"),
        other => panic!("{other:?}"),
    }
    booth.mock.oidc().set_token_answer(json!({}));
    booth.mock.set_fault(Endpoint::OidcUserinfo, Fault::Status(503));
    assert_outage(booth.sign_in("acme").await, OutageKind::BadAnswer, "status 503", "userinfo");
}

#[actix_web::test]
async fn a_signature_that_is_wrong_is_refused_although_it_came_straight_from_the_provider() {
    let booth = Booth::start().await;
    let mut token = booth.mock.oidc().id_token(json!({ "nonce": NONCE }));
    let last = token.pop();
    // The last character but one: the last has bits that do not count.
    let changed = if token.ends_with('A') { 'B' } else { 'A' };
    token.pop();
    token.push(changed);
    token.extend(last);
    booth.mock.oidc().set_token_answer(json!({ "id_token": token }));
    let result = booth.sign_in("acme").await;
    assert!(matches!(result, Err(Refusal::InvalidToken(_))), "{result:?}");
}

#[actix_web::test]
async fn our_own_wrong_credentials_are_our_trouble_and_name_the_settings() {
    for (name, key) in [
        ("google", "providers.google.client_secret"),
        ("acme", "providers.acme.client_secret"),
        ("github", "providers.github.client_secret"),
    ] {
        let booth = Booth::start_with(|sources| sources.with(key, "not-the-secret-0123456789")).await;
        let expected = match name {
            "github" => "providers.github.client_id and client_secret".to_owned(),
            _ => format!("providers.{name}.client_ids and client_secret"),
        };
        let result = booth.sign_in(name).await;
        assert_outage(
            result,
            OutageKind::BadAnswer,
            &format!(
                "refuses our own credentials, {}",
                if name == "github" { expected } else { format!("the first of {expected}") }
            ),
            name,
        );
    }
}

#[actix_web::test]
async fn github_answers_with_forms_too() {
    let booth = Booth::start().await;
    booth.mock.github().always_answer_forms(true);
    let code = booth.code_of("github", "greta").await;
    let identity = booth.redeem("github", &code).await.expect("an identity");
    assert_eq!(identity.verified_email(), Some("greta@example.com"));
    assert_code_refused(booth.redeem("github", &code).await, "a used code");
}

#[actix_web::test]
async fn an_address_that_github_did_not_verify_is_none() {
    let booth = Booth::start().await;
    let emails = vec![GithubEmail::new("greta@example.com", true, false)];
    booth.mock.github().introduce("greta", GithubUser { emails, ..GithubUser::named("greta") });
    let code = booth.code_of("github", "greta").await;
    let identity = booth.redeem("github", &code).await.expect("an identity");
    assert_eq!(identity.verified_email(), None);
}

#[actix_web::test]
async fn trouble_at_the_token_endpoint_is_an_outage_and_the_code_is_sent_once() {
    let trap = TcpListener::bind("127.0.0.1:0").expect("a free port");
    trap.set_nonblocking(true).expect("a listener that does not wait");
    let elsewhere = format!("http://{}/", trap.local_addr().expect("an address"));
    let booth = Booth::start_with(|sources| sources.with("http_client.timeout", "1s")).await;
    for name in ALL {
        booth.authorization_url(name).await.expect("warm");
    }
    let (late, wait, bad) = (OutageKind::Timeout, OutageKind::Unavailable, OutageKind::BadAnswer);
    for (fault, kind) in [
        (Fault::Slow(Duration::from_secs(3)), Some(late)),
        (Fault::Hang, Some(late)),
        (Fault::Status(500), Some(bad)),
        (Fault::Status(503), Some(bad)),
        (Fault::Status(404), Some(bad)),
        (Fault::Status(400), Some(bad)),
        (Fault::Truncated, Some(bad)),
        (Fault::Huge, Some(bad)),
        (Fault::Redirect(elsewhere), Some(bad)),
        (Fault::WrongType, Some(bad)),
        (Fault::NotJson, Some(bad)),
        (Fault::Empty, Some(bad)),
        (Fault::CloseAtOnce, None),
        (Fault::RateLimited429 { retry_after: Some(7) }, Some(wait)),
        (Fault::RateLimited403, None),
    ] {
        let codes = join_all(ALL.map(|name| booth.code_of(name, "alice"))).await;
        booth.mock.forget_requests();
        for name in ALL {
            booth.mock.set_fault(token_endpoint(name), fault.clone());
        }
        let results = join_all(ALL.iter().zip(&codes).map(|(name, code)| booth.redeem(name, code))).await;
        for (name, result) in ALL.iter().zip(results) {
            let Err(Refusal::Outage(outage)) = result else { panic!("{name} {fault:?}: {result:?}") };
            assert!(kind.is_none_or(|kind| kind == outage.kind), "{name} {fault:?}: {outage}");
            assert_eq!(booth.mock.requests(token_endpoint(name)), 1, "{name} {fault:?}");
        }
        booth.mock.clear_faults();
    }
    let visit = trap.accept();
    assert!(visit.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "redirect followed");
}

#[actix_web::test]
async fn one_time_limit_holds_for_all_requests_together() {
    let booth = Booth::start_with(|sources| sources.with("http_client.timeout", "1s")).await;
    let code = booth.code_of("github", "alice").await;
    for endpoint in [Endpoint::GithubToken, Endpoint::GithubCheck] {
        booth.mock.set_fault(endpoint, Fault::Slow(Duration::from_millis(700)));
    }
    assert_outage(
        booth.redeem("github", &code).await,
        OutageKind::Timeout,
        "http_client.timeout",
        "two slow answers",
    );
}

#[actix_web::test]
async fn a_provider_that_names_no_endpoints_cannot_do_it_and_its_id_tokens_are_as_good_as_ever() {
    let mock = MockProviders::start().await.expect("the mock starts");
    mock.oidc().set_discovery(json!({ "authorization_endpoint": null, "token_endpoint": null }));
    let booth = Booth::beside(mock, |sources| sources);
    let outage = booth.authorization_url("acme").await.expect_err("an outage");
    assert!(outage.to_string().contains("names no authorization_endpoint"), "{outage}");
    let result = booth.redeem("acme", "code").await;
    assert_outage(result, OutageKind::BadAnswer, "names no token_endpoint", "acme");
    assert_eq!(booth.providers.get("acme").expect("a provider").check().await.expect("keys"), "1 keys");
}

#[actix_web::test]
async fn an_endpoint_over_plain_http_elsewhere_is_not_used() {
    for endpoint in ["authorization_endpoint", "token_endpoint"] {
        let mock = MockProviders::start().await.expect("the mock starts");
        mock.oidc().set_discovery(json!({ endpoint: "http://id.example.com/" }));
        let booth = Booth::beside(mock, |sources| sources);
        let outage = booth.authorization_url("acme").await.expect_err("an outage");
        assert!(outage.to_string().contains("plain http://"), "{endpoint}: {outage}");
    }
}

/// `Authorization` and body of a request.
type Seen = (Option<String>, String);

/// A token endpoint that keeps what it was sent and answers word by word.
struct Scripted {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    fn start(status: u16, content_type: &'static str, body: String) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let server = HttpServer::new(move || {
            let (kept, body) = (Arc::clone(&kept), body.clone());
            App::new().default_service(web::to(move |request: HttpRequest, form: String| {
                let authorization = request.headers().get("authorization");
                let authorization = authorization.map(|value| value.to_str().expect("text").to_owned());
                kept.lock().expect("no panic").push((authorization, form));
                let status = StatusCode::from_u16(status).expect("a status");
                std::future::ready(HttpResponse::build(status).content_type(content_type).body(body.clone()))
            }))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
        let url = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        Self { url, seen }
    }

    /// The one request's `Authorization` and form.
    fn request(&self) -> (Option<String>, Vec<(String, String)>) {
        let seen = self.seen.lock().expect("no panic");
        let [(authorization, form)] = seen.as_slice() else { panic!("one request: {seen:?}") };
        let form = serde_urlencoded::from_str(form).expect("a form");
        (authorization.clone(), form)
    }
}

/// A mock whose generic issuer has this token endpoint and takes secrets in these ways.
async fn mock_with(endpoint: &Scripted, methods: Value) -> MockProviders {
    let mock = MockProviders::start().await.expect("the mock starts");
    mock.oidc().set_discovery(json!({
        "token_endpoint": endpoint.url,
        "token_endpoint_auth_methods_supported": methods,
    }));
    mock
}

#[actix_web::test]
async fn a_client_proves_itself_as_the_provider_likes() {
    let (basic, post) = ("client_secret_basic", "client_secret_post");
    // RFC 6749 §2.3.1, appendix B.
    let header =
        format!("Basic {}", BASE64_STANDARD.encode("demo-oidc-client:demo-oidc%3Asecret%2F50%25%2Bmore"));
    for (secret, methods, authorization, id_in_body, secret_in_body) in [
        (oidc::CLIENT_SECRET, Value::Null, Some(&header), false, false),
        (oidc::CLIENT_SECRET, json!([post, basic]), Some(&header), false, false),
        (oidc::CLIENT_SECRET, json!(["private_key_jwt"]), Some(&header), false, false),
        (oidc::CLIENT_SECRET, json!(["private_key_jwt", post]), None, true, true),
        ("", json!([basic, post]), None, true, false),
    ] {
        let endpoint =
            Scripted::start(400, "application/json", json!({ "error": "invalid_grant" }).to_string());
        let mock = mock_with(&endpoint, methods.clone()).await;
        let booth = Booth::beside(mock, |sources| sources.with("providers.acme.client_secret", secret));
        assert_code_refused(booth.redeem("acme", "c&=+%o").await, "as scripted");
        let (sent, form) = endpoint.request();
        assert_eq!(sent.as_ref(), authorization, "{methods}");
        let mut expected = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", "c&=+%o".to_owned()),
            ("redirect_uri", Returned::to("acme").redirect_uri),
            ("code_verifier", VERIFIER.to_owned()),
        ];
        if id_in_body {
            expected.push(("client_id", oidc::CLIENT_ID.to_owned()));
        }
        if secret_in_body {
            expected.push(("client_secret", secret.to_owned()));
        }
        let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(form, expected, "{methods}");
    }
}

#[actix_web::test]
async fn a_public_client_signs_in_with_pkce_alone() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let id_token = mock.oidc().id_token(json!({ "nonce": NONCE }));
    let endpoint = Scripted::start(200, "application/json", json!({ "id_token": id_token }).to_string());
    mock.oidc().set_discovery(json!({ "token_endpoint": endpoint.url }));
    let booth = Booth::beside(mock, |sources| sources.with("providers.acme.client_secret", ""));
    let identity = booth.redeem("acme", "code").await.expect("an identity");
    assert_eq!(identity.provider_id, Person::default().sub);
}

#[actix_web::test]
async fn each_error_is_said_of_whom_it_concerns() {
    let long = "x".repeat(10_000);
    let bad = OutageKind::BadAnswer;
    for (status, body, expected) in [
        (400, json!({ "error": "invalid_grant" }), None),
        (400, json!({ "error": "invalid_request" }), None),
        (400, json!({ "error": "invalid_client" }), Some("refuses our own credentials")),
        (400, json!({ "error": "unauthorized_client" }), Some("refuses our own credentials")),
        (401, json!("who?"), Some("refuses our own credentials")),
        (400, json!({ "error": "redirect_uri_mismatch" }), Some("/auth/acme/callback must be registered")),
        (400, json!({ "error": "unsupported_grant_type" }), Some("it says unsupported_grant_type")),
        (400, json!({ "error": long }), Some("it says an error without a proper name")),
        (
            400,
            json!({ "error": "Code SplxlOBeZQQYbYS6WxSbIA?" }),
            Some("it says an error without a proper name"),
        ),
        (400, json!({ "oops": 1 }), Some("status 400")),
        (403, json!({}), Some("status 403")),
        (200, json!({ "access_token": "a" }), Some("there is no id_token in it")),
        (201, json!({ "id_token": "a" }), Some("status 201")),
        (200, json!({ "id_token": 7 }), Some("id_token")),
    ] {
        let endpoint = Scripted::start(status, "application/json", body.to_string());
        let booth = Booth::beside(mock_with(&endpoint, Value::Null).await, |sources| sources);
        let result = booth.redeem("acme", "SplxlOBeZQQYbYS6WxSbIA").await;
        match expected {
            None => assert_code_refused(result, &body.to_string()),
            Some(text) => assert_outage(result, bad, text, &body.to_string()),
        }
    }
}

#[actix_web::test]
async fn each_error_of_github_is_said_of_whom_it_concerns() {
    let (form, json) =
        ("application/x-www-form-urlencoded; charset=utf-8", "application/json; charset=utf-8");
    let bad = OutageKind::BadAnswer;
    for (status, content_type, body, expected) in [
        (200, json, json!({ "error": "bad_verification_code" }).to_string(), None),
        (200, form, "error=bad_verification_code&error_description=The+code".to_owned(), None),
        (400, json, json!({ "error": "bad_verification_code" }).to_string(), None),
        (200, json, json!({ "error": "invalid_grant" }).to_string(), None),
        (
            200,
            form,
            "error=incorrect_client_credentials".to_owned(),
            Some("providers.github.client_id and client_secret"),
        ),
        (
            200,
            form,
            "error=redirect_uri_mismatch".to_owned(),
            Some("/auth/github/callback must be registered"),
        ),
        (200, json, json!({ "error": "something_new" }).to_string(), Some("it says something_new")),
        (
            200,
            json,
            json!({ "error": "Code SplxlOBeZQQYbYS6WxSbIA?" }).to_string(),
            Some("an error without a proper name"),
        ),
        (200, json, json!({ "scope": "" }).to_string(), Some("neither a token nor an error")),
        (200, form, "error=a&error=b".to_owned(), Some("not the form expected")),
        (
            404,
            json,
            json!({ "error": "Not Found" }).to_string(),
            Some("providers.github.client_id and web_url"),
        ),
        (200, "text/html", "<p>".to_owned(), Some("not JSON by its Content-Type")),
    ] {
        let endpoint = Scripted::start(status, content_type, body.clone());
        let booth = Booth::start_with(|sources| {
            sources.with("providers.github.web_url", format!("{}/", endpoint.url))
        })
        .await;
        let result = booth.redeem("github", "SplxlOBeZQQYbYS6WxSbIA").await;
        match expected {
            None => assert_code_refused(result, &body),
            Some(text) => assert_outage(result, bad, text, &body),
        }
        let (authorization, sent) = endpoint.request();
        assert_eq!(authorization, None);
        let names: Vec<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["client_id", "client_secret", "code", "redirect_uri", "code_verifier"]);
    }
    let endpoint = Scripted::start(200, form, "error=unverified_user_email".to_owned());
    let booth = Booth::start_with(|sources| sources.with("providers.github.web_url", &endpoint.url)).await;
    let result = booth.redeem("github", "code").await;
    assert!(
        matches!(&result, Err(Refusal::CodeRefused(detail)) if detail.contains("is not verified: verify it there")),
        "{result:?}"
    );
}
