//! `/api/me/identities`: several ways in for one account, none of which can be taken by somebody else.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};
use uuid::Uuid;

use crate::databases::TestDatabase;
use crate::support::TestApp;

const PATH: &str = "/api/me/identities";

async fn identities(app: &TestApp, jwt: &str) -> Vec<Value> {
    let answer = app.get_as(PATH, jwt).await;
    assert_eq!((answer.status, &answer.json["next"]), (200, &Value::Null), "{}", answer.text);
    answer.json["items"].as_array().expect("items").clone()
}

async fn unlink(app: &TestApp, jwt: &str, id: &Value) -> crate::support::Answer {
    app.send_as("DELETE", &format!("{PATH}/{}", id.as_str().expect("an id")), jwt, &Value::Null).await
}

on_both_databases! {
    async fn a_linked_identity_lets_the_same_user_in(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let linked = app.link_github(&alice.jwt, GithubUser::named("alice")).await;
        assert_eq!(linked.status, 201, "{}", linked.text);
        assert_eq!(linked.header("cache-control"), "no-store");
        let through_github = app.exchange_github(GithubUser::named("alice")).await.assert_signed_in();
        assert_eq!((through_github.user_id, through_github.created), (alice.user_id.clone(), false));

        let items = identities(&app, &alice.jwt).await;
        assert_eq!(items.len(), 2);
        assert_eq!((&items[0]["provider"], &items[1]["provider"]), (&json!("google"), &json!("github")));
        let members: Vec<&str> = items[1].as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, ["created_at", "email", "id", "last_used_at", "provider", "provider_id"]);
        let mut item = items[1].clone();
        // It was signed in with since.
        item["last_used_at"] = linked.json["last_used_at"].clone();
        assert_eq!(item, linked.json, "the answer to a link is one item of the list");
        assert_eq!(items[1]["provider_id"], json!(GithubUser::named("alice").id.to_string()));

        // Once more is as good as done, in the same form.
        let again = app.link_github(&alice.jwt, GithubUser::named("alice")).await;
        assert_eq!((again.status, &again.json), (200, &items[1]));
        assert_eq!(app.db.count("identities"), 2);
    }

    async fn several_of_one_provider_are_fine(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        assert_eq!(app.link_google(&alice.jwt, Person::named("alice-at-work")).await.status, 201);
        assert_eq!(app.sign_in(Person::named("alice-at-work")).await.user_id, alice.user_id);
        // The e-mail stays the one that was there.
        assert_eq!(app.me(&alice.jwt).await.json["email"], "alice@example.com");
        app.sign_in(Person::named("alice-at-work")).await;
        assert_eq!(app.me(&alice.jwt).await.json["email"], "alice@example.com");
    }

    async fn linking_fills_the_email_only_while_there_is_none_and_only_with_a_verified_one(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let unverified = Person { email_verified: Some(json!(false)), ..Person::named("carol") };
        let carol = app.sign_in(unverified.clone()).await;
        assert_eq!(carol.json["user"]["email"], Value::Null);
        let other = Person { sub: "77".into(), ..unverified };
        assert_eq!(app.link_google(&carol.jwt, other).await.status, 201);
        assert_eq!(app.me(&carol.jwt).await.json["email"], Value::Null);
        assert_eq!(app.link_google(&carol.jwt, Person::named("dora")).await.status, 201);
        assert_eq!(app.me(&carol.jwt).await.json["email"], "dora@example.com");
        assert_eq!(app.link_google(&carol.jwt, Person::named("emil")).await.status, 201);
        assert_eq!(app.me(&carol.jwt).await.json["email"], "dora@example.com");

        // From now on it follows the identity that gave it, and that of the next oldest takes its place when that one goes.
        let moved = Person { email: Some("dora@new.example.com".into()), ..Person::named("dora") };
        app.sign_in(moved).await;
        assert_eq!(app.me(&carol.jwt).await.json["email"], "dora@new.example.com");
        let items = identities(&app, &carol.jwt).await;
        let dora = items.iter().find(|item| item["email"] == "dora@new.example.com").expect("dora");
        assert_eq!(unlink(&app, &carol.jwt, &dora["id"]).await.status, 204);
        let carol = app.sign_in(Person::named("emil")).await;
        assert_eq!(app.me(&carol.jwt).await.json["email"], "emil@example.com");
    }

    async fn an_identity_of_somebody_else_is_not_taken_nor_is_anything_told_of_its_owner(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let bob = app.exchange_github(GithubUser::named("bob")).await.assert_signed_in();
        let refused = app.link_github(&alice.jwt, GithubUser::named("bob")).await;
        let detail = refused.assert_problem(409, "identity_in_use").to_owned();
        for told in [bob.user_id.as_str(), "bob", "example.com"] {
            assert!(!refused.text.contains(told), "{}", refused.text);
        }
        app.db.execute(&format!("UPDATE users SET disabled = TRUE WHERE id = '{}'", bob.user_id));
        let of_a_disabled_one = app.link_github(&alice.jwt, GithubUser::named("bob")).await;
        assert_eq!(of_a_disabled_one.assert_problem(409, "identity_in_use"), detail);
        assert_eq!(identities(&app, &alice.jwt).await.len(), 1);
    }

    async fn both_proofs_are_wanted(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let good = json!({ "access_token": app.mock.github().access_token(GithubUser::named("alice")) });
        let path = format!("{PATH}/github");
        app.post(&path, &good).await.assert_problem(401, "invalid_token");
        app.send_as("POST", &path, "no.token.ofours", &good).await.assert_problem(401, "invalid_token");
        // A provider's token is no bearer token, and the caller's own is no proof of an identity.
        let id_token = app.mock.google().id_token(json!({}));
        app.send_as("POST", &path, &id_token, &good).await.assert_problem(401, "invalid_token");
        for bad in [
            json!({ "id_token": alice.jwt }),
            json!({ "id_token": app.mock.google().id_token(json!({ "aud": "someone-else" })) }),
            json!({ "id_token": app.mock.google().id_token(json!({ "exp": 1 })) }),
        ] {
            let answer = app.send_as("POST", "/api/me/identities/google", &alice.jwt, &bad).await;
            assert_eq!(answer.status, 401, "{}", answer.text);
            // As the exchange answers.
            assert_eq!(answer.json["code"], app.exchange("google", &bad).await.json["code"]);
        }
        app.send_as("POST", "/api/me/identities/nobody", &alice.jwt, &good).await.assert_problem(404, "unknown_provider");
        app.send_as("POST", &path, &alice.jwt, &json!({})).await.assert_problem(400, "invalid_request");
        // After the clock passed the caller's token, the fresh proof alone is worth nothing.
        app.clock.advance(3600);
        let late = json!({ "access_token": app.mock.github().access_token(GithubUser::named("alice")) });
        app.send_as("POST", &path, &alice.jwt, &late).await.assert_problem(401, "invalid_token");
        assert_eq!(app.db.count("identities"), 1);
    }

    async fn the_last_way_in_stays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let first = identities(&app, &alice.jwt).await[0]["id"].clone();
        unlink(&app, &alice.jwt, &first).await.assert_problem(409, "last_identity");
        assert_eq!(app.link_github(&alice.jwt, GithubUser::named("alice")).await.status, 201);
        assert_eq!(unlink(&app, &alice.jwt, &first).await.status, 204);
        unlink(&app, &alice.jwt, &first).await.assert_problem(401, "invalid_token");
        let alice = app.exchange_github(GithubUser::named("alice")).await.assert_signed_in();
        unlink(&app, &alice.jwt, &first).await.assert_problem(404, "not_found");
        let second = identities(&app, &alice.jwt).await[0]["id"].clone();
        unlink(&app, &alice.jwt, &second).await.assert_problem(409, "last_identity");
        // The identity that was unlinked is free: whoever owns it begins anew.
        let anew = app.sign_in(Person::named("alice")).await;
        assert!(anew.created && anew.user_id != alice.user_id);
        assert_eq!(app.exchange_github(GithubUser::named("alice")).await.assert_signed_in().user_id, alice.user_id);
    }

    async fn an_id_that_is_not_the_callers_is_not_found_whatever_it_is(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        let bob = app.sign_in(Person::named("bob")).await;
        assert_eq!(app.link_github(&bob.jwt, GithubUser::named("bob")).await.status, 201);
        let bobs = identities(&app, &bob.jwt).await[0]["id"].clone();
        let ids = [bobs, json!(Uuid::nil()), json!("no-uuid"), json!("%20")];
        let mut told = Vec::new();
        for id in ids {
            let answer = unlink(&app, &alice.jwt, &id).await;
            told.push(answer.assert_problem(404, "not_found").to_owned());
        }
        told.dedup();
        assert_eq!(told.len(), 1, "all alike");
        assert_eq!(identities(&app, &bob.jwt).await.len(), 2);
    }

    async fn two_unlinks_of_the_last_two_leave_one(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for round in 0..10 {
            let name = format!("person-{round}");
            let user = app.sign_in(Person::named(&name)).await;
            assert_eq!(app.link_github(&user.jwt, GithubUser::named(&name)).await.status, 201);
            let items = identities(&app, &user.jwt).await;
            let answers = join_all(items.iter().map(|item| unlink(&app, &user.jwt, &item["id"]))).await;
            let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            // The first one ends the token that the second one was sent with.
            assert_eq!(statuses, [204, 401]);
            assert_eq!(app.db.count("identities"), round + 1);
        }
    }

    async fn one_identity_linked_by_many_at_once_gets_one_owner(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for round in 0..5 {
            let users = join_all((0..8).map(|n| app.sign_in(Person::named(&format!("rival-{round}-{n}"))))).await;
            let prize = || GithubUser::named(&format!("prize-{round}"));
            let links = join_all(users.iter().map(|user| app.link_github(&user.jwt, prize()))).await;
            let mut statuses: Vec<u16> = links.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
            // A first sign-in and a link cross: one of them has it.
            let other = || GithubUser::named(&format!("crossed-{round}"));
            let (link, exchange) = tokio::join!(app.link_github(&users[0].jwt, other()), app.exchange_github(other()));
            let signed_in = exchange.assert_signed_in();
            assert_eq!(link.status == 201, signed_in.user_id == users[0].user_id, "{}", link.text);
            assert!(matches!(link.status, 201 | 409), "{}", link.text);
        }
        let twice = "SELECT COUNT(*) AS number FROM (SELECT provider_id FROM identities GROUP BY provider, provider_id HAVING COUNT(*) > 1) AS twice";
        assert_eq!(app.db.number(twice), 0);
    }

    async fn a_caller_revoked_while_the_provider_was_asked_links_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        app.mock.set_fault(
            tokenbooth::mock::Endpoint::GithubCheck,
            tokenbooth::mock::Fault::Slow(std::time::Duration::from_millis(1500)),
        );
        let revoke = async {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            app.send_as("POST", "/auth/logout-all", &alice.jwt, &Value::Null).await
        };
        let (link, revoked) = tokio::join!(app.link_github(&alice.jwt, GithubUser::named("alice")), revoke);
        assert_eq!(revoked.status, 204);
        link.assert_problem(401, "invalid_token");
        assert_eq!(app.db.count("identities"), 1);
    }

    async fn the_list_comes_in_pages(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        for n in 0..6 {
            assert_eq!(app.link_google(&alice.jwt, Person::named(&format!("alice-{n}"))).await.status, 201);
        }
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = app.get_as(&format!("{PATH}?limit=3{after}"), &alice.jwt).await;
            let items = page.json["items"].as_array().expect("items");
            assert!((1..=3).contains(&items.len()));
            seen.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
            match page.json["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (7, &sorted), "each once, oldest first");

        let next = app.get_as(&format!("{PATH}?limit=1"), &alice.jwt).await.json["next"].clone();
        let next = next.as_str().expect("a cursor");
        let forged = format!("{}{}", if next.starts_with('A') { 'B' } else { 'A' }, &next[1..]);
        for query in [
            "limit=0", "limit=201", "limit=-1", "limit=+1", "limit=x", "limit=", "limit=1&limit=2", "after=x", "after=",
            &format!("after={forged}"), &format!("after={}", Uuid::now_v7()),
        ] {
            app.get_as(&format!("{PATH}?{query}"), &alice.jwt).await.assert_problem(400, "invalid_request");
        }
        // A cursor of one list is none of another.
        app.get_as(&format!("/api/me/sessions?after={next}"), &alice.jwt).await.assert_problem(400, "invalid_request");
    }
}
