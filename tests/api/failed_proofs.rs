//! Tokens and codes that a provider rejects: they are remembered for a while, and each address has a budget of them.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, GithubUser, Person};
use tokenbooth::settings::Sources;

use crate::databases::TestDatabase;
use crate::support::browser::Browser;
use crate::support::{Answer, TestApp};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A token that looks like one of GitHub's, and is unknown there.
fn bogus(number: usize) -> String {
    format!("gho_bogus{number:0>31}")
}

/// With the limits as they are by default, behind a proxy that a test can play.
async fn with_limits(db: TestDatabase, change: impl FnOnce(Sources) -> Sources) -> TestApp {
    let app = TestApp::start_with(db, |sources| {
        change(sources.with("rate_limit.enabled", "true").with("server.trusted_proxies", "127.0.0.1"))
    })
    .await;
    app.warm().await.mock.forget_requests();
    app
}

async fn github(app: &TestApp, address: &str, token: &str) -> Answer {
    app.post_from(address, "/auth/github", &json!({ "access_token": token })).await
}

/// A token of a person that GitHub knows.
fn good(app: &TestApp) -> String {
    app.mock.github().access_token(GithubUser::named("greta"))
}

on_both_databases! {
    async fn a_token_that_was_just_rejected_is_not_asked_about_again(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ada = app.sign_in(Person::named("ada")).await;
        app.warm().await.mock.forget_requests();
        let body = json!({ "access_token": bogus(1) });
        let first = app.exchange("github", &body).await;
        first.assert_problem(401, "audience_mismatch");
        for _ in 0..149 {
            let again = app.exchange("github", &body).await;
            assert_eq!((again.status, &again.text), (401, &first.text));
        }
        // At every endpoint.
        let link = app.send_as("POST", "/api/me/identities/github", &ada.jwt, &body).await;
        assert_eq!((link.status, &link.text), (401, &first.text));
        let exchanged = app.token_exchange("github", ACCESS_TOKEN, &bogus(1), &[]).await;
        let told = exchanged.assert_oauth_refusal(400, "invalid_request");
        assert!(told.starts_with("audience_mismatch: "), "{told}");
        assert_eq!(app.mock.requests(Endpoint::GithubCheck), 1);
        assert_eq!(app.refused_sign_ins("audience_mismatch"), 151);
        // A minute later GitHub may say something else.
        app.clock.advance(60);
        app.exchange("github", &body).await.assert_problem(401, "audience_mismatch");
        assert_eq!(app.mock.requests(Endpoint::GithubCheck), 2);
    }

    async fn the_budget_of_an_address_is_its_own_and_good_tokens_cost_nothing(db: TestDatabase) {
        let app = with_limits(db, |sources| sources).await;
        for _ in 0..40 {
            github(&app, "203.0.113.1", &good(&app)).await.assert_signed_in();
        }
        app.mock.forget_requests();
        for number in 0..30 {
            github(&app, "203.0.113.1", &bogus(number)).await.assert_problem(401, "audience_mismatch");
        }
        for token in [bogus(31), good(&app)] {
            let refused = github(&app, "203.0.113.1", &token).await;
            refused.assert_problem(429, "rate_limited");
            assert_eq!(refused.header("ratelimit-policy"), "\"failed\";q=30;w=60");
            assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|wait| (1..=120).contains(&wait)));
        }
        // With every provider, whatever the kind of token, and at every endpoint.
        let id_token = app.mock.google().id_token(json!({}));
        let google = app.post_from("203.0.113.1", "/auth/google", &json!({ "id_token": id_token })).await;
        google.assert_problem(429, "rate_limited");
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", id_token.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("subject_issuer", "google"),
        ];
        let request = app.http.post(format!("{}/oauth/token", app.base)).header("x-forwarded-for", "203.0.113.1");
        let answer = Answer::of(request.form(&form).send().await.expect("an answer")).await;
        let told = answer.assert_oauth_refusal(429, "temporarily_unavailable");
        assert!(told.starts_with("rate_limited: ") && !answer.header("retry-after").is_empty(), "{told}");
        assert_eq!(app.mock.requests(Endpoint::GithubCheck), 30);
        // What was rejected before is rejected in the same words, and costs nothing.
        github(&app, "203.0.113.1", &bogus(3)).await.assert_problem(401, "audience_mismatch");
        github(&app, "203.0.113.2", &good(&app)).await.assert_signed_in();
        assert!(app.get("/metrics").await.text.contains("tokenbooth_rate_limited_total{policy=\"failed\"}"));
    }

    async fn when_all_together_fail_too_often_who_never_failed_is_let_in(db: TestDatabase) {
        let app = with_limits(db, |sources| sources.with("rate_limit.failed_in_all_per_minute", "20")).await;
        github(&app, "198.51.100.1", &bogus(1000)).await.assert_problem(401, "audience_mismatch");
        for number in 0..20 {
            let address = format!("203.0.113.{number}");
            github(&app, &address, &bogus(number)).await.assert_problem(401, "audience_mismatch");
        }
        app.mock.forget_requests();
        for address in ["203.0.113.7", "198.51.100.1"] {
            let refused = github(&app, address, &bogus(2000)).await;
            refused.assert_problem(429, "rate_limited");
            assert_eq!(refused.header("ratelimit-policy"), "\"failed_in_all\";q=20;w=60");
        }
        assert_eq!(app.mock.total_requests(), 0);
        github(&app, "198.51.100.2", &good(&app)).await.assert_signed_in();
        // It is GitHub that has seen too many.
        let id_token = app.mock.google().id_token(json!({}));
        app.post_from("203.0.113.7", "/auth/google", &json!({ "id_token": id_token })).await.assert_signed_in();
    }

    async fn linking_counts_as_well(db: TestDatabase) {
        let app = with_limits(db, |sources| sources.with("rate_limit.failed_per_minute", "3")).await;
        let ada = app.sign_in(Person::named("ada")).await;
        let link = async |token: String| {
            app.send_as("POST", "/api/me/identities/github", &ada.jwt, &json!({ "access_token": token })).await
        };
        for number in 0..3 {
            link(bogus(number)).await.assert_problem(401, "audience_mismatch");
        }
        let refused = link(good(&app)).await;
        refused.assert_problem(429, "rate_limited");
        assert!(refused.header("ratelimit").starts_with("\"failed\""), "{:?}", refused.headers);
    }
}

#[actix_web::test]
async fn those_who_send_it_at_the_same_moment_have_it_asked_once() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await.mock.forget_requests();
    app.mock.set_fault(Endpoint::GithubCheck, Fault::Slow(std::time::Duration::from_millis(300)));
    let body = json!({ "access_token": bogus(1) });
    for answer in join_all((0..150).map(|_| app.exchange("github", &body))).await {
        answer.assert_problem(401, "audience_mismatch");
    }
    assert_eq!(app.mock.requests(Endpoint::GithubCheck), 1);
    // A good one is asked about by each, and nobody waits in a row.
    app.mock.forget_requests();
    let body = json!({ "access_token": good(&app) });
    let begin = std::time::Instant::now();
    for answer in join_all((0..10).map(|_| app.exchange("github", &body))).await {
        answer.assert_signed_in();
    }
    assert!(begin.elapsed() < std::time::Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[actix_web::test]
async fn sending_them_all_at_once_does_not_exceed_the_budget() {
    let app = with_limits(TestDatabase::sqlite(), |sources| sources).await;
    app.mock.set_fault(Endpoint::GithubCheck, Fault::Slow(std::time::Duration::from_millis(200)));
    let tokens: Vec<String> = (0..100).map(bogus).collect();
    let answers = join_all(tokens.iter().map(|token| github(&app, "203.0.113.1", token))).await;
    let statuses = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((statuses(401), statuses(429)), (30, 70));
    assert_eq!(app.mock.requests(Endpoint::GithubCheck), 30);
    // An office whose people all sign in at once is let in.
    let tokens: Vec<String> = (0..60).map(|_| good(&app)).collect();
    for answer in join_all(tokens.iter().map(|token| github(&app, "203.0.113.2", token))).await {
        answer.assert_signed_in();
    }
}

#[actix_web::test]
async fn trouble_of_the_provider_is_neither_remembered_nor_counted() {
    let app =
        with_limits(TestDatabase::sqlite(), |sources| sources.with("rate_limit.failed_per_minute", "2"))
            .await;
    let token = good(&app);
    for fault in [Fault::Status(500), Fault::RateLimited403, Fault::CloseAtOnce, Fault::NotJson] {
        app.mock.set_fault(Endpoint::GithubCheck, fault);
        github(&app, "203.0.113.1", &token).await.assert_provider_unavailable();
    }
    app.mock.clear_faults();
    github(&app, "203.0.113.1", &token).await.assert_signed_in();
}

#[actix_web::test]
async fn a_bad_id_token_is_judged_each_time_and_counts() {
    let app =
        with_limits(TestDatabase::sqlite(), |sources| sources.with("rate_limit.failed_per_minute", "3"))
            .await;
    let expired = app.mock.google().id_token(json!({ "iat": 1_000_000_000 }));
    let google =
        async |token: &str| app.post_from("203.0.113.1", "/auth/google", &json!({ "id_token": token })).await;
    for _ in 0..3 {
        google(&expired).await.assert_problem(401, "token_expired");
    }
    google(&expired).await.assert_problem(429, "rate_limited");
    // A body that cannot be read proves nothing and fails to prove nothing.
    let other = async |body: Value| app.post_from("203.0.113.2", "/auth/google", &body).await.status;
    for _ in 0..5 {
        assert_eq!(other(json!({})).await, 400);
    }
    assert_eq!(other(json!({ "id_token": app.mock.google().id_token(json!({})) })).await, 200);
}

/// Beginning a sign-in costs nothing, so the callback is a way to have a provider asked, too.
#[actix_web::test]
async fn codes_that_a_provider_rejects_count() {
    let app =
        with_limits(TestDatabase::sqlite(), |sources| sources.with("rate_limit.failed_per_minute", "3"))
            .await;
    let mut browser = Browser::at(&app);
    for number in 0..5 {
        let there = browser.visit("/auth/github/login").await;
        let location = there.header("location").to_owned();
        let state = location.split("state=").nth(1).and_then(|rest| rest.split('&').next()).expect("a state");
        let back = browser.visit(&format!("/auth/github/callback?code=made-up-{number}&state={state}")).await;
        assert_eq!(back.status, if number < 3 { 400 } else { 429 }, "{number}: {}", back.text);
    }
    assert_eq!(app.mock.requests(Endpoint::GithubToken), 3);
}
