//! The token endpoint: how we prove who we are there, and what each of its answers means.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, MockProviders, Person, oidc};
use tokenbooth::provider::{OutageKind, Refusal};

use super::{ALL, Booth, NONCE, Returned, VERIFIER, assert_code_refused, assert_outage, token_endpoint_of};

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
            booth.mock.set_fault(token_endpoint_of(name), fault.clone());
        }
        let results = join_all(ALL.iter().zip(&codes).map(|(name, code)| booth.redeem(name, code))).await;
        for (name, result) in ALL.iter().zip(results) {
            let Err(Refusal::Outage(outage)) = result else { panic!("{name} {fault:?}: {result:?}") };
            assert!(kind.is_none_or(|kind| kind == outage.kind), "{name} {fault:?}: {outage}");
            assert_eq!(booth.mock.requests(token_endpoint_of(name)), 1, "{name} {fault:?}");
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
