//! The audit trail: what writes to it, in one transaction with what it tells of, and `GET /api/admin/events`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::{Answer, SignedIn, TestApp};

/// `kind`, `actor_id` and `user_id` of an event.
fn who(event: &Value) -> (&str, Option<&str>, Option<&str>) {
    let text = |name: &str| event[name].as_str();
    (text("kind").expect("a kind"), text("actor_id"), text("user_id"))
}

/// A sign-in whose token is made at the time that the service takes for now.
async fn sign_in_now(app: &TestApp, person: &Person) -> SignedIn {
    app.exchange_id_token(&token_of_now(app, person)).await.assert_signed_in()
}

fn token_of_now(app: &TestApp, person: &Person) -> String {
    let mut claims = app.mock.google().claims(json!({ "iat": app.clock.now().0 }));
    for (name, value) in person.claims().as_object().expect("an object") {
        claims[name] = value.clone();
    }
    app.mock.google().sign_claims(&claims)
}

/// Everything there is, newest first.
async fn all(app: &TestApp, jwt: &str) -> Vec<Value> {
    app.all_pages("/api/admin/events", 200, jwt).await
}

on_both_databases! {
    async fn an_event_says_what_happened_to_whom_by_whom_from_where_and_in_which_request(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let request = app
            .http
            .patch(format!("{}/api/admin/users/{}", app.base, bob.user_id))
            .bearer_auth(&ada.jwt)
            .header("x-request-id", "my-request.1")
            .json(&json!({ "disabled": true }));
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let events = app.events("user.disabled", &ada.jwt).await;
        assert_eq!(events.len(), 1);
        let names: BTreeSet<&str> = events[0].as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["id", "at", "kind", "actor_id", "user_id", "ip", "request_id", "detail"]));
        assert_eq!(who(&events[0]), ("user.disabled", Some(ada.user_id.as_str()), Some(bob.user_id.as_str())));
        assert_eq!(events[0]["ip"], "127.0.0.1");
        // What an untrusted peer calls its request is shown to it, and not stored.
        assert_eq!(answer.header("x-request-id"), "my-request.1");
        let stored = events[0]["request_id"].as_str().expect("an id");
        assert!(stored.len() == 32 && stored.bytes().all(|byte| byte.is_ascii_hexdigit()), "{stored}");
        assert!(events[0]["detail"].is_object());
        let at = events[0]["at"].as_str().expect("a time");
        assert!(at.len() == 20 && at.ends_with('Z'), "{at}");

        // Without an id of its own a request has ours, the one in the answer.
        let answer = app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": false })).await;
        let events = app.events("user.enabled", &ada.jwt).await;
        assert_eq!(events[0]["request_id"], answer.header("x-request-id"));
    }

    async fn a_request_id_is_stored_when_a_trusted_proxy_says_so(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("server.trusted_proxies", "127.0.0.0/8")).await;
        let long = "x".repeat(129);
        let cases = [("ada", "from-the-proxy.7", true), ("bob", "two words", false), ("eve", "", false), ("dan", &long, false)];
        for (person, sent, stored) in cases {
            app.db.execute("DELETE FROM events");
            let body = json!({ "id_token": app.mock.google().id_token(Person::named(person).claims()) });
            let request = app.http.post(format!("{}/auth/google", app.base)).header("x-request-id", sent).json(&body);
            let answer = Answer::of(request.send().await.expect("an answer")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let told = answer.header("x-request-id");
            assert_eq!(told == sent, stored, "{sent:?}");
            let found = format!("SELECT COUNT(*) AS number FROM events WHERE request_id = '{told}'");
            assert_eq!((app.db.number(&found), app.db.count("events")), (1, 1), "{sent:?}");
        }
    }

    async fn no_event_has_the_request_id_of_an_untrusted_peer(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("server.trusted_proxies", "192.0.2.7")).await;
        // Signing in, being refused, and what a signed-in user does.
        let ada = app.sign_in(Person::named("ada")).await;
        let good = json!({ "id_token": app.mock.google().id_token(Person::named("bob").claims()) });
        let bad = json!({ "email": "ada@example.com", "password": "not her password" });
        for (method, path, body) in [
            ("POST", "/auth/google", &good),
            ("POST", "/auth/password", &bad),
            ("PUT", "/api/me/password", &json!({ "new_password": "correct horse battery" })),
            ("POST", "/auth/logout-all", &Value::Null),
        ] {
            let method = method.parse().expect("a method");
            let mut request = app.http.request(method, format!("{}{path}", app.base)).bearer_auth(&ada.jwt);
            if !body.is_null() {
                request = request.json(body);
            }
            let answer = Answer::of(request.header("x-request-id", "eve.1").send().await.expect("an answer")).await;
            assert_eq!(answer.header("x-request-id"), "eve.1", "{path}");
        }
        assert!(app.db.count("events") >= 4);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE request_id = 'eve.1'"), 0);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM events WHERE LENGTH(request_id) <> 32"), 0);
    }

    async fn the_trail_is_newest_first_filtered_and_paged(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        for round in 0..6 {
            app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": round % 2 == 0, "admin": round % 2 == 0 })).await;
        }
        let everything = all(&app, &ada.jwt).await;
        let kinds: Vec<&str> = everything.iter().map(|event| who(event).0).collect();
        let mut expected = ["user.demoted", "user.enabled", "user.promoted", "user.disabled"].repeat(3);
        expected.extend(["sign_in.first", "user.promoted", "sign_in.first"]);
        assert_eq!(kinds, expected);
        assert!(everything.is_sorted_by(|newer, older| newer["id"].as_str() > older["id"].as_str()));

        for (query, expected) in [
            (format!("user_id={}", bob.user_id), 13),
            (format!("user_id={}", bob.user_id.to_uppercase()), 13),
            ("kind=user.promoted".to_owned(), 4),
            (format!("kind=user.promoted&user_id={}", ada.user_id), 1),
            (format!("kind=user.deleted&user_id={}", ada.user_id), 0),
            ("user_id=0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10".to_owned(), 0),
        ] {
            for limit in [1, 2, 5, 200] {
                let found = app.all_pages(&format!("/api/admin/events?{query}"), limit, &ada.jwt).await;
                assert_eq!(found.len(), expected, "{query}");
                let in_order: Vec<&Value> = everything.iter().filter(|event| found.contains(event)).collect();
                assert_eq!(found.iter().collect::<Vec<_>>(), in_order);
            }
        }
        // What happens meanwhile is newer than every page to come.
        let first = app.get_as("/api/admin/events?limit=5", &ada.jwt).await;
        app.sign_in(Person::named("carol")).await;
        let next = first.json["next"].as_str().expect("a next page");
        let second = app.get_as(&format!("/api/admin/events?limit=5&after={next}"), &ada.jwt).await;
        assert_eq!(second.json["items"], json!(everything[5..10]));

        for (query, named) in [("kind=user", "kind"), ("kind=", "kind"), ("kind=User.Disabled", "kind"), ("user_id=x", "user_id"), ("user_id=", "user_id")] {
            let refused = app.get_as(&format!("/api/admin/events?{query}"), &ada.jwt).await;
            assert!(refused.assert_problem(400, "invalid_request").starts_with(named));
        }
        for query in ["kind=user.disabled&kind=user.disabled", "limit=1&limit=1"] {
            app.get_as(&format!("/api/admin/events?{query}"), &ada.jwt).await.assert_problem(400, "invalid_request");
        }
    }

    async fn signing_in_is_told_at_first_and_then_hourly(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = Person::named("bob");
        let id = sign_in_now(&app, &bob).await.user_id;
        for _ in 0..3 {
            sign_in_now(&app, &bob).await;
        }
        let of_bob = async || {
            let events = app.all_pages(&format!("/api/admin/events?user_id={id}"), 200, &ada.jwt).await;
            events.iter().map(|event| {
                assert_eq!(event["actor_id"], json!(id));
                assert_eq!(event["detail"], json!({ "method": "google" }));
                who(event).0.to_owned()
            }).collect::<Vec<_>>()
        };
        assert_eq!(of_bob().await, ["sign_in.first"]);
        app.clock.advance(1700);
        sign_in_now(&app, &bob).await;
        assert_eq!(of_bob().await.len(), 1);
        app.clock.advance(1901);
        let ada = sign_in_now(&app, &Person::named("ada")).await;
        for _ in 0..3 {
            sign_in_now(&app, &bob).await;
        }
        let of_bob = app.all_pages(&format!("/api/admin/events?user_id={id}"), 200, &ada.jwt).await;
        assert_eq!(of_bob.iter().map(|event| who(event).0).collect::<Vec<_>>(), ["sign_in.succeeded", "sign_in.first"]);
    }

    async fn a_refused_sign_in_is_told_with_its_code_and_without_a_user_unless_one_was_proved(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await;
        let token = app.mock.google().id_token(Person::named("bob").claims());
        app.exchange_id_token(&token).await.assert_problem(403, "user_disabled");
        let foreign = app.mock.google().id_token(json!({ "aud": "somebody-elses-app", "sub": Person::named("bob").sub }));
        app.exchange_id_token(&foreign).await.assert_problem(401, "audience_mismatch");
        app.exchange_id_token("nonsense").await.assert_problem(401, "invalid_token");
        let events = app.events("sign_in.refused", &ada.jwt).await;
        let told: Vec<_> = events.iter().map(|event| (event["detail"]["code"].as_str().expect("a code"), &event["user_id"], &event["actor_id"])).collect();
        assert_eq!(told, [
            ("invalid_token", &Value::Null, &Value::Null),
            ("audience_mismatch", &Value::Null, &Value::Null),
            ("user_disabled", &json!(bob.user_id), &Value::Null),
        ]);
        for event in &events {
            assert_eq!(event["detail"]["method"], "google");
            assert_eq!(event["ip"], "127.0.0.1");
        }
    }

    async fn a_sign_in_from_another_address_within_the_hour_is_told(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("server.trusted_proxies", "127.0.0.1")).await;
        let sign_in = async |path: &str, body: Value, ip: &str| {
            let request = app.http.post(format!("{}{path}", app.base)).header("x-forwarded-for", ip).json(&body);
            Answer::of(request.send().await.expect("an answer")).await.assert_signed_in()
        };
        let by_google = async |ip: &str| {
            sign_in("/auth/google", json!({ "id_token": token_of_now(&app, &Person::named("bob")) }), ip).await
        };
        let told = |kind: &str, ip: &str| {
            app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE kind = '{kind}' AND ip = '{ip}'"))
        };
        let bob = by_google("192.0.2.1").await;
        for ip in ["192.0.2.2", "198.51.100.3", "2001:db8::4"] {
            // A thief and the owner in turn.
            for _ in 0..3 {
                by_google(ip).await;
                by_google("192.0.2.1").await;
            }
            assert_eq!(told("sign_in.succeeded", ip), 1, "{ip}");
        }
        assert_eq!((told("sign_in.first", "192.0.2.1"), told("sign_in.succeeded", "192.0.2.1")), (1, 0));
        for _ in 0..100 {
            by_google("192.0.2.2").await;
        }
        assert_eq!(app.db.count("events"), 4);

        // The password is a method of its own, with the same rule.
        let set = json!({ "new_password": "correct horse battery staple" });
        assert_eq!(app.send_as("PUT", "/api/me/password", &bob.jwt, &set).await.status, 204);
        let body = json!({ "email": "bob@example.com", "password": "correct horse battery staple" });
        for ip in ["192.0.2.1", "192.0.2.2", "198.51.100.3", "203.0.113.9"] {
            for _ in 0..3 {
                sign_in("/auth/password", body.clone(), ip).await;
                sign_in("/auth/password", body.clone(), "192.0.2.1").await;
            }
        }
        let by_password = "SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.succeeded' AND detail LIKE '%\"password\"%'";
        assert_eq!(app.db.number(by_password), 4);
        app.clock.advance(3601);
        sign_in("/auth/password", body.clone(), "192.0.2.1").await;
        assert_eq!(app.db.number(by_password), 5);
    }

    async fn a_change_of_a_profile_is_told_without_its_content(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        for (name, expected) in [(json!("Robert"), 1), (json!("Robert"), 1), (Value::Null, 2), (json!("Rob"), 3)] {
            assert_eq!(app.patch_user(&bob.user_id, &ada.jwt, json!({ "name": name })).await.status, 200);
            let events = app.events("user.updated", &ada.jwt).await;
            assert_eq!(events.len(), expected, "{name}");
            assert_eq!(events[0]["detail"], json!({ "fields": ["name"] }));
            assert_eq!(who(&events[0]), ("user.updated", Some(ada.user_id.as_str()), Some(bob.user_id.as_str())));
        }
        // One's own, too: it may be a thief's.
        for _ in 0..2 {
            let change = json!({ "name": "Bobby", "avatar_url": "https://example.com/bob.png" });
            assert_eq!(app.send_as("PATCH", "/api/me", &bob.jwt, &change).await.status, 200);
            let events = app.events("user.updated", &ada.jwt).await;
            assert_eq!((events.len(), &events[0]["detail"]), (4, &json!({ "fields": ["name", "avatar_url"] })));
            assert_eq!(who(&events[0]), ("user.updated", Some(bob.user_id.as_str()), Some(bob.user_id.as_str())));
        }
    }

    async fn each_route_writes_its_event_and_none_holds_a_name_an_address_or_a_token(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        let carol = app.sign_in_offline(Person::named("carol")).await;
        let path = |id: &str| format!("/api/admin/users/{id}");

        let link = json!({ "access_token": app.mock.github().access_token(GithubUser::named("bob")) });
        let linked = app.send_as("POST", "/api/me/identities/github", &bob.jwt, &link).await;
        assert_eq!(linked.status, 201, "{}", linked.text);
        let unlink = format!("/api/me/identities/{}", linked.json["id"].as_str().expect("an id"));
        assert_eq!(app.delete(&unlink, &bob.jwt).await.status, 204);
        let bob = app.sign_in_offline(Person::named("bob")).await;
        let logout = json!({ "refresh_token": carol.json["refresh_token"] });
        assert_eq!(app.send_as("POST", "/auth/logout", "", &logout).await.status, 204);
        let next = app.refresh(bob.refresh_token()).await;
        assert_eq!(app.refresh(next.assert_signed_in().refresh_token()).await.status, 200);
        app.refresh(bob.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        // The access token of the session went with it.
        let carol_again = app.sign_in(Person::named("carol")).await;
        assert_eq!(app.send_as("POST", "/auth/logout-all", &carol_again.jwt, &Value::Null).await.status, 204);
        assert_eq!(app.send_as("POST", &format!("{}/revoke-tokens", path(&carol.user_id)), &ada.jwt, &Value::Null).await.status, 204);
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "admin": true })).await;
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "admin": false, "disabled": true })).await;
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": false, "name": "Robert" })).await;
        assert_eq!(app.delete(&path(&bob.user_id), &ada.jwt).await.status, 204);

        let (a, b, c) = (ada.user_id.as_str(), bob.user_id.as_str(), carol.user_id.as_str());
        let mut events = all(&app, &ada.jwt).await;
        events.reverse();
        assert_eq!(events.iter().map(who).collect::<Vec<_>>(), [
            ("sign_in.first", Some(a), Some(a)),
            ("user.promoted", None, Some(a)),
            ("sign_in.first", Some(b), Some(b)),
            ("sign_in.first", Some(c), Some(c)),
            ("identity.linked", Some(b), Some(b)),
            ("identity.unlinked", Some(b), Some(b)),
            ("session.ended", Some(c), Some(c)),
            ("refresh.reused", None, Some(b)),
            ("tokens.revoked", Some(c), Some(c)),
            ("tokens.revoked", Some(a), Some(c)),
            ("user.promoted", Some(a), Some(b)),
            ("user.disabled", Some(a), Some(b)),
            ("user.demoted", Some(a), Some(b)),
            ("user.enabled", Some(a), Some(b)),
            ("user.updated", Some(a), Some(b)),
            ("user.deleted", Some(a), Some(b)),
        ]);
        let ids: BTreeSet<&str> = events.iter().filter_map(|event| event["request_id"].as_str()).collect();
        assert_eq!(ids.len(), 13, "one for each request; three did two things");
        let trail = json!(events).to_string();
        for secret in ["Example", "@", "Robert", "carol", "tbr_", "eyJ"] {
            assert!(!trail.contains(secret), "{secret} in {trail}");
        }
    }

    async fn reading_writes_nothing(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let before = app.db.count("events");
        for _ in 0..50 {
            assert_eq!(app.me(&ada.jwt).await.status, 200);
        }
        for path in ["/api/admin/users", "/api/admin/events", "/api/me/identities", "/api/me/sessions", "/healthz"] {
            assert_eq!(app.get_as(path, &ada.jwt).await.status, 200);
        }
        app.me("nonsense").await.assert_problem(401, "invalid_token");
        assert_eq!(app.db.count("events"), before);
    }

    async fn a_change_whose_event_cannot_be_written_is_not_done(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        let linked = json!({ "access_token": app.mock.github().access_token(GithubUser::named("bob")) });
        app.db.execute("ALTER TABLE events RENAME TO events_away");
        let path = format!("/api/admin/users/{}", bob.user_id);
        let newcomer = app.mock.google().id_token(Person::named("carol").claims());
        let refusals: Vec<Answer> = vec![
            app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await,
            app.patch_user(&bob.user_id, &ada.jwt, json!({ "name": "Robert", "admin": true })).await,
            app.delete(&path, &ada.jwt).await,
            app.send_as("POST", &format!("{path}/revoke-tokens"), &ada.jwt, &Value::Null).await,
            app.delete("/api/me", &bob.jwt).await,
            app.send_as("POST", "/auth/logout-all", &bob.jwt, &Value::Null).await,
            app.send_as("POST", "/api/me/identities/github", &bob.jwt, &linked).await,
            app.exchange_id_token(&newcomer).await,
        ];
        for refused in refusals {
            refused.assert_problem(503, "database_unavailable");
        }
        app.db.execute("ALTER TABLE events_away RENAME TO events");
        let shown = app.get_as(&path, &ada.jwt).await;
        assert_eq!((&shown.json["disabled"], &shown.json["admin"], &shown.json["name"]), (&json!(false), &json!(false), &json!("Bob Example")));
        assert_eq!(app.me(&bob.jwt).await.status, 200);
        assert_eq!(app.refresh(bob.refresh_token()).await.status, 200);
        assert_eq!((app.db.count("users"), app.db.count("identities"), app.db.count("events")), (2, 2, 3));
    }
}
