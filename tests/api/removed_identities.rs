//! An ID token from before its identity was removed here opens nothing: not the account that it created, and none of a thief.

use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::both_doors::ID_TOKEN;
use crate::support::{SignedIn, TestApp};

/// An ID token of Alice that a thief has had for a minute.
fn stolen(app: &TestApp) -> String {
    app.mock.google().id_token_of(&Person::named("alice"), json!({ "iat": app.clock.now().0 - 60 }))
}

/// Asserts that nobody gets anything for the stolen token, on each replica, and that Alice herself comes in as a new user.
async fn assert_worthless(replicas: [&TestApp; 2], stolen: &str, before: &SignedIn) {
    let thief = replicas[0].exchange_github(GithubUser::named("mallory")).await.assert_signed_in();
    let users = replicas[0].db.count("users");
    for app in replicas {
        app.exchange_id_token(stolen).await.assert_problem(401, "invalid_token");
        let body = json!({ "id_token": stolen });
        let linked = app.send_as("POST", "/api/me/identities/google", &thief.jwt, &body).await;
        linked.assert_problem(401, "invalid_token");
        let exchanged = app.token_exchange("google", ID_TOKEN, stolen, &[]).await;
        assert_eq!(
            (exchanged.status, &exchanged.json["error"]),
            (400, &json!("invalid_request")),
            "{}",
            exchanged.text
        );
    }
    assert_eq!(replicas[0].db.count("users"), users);
    let alice = replicas[1].sign_in(Person::named("alice")).await;
    assert_ne!(alice.user_id, before.user_id);
    assert_ne!(alice.user_id, thief.user_id);
}

on_both_databases! {
    async fn an_id_token_from_before_a_deletion_creates_nobody(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let other = app.replica().await;
        for by_administrator in [false, true] {
            let stolen = stolen(&app);
            let alice = app.sign_in(Person::named("alice")).await;
            let deleted = if by_administrator {
                app.delete(&format!("/api/admin/users/{}", alice.user_id), &ada.jwt).await
            } else {
                app.delete("/api/me", &alice.jwt).await
            };
            assert_eq!(deleted.status, 204, "{}", deleted.text);
            assert_worthless([&app, &other], &stolen, &alice).await;
        }
    }

    async fn an_id_token_from_before_an_unlinking_creates_nobody(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.replica().await;
        let stolen = stolen(&app);
        let alice = app.sign_in(Person::named("alice")).await;
        assert_eq!(app.link_github(&alice.jwt, GithubUser::named("alice")).await.status, 201);
        let listed = app.get_as("/api/me/identities", &alice.jwt).await.json["items"].clone();
        let google = listed.as_array().expect("items").iter().find(|identity| identity["provider"] == "google");
        let id = google.expect("the Google identity")["id"].as_str().expect("an id");
        assert_eq!(app.delete(&format!("/api/me/identities/{id}"), &alice.jwt).await.status, 204);
        assert_worthless([&app, &other], &stolen, &alice).await;
    }

    async fn unlinking_ends_everything_that_the_identity_may_have_opened(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.replica().await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        assert_eq!(app.link_github(&alice.jwt, GithubUser::named("mallory")).await.status, 201);
        let token = app.mock.github().access_token(GithubUser::named("mallory"));
        let body = json!({ "access_token": token, "scope": "offline_access" });
        let thief = app.exchange("github", &body).await.assert_signed_in();
        assert_eq!(thief.user_id, alice.user_id);
        let listed = app.get_as("/api/me/identities", &alice.jwt).await.json["items"].clone();
        let github = listed.as_array().expect("items").iter().find(|identity| identity["provider"] == "github");
        let id = github.expect("the GitHub identity")["id"].as_str().expect("an id");
        assert_eq!(app.delete(&format!("/api/me/identities/{id}"), &alice.jwt).await.status, 204);
        for tokens in [&alice, &thief] {
            other.me(&tokens.jwt).await.assert_problem(401, "invalid_token");
            other.refresh(tokens.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        }
        let again = other.sign_in(Person::named("alice")).await;
        assert_eq!(again.user_id, alice.user_id);
    }

    async fn an_administrator_who_removes_a_password_ends_everything_even_if_none_is_set(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let thief = app.sign_in_offline(Person::named("alice")).await;
        let path = format!("/api/admin/users/{}/password", thief.user_id);
        assert_eq!(app.send_as("DELETE", &path, &ada.jwt, &Value::Null).await.status, 204);
        app.me(&thief.jwt).await.assert_problem(401, "invalid_token");
        app.refresh(thief.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        let events = app.events("tokens.revoked", &ada.jwt).await;
        assert_eq!(events[0]["actor_id"], ada.user_id);
    }
}
