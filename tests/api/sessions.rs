//! Refresh tokens and the sessions they make: `/auth/refresh`, `/auth/logout`, `/auth/logout-all`, `/api/me/sessions`.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::{GithubUser, Person};
use tokenbooth::settings::Sources;
use uuid::Uuid;

use crate::databases::TestDatabase;
use crate::support::{Answer, SignedIn, TestApp};

const DAY: i64 = 24 * 60 * 60;

/// The next pair of tokens.
#[track_caller]
fn refreshed(answer: &Answer) -> SignedIn {
    answer.assert_signed_in()
}

async fn sessions(app: &TestApp, jwt: &str) -> Vec<Value> {
    let answer = app.get_as("/api/me/sessions", jwt).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["items"].as_array().expect("items").clone()
}

async fn refused(app: &TestApp, refresh_token: &str) {
    app.refresh(refresh_token).await.assert_problem(401, "invalid_refresh_token");
}

/// How often reuse was noticed.
fn reused(app: &TestApp) -> i64 {
    app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'refresh.reused'")
}

on_both_databases! {
    async fn only_who_asks_gets_a_refresh_token_and_only_then_something_is_stored(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for scope in [json!(null), json!(""), json!("openid email"), json!("offline_access_please"), json!("Offline_Access")] {
            let id_token = app.mock.google().id_token(json!({}));
            let answer = app.exchange("google", &json!({ "id_token": id_token, "scope": scope })).await;
            assert!(answer.assert_signed_in().json.get("refresh_token").is_none(), "{}", answer.text);
        }
        assert_eq!(app.db.count("sessions"), 0);
        let id_token = app.mock.google().id_token(json!({}));
        let asked = app.exchange("google", &json!({ "id_token": id_token, "scope": "openid offline_access x" })).await;
        assert!(asked.assert_signed_in().refresh_token().len() > 43, "{}", asked.text);
        assert_eq!(asked.header("cache-control"), "no-store");
        assert_eq!(app.db.count("sessions"), 1);
        // As a form, and at any provider.
        let form = [("access_token", app.mock.github().access_token(GithubUser::named("alice"))), ("scope", "offline_access".into())];
        let answer = app.http.post(format!("{}/auth/github", app.base)).form(&form).send().await.expect("an answer");
        Answer::of(answer).await.assert_signed_in().refresh_token();
        let twice = app.exchange("google", &json!({ "id_token": "x", "scope": 1 })).await;
        twice.assert_problem(400, "invalid_request");
    }

    async fn a_refresh_token_is_good_once_and_brings_the_next(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let mut token = alice.refresh_token().to_owned();
        let mut seen = HashSet::from([token.clone()]);
        for _ in 0..5 {
            // A week each: what counts is the last use.
            app.clock.advance(7 * DAY);
            let next = refreshed(&app.refresh(&token).await);
            assert_eq!((next.created, &next.user_id), (false, &alice.user_id));
            let members: Vec<&str> = next.json.as_object().expect("an object").keys().map(String::as_str).collect();
            assert_eq!(members, ["access_token", "created", "expires_in", "refresh_token", "token_type", "user"]);
            assert_eq!(app.me(&next.jwt).await.status, 200);
            token = next.refresh_token().to_owned();
            assert!(seen.insert(token.clone()), "each is new");
        }
        assert_eq!(app.db.count("sessions"), 1);
    }

    async fn reuse_ends_the_session_for_thief_and_owner_alike(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let other_device = app.sign_in_offline(Person::named("alice")).await;
        let second = refreshed(&app.refresh(alice.refresh_token()).await);
        let third = refreshed(&app.refresh(second.refresh_token()).await);
        app.clock.advance(11);
        refused(&app, alice.refresh_token()).await;
        refused(&app, third.refresh_token()).await;
        refused(&app, alice.refresh_token()).await;
        assert_eq!(reused(&app), 1);
        // The other device has nothing to do with it.
        refreshed(&app.refresh(other_device.refresh_token()).await);
        // Of the audit trail: whose it was, and no token.
        let about = format!("SELECT COUNT(*) AS number FROM events WHERE kind = 'refresh.reused' AND user_id = '{}' AND detail NOT LIKE '%tbr_%'", alice.user_id);
        assert_eq!(app.db.number(&about), 1);
    }

    async fn a_token_long_gone_is_still_known_as_reused(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let mut last = alice.refresh_token().to_owned();
        for _ in 0..20 {
            let next = refreshed(&app.refresh(&last).await);
            next.refresh_token().clone_into(&mut last);
        }
        refused(&app, alice.refresh_token()).await;
        refused(&app, &last).await;
        assert_eq!((reused(&app), app.db.count("sessions")), (1, 0));
    }

    async fn the_same_request_within_the_grace_gets_the_same_successor(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let first = refreshed(&app.refresh(alice.refresh_token()).await);
        for _ in 0..3 {
            app.clock.advance(3);
            let again = refreshed(&app.refresh(alice.refresh_token()).await);
            assert_eq!(again.refresh_token(), first.refresh_token());
            assert_eq!(app.me(&again.jwt).await.status, 200);
        }
        // The successor was used: whoever still has the first one is late.
        let second = refreshed(&app.refresh(first.refresh_token()).await);
        refused(&app, alice.refresh_token()).await;
        refused(&app, second.refresh_token()).await;
        assert_eq!(reused(&app), 1);
    }

    async fn without_grace_every_repeat_is_reuse(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("refresh.grace", "0s")).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let first = refreshed(&app.refresh(alice.refresh_token()).await);
        refused(&app, alice.refresh_token()).await;
        refused(&app, first.refresh_token()).await;
    }

    async fn a_hundred_refreshes_of_one_token_at_once_make_one_family(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for _ in 0..3 {
            let alice = app.sign_in_offline(Person::named("alice")).await;
            let answers = join_all((0..100).map(|_| app.refresh(alice.refresh_token()))).await;
            let next: HashSet<String> =
                answers.iter().map(|answer| refreshed(answer).refresh_token().to_owned()).collect();
            assert_eq!(next.len(), 1, "one successor");
            let next = next.into_iter().next().expect("one");
            refreshed(&app.refresh(&next).await);
            assert_eq!(reused(&app), 0);
            assert_eq!(app.send_as("POST", "/auth/logout-all", &alice.jwt, &Value::Null).await.status, 204);
        }
        assert_eq!(app.db.count("sessions"), 0);
    }

    async fn a_hundred_at_once_without_grace_leave_nothing_good(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("refresh.grace", "0s")).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let answers = join_all((0..100).map(|_| app.refresh(alice.refresh_token()))).await;
        let good: Vec<SignedIn> =
            answers.iter().filter(|answer| answer.status == 200).map(|answer| refreshed(answer)).collect();
        assert_eq!(good.len(), 1, "exactly one was first");
        refused(&app, good[0].refresh_token()).await;
        assert_eq!((reused(&app), app.db.count("sessions")), (1, 0));
    }

    async fn a_session_ends_when_unused_and_in_any_case_after_its_time(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let unused = app.sign_in_offline(Person::named("alice")).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let mut token = alice.refresh_token().to_owned();
        for _ in 0..4 {
            app.clock.advance(20 * DAY);
            let next = refreshed(&app.refresh(&token).await);
            next.refresh_token().clone_into(&mut token);
        }
        refused(&app, unused.refresh_token()).await;
        app.clock.advance(10 * DAY + 1);
        refused(&app, &token).await;
        assert_eq!((reused(&app), app.db.count("sessions")), (0, 0));
    }

    async fn what_is_no_refresh_token_is_refused_and_hurts_nobody(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let good = alice.refresh_token();
        let flipped = |index: usize| {
            let mut text = good.to_owned();
            let other = if text.as_bytes()[index] == b'A' { "B" } else { "A" };
            text.replace_range(index..=index, other);
            text
        };
        let half = &good[..good.len() / 2];
        for bad in [
            "", "x", half, &good[1..], &format!("{good} "), &format!("{good}="), &good.to_uppercase(), &alice.jwt,
            &app.mock.google().id_token(json!({})), &flipped(5), &flipped(30), &flipped(good.len() - 1),
            &"a".repeat(60_000),
        ] {
            refused(&app, bad).await;
        }
        assert_eq!(reused(&app), 0);
        for body in [json!({}), json!({ "refresh_token": null }), json!({ "refresh_token": 1 }), json!({ "refresh_token": good, "x": 1 })] {
            let answer = app.post("/auth/refresh", &body).await;
            answer.assert_problem(400, "invalid_request");
            assert!(!answer.text.contains(good));
        }
        let form = app.http.post(format!("{}/auth/refresh", app.base)).form(&[("refresh_token", good)]);
        Answer::of(form.send().await.expect("an answer")).await.assert_problem(415, "unsupported_media_type");
        refreshed(&app.refresh(good).await);
    }

    async fn no_kind_of_token_passes_for_another(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        app.sign_in_offline(Person::named("alice")).await;
        let cursor = app.get_as("/api/me/sessions?limit=1", &alice.jwt).await.json["next"].clone();
        let session_id = sessions(&app, &alice.jwt).await[0]["id"].clone();
        let id_token = app.mock.google().id_token(json!({}));
        let github = app.mock.github().access_token(GithubUser::named("alice"));
        let others = [cursor.as_str().expect("a cursor"), session_id.as_str().expect("an id"), &alice.user_id, &id_token, &github];
        for token in others.into_iter().chain([alice.refresh_token()]) {
            for (method, path) in [("GET", "/api/me"), ("GET", "/api/me/sessions"), ("POST", "/auth/logout-all"), ("PATCH", "/api/me")] {
                app.send_as(method, path, token, &Value::Null).await.assert_problem(401, "invalid_token");
            }
        }
        for token in others.into_iter().chain([alice.jwt.as_str()]) {
            refused(&app, token).await;
        }
        for token in [cursor.as_str().expect("a cursor"), session_id.as_str().expect("an id"), &alice.jwt, alice.refresh_token()] {
            for provider in ["google", "github", "acme"] {
                let answer = app.exchange(provider, &json!({ "token": token })).await;
                assert!(matches!(answer.status, 400 | 401), "{provider}: {}", answer.text);
            }
        }
        // Nor is ours shown to anybody else.
        app.mock.forget_requests();
        let pasted = app.exchange("google", &json!({ "access_token": alice.refresh_token() })).await;
        assert!(pasted.assert_problem(400, "invalid_request").contains("POST /auth/refresh"), "{}", pasted.text);
        assert_eq!(app.mock.total_requests(), 0);
        refreshed(&app.refresh(alice.refresh_token()).await);
    }

    async fn the_tokens_themselves_are_nowhere_in_the_database(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let next = refreshed(&app.refresh(alice.refresh_token()).await);
        for token in [alice.refresh_token(), next.refresh_token()] {
            let bytes = {
                use base64::Engine;
                base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.trim_start_matches("tbr_")).expect("base64url")
            };
            for shown in [token.to_owned(), hex::encode(&bytes[..16]), hex::encode(&bytes[16..48])] {
                let found = format!(
                    "SELECT COUNT(*) AS number FROM sessions WHERE id || handle_hash || secret_hash || COALESCE(previous_secret_hash, '') LIKE '%{shown}%'"
                );
                assert_eq!(app.db.number(&found), 0);
            }
        }
    }

    async fn logging_out_ends_one_session_at_the_next_request(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let phone = app.sign_in_offline(Person::named("alice")).await;
        let laptop = app.sign_in_offline(Person::named("alice")).await;
        let log_out = async |token: &str| app.post("/auth/logout", &json!({ "refresh_token": token })).await.status;
        assert_eq!(log_out(phone.refresh_token()).await, 204);
        refused(&app, phone.refresh_token()).await;
        app.me(&phone.jwt).await.assert_problem(401, "invalid_token");
        refreshed(&app.refresh(laptop.refresh_token()).await);
        for gone in [phone.refresh_token(), "", "nonsense", &laptop.jwt] {
            assert_eq!(log_out(gone).await, 204);
        }
        assert_eq!(app.db.count("sessions"), 1);
        app.post("/auth/logout", &json!({})).await.assert_problem(400, "invalid_request");
        let nothing = app.http.post(format!("{}/auth/logout", app.base)).send().await.expect("an answer");
        Answer::of(nothing).await.assert_problem(400, "invalid_request");
        let ended = "SELECT COUNT(*) AS number FROM events WHERE kind = 'session.ended'";
        assert_eq!(app.db.number(ended), 1);
    }

    async fn logging_out_everywhere_ends_every_token_at_the_next_request(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let phone = app.sign_in_offline(Person::named("alice")).await;
        let laptop = app.sign_in_offline(Person::named("alice")).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        assert_eq!(app.send_as("POST", "/auth/logout-all", &phone.jwt, &Value::Null).await.status, 204);
        for device in [&phone, &laptop] {
            app.me(&device.jwt).await.assert_problem(401, "invalid_token");
            refused(&app, device.refresh_token()).await;
        }
        app.send_as("POST", "/auth/logout-all", &phone.jwt, &Value::Null).await.assert_problem(401, "invalid_token");
        app.post("/auth/logout-all", &json!({})).await.assert_problem(401, "invalid_token");
        assert_eq!(app.me(&bob.jwt).await.status, 200);
        refreshed(&app.refresh(bob.refresh_token()).await);
        let again = app.sign_in_offline(Person::named("alice")).await;
        assert_eq!((app.me(&again.jwt).await.status, again.user_id), (200, phone.user_id));
        let revoked = "SELECT COUNT(*) AS number FROM events WHERE kind = 'tokens.revoked'";
        assert_eq!(app.db.number(revoked), 1);
    }

    async fn sessions_are_listed_and_ended_by_their_owner(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let start = async |agent: &str| {
            let id_token = app.mock.google().id_token(json!({}));
            let request = app.http.post(format!("{}/auth/google", app.base)).header("user-agent", agent);
            let request = request.json(&json!({ "id_token": id_token, "scope": "offline_access" }));
            Answer::of(request.send().await.expect("an answer")).await.assert_signed_in()
        };
        let long = "x".repeat(300);
        let (phone, laptop) = (start("Phone/1").await, start(&long).await);
        let short_lived = app.sign_in(Person::named("alice")).await;
        let listed = sessions(&app, &phone.jwt).await;
        let members: Vec<&str> = listed[0].as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, ["created_at", "current", "device", "id", "ip", "last_used_at"]);
        let device = |n: usize| listed[n]["device"].as_str().expect("a device");
        assert_eq!((listed.len(), device(0), device(1)), (2, "Phone/1", &long[..200]));
        assert_eq!(listed[0]["ip"], "127.0.0.1");
        let current = async |jwt: &str| {
            sessions(&app, jwt).await.iter().map(|session| session["current"] == true).collect::<Vec<_>>()
        };
        assert_eq!(current(&phone.jwt).await, [true, false]);
        assert_eq!(current(&laptop.jwt).await, [false, true]);
        assert_eq!(current(&refreshed(&app.refresh(laptop.refresh_token()).await).jwt).await, [false, true]);
        assert_eq!(current(&short_lived.jwt).await, [false, false]);
        assert!(!phone.refresh_token().contains(listed[0]["id"].as_str().expect("an id")));

        let end = async |jwt: &str, id: &str| app.send_as("DELETE", &format!("/api/me/sessions/{id}"), jwt, &Value::Null).await;
        let id = listed[0]["id"].as_str().expect("an id");
        let bob = app.sign_in(Person::named("bob")).await;
        let nil = Uuid::nil().to_string();
        for (jwt, id) in [(&bob.jwt, id), (&phone.jwt, nil.as_str()), (&phone.jwt, "x"), (&phone.jwt, phone.refresh_token())] {
            end(jwt, id).await.assert_problem(404, "not_found");
        }
        assert_eq!(end(&laptop.jwt, id).await.status, 204);
        end(&laptop.jwt, id).await.assert_problem(404, "not_found");
        refused(&app, phone.refresh_token()).await;
        assert_eq!(sessions(&app, &laptop.jwt).await.len(), 1);
    }

    async fn what_has_expired_is_not_listed(db: TestDatabase) {
        // Access tokens that live longer, so that there is somebody to ask.
        let change = |sources: Sources| sources.with("token.access_ttl", "24h").with("refresh.idle_ttl", "1h");
        let app = TestApp::start_with(db, change).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        assert_eq!(sessions(&app, &alice.jwt).await.len(), 1);
        app.clock.advance(3601);
        assert_eq!(sessions(&app, &alice.jwt).await.len(), 0);
    }

    async fn a_disabled_user_gets_nothing_by_any_way_and_enabling_revives_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let set = |disabled: bool| {
            let bump = i32::from(disabled);
            app.db.execute(&format!(
                "UPDATE users SET disabled = {disabled}, token_version = token_version + {bump} WHERE id = '{}'",
                alice.user_id
            ));
        };
        set(true);
        refused(&app, alice.refresh_token()).await;
        let id_token = app.mock.google().id_token(json!({}));
        for body in [json!({ "id_token": id_token }), json!({ "id_token": id_token, "scope": "offline_access" })] {
            app.exchange("google", &body).await.assert_problem(403, "user_disabled");
        }
        app.me(&alice.jwt).await.assert_problem(401, "invalid_token");
        set(false);
        refused(&app, alice.refresh_token()).await;
        app.me(&alice.jwt).await.assert_problem(401, "invalid_token");
    }

    async fn switched_off_the_scope_is_ignored_and_old_tokens_are_refused(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let url = app.db.url.clone();
        let sources = TestApp::sources(&app.mock, &url).with("refresh.enabled", "false");
        let mock = tokenbooth::mock::MockProviders::start().await.expect("the mock starts");
        // The same database, another process.
        let off = TestApp::try_start(mock, TestDatabase::sqlite(), sources).await.expect("the service starts");
        refused(&off, alice.refresh_token()).await;
        let id_token = app.mock.google().id_token(json!({}));
        let answer = off.exchange("google", &json!({ "id_token": id_token, "scope": "offline_access" })).await;
        assert!(answer.assert_signed_in().json.get("refresh_token").is_none());
        refreshed(&app.refresh(alice.refresh_token()).await);
    }

    async fn two_replicas_share_every_revocation_and_every_successor(db: TestDatabase) {
        let one = TestApp::start(db).await;
        let url = one.db.url.clone();
        // One issuer, as replicas have, and no more of the secret than the previous one: it is being changed.
        let issuer = one.base.clone();
        let replica = TestApp::sources(&one.mock, &url).with("token.issuer", &issuer);
        let mock = tokenbooth::mock::MockProviders::start().await.expect("the mock starts");
        let two = TestApp::try_start(mock, TestDatabase::sqlite(), replica).await.expect("the service starts");
        let alice = one.sign_in_offline(Person::named("alice")).await;
        assert_eq!(two.me(&alice.jwt).await.status, 200);
        let (first, second) = tokio::join!(one.refresh(alice.refresh_token()), two.refresh(alice.refresh_token()));
        assert_eq!(refreshed(&first).refresh_token(), refreshed(&second).refresh_token());
        assert_eq!(one.send_as("POST", "/auth/logout-all", &alice.jwt, &Value::Null).await.status, 204);
        two.me(&alice.jwt).await.assert_problem(401, "invalid_token");
        refused(&two, refreshed(&first).refresh_token()).await;
    }

    async fn the_oldest_session_ends_when_there_is_one_too_many(db: TestDatabase) {
        let few = |sources: Sources| {
            sources.with("sessions.per_user", "3").with("admin.emails", "google:ada@example.com")
        };
        let one = TestApp::start_with(db, few).await;
        let two = one.replica_with(few).await;
        let ada = one.sign_in(Person::named("ada")).await;
        let first = one.sign_in_offline(Person::named("bob")).await;
        let mut others = Vec::new();
        for app in [&one, &two] {
            others.push(app.sign_in_offline(Person::named("bob")).await);
        }
        // It is the one that began first, however recently it was used.
        let used = refreshed(&two.refresh(first.refresh_token()).await);
        // Of another user, and none that is stored.
        one.sign_in_offline(Person::named("carol")).await;
        one.sign_in(Person::named("bob")).await;
        assert_eq!(one.events("session.ended", &ada.jwt).await.len(), 0);
        others.push(two.sign_in_offline(Person::named("bob")).await);
        refused(&one, used.refresh_token()).await;
        let events = one.events("session.ended", &ada.jwt).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!((&events[0]["user_id"], &events[0]["actor_id"]), (&json!(first.user_id), &Value::Null));
        assert_eq!(events[0]["detail"]["by"], "sessions.per_user");
        for other in &others {
            refreshed(&one.refresh(other.refresh_token()).await);
        }
        // Two replicas at the same moment.
        let begun = join_all((0..20).map(|number| {
            let app = if number % 2 == 0 { &one } else { &two };
            app.sign_in_offline(Person::named("bob"))
        }));
        begun.await;
        let of_bob = format!("SELECT COUNT(*) AS number FROM sessions WHERE user_id = '{}'", first.user_id);
        assert_eq!((one.db.number(&of_bob), one.db.count("sessions")), (3, 4));
        assert_eq!(one.events("session.ended", &ada.jwt).await.len(), 21);
    }

    async fn sessions_that_are_over_do_not_count(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("sessions.per_user", "2")).await;
        let begin = async || app.sign_in_offline(Person::named("bob")).await;
        let alive = begin().await;
        let mut token = alive.refresh_token().to_owned();
        begin().await;
        for _ in 0..2 {
            app.clock.advance(16 * DAY);
            let next = refreshed(&app.refresh(&token).await);
            next.refresh_token().clone_into(&mut token);
        }
        // The other one was not used for 32 days.
        let claims = json!({ "iat": app.clock.now().0, "sub": Person::named("bob").sub });
        let id_token = app.mock.google().id_token(claims);
        let body = json!({ "id_token": id_token, "scope": "offline_access" });
        app.exchange("google", &body).await.assert_signed_in();
        refreshed(&app.refresh(&token).await);
    }

    async fn a_secret_that_is_being_changed_ends_no_session(db: TestDatabase) {
        let one = TestApp::start(db).await;
        let url = one.db.url.clone();
        let start = async |secret: &str, previous: &str| {
            let sources = TestApp::sources(&one.mock, &url).with("token.secret", secret).with("token.previous_secrets", previous);
            let mock = tokenbooth::mock::MockProviders::start().await.expect("the mock starts");
            TestApp::try_start(mock, TestDatabase::sqlite(), sources).await.expect("the service starts")
        };
        let new = "another-secret-of-the-tests-0123456789abcdef";
        let changed = start(new, crate::support::app::SECRET).await;
        let alice = one.sign_in_offline(Person::named("alice")).await;
        // Exchanged on the old replica, repeated on the new one.
        let first = refreshed(&one.refresh(alice.refresh_token()).await);
        assert_eq!(refreshed(&changed.refresh(alice.refresh_token()).await).refresh_token(), first.refresh_token());
        // Exchanged on the new replica, repeated on the old one: until every replica knows the new secret, the old one signs.
        let second = refreshed(&changed.refresh(first.refresh_token()).await);
        assert_eq!(refreshed(&one.refresh(first.refresh_token()).await).refresh_token(), second.refresh_token());
        refreshed(&one.refresh(second.refresh_token()).await);
        assert_eq!(reused(&one), 0);
    }
}
