//! Apps (RFC 8252): sent back with a one-time code, which they exchange with their own PKCE verifier at `POST /oauth/token`.

mod asking;
mod replay;

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault};
use tokenbooth::settings::Sources;
use tokenbooth::token::CodeChallenge;
use url::Url;

use crate::databases::TestDatabase;
use crate::support::browser::Browser;
use crate::support::{Answer, TestApp};

const APP: &str = "http://127.0.0.1:51004/callback";
const SCHEME: &str = "com.mail.app:/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

pub fn with_apps(sources: Sources) -> Sources {
    sources
        .with(
            "sign_in.redirect_uris",
            "http://127.0.0.1/callback,com.mail.app:/callback,com.mail.app:/with?a=b",
        )
        .with("sign_in.code_redirect_uris", "https://app.mail.com/claimed")
}

fn login(provider: &str, redirect_to: &str, state: &str) -> String {
    let challenge = CodeChallenge::of(VERIFIER);
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("redirect_to", redirect_to)
        .append_pair("state", state)
        .append_pair("code_challenge", challenge.as_str())
        .append_pair("code_challenge_method", "S256")
        .finish();
    format!("/auth/{provider}/login?{query}")
}

/// All the way: what the app is sent back with.
async fn sent_back(app: &TestApp, login: &str, person: &str) -> (String, BTreeMap<String, String>) {
    let mut browser = Browser::at(app);
    let back = browser.authorize(login, person).await;
    let answer = browser.visit(&back).await;
    assert_eq!(answer.status, 302, "{}", answer.text);
    assert_eq!(browser.cookie_names(), [""; 0], "an app's browser is signed in to nothing");
    parameters(answer.header("location"))
}

fn parameters(location: &str) -> (String, BTreeMap<String, String>) {
    let mut url = Url::parse(location).expect("a URL");
    let parameters = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.to_string(), parameters)
}

/// A code for an app at [`APP`].
pub async fn code(app: &TestApp, person: &str) -> String {
    sent_back(app, &login("google", APP, "app state"), person).await.1["code"].clone()
}

async fn post(app: &TestApp, members: &[(&str, &str)]) -> Answer {
    app.post_form("/oauth/token", members).await
}

/// Where [`code`] was sent, with the right verifier.
pub async fn redeem_at_home(app: &TestApp, code: &str) -> Answer {
    redeem(app, code, APP, VERIFIER).await
}

async fn redeem(app: &TestApp, code: &str, redirect_uri: &str, verifier: &str) -> Answer {
    redeem_with(app, code, redirect_uri, verifier, &[("client_id", "app")]).await
}

async fn redeem_with(
    app: &TestApp,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
    more: &[(&str, &str)],
) -> Answer {
    let members = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ];
    post(app, &[&members[..], more].concat()).await
}

on_both_databases! {
    async fn an_app_signs_in_at_each_provider(db: TestDatabase) {
        let app = TestApp::start_with(db, with_apps).await;
        for provider in ["google", "github", "acme"] {
            for (redirect_to, state) in [(APP, "a state & more=äö"), (SCHEME, "s"), ("com.mail.app:/with?a=b", ""), ("https://app.mail.com/claimed", "s")] {
                let (uri, parameters) = sent_back(&app, &login(provider, redirect_to, state), "alice").await;
                assert_eq!(uri, redirect_to.split('?').next().expect("a URI"));
                let mut names: Vec<&str> = parameters.keys().map(String::as_str).collect();
                names.retain(|name| *name != "a");
                assert_eq!((names, parameters["state"].as_str()), (vec!["code", "iss", "state"], state));
                // RFC 9207 §2, and as the metadata says.
                assert_eq!(parameters["iss"], app.base);
                let answer = redeem(&app, &parameters["code"], redirect_to, VERIFIER).await;
                assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
                let first = (redirect_to, state) == (APP, "a state & more=äö");
                let signed_in = answer.assert_signed_in();
                assert_eq!((signed_in.created, signed_in.json["token_type"].as_str()), (first, Some("bearer")));
                assert_eq!(signed_in.json.get("refresh_token"), None);
                assert_eq!(app.me(&signed_in.jwt).await.json["email"], "alice@example.com");
            }
        }
        assert_eq!((app.db.count("users"), app.db.count("sessions")), (3, 0));
        // Who asks gets a refresh token.
        let code = code(&app, "alice").await;
        let members = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", APP),
            ("code_verifier", VERIFIER),
            ("scope", "profile offline_access"),
        ];
        let signed_in = post(&app, &members).await.assert_signed_in();
        assert_eq!(app.refresh(signed_in.refresh_token()).await.status, 200);
    }

    async fn of_fifty_exchanges_of_one_code_on_two_replicas_one_succeeds_and_the_others_end_what_it_gave(db: TestDatabase) {
        let url = db.url.clone();
        let one = TestApp::start_with(db, |sources| with_apps(sources).with("token.issuer", "https://booth.test")).await;
        let sources = with_apps(TestApp::sources(&one.mock, &url)).with("token.issuer", "https://booth.test");
        let two = TestApp::try_start(one.mock.clone(), TestDatabase::sqlite(), sources).await.expect("a replica");
        let code = code(&one, "alice").await;
        let exchanges = (0..50).map(|at| redeem(if at % 2 == 0 { &one } else { &two }, &code, APP, VERIFIER));
        let mut jwts = Vec::new();
        for answer in join_all(exchanges).await {
            if answer.status == 200 {
                jwts.push(answer.assert_signed_in().jwt);
            } else {
                assert!(answer.assert_oauth_refusal(400, "invalid_grant").starts_with("code_refused: "));
            }
        }
        assert_eq!(jwts.len(), 1);
        // Two had the code and its verifier, and one of them is not the app: RFC 6749 §4.1.2.
        for replica in [&one, &two] {
            replica.me(&jwts[0]).await.assert_problem(401, "invalid_token");
        }
        assert_eq!(one.db.count("spent_codes"), 1);
    }

    async fn only_success_spends_a_code(db: TestDatabase) {
        let app = TestApp::start_with(db, with_apps).await;
        let code = code(&app, "alice").await;
        let other = format!("{}A", &VERIFIER[..42]);
        for (code, redirect_uri, verifier) in [
            (code.as_str(), APP, other.as_str()),
            (&code, APP, &VERIFIER[..42]),
            (&code, APP, &"a".repeat(129)),
            (&code, APP, CodeChallenge::of(VERIFIER).as_str()),
            (&code, SCHEME, VERIFIER),
            (&code, "http://127.0.0.1:51005/callback", VERIFIER),
            (&code[1..], APP, VERIFIER),
            (&format!("{code}A"), APP, VERIFIER),
            ("made-up", APP, VERIFIER),
        ] {
            let answer = redeem(&app, code, redirect_uri, verifier).await;
            let told = answer.assert_oauth_refusal(400, "invalid_grant");
            assert!(told.starts_with("code_refused: ") && !told.contains(VERIFIER), "{told}");
        }
        assert_eq!(app.db.count("spent_codes"), 0);
        assert_eq!(app.refused_sign_ins("code_refused"), 9);
        app.clock.advance(30);
        assert_eq!(redeem(&app, &code, APP, VERIFIER).await.status, 200);
    }

    async fn a_code_ends_with_its_time_and_with_its_user_s_tokens(db: TestDatabase) {
        let app = TestApp::start_with(db, with_apps).await;
        let late = code(&app, "alice").await;
        app.clock.advance(60);
        assert!(redeem(&app, &late, APP, VERIFIER).await.assert_oauth_refusal(400, "invalid_grant").contains("code_ttl"));
        for (change, told) in [
            ("UPDATE users SET token_version = token_version + 1", "code_refused: "),
            ("UPDATE users SET disabled = true", "user_disabled: "),
        ] {
            let code = code(&app, "alice").await;
            app.db.execute(change);
            let answer = redeem(&app, &code, APP, VERIFIER).await;
            assert!(answer.assert_oauth_refusal(400, "invalid_grant").starts_with(told), "{}", answer.text);
        }
        // At the callback a disabled user is told the same way.
        let (_, parameters) = sent_back(&app, &login("google", APP, "s"), "alice").await;
        assert_eq!((parameters["error"].as_str(), parameters["state"].as_str()), ("access_denied", "s"));
        assert_eq!(parameters["iss"], app.base);
        assert!(parameters["error_description"].starts_with("user_disabled: "), "{parameters:?}");
        assert!(!parameters.contains_key("code"));
        app.db.execute("DELETE FROM users");
        let code = code(&app, "alice").await;
        app.db.execute("DELETE FROM users");
        redeem(&app, &code, APP, VERIFIER).await.assert_oauth_refusal(400, "invalid_grant");
    }
}

#[tokio::test]
async fn an_app_without_a_proper_challenge_is_refused() {
    let app = TestApp::start_with(TestDatabase::sqlite(), with_apps).await;
    let mut browser = Browser::at(&app);
    let challenge = CodeChallenge::of(VERIFIER);
    let challenge = challenge.as_str();
    for query in [
        String::new(),
        format!("code_challenge={challenge}"),
        format!("code_challenge={challenge}&code_challenge_method=plain"),
        format!("code_challenge={challenge}&code_challenge_method=s256"),
        format!("code_challenge={VERIFIER}a&code_challenge_method=S256"),
        format!("code_challenge={}&code_challenge_method=S256", &challenge[1..]),
        format!("code_challenge={}%3D&code_challenge_method=S256", &challenge[1..]),
        "code_challenge_method=S256".to_owned(),
        format!("code_challenge={challenge}&code_challenge_method=S256&state={}", "s".repeat(513)),
        format!("code_challenge={challenge}&code_challenge={challenge}&code_challenge_method=S256"),
    ] {
        let request = browser.request("GET", &format!("/auth/google/login?redirect_to={APP}&{query}"));
        let answer = browser.send(request.header("accept", "application/json")).await;
        answer.assert_problem(400, "invalid_request");
        assert_eq!(answer.header("location"), "");
    }
}

#[tokio::test]
async fn trouble_and_a_change_of_mind_come_back_as_errors() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        with_apps(sources).with("http_client.timeout", "300ms")
    })
    .await;
    app.warm().await;
    for (fault, error) in [
        (Fault::Hang, "temporarily_unavailable"),
        (Fault::Status(500), "temporarily_unavailable"),
        (Fault::RateLimited429 { retry_after: None }, "temporarily_unavailable"),
    ] {
        app.mock.set_fault(Endpoint::GoogleToken, fault);
        let (uri, parameters) = sent_back(&app, &login("google", SCHEME, "s"), "alice").await;
        assert_eq!(
            (uri.as_str(), parameters["error"].as_str(), parameters["state"].as_str()),
            (SCHEME, error, "s")
        );
        assert_eq!(parameters["iss"], app.base);
        app.mock.clear_faults();
    }
    let mut browser = Browser::at(&app);
    let there = browser.visit(&login("github", SCHEME, "s")).await;
    let denied =
        app.http.get(format!("{}&mock_deny=1", there.header("location"))).send().await.expect("an answer");
    let back = denied.headers()["location"].to_str().expect("text").to_owned();
    let answer = browser.visit(&back).await;
    let (_, parameters) = parameters(answer.header("location"));
    assert_eq!((parameters["error"].as_str(), &parameters["iss"]), ("access_denied", &app.base));
    // Without a good state the app's address is not believed either.
    let other = Browser::at(&app).visit(&back).await;
    assert_eq!((other.status, other.header("location")), (400, ""));
    // A provider that cannot be asked where to send people.
    let mock = tokenbooth::mock::MockProviders::start().await.expect("a mock");
    mock.set_fault(Endpoint::Discovery, Fault::Status(503));
    let app = TestApp::start_beside(mock, TestDatabase::sqlite(), with_apps).await;
    let answer = Browser::at(&app).visit(&login("google", SCHEME, "s")).await;
    let (_, parameters) = self::parameters(answer.header("location"));
    assert_eq!((parameters["error"].as_str(), &parameters["iss"]), ("temporarily_unavailable", &app.base));
}

#[tokio::test]
async fn a_malformed_request_is_told_in_the_words_of_oauth() {
    let app = TestApp::start_with(TestDatabase::sqlite(), with_apps).await;
    let code = code(&app, "alice").await;
    let whole = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", APP),
        ("code_verifier", VERIFIER),
    ];
    for left_out in 0..whole.len() {
        let mut members = whole.to_vec();
        let (name, _) = members.remove(left_out);
        assert!(post(&app, &members).await.assert_oauth_refusal(400, "invalid_request").contains(name));
        // RFC 6749 §3.2: a parameter without a value is none.
        members.push((name, ""));
        assert!(post(&app, &members).await.assert_oauth_refusal(400, "invalid_request").contains(name));
        let twice = [&whole[..], &whole[left_out..=left_out]].concat();
        assert!(post(&app, &twice).await.assert_oauth_refusal(400, "invalid_request").contains("twice"));
    }
    for grant_type in ["password", "implicit", "AUTHORIZATION_CODE"] {
        post(&app, &[("grant_type", grant_type)]).await.assert_oauth_refusal(400, "unsupported_grant_type");
    }
    let url = format!("{}/oauth/token", app.base);
    let json = app.http.post(&url).json(&json!({ "grant_type": "authorization_code" })).send().await;
    Answer::of(json.expect("an answer")).await.assert_oauth_refusal(400, "invalid_request");
    let long = post(&app, &[("grant_type", &"a".repeat(70_000))]).await;
    long.assert_oauth_refusal(413, "invalid_request");
    let other = Answer::of(app.http.get(&url).send().await.expect("an answer")).await;
    assert_eq!((other.status, other.header("allow")), (405, "POST"));
    assert_eq!(post(&app, &whole).await.json["user"]["email"], "alice@example.com");
    assert_eq!(Value::Null, post(&app, &[]).await.json["access_token"]);
}

#[tokio::test]
async fn who_asks_too_often_is_told_in_the_words_of_oauth() {
    let change = |sources: Sources| {
        sources
            .with("rate_limit.enabled", "true")
            .with("rate_limit.address_burst", "2")
            .with("rate_limit.address_per_minute", "1")
    };
    let app = TestApp::start_with(TestDatabase::sqlite(), change).await;
    for _ in 0..2 {
        post(&app, &[]).await.assert_oauth_refusal(400, "invalid_request");
    }
    let answer = post(&app, &[]).await;
    answer.assert_oauth_refusal(429, "temporarily_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert_ne!(answer.header("ratelimit-policy"), "");
}
