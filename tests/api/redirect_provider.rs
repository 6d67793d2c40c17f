//! The providers' part of signing in by way of a browser: where it is sent, and what becomes of the code that comes back.

mod proof;
mod token_endpoint;

use std::sync::Arc;

use reqwest::Url;
use secrecy::SecretString;
use serde_json::json;
use tokenbooth::clock::{SharedClock, SystemClock};
use tokenbooth::metrics::Metrics;
use tokenbooth::mock::{Endpoint, GithubUser, MockProviders, Person};
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
            prompt: None,
            reauthenticate_within: None,
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

fn token_endpoint_of(name: &str) -> Endpoint {
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
        assert_eq!(booth.mock.requests(token_endpoint_of(name)), 1);
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
