//! `/api/admin/users` and `DELETE /api/me`: who may see, change and delete users, and that somebody always may.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::{SignedIn, TestApp};

const NOBODY: &str = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f10";

fn user_path(id: &str) -> String {
    format!("/api/admin/users/{id}")
}

/// Another administrator, made by the first.
async fn another_administrator(app: &TestApp, by: &SignedIn, name: &str) -> SignedIn {
    let other = app.sign_in(Person::named(name)).await;
    let answer = app.patch_user(&other.user_id, &by.jwt, json!({ "admin": true })).await;
    assert_eq!(answer.json["admin"], true, "{}", answer.text);
    other
}

/// How many rows of `events` are of this kind.
fn count(app: &TestApp, kind: &str) -> i64 {
    app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE kind = '{kind}'"))
}

/// The ids that a search finds.
async fn found(app: &TestApp, jwt: &str, query: &str) -> Vec<String> {
    let items = app.all_pages(&format!("/api/admin/users?{query}"), 2, jwt).await;
    items.iter().map(|user| user["id"].as_str().expect("an id").to_owned()).collect()
}

on_both_databases! {
    async fn each_route_is_for_administrators_and_nobody_else(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let one = user_path(&ada.user_id);
        let revoke = format!("{one}/revoke-tokens");
        let routes = [
            ("GET", "/api/admin/users"),
            ("GET", &one),
            ("PATCH", &one),
            ("DELETE", &one),
            ("POST", &revoke),
            ("GET", "/api/admin/events"),
        ];
        for (method, path) in routes {
            let body = json!({ "disabled": true });
            let refused = app.send_as(method, path, &bob.jwt, &body).await;
            refused.assert_problem(403, "admin_required");
            let refused = app.send_as(method, path, "nonsense", &body).await;
            refused.assert_problem(401, "invalid_token");
            let request = app.http.request(method.parse().expect("a method"), format!("{}{path}", app.base)).json(&body);
            let refused = crate::support::app::Answer::of(request.send().await.expect("an answer")).await;
            refused.assert_problem(401, "invalid_token");
            assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"tokenbooth\"");
        }
        assert_eq!(app.me(&ada.jwt).await.status, 200, "nothing was done");
        // Whoever is no administrator any more is refused at the next request.
        let eve = another_administrator(&app, &ada, "eve").await;
        assert_eq!(app.get_as("/api/admin/users", &eve.jwt).await.status, 200);
        app.patch_user(&eve.user_id, &ada.jwt, json!({ "admin": false })).await;
        app.get_as("/api/admin/users", &eve.jwt).await.assert_problem(403, "admin_required");
    }

    async fn a_user_is_shown_with_the_ways_in(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let shown = app.get_as(&user_path(&bob.user_id), &ada.jwt).await;
        assert_eq!((shown.status, shown.header("cache-control")), (200, "no-store"));
        let mut expected = app.me(&bob.jwt).await.json;
        expected["disabled"] = json!(false);
        expected["identities"] = app.get_as("/api/me/identities", &bob.jwt).await.json["items"].clone();
        assert_eq!(expected["identities"].as_array().map(Vec::len), Some(1));
        assert_eq!(shown.json, expected);
        let listed = app.get_as("/api/admin/users?q=bob%40", &ada.jwt).await;
        assert_eq!(listed.json, json!({ "items": [expected], "next": null }));
        assert_eq!(listed.header("cache-control"), "no-store");
    }

    async fn a_user_who_is_not_there_is_404_whatever_is_asked(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        for id in [NOBODY, "1", "me", "%00", "%ff", "..%2f..%2fhealthz", "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f1"] {
            let path = user_path(id);
            app.get_as(&path, &ada.jwt).await.assert_problem(404, "not_found");
            app.delete(&path, &ada.jwt).await.assert_problem(404, "not_found");
            app.patch_user(id, &ada.jwt, json!({ "disabled": true })).await.assert_problem(404, "not_found");
            app.patch_user(id, &ada.jwt, json!({})).await.assert_problem(404, "not_found");
            app.send_as("POST", &format!("{path}/revoke-tokens"), &ada.jwt, &Value::Null).await.assert_problem(404, "not_found");
        }
        let refused = app.send_as("PUT", &user_path(NOBODY), &ada.jwt, &Value::Null).await;
        refused.assert_problem(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), "GET, HEAD, PATCH, DELETE");
        assert_eq!(app.me(&ada.jwt).await.status, 200);
    }

    async fn a_change_that_is_not_understood_is_400_and_changes_nothing(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let path = format!("{}{}", app.base, user_path(&bob.user_id));
        for body in [
            r#"{"disabled": null}"#,
            r#"{"admin": null}"#,
            r#"{"disabled": "true"}"#,
            r#"{"disabled": 1}"#,
            r#"{"admin": []}"#,
            r#"{"name": ""}"#,
            r#"{"name": "a\u0000b"}"#,
            r#"{"name": 5}"#,
            r#"{"admin": true, "email": "bob@evil.com"}"#,
            r#"{"admin": true, "token_version": 0}"#,
            r#"{"admin": true, "avatar_url": null}"#,
            r#"{"admin": true, "admin": true}"#,
            r#"{"Admin": true}"#,
            "[true, true]",
            "null",
            "",
            "{",
        ] {
            let request = app.http.patch(&path).bearer_auth(&ada.jwt).header("content-type", "application/json").body(body);
            let answer = crate::support::app::Answer::of(request.send().await.expect("an answer")).await;
            answer.assert_problem(400, "invalid_request");
        }
        let long = app.patch_user(&bob.user_id, &ada.jwt, json!({ "name": "x".repeat(201) })).await;
        long.assert_problem(400, "invalid_request");
        let form = app.http.patch(&path).bearer_auth(&ada.jwt).form(&[("admin", "true")]).send().await.expect("an answer");
        crate::support::app::Answer::of(form).await.assert_problem(415, "unsupported_media_type");
        let shown = app.get_as(&user_path(&bob.user_id), &ada.jwt).await;
        assert_eq!((&shown.json["admin"], &shown.json["disabled"], &shown.json["name"]), (&json!(false), &json!(false), &json!("Bob Example")));
        assert_eq!(count(&app, "user.promoted"), 1, "of Ada, by the settings");
    }

    async fn what_is_already_so_is_200_without_an_event(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let before = app.db.count("events");
        for same in [json!({}), json!({ "disabled": false }), json!({ "admin": false }), json!({ "disabled": false, "admin": false })] {
            assert_eq!(app.patch_user(&bob.user_id, &ada.jwt, same).await.status, 200);
        }
        // Of the last administrator, too: it takes nothing away.
        assert_eq!(app.patch_user(&ada.user_id, &ada.jwt, json!({ "disabled": false, "admin": true })).await.status, 200);
        assert_eq!(app.db.count("events"), before);
        assert_eq!(app.me(&bob.jwt).await.status, 200, "the token still counts");
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await;
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await;
        assert_eq!(count(&app, "user.disabled"), 1);
        assert_eq!(app.db.number("SELECT MAX(token_version) AS number FROM users"), 1);
    }

    async fn a_name_set_by_an_administrator_stays_until_it_is_handed_back(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let name = |answer: &crate::support::app::Answer| answer.json["name"].clone();
        let changed = app.patch_user(&bob.user_id, &ada.jwt, json!({ "name": "Robert" })).await;
        assert_eq!(name(&changed), "Robert");
        app.sign_in(Person::named("bob")).await;
        assert_eq!(name(&app.me(&bob.jwt).await), "Robert");
        let changed = app.patch_user(&bob.user_id, &ada.jwt, json!({ "name": null })).await;
        assert_eq!(name(&changed), Value::Null);
        app.sign_in(Person::named("bob")).await;
        assert_eq!(name(&app.me(&bob.jwt).await), "Bob Example");
        assert_eq!(found(&app, &ada.jwt, "q=bob").await, [bob.user_id]);
    }

    async fn a_disabled_user_is_out_at_once_and_enabling_revives_nothing(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        assert_eq!(app.db.count("sessions"), 1);
        let answer = app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await;
        assert_eq!((answer.status, &answer.json["disabled"]), (200, &json!(true)), "{}", answer.text);
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        let token = app.mock.google().id_token(Person::named("bob").claims());
        app.exchange_id_token(&token).await.assert_problem(403, "user_disabled");
        app.refresh(bob.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(app.db.count("sessions"), 0);

        let answer = app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": false })).await;
        assert_eq!((answer.status, &answer.json["disabled"]), (200, &json!(false)));
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        app.refresh(bob.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        let again = app.exchange_id_token(&token).await.assert_signed_in();
        assert_eq!((again.user_id.as_str(), again.created), (bob.user_id.as_str(), false));
        assert_eq!(app.me(&again.jwt).await.status, 200);
        for kind in ["user.disabled", "user.enabled"] {
            let events = app.events(kind, &ada.jwt).await;
            assert_eq!(events.len(), 1);
            assert_eq!((&events[0]["actor_id"], &events[0]["user_id"]), (&json!(ada.user_id), &json!(bob.user_id)));
        }
    }

    async fn revoking_ends_everything_that_is_out_and_lets_the_user_sign_in_again(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        let answer = app.send_as("POST", &format!("{}/revoke-tokens", user_path(&bob.user_id)), &ada.jwt, &Value::Null).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        app.refresh(bob.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        let again = app.sign_in(Person::named("bob")).await;
        assert_eq!(app.me(&again.jwt).await.status, 200);
        let events = app.events("tokens.revoked", &ada.jwt).await;
        assert_eq!((&events[0]["actor_id"], &events[0]["user_id"]), (&json!(ada.user_id), &json!(bob.user_id)));
        // One's own, too.
        assert_eq!(app.send_as("POST", &format!("{}/revoke-tokens", user_path(&ada.user_id)), &ada.jwt, &Value::Null).await.status, 204);
        app.me(&ada.jwt).await.assert_problem(401, "invalid_token");
    }

    async fn the_last_administrator_stays_one(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let refuses_all = async || {
            for change in [json!({ "disabled": true }), json!({ "admin": false }), json!({ "name": "x", "disabled": false, "admin": false })] {
                app.patch_user(&ada.user_id, &ada.jwt, change).await.assert_problem(409, "last_admin");
            }
            app.delete(&user_path(&ada.user_id), &ada.jwt).await.assert_problem(409, "last_admin");
            app.delete("/api/me", &ada.jwt).await.assert_problem(409, "last_admin");
            let me = app.me(&ada.jwt).await;
            assert_eq!((&me.json["admin"], &me.json["name"]), (&json!(true), &json!("Ada Example")));
        };
        refuses_all().await;
        // One who is disabled does not count.
        app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true, "admin": true })).await;
        refuses_all().await;
        assert_eq!(app.patch_user(&bob.user_id, &ada.jwt, json!({ "admin": false })).await.status, 200);
        assert_eq!(app.patch_user(&bob.user_id, &ada.jwt, json!({ "admin": true, "disabled": false })).await.status, 200);
        // Now there are two, and either may go.
        assert_eq!(app.patch_user(&ada.user_id, &ada.jwt, json!({ "admin": false })).await.status, 200);
        let bob = app.sign_in(Person::named("bob")).await;
        app.delete("/api/me", &bob.jwt).await.assert_problem(409, "last_admin");
        assert_eq!(count(&app, "user.deleted"), 0);
        assert_eq!(count(&app, "user.demoted"), 2);
    }

    async fn two_administrators_who_demote_each_other_leave_one(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let eve = another_administrator(&app, &ada, "eve").await;
        for round in 0..20 {
            let change = || if round % 2 == 0 { json!({ "admin": false }) } else { json!({ "disabled": true }) };
            let (one, other) = tokio::join!(
                app.patch_user(&eve.user_id, &ada.jwt, change()),
                app.patch_user(&ada.user_id, &eve.jwt, change()),
            );
            let won = [&one, &other].into_iter().filter(|answer| answer.status == 200).count();
            assert_eq!(won, 1, "round {round}: {} {}", one.text, other.text);
            let lost = if one.status == 200 { &other } else { &one };
            // Too late in the transaction, or before it: by then no administrator, or out.
            assert!(matches!(lost.status, 401 | 403 | 409), "{}", lost.text);
            let left = "SELECT COUNT(*) AS number FROM users WHERE admin AND NOT disabled";
            assert_eq!(app.db.number(left), 1, "round {round}");
            app.db.execute("UPDATE users SET admin = TRUE, disabled = FALSE, token_version = 0");
        }
        // The same with deletions.
        let (path_of_ada, path_of_eve) = (user_path(&ada.user_id), user_path(&eve.user_id));
        let (one, other) = tokio::join!(
            app.delete(&path_of_eve, &ada.jwt),
            app.delete(&path_of_ada, &eve.jwt),
        );
        assert_eq!([&one, &other].into_iter().filter(|answer| answer.status == 204).count(), 1, "{} {}", one.text, other.text);
        assert_eq!(app.db.count("users"), 1);
    }

    async fn a_deleted_user_leaves_nothing_but_the_id(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let carol = app.sign_in_offline(Person::named("carol")).await;
        app.patch_user(&carol.user_id, &ada.jwt, json!({ "name": "Caroline" })).await;
        let dave = app.sign_in_offline(Person::named("dave")).await;
        let answer = app.delete(&user_path(&carol.user_id), &ada.jwt).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        let answer = app.delete("/api/me", &dave.jwt).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert_eq!((app.db.count("users"), app.db.count("identities"), app.db.count("sessions")), (1, 1, 0));
        for gone in [&carol, &dave] {
            app.me(&gone.jwt).await.assert_problem(401, "invalid_token");
            app.refresh(gone.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
            app.delete("/api/me", &gone.jwt).await.assert_problem(401, "invalid_token");
            app.get_as(&user_path(&gone.user_id), &ada.jwt).await.assert_problem(404, "not_found");
        }
        app.delete(&user_path(&carol.user_id), &ada.jwt).await.assert_problem(404, "not_found");

        let events = app.events("user.deleted", &ada.jwt).await;
        let by: Vec<_> = events.iter().map(|event| (&event["user_id"], &event["actor_id"])).collect();
        assert_eq!(by, [(&json!(dave.user_id), &json!(dave.user_id)), (&json!(carol.user_id), &json!(ada.user_id))]);
        let all = json!(app.all_pages("/api/admin/events", 200, &ada.jwt).await).to_string().to_lowercase();
        for trace in ["carol", "dave", "example", "@"] {
            assert!(!all.contains(trace), "{trace} in {all}");
        }

        let again = app.sign_in(Person::named("carol")).await;
        assert!(again.created);
        assert_ne!(again.user_id, carol.user_id);
        assert_eq!(app.me(&again.jwt).await.json["name"], "Carol Example");
        app.me(&carol.jwt).await.assert_problem(401, "invalid_token");
    }

    async fn users_are_paged_in_order_of_creation_whoever_comes_meanwhile(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let mut expected = vec![ada.user_id.clone()];
        for number in 0..205 {
            let id = tokenbooth::user::UserId::generate().to_string();
            app.db.execute(&format!(
                "INSERT INTO users (id, email, email_lower, name, name_lower, admin, disabled, token_version, created_at, updated_at) \
                 VALUES ('{id}', 'p{number}@example.com', 'p{number}@example.com', 'P', 'p', FALSE, FALSE, 0, 1, 1)"
            ));
            expected.push(id);
        }
        let first = app.get_as("/api/admin/users", &ada.jwt).await;
        assert_eq!(first.json["items"].as_array().map(Vec::len), Some(50), "the usual page");
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let page = app.get_as(&format!("/api/admin/users?limit=20{after}"), &ada.jwt).await;
            for user in page.json["items"].as_array().expect("items") {
                ids.push(user["id"].as_str().expect("an id").to_owned());
            }
            // Somebody comes with each page; the one who goes had been read.
            expected.push(app.sign_in(Person::named(&format!("late{}", ids.len()))).await.user_id);
            if ids.len() == 20 {
                assert_eq!(app.delete(&user_path(&ids[5]), &ada.jwt).await.status, 204);
            }
            let Some(next) = page.json["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        // Whoever came after the last page was read is not on it.
        assert_eq!(ids, expected[..expected.len() - 1]);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let searched = found(&app, &ada.jwt, "q=p1").await;
        assert_eq!(searched.len(), 111, "p1, p10 to p19, p100 to p199");
        assert!(searched.is_sorted());
    }

    async fn a_search_is_a_prefix_or_a_provider_id_and_nothing_else(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = app.sign_in(Person { name: Some("Zo\u{eb} 100%_Real".into()), ..Person::named("bob") }).await;
        let hub = app.exchange_github(GithubUser::named("carol")).await.assert_signed_in();
        let everybody = [ada.user_id.clone(), bob.user_id.clone(), hub.user_id.clone()];
        for query in ["q=bob", "q=BOB%40EXAMPLE.com", "q=zo%C3%AB", "q=Zo%C3%AB+100%25_", "unknown=5&q=bob@example.com"] {
            assert_eq!(found(&app, &ada.jwt, query).await, everybody[1..2], "{query}");
        }
        let sub = Person::named("bob").sub;
        assert_eq!(found(&app, &ada.jwt, &format!("q={sub}")).await, everybody[1..2]);
        let number = GithubUser::named("carol").id;
        assert_eq!(found(&app, &ada.jwt, &format!("q={number}")).await, everybody[2..]);
        for query in ["q=%25", "q=_ob", "q=b%25", "q=ob", "q=example.com", "q=zo%C3%8B+1", &format!("q={}", &sub[..20]), "q=%00", "q=bob%00"] {
            assert_eq!(found(&app, &ada.jwt, query).await, [] as [String; 0], "{query}");
        }
        for query in ["", "q=", "unknown=1&unknown=2"] {
            assert_eq!(found(&app, &ada.jwt, query).await, everybody, "{query}");
        }
        let long = "\u{e4}".repeat(200);
        assert_eq!(found(&app, &ada.jwt, &format!("q={long}")).await, [] as [String; 0]);
        app.get_as(&format!("/api/admin/users?q={long}x"), &ada.jwt).await.assert_problem(400, "invalid_request");
    }

    async fn a_query_that_is_not_understood_is_a_problem_in_the_usual_form(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        app.sign_in(Person::named("bob")).await;
        let next = async |path: &str| {
            let page = app.get_as(path, &ada.jwt).await;
            page.json["next"].as_str().expect("a next page").to_owned()
        };
        let of_users = next("/api/admin/users?limit=1").await;
        let of_events = next("/api/admin/events?limit=1").await;
        let mut forged = of_users.clone();
        let last = forged.pop().expect("a character");
        forged.push(if last == 'A' { 'Q' } else { 'A' });
        for query in [
            "limit=0", "limit=201", "limit=-1", "limit=1.0", "limit=+5", "limit=", "limit=x", "after=", "after=x",
            "limit=1&limit=2", "after=a&after=b",
            &format!("after={forged}"), &format!("after={NOBODY}"), &format!("after={of_users}A"),
        ] {
            for path in ["/api/admin/users", "/api/admin/events", "/api/me/identities", "/api/me/sessions"] {
                let refused = app.get_as(&format!("{path}?{query}"), &ada.jwt).await;
                refused.assert_problem(400, "invalid_request");
            }
        }
        app.get_as("/api/admin/users?q=a&q=b", &ada.jwt).await.assert_problem(400, "invalid_request");
        // A cursor is good for the list that it came from.
        for (path, cursor) in [("users", &of_events), ("events", &of_users)] {
            let refused = app.get_as(&format!("/api/admin/{path}?after={cursor}"), &ada.jwt).await;
            refused.assert_problem(400, "invalid_request");
        }
        assert_eq!(app.get_as(&format!("/api/admin/users?after={of_users}"), &ada.jwt).await.status, 200);
    }
}
