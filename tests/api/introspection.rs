//! `POST /oauth/introspect` (RFC 7662): what a token is, told to services, and nothing of what is not good.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};
use tokenbooth::token::CodeChallenge;

use crate::databases::TestDatabase;
use crate::support::browser::Browser;
use crate::support::oauth::Service;
use crate::support::{Answer, TestApp};

const PATH: &str = "/oauth/introspect";

async fn ask(app: &TestApp, service: &Service, token: &str) -> Answer {
    let answer = app.post_form_as(PATH, service, &[("token", token)]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    answer
}

/// Asserts that nothing is said of the token.
async fn assert_inactive(app: &TestApp, service: &Service, what: &str, token: &str) {
    assert_eq!(ask(app, service, token).await.text, "{\"active\":false}", "{what}");
}

async fn assert_active(app: &TestApp, service: &Service, token: &str) -> Value {
    let answer = ask(app, service, token).await;
    assert_eq!(answer.json["active"], true, "{}", answer.text);
    answer.json
}

fn names(answer: &Value) -> BTreeSet<&str> {
    answer.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn number(answer: &Value, name: &str) -> i64 {
    answer[name].as_i64().expect("an integer")
}

on_both_databases! {
    async fn an_access_token_says_what_is_in_it(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("token.issuer", "https://auth.mail.com").with("token.audience", "the-api")
        })
        .await;
        let service = app.create_client("Orders", "introspect.refresh");
        for ada in [app.sign_in(Person::named("ada")).await, app.sign_in_offline(Person::named("ada")).await] {
            let told = assert_active(&app, &service, &ada.jwt).await;
            assert_eq!(
                names(&told),
                BTreeSet::from(["active", "aud", "exp", "iat", "iss", "jti", "sub", "token_type"])
            );
            assert_eq!(
                (&told["sub"], &told["iss"], &told["aud"], &told["token_type"]),
                (&json!(ada.user_id), &json!("https://auth.mail.com"), &json!("the-api"), &json!("Bearer"))
            );
            assert_eq!(number(&told, "exp") - number(&told, "iat"), 1800);
            assert!(told["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
        }
        let reports = app.create_client("Reports", "orders.read orders.write");
        let told = assert_active(&app, &service, &app.client_token(&reports).await).await;
        assert_eq!(
            names(&told),
            BTreeSet::from(["active", "aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "token_type"])
        );
        assert_eq!(
            (&told["sub"], &told["client_id"], &told["scope"]),
            (&json!(format!("client:{}", reports.id)), &json!(reports.id), &json!("orders.read orders.write"))
        );
    }

    async fn a_refresh_token_is_active_as_long_as_it_would_be_exchanged(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("refresh.idle_ttl", "10d").with("refresh.absolute_ttl", "15d")
        })
        .await;
        let service = app.create_client("Orders", "introspect.refresh");
        let ada = app.sign_in_offline(Person::named("ada")).await;
        let first = ada.refresh_token().to_owned();
        let told = assert_active(&app, &service, &first).await;
        assert_eq!(names(&told), BTreeSet::from(["active", "exp", "sub", "token_type"]));
        assert_eq!((&told["sub"], &told["token_type"]), (&json!(ada.user_id), &json!("refresh_token")));
        let signed_in_at = number(&told, "exp") - 10 * 86_400;
        // To look at it is not to use it, however often.
        for _ in 0..3 {
            assert_eq!(assert_active(&app, &service, &first).await, told);
        }
        // Used five days later: the end moves, but not past the last.
        app.clock.advance(5 * 86_400 + 60);
        let next = app.refresh(&first).await.json["refresh_token"].as_str().expect("a token").to_owned();
        let told = assert_active(&app, &service, &next).await;
        assert_eq!(number(&told, "exp"), signed_in_at + 15 * 86_400);
        // The one before is as good for a moment, as it is at /auth/refresh, and then it is not; asking ends nothing.
        assert_active(&app, &service, &first).await;
        app.clock.advance(11);
        for _ in 0..3 {
            assert_inactive(&app, &service, "used", &first).await;
        }
        let last = app.refresh(&next).await.json["refresh_token"].as_str().expect("a token").to_owned();
        assert_inactive(&app, &service, "used, and its successor too", &first).await;
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'refresh.reused'"), 0);
        // To the second of its end.
        let ends = number(&assert_active(&app, &service, &last).await, "exp");
        let now = app.db.number("SELECT last_used_at AS number FROM sessions");
        app.clock.advance(ends - now - 5);
        assert_active(&app, &service, &last).await;
        app.clock.advance(5);
        assert_inactive(&app, &service, "old", &last).await;
        app.refresh(&last).await.assert_problem(401, "invalid_refresh_token");
    }

    async fn whoever_is_out_has_no_active_token_at_the_next_question(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("admin.emails", "google:ada@example.com")).await;
        let service = app.create_client("Orders", "introspect.refresh");
        let ada = app.sign_in(Person::named("ada")).await;
        for how in ["disabled", "deleted", "revoked", "logged out everywhere"] {
            let bob = app.sign_in_offline(Person::named("bob")).await;
            for token in [bob.jwt.as_str(), bob.refresh_token()] {
                assert_active(&app, &service, token).await;
            }
            let path = format!("/api/admin/users/{}", bob.user_id);
            let done = match how {
                "disabled" => app.send_as("PATCH", &path, &ada.jwt, &json!({ "disabled": true })).await,
                "deleted" => app.send_as("DELETE", &path, &ada.jwt, &Value::Null).await,
                "revoked" => app.send_as("POST", &format!("{path}/revoke-tokens"), &ada.jwt, &Value::Null).await,
                _ => app.send_as("POST", "/auth/logout-all", &bob.jwt, &Value::Null).await,
            };
            assert!(done.status < 300, "{}", done.text);
            for token in [bob.jwt.as_str(), bob.refresh_token()] {
                assert_inactive(&app, &service, how, token).await;
            }
            if how == "disabled" {
                app.send_as("PATCH", &path, &ada.jwt, &json!({ "disabled": false })).await;
                assert_inactive(&app, &service, "enabled again", &bob.jwt).await;
            }
        }
        // A family of an earlier token_version, wherever it was left.
        let bob = app.sign_in_offline(Person::named("bob")).await;
        app.db.execute(&format!("UPDATE users SET token_version = token_version + 1 WHERE id = '{}'", bob.user_id));
        assert_inactive(&app, &service, "moved on", bob.refresh_token()).await;
        let reports = app.create_client("Reports", "read");
        let token = app.client_token(&reports).await;
        assert_active(&app, &service, &token).await;
        app.disable_client(&reports);
        assert_inactive(&app, &service, "a disabled client's", &token).await;
        app.db.execute(&format!("DELETE FROM clients WHERE id = '{}'", reports.id));
        assert_inactive(&app, &service, "no client's", &token).await;
        app.clock.advance(1800);
        assert_inactive(&app, &service, "expired", &ada.jwt).await;
    }

    async fn only_a_client_may_ask_and_is_asked_first(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (service, disabled) = (app.create_client("Orders", "introspect.refresh"), app.create_client("Old", ""));
        app.disable_client(&disabled);
        let wrong = Service { id: service.id.clone(), secret: disabled.secret.clone() };
        let ada = app.sign_in_offline(Person::named("ada")).await;
        for token in [ada.jwt.as_str(), ada.refresh_token(), "x", ""] {
            let form: &[_] = if token.is_empty() { &[] } else { &[("token", token)] };
            for nobody in [&disabled, &wrong] {
                let answer = app.post_form_as(PATH, nobody, form).await;
                answer.assert_oauth_refusal(401, "invalid_client");
                assert!(answer.header("www-authenticate").starts_with("Basic realm=\"tokenbooth\""));
                let form = [form, &[("client_id", &nobody.id), ("client_secret", &nobody.secret)]].concat();
                app.post_form(PATH, &form).await.assert_oauth_refusal(401, "invalid_client");
            }
            app.post_form(PATH, form).await.assert_oauth_refusal(401, "invalid_client");
            app.post_form(PATH, &[form, &[("client_id", &service.id)]].concat()).await.assert_oauth_refusal(401, "invalid_client");
            // The token of a user, or of a client, is no proof of a client.
            for bearer in [&ada.jwt, &app.client_token(&service).await] {
                let request = app.http.post(format!("{}{PATH}", app.base)).bearer_auth(bearer).form(form);
                let answer = Answer::of(request.send().await.expect("an answer")).await;
                answer.assert_oauth_refusal(401, "invalid_client");
            }
        }
        let form = [("token", ada.jwt.as_str()), ("client_id", &service.id), ("client_secret", &service.secret)];
        assert_eq!(app.post_form(PATH, &form).await.json["active"], true);
        let forms: [&[(&str, &str)]; 4] = [&[], &[("token", "")], &[("token", "x"), ("token", "x")], &[("access_token", &ada.jwt)]];
        for form in forms {
            app.post_form_as(PATH, &service, form).await.assert_oauth_refusal(400, "invalid_request");
        }
        let request = app.http.post(format!("{}{PATH}", app.base)).basic_auth(&service.id, Some(&service.secret));
        let answer = Answer::of(request.json(&json!({ "token": ada.jwt })).send().await.expect("an answer")).await;
        answer.assert_oauth_refusal(400, "invalid_request");
        app.get(PATH).await.assert_oauth_refusal(405, "invalid_request");
    }

    async fn each_kind_of_token_is_good_at_its_own_doors_only(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("sign_in.redirect_uris", "com.mail.app:/callback")).await;
        app.warm().await;
        let service = app.create_client("Orders", "orders.read introspect.refresh");
        let ada = app.sign_in_offline(Person::named("ada")).await;
        let mut browser = Browser::at(&app);
        let challenge = CodeChallenge::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let challenge = format!("state=s&code_challenge={}&code_challenge_method=S256", challenge.as_str());
        let login = format!("/auth/google/login?redirect_to=com.mail.app:/callback&{challenge}");
        let back = browser.authorize(&login, "ada").await;
        let attempt = browser.attempts().pop().expect("an attempt");
        let attempt = browser.cookie(&attempt).expect("its cookie").to_owned();
        let provider_code = back.split_once("code=").expect("a code").1.split('&').next().expect("a code").to_owned();
        let state = back.split_once("state=").expect("a state").1.split('&').next().expect("a state").to_owned();
        let answer = browser.visit(&back).await;
        let code = answer.header("location").split_once("code=").expect("a code").1.split('&').next().expect("a code").to_owned();
        browser.sign_in("google", "alice").await;
        let cookie = |name: &str| browser.cookie(name).expect("a cookie").to_owned();
        for _ in 0..2 {
            app.sign_in_offline(Person::named("ada")).await;
        }
        let page = app.get_as("/api/me/sessions?limit=1", &ada.jwt).await;
        let cursor = page.json["next"].as_str().expect("a cursor").to_owned();
        let google = app.mock.google();
        let texts = [
            ("Google's ID token", google.id_token(Person::named("ada").claims())),
            ("Google's access token", google.access_token(Person::named("ada"))),
            ("Google's code", provider_code),
            ("GitHub's access token", app.mock.github().access_token(GithubUser::default())),
            ("acme's ID token", app.mock.oidc().id_token(json!({}))),
            ("our one-time code", code),
            ("a sign-in under way", attempt),
            ("its state", state),
            ("a CSRF cookie", cookie("__Host-tokenbooth_csrf")),
            ("a cursor", cursor),
            ("a client's id", service.id.clone()),
            ("a client's secret", service.secret.clone()),
            ("a subject", format!("client:{}", service.id)),
            ("a user's id", ada.user_id.clone()),
            ("nothing much", " ".to_owned()),
            ("active", "{\"active\":true}".to_owned()),
        ];
        for (what, text) in &texts {
            assert_inactive(&app, &service, what, text).await;
            if !text.trim().is_empty() {
                for path in ["/api/me", "/auth/verify", "/auth/verify/client"] {
                    app.get_as(path, text).await.assert_problem(401, "invalid_token");
                }
            }
            assert_eq!(app.post_form("/oauth/revoke", &[("token", text)]).await.status, 200, "{what}");
        }
        // A refresh token is known here and is no bearer token; a client's token is no user's.
        let in_cookie = cookie("__Secure-tokenbooth_refresh");
        for token in [ada.refresh_token(), &in_cookie] {
            assert_eq!(assert_active(&app, &service, token).await["token_type"], "refresh_token");
            for path in ["/api/me", "/auth/verify"] {
                app.get_as(path, token).await.assert_problem(401, "invalid_token");
            }
        }
        assert_eq!(assert_active(&app, &service, &cookie("__Host-tokenbooth_session")).await["token_type"], "Bearer");
        let clients = app.client_token(&service).await;
        app.me(&clients).await.assert_problem(401, "invalid_token");
        assert_eq!(app.get_as("/auth/verify", &clients).await.status, 200);
        app.refresh(&clients).await.assert_problem(401, "invalid_refresh_token");
        let request = app.http.get(format!("{}/auth/verify", app.base)).header("cookie", format!("__Host-tokenbooth_session={clients}"));
        Answer::of(request.send().await.expect("an answer")).await.assert_problem(401, "invalid_token");
    }
}

#[actix_web::test]
async fn the_hint_is_a_hint() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let service = app.create_client("Orders", "introspect.refresh");
    let ada = app.sign_in_offline(Person::named("ada")).await;
    for token in [ada.jwt.as_str(), ada.refresh_token()] {
        let told = assert_active(&app, &service, token).await;
        for hint in ["access_token", "refresh_token", "id_token", "x", ""] {
            let form = [("token", token), ("token_type_hint", hint)];
            assert_eq!(app.post_form_as(PATH, &service, &form).await.json, told, "{hint}");
        }
    }
}

#[actix_web::test]
async fn without_refresh_tokens_none_is_active() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let ada = app.sign_in_offline(Person::named("ada")).await;
    let service = app.create_client("Orders", "introspect.refresh");
    assert_active(&app, &service, ada.refresh_token()).await;
    let other = app.replica_with(|sources| sources.with("refresh.enabled", "false")).await;
    assert_inactive(&other, &service, "switched off", ada.refresh_token()).await;
}

#[actix_web::test]
async fn that_the_database_is_away_is_not_that_a_token_is_bad() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let service = app.create_client("Orders", "introspect.refresh");
    let ada = app.sign_in_offline(Person::named("ada")).await;
    for (table, token) in [("users", ada.jwt.as_str()), ("sessions", ada.refresh_token())] {
        app.db.execute(&format!("ALTER TABLE {table} RENAME TO gone"));
        let answer = app.post_form_as(PATH, &service, &[("token", token)]).await;
        answer.assert_oauth_refusal(503, "temporarily_unavailable");
        assert!(!answer.header("retry-after").is_empty());
        app.db.execute(&format!("ALTER TABLE gone RENAME TO {table}"));
        assert_active(&app, &service, token).await;
    }
}

#[actix_web::test]
async fn questions_are_limited_by_address() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources
            .with("rate_limit.enabled", "true")
            .with("rate_limit.address_burst", "3")
            .with("rate_limit.address_per_minute", "1")
    })
    .await;
    let statuses = join_all((0..6).map(|_| app.post_form(PATH, &[("token", "x")]))).await;
    let limited: Vec<_> = statuses.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!((limited.len(), statuses.len()), (3, 6));
    for answer in limited {
        answer.assert_oauth_refusal(429, "temporarily_unavailable");
        assert!(!answer.header("retry-after").is_empty());
    }
    app.post_form("/oauth/revoke", &[("token", "x")])
        .await
        .assert_oauth_refusal(429, "temporarily_unavailable");
}
