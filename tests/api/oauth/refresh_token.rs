//! `grant_type=refresh_token`: the rules of `POST /auth/refresh` (`sessions.rs`), and one family for both doors.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

async fn refresh(app: &TestApp, refresh_token: &str) -> Answer {
    app.post_form("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

#[track_caller]
fn next(answer: &Answer) -> String {
    answer.assert_signed_in().refresh_token().to_owned()
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    let told = answer.assert_oauth_refusal(400, "invalid_grant");
    assert!(told.starts_with("invalid_refresh_token: ") && !told.contains("tbr_"), "{told}");
}

on_both_databases! {
    async fn a_refresh_token_brings_the_next_at_either_door(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let mut token = alice.refresh_token().to_owned();
        for round in 0..4 {
            let answer = if round % 2 == 0 { refresh(&app, &token).await } else { app.refresh(&token).await };
            let signed_in = answer.assert_signed_in();
            assert_eq!((answer.header("cache-control"), &signed_in.user_id), ("no-store", &alice.user_id));
            assert_eq!(app.me(&signed_in.jwt).await.status, 200);
            assert_ne!(next(&answer), token);
            token = next(&answer);
        }
        assert_eq!(app.db.count("sessions"), 1);
    }

    async fn a_repeat_within_the_grace_gets_the_same_successor_at_the_other_door(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = app.sign_in_offline(Person::named("alice")).await;
        let second = next(&app.refresh(first.refresh_token()).await);
        assert_eq!(next(&refresh(&app, first.refresh_token()).await), second);
        let third = next(&refresh(&app, &second).await);
        assert_eq!(next(&app.refresh(&second).await), third);
        // Its successor was used: whoever still has the first one is late, at this door too.
        assert_refused(&refresh(&app, first.refresh_token()).await);
        assert_refused(&refresh(&app, &third).await);
        app.refresh(&third).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(app.db.count("sessions"), 0);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'refresh.reused'"), 1);
    }

    async fn a_hundred_at_both_doors_at_once_make_one_family(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for _ in 0..2 {
            let alice = app.sign_in_offline(Person::named("alice")).await;
            let (app, token) = (&app, alice.refresh_token());
            let answers = join_all((0..100).map(|number| async move {
                if number % 2 == 0 { refresh(app, token).await } else { app.refresh(token).await }
            }))
            .await;
            let successors: HashSet<String> = answers.iter().map(next).collect();
            assert_eq!(successors.len(), 1, "one successor");
            let successor = successors.into_iter().next().expect("one");
            next(&refresh(app, &successor).await);
            assert_eq!(app.send_as("POST", "/auth/logout-all", &alice.jwt, &Value::Null).await.status, 204);
        }
        assert_eq!(app.db.count("sessions"), 0);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'refresh.reused'"), 0);
    }

    async fn a_hundred_at_both_doors_without_grace_leave_nothing_good(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("refresh.grace", "0s")).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let (app, token) = (&app, alice.refresh_token());
        let answers = join_all((0..100).map(|number| async move {
            if number % 2 == 0 { refresh(app, token).await } else { app.refresh(token).await }
        }))
        .await;
        let good: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(good.len(), 1);
        assert_refused(&refresh(app, &next(good[0])).await);
        assert_eq!(app.db.count("sessions"), 0);
    }

    async fn what_ends_sessions_ends_them_here(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let person = || Person::named("alice");
        let loses: [(&str, Value); 2] = [("/auth/logout-all", Value::Null), ("/auth/logout", json!({}))];
        for (path, _) in loses {
            let alice = app.sign_in_offline(person()).await;
            let body = if path == "/auth/logout" { json!({ "refresh_token": alice.refresh_token() }) } else { Value::Null };
            assert_eq!(app.send_as("POST", path, &alice.jwt, &body).await.status, 204);
            assert_refused(&refresh(&app, alice.refresh_token()).await);
        }
        let alice = app.sign_in_offline(person()).await;
        app.db.execute("UPDATE users SET disabled = TRUE");
        assert_refused(&refresh(&app, alice.refresh_token()).await);
        app.db.execute("UPDATE users SET disabled = FALSE");
        let alice = app.sign_in_offline(person()).await;
        app.clock.advance(31 * 24 * 60 * 60);
        assert_refused(&refresh(&app, alice.refresh_token()).await);
        assert_eq!(app.db.count("sessions"), 0);
    }
}

#[actix_web::test]
async fn what_is_no_refresh_token_is_refused() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let alice = app.sign_in_offline(Person::named("alice")).await;
    let token = alice.refresh_token();
    for odd in [&token[1..], &token[..token.len() - 1], &format!("{token} "), "x", "tbr_", "\0", &alice.jwt] {
        assert_refused(&refresh(&app, odd).await);
    }
    for form in
        [&[("grant_type", "refresh_token")][..], &[("grant_type", "refresh_token"), ("refresh_token", "")]]
    {
        let answer = app.post_form("/oauth/token", form).await;
        assert!(answer.assert_oauth_refusal(400, "invalid_request").contains("refresh_token is missing"));
    }
    let twice = [("grant_type", "refresh_token"), ("refresh_token", token), ("refresh_token", token)];
    app.post_form("/oauth/token", &twice).await.assert_oauth_refusal(400, "invalid_request");
    // None of it spent the good one.
    next(&refresh(&app, token).await);
}

#[actix_web::test]
async fn with_refresh_tokens_off_none_is_given_and_none_is_taken() {
    let db = TestDatabase::sqlite();
    let app = TestApp::start_with(db, |sources| sources.with("refresh.enabled", "false")).await;
    let id_token = app.mock.google().id_token(json!({}));
    let kind = crate::support::both_doors::ID_TOKEN;
    let answer = app.token_exchange("google", kind, &id_token, &[("scope", "offline_access")]).await;
    assert_eq!((answer.status, answer.json.get("refresh_token")), (200, None), "{}", answer.text);
    assert_refused(&refresh(&app, "tbr_x").await);
}

#[actix_web::test]
async fn an_account_has_one_limit_at_both_doors() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources
            .with("rate_limit.enabled", "true")
            .with("rate_limit.account_burst", "3")
            .with("rate_limit.account_per_minute", "1")
    })
    .await;
    let alice = app.sign_in_offline(Person::named("alice")).await;
    let mut token = alice.refresh_token().to_owned();
    for _ in 0..3 {
        token = next(&refresh(&app, &token).await);
    }
    app.refresh(&token).await.assert_problem(429, "rate_limited");
    refresh(&app, &token).await.assert_oauth_refusal(429, "temporarily_unavailable");
}
