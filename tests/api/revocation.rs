//! `POST /oauth/revoke` (RFC 7009): whoever has a refresh token may end it.

use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

const PATH: &str = "/oauth/revoke";

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(answer.header("cache-control"), "no-store");
}

on_both_databases! {
    async fn a_refresh_token_ends_with_its_whole_session_and_no_other(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (phone, laptop) = (app.sign_in_offline(Person::named("ada")).await, app.sign_in_offline(Person::named("ada")).await);
        let first = phone.refresh_token().to_owned();
        let next = app.refresh(&first).await;
        let next = next.json["refresh_token"].as_str().expect("a token").to_owned();
        // Whichever of the family it is.
        assert_done(&app.post_form(PATH, &[("token", &first)]).await);
        for token in [&first, &next] {
            app.refresh(token).await.assert_problem(401, "invalid_refresh_token");
        }
        assert_eq!(app.refresh(laptop.refresh_token()).await.status, 200);
        app.me(&phone.jwt).await.assert_problem(401, "invalid_token");
        assert_eq!(app.me(&laptop.jwt).await.status, 200);
        // Again is as good, and is no reuse.
        assert_done(&app.post_form(PATH, &[("token", &first)]).await);
        let of_kind = |kind: &str| app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE kind = '{kind}'"));
        assert_eq!((of_kind("session.ended"), of_kind("refresh.reused")), (1, 0));
    }

    async fn an_access_token_ends_its_session_on_every_replica(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.replica().await;
        let phone = app.sign_in_offline(Person::named("ada")).await;
        let laptop = app.sign_in_offline(Person::named("ada")).await;
        assert_done(&app.post_form(PATH, &[("token", &phone.jwt), ("token_type_hint", "access_token")]).await);
        for replica in [&app, &other] {
            replica.me(&phone.jwt).await.assert_problem(401, "invalid_token");
            replica.refresh(phone.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
            assert_eq!(replica.me(&laptop.jwt).await.status, 200);
        }
        // Again is as good.
        assert_done(&other.post_form(PATH, &[("token", &phone.jwt)]).await);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'session.ended'"), 1);
    }

    async fn an_access_token_without_a_session_cannot_be_ended_alone(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ada = app.sign_in(Person::named("ada")).await;
        let service = app.create_client("Reports", "read");
        for token in [&ada.jwt, &app.client_token(&service).await] {
            for hint in [None, Some("access_token"), Some("refresh_token"), Some("x")] {
                let mut form = vec![("token", token.as_str())];
                form.extend(hint.map(|hint| ("token_type_hint", hint)));
                let answer = app.post_form(PATH, &form).await;
                answer.assert_oauth_refusal(400, "unsupported_token_type");
                assert!(!answer.text.contains(&token[..20]));
            }
        }
        assert_eq!(app.me(&ada.jwt).await.status, 200);
    }

    async fn the_hint_is_a_hint(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for hint in ["refresh_token", "access_token", "urn:made:up", ""] {
            let ada = app.sign_in_offline(Person::named("ada")).await;
            assert_done(&app.post_form(PATH, &[("token", ada.refresh_token()), ("token_type_hint", hint)]).await);
            app.refresh(ada.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        }
    }

    async fn a_text_that_is_no_token_of_ours_is_as_good_as_gone(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ada = app.sign_in_offline(Person::named("ada")).await;
        let token = ada.refresh_token();
        let changed = format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { "B" } else { "A" });
        let expired = app.sign_in(Person::named("bob")).await.jwt;
        let google = app.mock.google().id_token(Person::default().claims());
        app.clock.advance(1800);
        let long = "x".repeat(60_000);
        for text in [changed.as_str(), "x", "tbr_", "\0", "%", "é", "' OR 1=1 --", &expired, &google, &long, &ada.user_id] {
            let answer = app.post_form(PATH, &[("token", text)]).await;
            assert_done(&answer);
        }
        assert_eq!(app.refresh(token).await.status, 200);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'session.ended'"), 0);
    }

    async fn a_client_that_says_who_it_is_has_to_prove_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let service = app.create_client("Reports", "");
        let ada = app.sign_in_offline(Person::named("ada")).await;
        let mut thief = service.clone();
        thief.secret = app.create_client("Other", "").secret;
        let form = [("token", ada.refresh_token())];
        let answer = app.post_form_as(PATH, &thief, &form).await;
        answer.assert_oauth_refusal(401, "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic realm=\"tokenbooth\""));
        assert_eq!(app.db.count("sessions"), 1);
        assert_done(&app.post_form_as(PATH, &service, &form).await);
        assert_eq!(app.db.count("sessions"), 0);
    }
}

#[actix_web::test]
async fn a_request_is_a_form_with_a_token_once() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let ada = app.sign_in_offline(Person::named("ada")).await;
    let token = ada.refresh_token();
    let forms: [&[(&str, &str)]; 4] =
        [&[], &[("token", "")], &[("refresh_token", token)], &[("token", token), ("token", token)]];
    for form in forms {
        app.post_form(PATH, form).await.assert_oauth_refusal(400, "invalid_request");
    }
    app.post(PATH, &serde_json::json!({ "token": token })).await.assert_oauth_refusal(400, "invalid_request");
    let in_query = app.http.post(format!("{}{PATH}?token={token}", app.base));
    let in_query = in_query.header("content-type", "application/x-www-form-urlencoded");
    let answer = Answer::of(in_query.send().await.expect("an answer")).await;
    answer.assert_oauth_refusal(400, "invalid_request");
    let large = app.post_form(PATH, &[("token", &"x".repeat(70_000))]).await;
    large.assert_oauth_refusal(413, "invalid_request");
    app.get(PATH).await.assert_oauth_refusal(405, "invalid_request");
    assert_eq!(app.refresh(token).await.status, 200);
}
