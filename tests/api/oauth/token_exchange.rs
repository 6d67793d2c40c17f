//! Token exchange (RFC 8693). That each refusal of `POST /auth/{provider}` is one here is tested where it is tested there, by
//! [`TestApp::at_both_doors`]; this is what only this door has.

use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::both_doors::{ACCESS_TOKEN, ID_TOKEN, TOKEN_EXCHANGE, claims};
use crate::support::{Answer, TestApp};

const OFFLINE: (&str, &str) = ("scope", "openid offline_access");

#[track_caller]
fn token(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["access_token"].as_str().expect("a token")
}

fn members(answer: &Answer) -> Vec<&str> {
    answer.json.as_object().expect("an object").keys().map(String::as_str).collect()
}

on_both_databases! {
    async fn each_kind_of_token_of_each_provider_is_exchanged(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (google, github, acme) = (app.mock.google(), app.mock.github(), app.mock.oidc());
        for (issuer, kind, provider_token) in [
            ("google", ID_TOKEN, google.id_token(Person::named("alice").claims())),
            ("google", ACCESS_TOKEN, google.access_token(Person::named("alice"))),
            ("github", ACCESS_TOKEN, github.access_token(GithubUser::named("alice"))),
            ("acme", ID_TOKEN, acme.id_token(Person::named("alice").claims())),
        ] {
            let answer = app.token_exchange(issuer, kind, &provider_token, &[]).await;
            let jwt = token(&answer);
            assert_eq!(members(&answer), ["access_token", "expires_in", "issued_token_type", "token_type"]);
            assert_eq!(
                (&answer.json["issued_token_type"], &answer.json["token_type"], &answer.json["expires_in"]),
                (&json!(ACCESS_TOKEN), &json!("Bearer"), &json!(1800))
            );
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(claims(jwt).get("sid"), None);
            assert_eq!(app.me(jwt).await.json["email"], "alice@example.com");
            assert_eq!(app.db.count("sessions"), 0, "who does not ask gets nothing stored");
            // The same person at the other door.
            let member = if kind == ID_TOKEN { "id_token" } else { "access_token" };
            let simple = app.exchange(issuer, &json!({ member: provider_token })).await.assert_signed_in();
            assert_eq!((json!(simple.user_id), simple.created), (claims(jwt)["sub"].clone(), false));
        }
        assert_eq!(app.db.count("users"), 3);
    }

    async fn who_asks_gets_a_refresh_token(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let id_token = app.mock.google().id_token(Person::named("alice").claims());
        let answer = app.token_exchange("google", ID_TOKEN, &id_token, &[OFFLINE, ("requested_token_type", ACCESS_TOKEN), ("unknown", "x")]).await;
        assert_eq!(members(&answer), ["access_token", "expires_in", "issued_token_type", "refresh_token", "token_type"]);
        assert!(claims(token(&answer))["sid"].is_string());
        let refresh_token = answer.json["refresh_token"].as_str().expect("a refresh token");
        assert_eq!(app.refresh(refresh_token).await.assert_signed_in().json["user"]["email"], "alice@example.com");
        assert_eq!(app.db.count("sessions"), 1);
    }

    async fn nobody_is_signed_in_as_whom_the_request_claims(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let id_token = app.mock.google().id_token(Person::named("alice").claims());
        let sub = Person::named("bob").sub;
        let answer = app.token_exchange("google", ID_TOKEN, &id_token, &[
            ("sub", &sub), ("user_id", &bob.user_id), ("email", "bob@example.com"), ("admin", "true"),
            ("issuer", "https://accounts.google.com"), ("jwks_uri", "http://127.0.0.1:1/jwks"),
        ]).await;
        let me = app.me(token(&answer)).await.json;
        assert_eq!((&me["email"], &me["admin"]), (&json!("alice@example.com"), &json!(false)));
    }

    async fn a_disabled_user_gets_nothing_by_any_way(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        app.send_as("PUT", "/api/me/password", &bob.jwt, &json!({ "new_password": "correct horse battery staple" })).await;
        app.link_github(&bob.jwt, GithubUser::named("bob")).await;
        let service = app.create_client("Reports", "");
        let before = app.client_token(&service).await;
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await;
        app.disable_client(&service);

        let (google, github) = (app.mock.google(), app.mock.github());
        for (issuer, kind, provider_token) in [
            ("google", ID_TOKEN, google.id_token(Person::named("bob").claims())),
            ("google", ACCESS_TOKEN, google.access_token(Person::named("bob"))),
            ("github", ACCESS_TOKEN, github.access_token(GithubUser::named("bob"))),
        ] {
            for more in [&[][..], &[OFFLINE]] {
                let answer = app.token_exchange(issuer, kind, &provider_token, more).await;
                let told = answer.assert_oauth_refusal(400, "invalid_request");
                assert!(told.starts_with("user_disabled: "), "{told}");
            }
            let member = if kind == ID_TOKEN { "id_token" } else { "access_token" };
            app.exchange(issuer, &json!({ member: provider_token })).await.assert_problem(403, "user_disabled");
        }
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", bob.refresh_token())];
        app.post_form("/oauth/token", &refresh).await.assert_oauth_refusal(400, "invalid_grant");
        app.refresh(bob.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        app.sign_in_with_password("bob@example.com", "correct horse battery staple").await.assert_problem(403, "user_disabled");
        let grant = [("grant_type", "client_credentials")];
        app.post_form_as("/oauth/token", &service, &grant).await.assert_oauth_refusal(401, "invalid_client");
        for token in [&bob.jwt, &before] {
            app.me(token).await.assert_problem(401, "invalid_token");
        }
        assert_eq!(app.db.count("sessions"), 0);
        let events = app.events("sign_in.refused", &ada.jwt).await;
        let by_exchange = events.iter().filter(|event| event["user_id"] == bob.user_id.as_str());
        // Nine exchanges and the password.
        let counted: u64 = by_exchange.filter_map(|event| event["detail"]["count"].as_u64()).sum();
        assert_eq!(counted, 10, "{events:?}");
    }

    async fn a_refused_exchange_is_in_the_audit_trail_and_in_the_metrics(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let id_token = app.mock.google().id_token(json!({ "aud": "x-ios" }));
        let answer = app.token_exchange("google", ID_TOKEN, &id_token, &[]).await;
        let told = answer.assert_oauth_refusal(400, "invalid_request");
        assert_eq!(told, "audience_mismatch: token audience 'x-ios' is not in providers.google.client_ids");
        let events = app.events("sign_in.refused", &ada.jwt).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["detail"], json!({ "method": "google", "code": "audience_mismatch", "count": 1 }));
        assert_eq!((&events[0]["user_id"], &events[0]["request_id"]), (&Value::Null, &json!(answer.header("x-request-id"))));
        let metrics = app.get("/metrics").await.text;
        let line = "tokenbooth_exchanges_total{provider=\"google\",result=\"audience_mismatch\"} 1";
        assert!(metrics.lines().any(|one| one == line), "{metrics}");
    }
}

#[actix_web::test]
async fn a_malformed_request_names_what_is_wrong() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let id_token = app.mock.google().id_token(json!({}));
    let whole = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", id_token.as_str()),
        ("subject_token_type", ID_TOKEN),
        ("subject_issuer", "google"),
    ];
    assert_eq!(app.post_form("/oauth/token", &whole).await.status, 200);
    for left_out in 0..whole.len() {
        let mut parameters = whole.to_vec();
        let (name, _) = parameters.remove(left_out);
        let answer = app.post_form("/oauth/token", &parameters).await;
        assert!(answer.assert_oauth_refusal(400, "invalid_request").contains(name));
        parameters.push((name, ""));
        let answer = app.post_form("/oauth/token", &parameters).await;
        assert!(answer.assert_oauth_refusal(400, "invalid_request").contains(name));
        let twice = [&whole[..], &whole[left_out..=left_out]].concat();
        let answer = app.post_form("/oauth/token", &twice).await;
        assert!(answer.assert_oauth_refusal(400, "invalid_request").contains("twice"));
    }
    for (name, value, error, told) in [
        ("requested_token_type", ID_TOKEN, "invalid_request", "requested_token_type"),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:refresh_token",
            "invalid_request",
            "requested_token_type",
        ),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:jwt",
            "invalid_request",
            "requested_token_type",
        ),
        ("actor_token", id_token.as_str(), "invalid_request", "actor_token"),
        ("actor_token_type", ID_TOKEN, "invalid_request", "actor_token_type"),
        ("audience", "tokenbooth", "invalid_target", "token.audience"),
        ("resource", "https://api.example.com/", "invalid_target", "token.audience"),
        ("subject_issuer", "google", "invalid_request", "twice"),
        ("nonce", "another", "invalid_request", "nonce_mismatch"),
    ] {
        let answer = app.post_form("/oauth/token", &[&whole[..], &[(name, value)]].concat()).await;
        let said = answer.assert_oauth_refusal(400, error);
        assert!(said.contains(told) && !said.contains(&id_token), "{name}: {said}");
    }
    for kind in [
        "id_token",
        "urn:ietf:params:oauth:token-type:jwt",
        "urn:ietf:params:oauth:token-type:saml2",
        &ID_TOKEN.to_uppercase(),
    ] {
        let answer = app.token_exchange("google", kind, &id_token, &[]).await;
        assert!(answer.assert_oauth_refusal(400, "invalid_request").contains("subject_token_type must be"));
    }
    for issuer in
        ["nobody", "Google", "google ", "https://accounts.google.com", "password", "../google", "\0"]
    {
        let answer = app.token_exchange(issuer, ID_TOKEN, &id_token, &[]).await;
        let told = answer.assert_oauth_refusal(400, "invalid_request");
        assert!(told.starts_with("unknown_provider: "), "{told}");
    }
    assert_eq!(app.db.count("users"), 1);
}

#[actix_web::test]
async fn a_token_of_one_kind_is_refused_as_the_other_and_nobody_is_asked() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await;
    let (google, github, acme) = (app.mock.google(), app.mock.github(), app.mock.oidc());
    let cases = [
        ("google", ACCESS_TOKEN, google.id_token(json!({})), "invalid_token"),
        ("google", ID_TOKEN, google.access_token(Person::default()), "invalid_token"),
        ("github", ID_TOKEN, github.access_token(GithubUser::default()), "invalid_request"),
        ("github", ID_TOKEN, google.id_token(json!({})), "invalid_request"),
        ("acme", ACCESS_TOKEN, acme.access_token(Person::default()), "invalid_request"),
        ("acme", ACCESS_TOKEN, acme.id_token(json!({})), "invalid_request"),
        ("acme", ID_TOKEN, acme.access_token(Person::default()), "invalid_token"),
    ];
    app.mock.forget_requests();
    for (issuer, kind, provider_token, code) in cases {
        let answer = app.token_exchange(issuer, kind, &provider_token, &[]).await;
        let told = answer.assert_oauth_refusal(400, "invalid_request");
        assert!(told.starts_with(code) && !told.contains(&provider_token), "{issuer} {kind}: {told}");
        if code == "invalid_request" {
            assert!(told.contains(&format!("provider {issuer} takes urn:")), "{told}");
        }
    }
    assert_eq!((app.mock.total_requests(), app.db.count("users")), (0, 0));
}

#[actix_web::test]
async fn a_warm_exchange_of_an_id_token_asks_nobody_and_one_of_an_access_token_each_endpoint_once() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await;
    let (id_token, access_token) =
        (app.mock.google().id_token(json!({})), app.mock.google().access_token(Person::default()));
    app.mock.forget_requests();
    token(&app.token_exchange("google", ID_TOKEN, &id_token, &[]).await);
    assert_eq!(app.mock.total_requests(), 0);
    token(&app.token_exchange("google", ACCESS_TOKEN, &access_token, &[]).await);
    let asked = [Endpoint::Tokeninfo, Endpoint::Userinfo].map(|endpoint| app.mock.requests(endpoint));
    assert_eq!((asked, app.mock.total_requests()), ([1, 1], 2));
}

#[actix_web::test]
async fn a_provider_in_trouble_is_waited_for_and_refuses_nobody() {
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("http_client.timeout", "300ms"))
            .await;
    app.warm().await;
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Hang,
        Fault::NotJson,
        Fault::Empty,
        Fault::CloseAtOnce,
        Fault::RateLimited429 { retry_after: Some(17) },
        Fault::RateLimited403,
    ] {
        app.mock.set_fault(Endpoint::GithubCheck, fault.clone());
        let github_token = app.mock.github().access_token(GithubUser::default());
        let answer = app.token_exchange("github", ACCESS_TOKEN, &github_token, &[]).await;
        let told = answer.assert_oauth_refusal(503, "temporarily_unavailable");
        assert!(told.starts_with("provider_unavailable: "), "{fault:?}: {told}");
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!(!matches!(fault, Fault::RateLimited429 { .. }) || wait == 17, "{fault:?}: {wait}");
        app.mock.clear_faults();
    }
    let refused = "SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.refused'";
    assert_eq!((app.db.number(refused), app.db.count("users")), (0, 0));
}

#[actix_web::test]
async fn both_doors_share_one_limit() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources
            .with("rate_limit.enabled", "true")
            .with("rate_limit.address_burst", "4")
            .with("rate_limit.address_per_minute", "1")
    })
    .await;
    let id_token = app.mock.google().id_token(json!({}));
    for _ in 0..2 {
        token(&app.token_exchange("google", ID_TOKEN, &id_token, &[]).await);
        app.exchange_id_token(&id_token).await.assert_signed_in();
    }
    app.exchange_id_token(&id_token).await.assert_problem(429, "rate_limited");
    let answer = app.token_exchange("google", ID_TOKEN, &id_token, &[]).await;
    let told = answer.assert_oauth_refusal(429, "temporarily_unavailable");
    assert!(told.starts_with("rate_limited: "), "{told}");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert!(!answer.header("ratelimit").is_empty() && !answer.header("ratelimit-policy").is_empty());
}
