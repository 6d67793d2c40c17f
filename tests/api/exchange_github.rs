//! `POST /auth/github`: GitHub is asked whether the token is our app's, then whose it is. The numeric id is the
//! identity, and a rate limit is never a bad token.

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokenbooth::mock::github::CLIENT_ID;
use tokenbooth::mock::{Endpoint, Fault, GithubApp, GithubEmail, GithubGrant, GithubUser};

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

const ENDPOINTS: [Endpoint; 3] = [Endpoint::GithubCheck, Endpoint::GithubUser, Endpoint::GithubEmails];

async fn start() -> TestApp {
    start_at_one_door().await.at_both_doors()
}

/// For counting what GitHub is asked.
async fn start_at_one_door() -> TestApp {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await;
    app.mock.forget_requests();
    app
}

fn user_with(emails: Vec<GithubEmail>) -> GithubUser {
    GithubUser { emails, ..GithubUser::default() }
}

/// GitHub's trouble with us, which the client can only wait out.
fn assert_asked_to_wait(answer: &Answer, what: &str) -> u64 {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text);
    answer.assert_provider_unavailable();
    answer.header("retry-after").parse().expect("seconds")
}

on_both_databases! {
    async fn a_token_of_our_app_signs_in(db: TestDatabase) {
        let app = TestApp::start(db).await.at_both_doors();
        let first = app.exchange_github(GithubUser::named("greta")).await.assert_signed_in();
        assert!(first.created);
        let id = GithubUser::named("greta").id;
        assert_eq!(
            first.json["user"],
            json!({
                "id": first.user_id,
                "email": "greta@example.com",
                "name": "Greta Example",
                "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
            })
        );
        let again = app.exchange_github(GithubUser::named("greta")).await.assert_signed_in();
        assert_eq!((again.user_id, again.created), (first.user_id, false));
    }

    async fn the_number_is_the_identity_and_the_login_is_not(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let old = GithubUser::named("greta");
        let first = app.exchange_github(old.clone()).await.assert_signed_in();
        let renamed = GithubUser { login: "greta-renamed".into(), ..old.clone() };
        let second = app.exchange_github(renamed).await.assert_signed_in();
        assert_eq!((second.user_id.as_str(), second.created), (first.user_id.as_str(), false));
        // Somebody else takes the login that was given up, and the addresses with it.
        let successor = GithubUser { id: old.id + 1, ..old };
        let third = app.exchange_github(successor).await.assert_signed_in();
        assert!(third.created);
        assert_ne!(third.user_id, first.user_id);
        assert_eq!((app.db.count("users"), app.db.count("identities")), (2, 2));
    }
}

#[actix_web::test]
async fn one_login_asks_each_endpoint_once_and_says_who_asks() {
    let app = start_at_one_door().await;
    app.exchange_github(GithubUser::default()).await.assert_signed_in();
    assert_eq!(ENDPOINTS.map(|endpoint| app.mock.requests(endpoint)), [1, 1, 1]);
    let seen = app.mock.seen();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        assert!(
            request.user_agent.as_ref().is_some_and(|agent| agent.starts_with("tokenbooth/")),
            "{request:?}"
        );
        assert_eq!(request.accept.as_deref(), Some("application/vnd.github+json"));
    }
    // Our own credentials go to the check and nowhere else.
    assert_eq!(
        (seen[0].method.as_str(), seen[0].authorization, seen[0].has_query),
        ("POST", Some("basic"), false)
    );
    assert_eq!(seen[0].path, format!("/github/api/applications/{CLIENT_ID}/token"));
    assert!(seen[1..].iter().all(|request| request.authorization == Some("bearer")), "{seen:?}");
}

#[actix_web::test]
async fn a_token_of_a_github_app_signs_in_too() {
    let app = start().await;
    let token = app.mock.github().github_app_token(GithubUser::named("gus"));
    assert!(token.starts_with("ghu_"));
    let signed_in = app.exchange("github", &json!({ "access_token": token })).await.assert_signed_in();
    assert_eq!(signed_in.json["user"]["email"], "gus@example.com");
}

#[actix_web::test]
async fn a_token_of_another_app_is_refused() {
    let app = start().await;
    let token = app.mock.github().foreign_access_token(GithubUser::default());
    let answer = app.exchange("github", &json!({ "access_token": token })).await;
    let detail = answer.assert_problem(401, "audience_mismatch");
    assert!(detail.contains("providers.github.client_id"), "{detail}");
    // Neither does one that nobody gave out, or that was withdrawn, get further than the check.
    let unknown = format!("gho_{}", "A".repeat(36));
    app.exchange("github", &json!({ "access_token": unknown }))
        .await
        .assert_problem(401, "audience_mismatch");
    let token = app.mock.github().access_token(GithubUser::default());
    app.mock.github().revoke(&token);
    app.exchange("github", &json!({ "access_token": token })).await.assert_problem(401, "audience_mismatch");
    assert_eq!(ENDPOINTS.map(|endpoint| app.mock.requests(endpoint)), [3, 0, 0]);
    assert_eq!(app.db.count("users"), 0);
}

#[actix_web::test]
async fn what_is_no_token_of_an_app_is_refused_before_any_request() {
    let app = start().await;
    let good = app.mock.github().access_token(GithubUser::default());
    let word = "A".repeat(36);
    for token in [
        format!("ghp_{word}"),
        format!("github_pat_{word}"),
        format!("ghs_{word}"),
        format!("ghr_{word}"),
        format!("GHO_{word}"),
        format!("gho-{word}"),
        "gho_".to_owned(),
        "ghu_".to_owned(),
        word.clone(),
        "garbage".to_owned(),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\u{0}"),
        format!("{good}\r\nX-Evil: 1"),
        format!("{good}/../.."),
        format!("gho_{}\u{e4}", "A".repeat(35)),
        format!("gho_{}", "A".repeat(252)),
        format!("gho_{}", "A".repeat(10_000)),
        "g".repeat(40),
        app.mock.google().id_token(json!({})),
        app.mock.google().access_token(tokenbooth::mock::Person::default()),
    ] {
        let answer = app.exchange("github", &json!({ "access_token": token })).await;
        let detail = answer.assert_problem(401, "invalid_token");
        assert!(!detail.contains(&word), "the detail repeats the token: {detail}");
        if token.starts_with("ghp_") || token.starts_with("github_pat_") {
            assert!(detail.contains("personal access token"), "{detail}");
        }
    }
    assert_eq!(app.mock.total_requests(), 0);
    // The form before 2021 may still be out there: GitHub is asked.
    let old = "0123456789abcdef0123456789abcdef01234567";
    app.exchange("github", &json!({ "access_token": old })).await.assert_problem(401, "audience_mismatch");
    assert_eq!(app.mock.requests(Endpoint::GithubCheck), 1, "the second endpoint remembers");
}

#[actix_web::test]
async fn somebody_without_a_name_is_called_by_the_login() {
    let app = start().await;
    let nameless = GithubUser { name: None, ..GithubUser::named("nobody") };
    let signed_in = app.exchange_github(nameless).await.assert_signed_in();
    assert_eq!(signed_in.json["user"]["name"], "nobody");
}

#[actix_web::test]
async fn the_primary_address_counts_and_only_when_it_is_verified() {
    let app = start_at_one_door().await;
    let spare = |number: usize| GithubEmail::new(format!("spare{number}@example.com"), false, true);
    let primary = |verified| GithubEmail::new("main@example.com", true, verified);
    let many = |verified| (0..150).map(spare).chain([primary(verified)]).collect::<Vec<_>>();
    for (what, emails, expected) in [
        ("first of several", vec![primary(true), spare(1)], Some("main@example.com")),
        ("last of several", vec![spare(1), spare(2), primary(true)], Some("main@example.com")),
        ("on the second page", many(true), Some("main@example.com")),
        ("unverified beside verified ones", vec![spare(1), primary(false), spare(2)], None),
        ("unverified on the second page", many(false), None),
        ("none primary", vec![spare(1), spare(2)], None),
        ("no address", vec![], None),
    ] {
        let before = app.mock.requests(Endpoint::GithubEmails);
        let number = app.db.count("users").cast_unsigned();
        let user = GithubUser { id: 1000 + number, ..user_with(emails.clone()) };
        let signed_in = app.exchange_github(user).await.assert_signed_in();
        assert_eq!(signed_in.json["user"]["email"].as_str(), expected, "{what}");
        let pages = app.mock.requests(Endpoint::GithubEmails) - before;
        assert_eq!(pages, if emails.len() > 100 { 2 } else { 1 }, "{what}");
    }
}

#[actix_web::test]
async fn the_public_address_of_a_profile_is_not_taken() {
    let app = start().await;
    let user = GithubUser { email: Some("public@example.com".into()), ..user_with(vec![]) };
    let signed_in = app.exchange_github(user).await.assert_signed_in();
    assert_eq!(signed_in.json["user"]["email"], Value::Null);
}

#[actix_web::test]
async fn a_token_that_may_not_see_addresses_signs_in_without_one() {
    let app = start().await;
    // An OAuth app without the scope is told 404, a GitHub App without the permission 403.
    let no_scope = GithubGrant { scopes: vec!["read:user".into()], ..GithubUser::named("a").into() };
    let no_permission =
        GithubGrant { app: GithubApp::Github, may_read_emails: false, ..GithubUser::named("b").into() };
    for grant in [no_scope, no_permission] {
        let login = grant.user.login.clone();
        let signed_in = app.exchange_github(grant).await.assert_signed_in();
        assert_eq!(signed_in.json["user"]["email"], Value::Null);
        // And keeps the address that an earlier token told.
        let full = app.exchange_github(GithubUser::named(&login)).await.assert_signed_in();
        assert_eq!(full.json["user"]["email"], format!("{login}@example.com"));
        let narrow = GithubGrant { scopes: vec![], ..GithubUser::named(&login).into() };
        let signed_in = app.exchange_github(narrow).await.assert_signed_in();
        assert_eq!(signed_in.json["user"]["email"], format!("{login}@example.com"));
    }
}

#[actix_web::test]
async fn rate_limits_are_the_providers_trouble_at_every_endpoint() {
    let app = start().await;
    for endpoint in ENDPOINTS {
        for (fault, retry_after) in [
            (Fault::RateLimited403, None),
            (Fault::RateLimited429 { retry_after: None }, None),
            (Fault::RateLimited429 { retry_after: Some(17) }, Some(17)),
            (Fault::RateLimited429 { retry_after: Some(0) }, Some(1)),
            // Nobody is sent away for a day.
            (Fault::RateLimited429 { retry_after: Some(86_400) }, Some(300)),
            (Fault::LockedOut, None),
            (Fault::Status(422), None),
        ] {
            let what = format!("{endpoint:?} {fault:?}");
            app.mock.set_fault(endpoint, fault.clone());
            let answer = app.exchange_github(GithubUser::default()).await;
            let told = assert_asked_to_wait(&answer, &what);
            assert!(retry_after.is_none_or(|expected| expected == told), "{what}: {told}");
            // GitHub says when its primary limit ends: a minute from now, at the mock.
            let at_reset = !matches!(fault, Fault::RateLimited403) || (45..=75).contains(&told);
            assert!(at_reset, "{what}: {told}");
            app.mock.clear_faults();
        }
    }
    assert_eq!(app.db.count("users"), 0);
    app.exchange_github(GithubUser::default()).await.assert_signed_in();
}

#[actix_web::test]
async fn who_is_locked_out_by_others_bad_tokens_is_not_called_a_liar() {
    let app = start().await;
    app.mock.github().lock_out_after(Some(0));
    let answer = app.exchange_github(GithubUser::default()).await;
    assert_asked_to_wait(&answer, "locked out");
    app.mock.github().lock_out_after(None);
    app.exchange_github(GithubUser::default()).await.assert_signed_in();
}

#[actix_web::test]
async fn bad_tokens_do_not_lock_us_out() {
    let app = start().await;
    app.mock.github().lock_out_after(Some(3));
    for number in 0..10 {
        let unknown = format!("gho_{number}{}", "A".repeat(35));
        app.exchange("github", &json!({ "access_token": unknown }))
            .await
            .assert_problem(401, "audience_mismatch");
    }
    app.exchange_github(GithubUser::default()).await.assert_signed_in();
}

#[actix_web::test]
async fn our_own_wrong_credentials_are_our_trouble_and_name_the_setting() {
    for (key, wrong) in [
        ("providers.github.client_secret", "not-the-secret-0123456789"),
        ("providers.github.client_id", "Iv1.wrong00000000000"),
    ] {
        let app = TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with(key, wrong)).await;
        let answer = app.exchange_github(GithubUser::default()).await;
        assert_eq!(answer.status, 502, "{}", answer.text);
        answer.assert_provider_unavailable();
        let detail = answer.assert_problem(502, "provider_unavailable");
        assert!(detail.contains("providers.github.client_id and client_secret"), "{detail}");
        assert!(!answer.text.contains(wrong), "{}", answer.text);
    }
}

#[actix_web::test]
async fn a_token_withdrawn_after_the_check_is_refused() {
    let app = start().await;
    for endpoint in [Endpoint::GithubUser, Endpoint::GithubEmails] {
        app.mock.set_fault(endpoint, Fault::Status(401));
        app.exchange_github(GithubUser::default()).await.assert_problem(401, "invalid_token");
        app.mock.clear_faults();
    }
    assert_eq!(app.db.count("users"), 0);
}

/// A GitHub whose answers are given word by word: for what the real one never says.
fn github_that_says(check: Value, user: Value) -> String {
    let server = HttpServer::new(move || {
        let (check, user) = (check.clone(), user.clone());
        App::new()
            .route(
                "/applications/{id}/token",
                web::post().to(move || std::future::ready(HttpResponse::Ok().json(&check))),
            )
            .route("/user", web::get().to(move || std::future::ready(HttpResponse::Ok().json(&user))))
            .route("/user/emails", web::get().to(|| std::future::ready(HttpResponse::Ok().json(json!([])))))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .expect("a free port");
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    url
}

#[actix_web::test]
async fn answers_that_do_not_fit_together_are_no_login() {
    let app_of = |client_id: &str| json!({ "client_id": client_id });
    let user = json!({ "id": 1, "login": "alice" });
    for (what, check, user, status, code) in [
        ("all fits", json!({ "app": app_of(CLIENT_ID), "user": user }), user.clone(), 200, ""),
        (
            "two people",
            json!({ "app": app_of(CLIENT_ID), "user": user }),
            json!({ "id": 2, "login": "alice" }),
            401,
            "invalid_token",
        ),
        (
            "another app",
            json!({ "app": app_of("Iv1.other"), "user": user }),
            user.clone(),
            401,
            "audience_mismatch",
        ),
        ("no user", json!({ "app": app_of(CLIENT_ID), "user": null }), user.clone(), 401, "invalid_token"),
        ("no app", json!({ "user": user }), user.clone(), 502, "provider_unavailable"),
        (
            "the id as text",
            json!({ "app": app_of(CLIENT_ID), "user": user }),
            json!({ "id": "1", "login": "alice" }),
            502,
            "provider_unavailable",
        ),
        (
            "a negative id",
            json!({ "app": app_of(CLIENT_ID), "user": { "id": -1 } }),
            user.clone(),
            502,
            "provider_unavailable",
        ),
    ] {
        let url = github_that_says(check, user);
        let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
            sources.with("providers.github.api_url", url)
        })
        .await;
        let answer = app.exchange_github(GithubUser::default()).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str().unwrap_or_default()),
            (status, code),
            "{what}"
        );
        assert_eq!(app.db.count("users"), i64::from(status == 200), "{what}");
    }
}
