//! `PATCH /api/me`: what users change of themselves stays theirs.

use serde_json::{Value, json};
use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

async fn patch(app: &TestApp, jwt: &str, body: &Value) -> Answer {
    app.send_as("PATCH", "/api/me", jwt, body).await
}

on_both_databases! {
    async fn what_a_user_set_is_not_overwritten_by_the_provider_until_it_is_handed_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let changed = patch(&app, &alice.jwt, &json!({ "name": "Al", "avatar_url": "https://example.com/al.png" })).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert_eq!((&changed.json["name"], &changed.json["avatar_url"]), (&json!("Al"), &json!("https://example.com/al.png")));
        assert_eq!(changed.json, app.me(&alice.jwt).await.json);

        let renamed = Person { name: Some("Alice Other".into()), ..Person::named("alice") };
        app.sign_in(renamed.clone()).await;
        assert_eq!(app.me(&alice.jwt).await.json["name"], "Al");

        let cleared = patch(&app, &alice.jwt, &json!({ "name": null })).await;
        assert_eq!((&cleared.json["name"], &cleared.json["avatar_url"]), (&Value::Null, &json!("https://example.com/al.png")));
        app.sign_in(renamed).await;
        let me = app.me(&alice.jwt).await.json;
        assert_eq!((&me["name"], &me["avatar_url"]), (&json!("Alice Other"), &json!("https://example.com/al.png")));
        let untouched = patch(&app, &alice.jwt, &json!({})).await;
        assert_eq!((untouched.status, untouched.json), (200, me));
    }

    async fn what_may_not_be_changed_is_refused_by_name(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let before = app.me(&alice.jwt).await.json;
        for member in ["email", "admin", "id", "disabled", "token_version", "created_at", "Name"] {
            let refused = patch(&app, &alice.jwt, &json!({ "name": "Al", member: "x" })).await;
            assert!(refused.assert_problem(400, "invalid_request").contains(&format!("\"{member}\"")), "{}", refused.text);
        }
        for body in [
            json!({ "name": "" }),
            json!({ "name": "a".repeat(201) }),
            json!({ "name": "a\nb" }),
            json!({ "name": "a\u{0}b" }),
            json!({ "name": 1 }),
            json!({ "name": ["a"] }),
            json!({ "avatar_url": "http://example.com/a.png" }),
            json!({ "avatar_url": "javascript:alert(1)" }),
            json!({ "avatar_url": "/a.png" }),
            json!({ "avatar_url": "" }),
            json!({ "avatar_url": format!("https://example.com/{}", "a".repeat(2048)) }),
            json!({ "avatar_url": true }),
            json!([]),
            json!(["Al", null]),
            json!("Al"),
        ] {
            patch(&app, &alice.jwt, &body).await.assert_problem(400, "invalid_request");
        }
        assert_eq!(app.me(&alice.jwt).await.json, before);
        let longest = json!({ "name": "\u{e4}".repeat(200), "avatar_url": format!("https://e.com/{}", "a".repeat(2034)) });
        let changed = patch(&app, &alice.jwt, &longest).await;
        assert_eq!((changed.status, &changed.json["name"]), (200, &longest["name"]), "{}", changed.text);
    }

    async fn what_nobody_sees_is_removed_from_a_name(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let long = format!("{}{}", "\u{200b}".repeat(50), "a".repeat(200));
        for (typed, kept) in [
            ("\u{202e}gnp.ecila", "gnp.ecila"),
            ("Al\u{200b}i\u{2060}ce\u{feff}", "Alice"),
            ("\u{2066}Alice\u{2069}", "Alice"),
            ("A\u{61c}l\u{200f}i\u{e0061}ce", "Alice"),
            (&long, &"a".repeat(200)),
        ] {
            let changed = patch(&app, &alice.jwt, &json!({ "name": typed })).await;
            assert_eq!((changed.status, &changed.json["name"]), (200, &json!(kept)), "{typed:?}");
        }
        patch(&app, &alice.jwt, &json!({ "name": "\u{200b}\u{202e}" })).await.assert_problem(400, "invalid_request");
    }

    async fn the_body_is_one_json_object(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let send = async |content_type: &str, body: String| {
            let request = app.http.patch(format!("{}/api/me", app.base)).bearer_auth(&alice.jwt);
            Answer::of(request.header("content-type", content_type).body(body).send().await.expect("an answer")).await
        };
        for body in ["{", "", "{\"name\": \"a\"} x", "{\"name\": \"a\", \"name\": \"b\"}", "{\"name\": \"a\", \"\\u006eame\": \"b\"}"] {
            send("application/json", body.to_owned()).await.assert_problem(400, "invalid_request");
        }
        for content_type in ["application/x-www-form-urlencoded", "text/plain", "application/jsonp"] {
            send(content_type, "{}".to_owned()).await.assert_problem(415, "unsupported_media_type");
        }
        assert_eq!(send("Application/JSON; charset=utf-8", "{}".to_owned()).await.status, 200);
        let huge = format!("{{\"name\": \"{}\"}}", "a".repeat(70_000));
        send("application/json", huge).await.assert_problem(413, "payload_too_large");
        // What was pasted in the wrong place is not sent back.
        let secret = "eyJhbGciOiJIUzI1NiJ9.".repeat(8);
        let refused = send("application/json", format!("{{\"{secret}\": 1, \"name\": 1}}")).await;
        refused.assert_problem(400, "invalid_request");
        assert!(!refused.text.contains("eyJ"), "{}", refused.text);
        assert_eq!(app.me(&alice.jwt).await.json["name"], "Alice Example");
    }
}
