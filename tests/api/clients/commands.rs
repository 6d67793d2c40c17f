//! `tokenbooth client …`.

use serde_json::{Value, json};

use super::{json_of, sign_in};
use crate::command_line::{Ended, run};
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::oauth::Service;

fn client(db: &TestDatabase, arguments: &[&str]) -> Ended {
    run(&[&["client"], arguments].concat(), &[("database.url", &db.url)])
}

/// What `create` and `rotate` print: one object with exactly these members.
#[track_caller]
fn made(ended: Ended) -> (Service, Value) {
    let json = json_of(&ended.good());
    let names: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["client_id", "client_secret", "name", "scopes"]);
    let text = |name: &str| json[name].as_str().expect("a text").to_owned();
    let service = Service { id: text("client_id"), secret: text("client_secret") };
    for text in [&service.id, &service.secret] {
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{text}");
        assert!(!text.starts_with('-'), "{text} would be an option");
    }
    // 256 bits in base64url.
    assert!(service.secret.len() >= 43, "{}", service.secret);
    (service, json)
}

on_both_databases! {
    async fn a_client_is_made_rotated_and_kept_out_while_the_service_runs(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let (first, json) = made(client(&app.db, &["create", "Reports", "--scope", "reports.read", "--scope", "mail.send"]));
        assert_eq!((&json["name"], &json["scopes"]), (&json!("Reports"), &json!(["reports.read", "mail.send"])));
        assert_eq!(sign_in(&app, &first).await.json["scope"], "reports.read mail.send");

        // The one before works until the next rotation.
        let (second, again) = made(client(&app.db, &["rotate", &first.id]));
        assert_eq!((&again["client_id"], &again["name"], &again["scopes"]), (&json["client_id"], &json["name"], &json["scopes"]));
        assert_ne!(first.secret, second.secret);
        assert_eq!(sign_in(&app, &first).await.status, 200);
        assert_eq!(sign_in(&app, &second).await.status, 200);
        let (third, _) = made(client(&app.db, &["rotate", &first.id]));
        sign_in(&app, &first).await.assert_oauth_refusal(401, "invalid_client");
        assert_eq!(sign_in(&app, &second).await.status, 200);
        assert_eq!(sign_in(&app, &third).await.status, 200);

        let disabled = json_of(&client(&app.db, &["disable", &first.id]).good());
        assert_eq!(disabled["disabled"], true);
        sign_in(&app, &second).await.assert_oauth_refusal(401, "invalid_client");
        sign_in(&app, &third).await.assert_oauth_refusal(401, "invalid_client");
        // Once more changes nothing.
        client(&app.db, &["disable", &first.id]).good();
        let refused = client(&app.db, &["rotate", &first.id]).bad();
        assert_eq!(refused, "The client is disabled. Enable it first, with `tokenbooth client enable`.");

        let mut events = Vec::new();
        for kind in ["client.created", "client.rotated", "client.disabled"] {
            events.extend(app.events(kind, &ada.jwt).await);
        }
        let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().expect("a kind")).collect();
        assert_eq!(kinds, ["client.created", "client.rotated", "client.rotated", "client.disabled"]);
        let scopes = json!(["reports.read", "mail.send"]);
        assert_eq!(events[0]["detail"], json!({ "by": "command_line", "client_id": first.id, "scopes": scopes }));
        for event in &events[1..] {
            assert_eq!(event["detail"], json!({ "by": "command_line", "client_id": first.id }));
            assert_eq!((&event["actor_id"], &event["user_id"]), (&Value::Null, &Value::Null));
        }
    }

    async fn a_previous_secret_ends_after_its_time_or_at_once(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("clients.previous_secret_ttl", "3d")).await;
        let (first, _) = made(client(&app.db, &["create", "Reports"]));
        let (second, _) = made(client(&app.db, &["rotate", &first.id]));
        app.clock.advance(3 * 86_400 - 60);
        assert_eq!(sign_in(&app, &first).await.status, 200);
        app.clock.advance(120);
        sign_in(&app, &first).await.assert_oauth_refusal(401, "invalid_client");
        assert_eq!(sign_in(&app, &second).await.status, 200);
        app.clock.advance(-3 * 86_400 - 60);

        let (third, _) = made(client(&app.db, &["rotate", "--revoke-previous", &first.id]));
        for ended in [&first, &second] {
            sign_in(&app, ended).await.assert_oauth_refusal(401, "invalid_client");
        }
        assert_eq!(sign_in(&app, &third).await.status, 200);
        let stored = format!("SELECT COUNT(*) AS number FROM clients WHERE id = '{}' AND previous_secret_hash IS NULL", first.id);
        assert_eq!(app.db.number(&stored), 1);
        // From a rotation on, what was revoked does not come back.
        let (fourth, _) = made(client(&app.db, &["rotate", &first.id]));
        sign_in(&app, &second).await.assert_oauth_refusal(401, "invalid_client");
        assert_eq!((sign_in(&app, &third).await.status, sign_in(&app, &fourth).await.status), (200, 200));
    }

    async fn an_enabled_client_signs_in_again_and_no_token_from_before_comes_back(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let (service, _) = made(client(&app.db, &["create", "Reports"]));
        app.clock.advance(-10);
        let before = app.client_token(&service).await;
        app.clock.advance(10);
        let introspected = async |token: &str| {
            app.post_form_as("/oauth/introspect", &service, &[("token", token)]).await.json["active"].clone()
        };
        assert_eq!(introspected(&before).await, true);
        // Enabling one that is enabled changes nothing.
        client(&app.db, &["enable", &service.id]).good();
        assert_eq!(introspected(&before).await, true);
        client(&app.db, &["disable", &service.id]).good();
        sign_in(&app, &service).await.assert_oauth_refusal(401, "invalid_client");
        let enabled = json_of(&client(&app.db, &["enable", &service.id]).good());
        assert_eq!(enabled["disabled"], false);
        let after = app.client_token(&service).await;
        assert_eq!((introspected(&before).await, introspected(&after).await), (json!(false), json!(true)));
        let events = app.events("client.enabled", &ada.jwt).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["detail"], json!({ "by": "command_line", "client_id": service.id }));
    }

    async fn a_client_of_an_audience_sees_tokens_for_it_only(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let own = made(client(&app.db, &["create", "Own", "--audience", "tokenbooth", "--audience", "https://api.mail.com"])).0;
        let other = made(client(&app.db, &["create", "Other", "--audience", "https://api.mail.com", "--audience", "Tokenbooth"])).0;
        let any = made(client(&app.db, &["create", "Any"])).0;
        let clients_token = app.client_token(&any).await;
        for token in [&ada.jwt, &clients_token] {
            for (service, active) in [(&own, true), (&other, false), (&any, true)] {
                let told = app.post_form_as("/oauth/introspect", service, &[("token", token)]).await;
                assert_eq!(told.json["active"], active, "{}", told.text);
                assert!(active || told.text == "{\"active\":false}");
            }
        }
        let listed: Vec<Value> = client(&app.db, &["list"]).good().lines().map(json_of).collect();
        let of_own = listed.iter().find(|one| one["client_id"] == own.id.as_str()).expect("the client");
        assert_eq!(of_own["audiences"], json!(["tokenbooth", "https://api.mail.com"]));
        let events = app.events("client.created", &ada.jwt).await;
        assert_eq!(events[2]["detail"]["audiences"], json!(["tokenbooth", "https://api.mail.com"]));
        for audience in ["a b", "a\u{a0}b"] {
            assert!(client(&app.db, &["create", "x", "--audience", audience]).bad().starts_with("An audience"));
        }
    }

    async fn only_clients_with_the_scope_see_refresh_tokens(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(tokenbooth::mock::Person::named("alice")).await;
        let (seeing, blind) = (app.create_client("A", "introspect.refresh"), app.create_client("B", "introspect introspect.refreshes"));
        for (service, active) in [(&seeing, true), (&blind, false)] {
            let told = app.post_form_as("/oauth/introspect", service, &[("token", alice.refresh_token())]).await;
            assert_eq!(told.json["active"], active, "{}", told.text);
        }
    }

    async fn clients_are_listed_without_their_secrets(db: TestDatabase) {
        assert_eq!(client(&db, &["list"]).good(), "");
        let (first, _) = made(client(&db, &["create", "Reports", "--scope", "reports.read"]));
        // The same name twice is two clients, and neither id says anything of it.
        let (second, _) = made(client(&db, &["create", "Reports"]));
        assert_ne!((&first.id, &first.secret), (&second.id, &second.secret));
        client(&db, &["disable", &first.id]).good();
        let listed = client(&db, &["list"]).good();
        let listed: Vec<Value> = listed.lines().map(json_of).collect();
        assert_eq!(listed.len(), 2);
        let of = |service: &Service| listed.iter().find(|one| one["client_id"] == service.id.as_str()).expect("the client");
        let (one, other) = (of(&first), of(&second));
        assert_eq!((&one["disabled"], &one["scopes"]), (&json!(true), &json!(["reports.read"])));
        assert_eq!((&other["disabled"], &other["scopes"]), (&json!(false), &json!([])));
        assert!(one["created_at"].is_string() && one["rotated_at"].is_null());
        for text in [&first.secret, &second.secret] {
            assert!(!listed.iter().any(|one| one.to_string().contains(text.as_str())));
            assert_eq!(db.number(&format!("SELECT COUNT(*) AS number FROM clients WHERE secret_hash LIKE '%{text}%'")), 0);
        }
    }

    async fn a_client_that_cannot_be_is_refused(db: TestDatabase) {
        for scopes in [&["--scope", "a\"b"][..], &["--scope", "a\\b"], &["--scope", " "], &["--scope", "a", "--scope", "\u{e4}"]] {
            let told = client(&db, &[&["create", "x"], scopes].concat()).bad();
            assert!(told.starts_with("scopes are separated by one space"), "{told}");
        }
        for arguments in [&["create", ""][..], &["create", " "], &["create", "a\u{7}"], &["create", &"x".repeat(201)], &["create", "x", "--scope", ""], &["create"], &["rotate"], &["disable"], &["enable"], &["create", "x", "--audience", ""]] {
            let ended = client(&db, arguments);
            assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.err);
            assert!(ended.err.starts_with("error: "), "{}", ended.err);
        }
        for id in ["0192f0c12d3e7f408a516b7c8d9e0f10", "nobody", "%", "", "a b"] {
            for command in ["rotate", "disable", "enable"] {
                assert_eq!(client(&db, &[command, id]).bad(), "there is no such client; `tokenbooth client list` shows them all");
            }
        }
        assert_eq!((db.count("clients"), db.count("events")), (0, 0));
    }
}
