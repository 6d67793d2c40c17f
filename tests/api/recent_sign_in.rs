//! Sensitive operations require a recent sign-in (RFC 9470), so that a stolen access token does not take an account over; and what an
//! ID token is worth after all sessions were ended.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::clock::Clock;
use tokenbooth::mock::{GithubUser, Person};
use tokenbooth::settings::Sources;

use crate::databases::TestDatabase;
use crate::support::both_doors::{ID_TOKEN, claims};
use crate::support::browser::Browser;
use crate::support::{Answer, SignedIn, TestApp};

const PASSWORD: &str = "correct horse battery staple";
const FRESH_FOR: i64 = 600;

/// An ID token of this person that the mock issued `age` seconds before the service's clock.
fn id_token(app: &TestApp, person: &Person, age: i64) -> String {
    app.mock.google().id_token_of(person, json!({ "iat": app.clock.now().0 - age }))
}

/// The one request that uses a token up must be answered, however busy the machine is.
fn single_use(sources: Sources) -> Sources {
    sources.with("providers.google.single_use", "true").with("database.timeout", "60s")
}

async fn sign_in(app: &TestApp, name: &str) -> SignedIn {
    app.exchange_id_token(&id_token(app, &Person::named(name), 0)).await.assert_signed_in()
}

/// Asserts that a recent sign-in is required, in the words of RFC 9470.
#[track_caller]
fn assert_reauthentication_required(answer: &Answer) {
    answer.assert_problem(401, "reauthentication_required");
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer error=\"insufficient_user_authentication\", error_description=\""),
        "{challenge}"
    );
    assert!(challenge.ends_with(", max_age=\"600\""), "{challenge}");
}

/// Every sensitive operation of a user, as the holder of this token sends it.
async fn attempts(app: &TestApp, jwt: &str, identity_id: &str) -> Vec<Answer> {
    let github = json!({ "access_token": app.mock.github().access_token(GithubUser::named("mallory")) });
    let bogus = json!({ "new_password": PASSWORD, "current_password": "not the password of anybody" });
    let unlink = format!("/api/me/identities/{identity_id}");
    let mut answers = Vec::new();
    for (method, path, body) in [
        ("POST", "/api/me/identities/github", &github),
        ("DELETE", unlink.as_str(), &Value::Null),
        ("PUT", "/api/me/password", &json!({ "new_password": PASSWORD })),
        // On an account without a password, a current password proves nothing.
        ("PUT", "/api/me/password", &bogus),
        ("DELETE", "/api/me/password", &json!({})),
        ("DELETE", "/api/me/password", &json!({ "current_password": "not the password of anybody" })),
        ("DELETE", "/api/me", &Value::Null),
    ] {
        answers.push(app.send_as(method, path, jwt, body).await);
    }
    answers
}

on_both_databases! {
    async fn a_provider_that_did_not_authenticate_the_person_again_confirms_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let now = app.clock.now().0;
        let mut browser = Browser::at(&app);
        for (auth_time, recent) in [
            (Value::Null, true),
            (json!(now), true),
            (json!(now - 1000), false),
            (json!(1_000_000_000.5), false),
            (json!("yesterday"), false),
        ] {
            app.mock.google().set_token_claims(json!({ "auth_time": auth_time }));
            // Nobody asked for it here, so the sign-in itself counts.
            assert_eq!(browser.sign_in("google", "alice").await.status, 302);
            assert_eq!(browser.call("DELETE", "/api/me/password").await.status, 204, "{auth_time}");
            let login = "/auth/google/login?redirect_to=%2Faccount&reauthenticate=1";
            let back = browser.authorize(login, "alice").await;
            assert_eq!(browser.visit(&back).await.status, 302);
            let response = browser.call("DELETE", "/api/me/password").await;
            if recent {
                assert_eq!(response.status, 204, "{auth_time}: {}", response.text);
            } else {
                assert_reauthentication_required(&response);
            }
        }
    }

    async fn whoever_has_an_old_token_does_not_use_up_the_attempts_of_the_owner(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources
                .with("rate_limit.enabled", "true")
                .with("rate_limit.account_burst", "3")
                .with("rate_limit.account_per_minute", "1")
                .with("server.trusted_proxies", "127.0.0.1")
        })
        .await;
        let from = async |ip: &str, jwt: &str, body: &Value| {
            let request = app.http.put(format!("{}/api/me/password", app.base)).bearer_auth(jwt);
            let request = request.header("x-forwarded-for", ip).json(body);
            Answer::of(request.send().await.expect("an answer")).await
        };
        let stolen = app.exchange_id_token(&id_token(&app, &Person::named("alice"), 1000)).await.assert_signed_in();
        let owner = sign_in(&app, "alice").await;
        let set = json!({ "new_password": PASSWORD });
        for _ in 0..10 {
            assert_reauthentication_required(&from("203.0.113.9", &stolen.jwt, &set).await);
        }
        assert_eq!(from("203.0.113.9", &owner.jwt, &set).await.status, 204);
        // Guesses count, for the address they come from, and the audit trail shows them.
        let guess = json!({ "new_password": PASSWORD, "current_password": "not the password of alice" });
        for _ in 0..2 {
            from("203.0.113.9", &stolen.jwt, &guess).await.assert_problem(403, "wrong_password");
        }
        from("203.0.113.9", &stolen.jwt, &guess).await.assert_problem(429, "rate_limited");
        let of_alice = format!("kind = 'sign_in.refused' AND user_id = '{}' AND detail LIKE '%wrong_password%'", owner.user_id);
        assert_eq!(app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE {of_alice}")), 1);
        assert_eq!(from("192.0.2.1", &owner.jwt, &set).await.status, 204);
    }

    async fn an_access_token_says_when_and_how_its_user_was_authenticated(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let now = || app.clock.now().0;
        let google = sign_in(&app, "alice").await;
        let seen = claims(&google.jwt);
        assert!((seen["auth_time"].as_i64().expect("auth_time") - now()).abs() < 5);
        assert_eq!(seen["idp"], "google");
        // An ID token is as old as it is, whenever it is handed in; one from the future is not newer than now.
        let old = app.exchange_id_token(&id_token(&app, &Person::named("alice"), 1000)).await.assert_signed_in();
        assert!((claims(&old.jwt)["auth_time"].as_i64().expect("auth_time") - now() + 1000).abs() < 5);
        let ahead = app.exchange_id_token(&id_token(&app, &Person::named("alice"), -30)).await.assert_signed_in();
        assert!((claims(&ahead.jwt)["auth_time"].as_i64().expect("auth_time") - now()).abs() < 5);
        // The provider was asked about an access token just now.
        let github = app.exchange_github(GithubUser::named("bob")).await.assert_signed_in();
        assert_eq!((claims(&github.jwt)["idp"].as_str(), claims(&github.jwt)["auth_time"].as_i64().is_some()), (Some("github"), true));
        // A refresh keeps both.
        let alice = app.sign_in_offline(Person::named("alice")).await;
        app.clock.advance(1200);
        let next = app.refresh(alice.refresh_token()).await.assert_signed_in();
        let (first, next) = (claims(&alice.jwt), claims(&next.jwt));
        assert_eq!((&next["auth_time"], &next["idp"]), (&first["auth_time"], &first["idp"]));
        assert_ne!(next["iat"], first["iat"]);
        // By password.
        assert_eq!(app.send_as("PUT", "/api/me/password", &sign_in(&app, "alice").await.jwt, &json!({ "new_password": PASSWORD })).await.status, 204);
        let by_password = app.sign_in_with_password("alice@example.com", PASSWORD).await.assert_signed_in();
        assert_eq!(claims(&by_password.jwt)["idp"], "password");
        assert_eq!(app.me(&by_password.jwt).await.json["has_password"], true);
        assert_eq!(app.me(&github.jwt).await.json["has_password"], false);
    }

    async fn a_stolen_token_of_an_old_sign_in_changes_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        let identity = app.get_as("/api/me/identities", &alice.jwt).await.json["items"][0]["id"].clone();
        let identity = identity.as_str().expect("an id");
        app.clock.advance(FRESH_FOR + 1);
        let refreshed = app.refresh(alice.refresh_token()).await.assert_signed_in();
        // A provider's ID token that leaked is no recent sign-in either.
        let leaked = app.exchange_id_token(&id_token(&app, &Person::named("alice"), FRESH_FOR + 1)).await.assert_signed_in();
        for jwt in [&alice.jwt, &refreshed.jwt, &leaked.jwt] {
            for answer in attempts(&app, jwt, identity).await {
                assert_reauthentication_required(&answer);
            }
            assert_eq!(app.me(jwt).await.status, 200, "reading needs no recent sign-in");
        }
        let unchanged = [app.db.count("identities"), app.db.count("users")];
        assert_eq!((unchanged, app.me(&alice.jwt).await.json["has_password"] == false), ([1, 1], true));
        // Nor does any of it work by the session cookie and the page's own link.
        let link = app.http.post(format!("{}/auth/github/link", app.base))
            .header("cookie", format!("__Host-tokenbooth_session={}", alice.jwt)).header("origin", &app.base);
        assert_reauthentication_required(&Answer::of(link.send().await.expect("an answer")).await);

        // The owner signs in again, with an identity or the password of the same account, and goes on.
        let again = sign_in(&app, "alice").await;
        assert_eq!(app.link_github(&again.jwt, GithubUser::named("alice")).await.status, 201);
        assert_eq!(app.send_as("PUT", "/api/me/password", &again.jwt, &json!({ "new_password": PASSWORD })).await.status, 204);
        app.clock.advance(FRESH_FOR + 1);
        let by_password = app.sign_in_with_password("alice@example.com", PASSWORD).await.assert_signed_in();
        assert_eq!(app.delete(&format!("/api/me/identities/{identity}"), &by_password.jwt).await.status, 204);
        // The right current password is proof enough by itself.
        let by_password = app.sign_in_with_password("alice@example.com", PASSWORD).await.assert_signed_in();
        app.clock.advance(FRESH_FOR + 1);
        let change = json!({ "new_password": "another horse battery staple", "current_password": PASSWORD });
        assert_eq!(app.send_as("PUT", "/api/me/password", &by_password.jwt, &change).await.status, 204);
    }

    async fn a_provider_replaces_the_current_password_and_nothing_else_does(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // A thief sets a first password on an account that had none, with a token that is recent.
        let stolen = sign_in(&app, "alice").await;
        assert_eq!(app.send_as("PUT", "/api/me/password", &stolen.jwt, &json!({ "new_password": PASSWORD })).await.status, 204);
        let thief = app.post("/auth/password", &json!({ "email": "alice@example.com", "password": PASSWORD, "scope": "offline_access" })).await.assert_signed_in();
        // Who came by password still has to know it.
        for (method, body) in [("PUT", json!({ "new_password": "another horse battery staple" })), ("DELETE", json!({}))] {
            app.send_as(method, "/api/me/password", &thief.jwt, &body).await.assert_problem(403, "wrong_password");
        }
        let owner = sign_in(&app, "alice").await;
        // What is sent must be right, however recent the sign-in is.
        let wrong = json!({ "new_password": "another horse battery staple", "current_password": "a wrong horse" });
        app.send_as("PUT", "/api/me/password", &owner.jwt, &wrong).await.assert_problem(403, "wrong_password");
        let wrong = json!({ "current_password": "a wrong horse" });
        app.send_as("DELETE", "/api/me/password", &owner.jwt, &wrong).await.assert_problem(403, "wrong_password");
        assert_eq!(app.send_as("DELETE", "/api/me/password", &owner.jwt, &Value::Null).await.status, 204);
        app.sign_in_with_password("alice@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
        app.refresh(thief.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        for jwt in [&stolen.jwt, &thief.jwt, &owner.jwt] {
            app.me(jwt).await.assert_problem(401, "invalid_token");
        }
        // A person who forgot the password sets another one in the same way.
        let owner = sign_in(&app, "alice").await;
        assert_eq!(app.send_as("PUT", "/api/me/password", &owner.jwt, &json!({ "new_password": PASSWORD })).await.status, 204);
        let owner = sign_in(&app, "alice").await;
        let new = "another horse battery staple";
        assert_eq!(app.send_as("PUT", "/api/me/password", &owner.jwt, &json!({ "new_password": new })).await.status, 204);
        app.sign_in_with_password("alice@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
        app.sign_in_with_password("alice@example.com", new).await.assert_signed_in();
        let told = |kind: &str| app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE kind = '{kind}'"));
        assert_eq!((told("password.set"), told("password.removed")), (3, 1));
    }

    async fn it_can_be_switched_off_but_not_the_recovery(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("accounts.fresh_for", "0s")).await;
        let alice = sign_in(&app, "alice").await;
        app.clock.advance(1000);
        assert_eq!(app.link_github(&alice.jwt, GithubUser::named("alice")).await.status, 201);
        assert_eq!(app.send_as("PUT", "/api/me/password", &alice.jwt, &json!({ "new_password": PASSWORD })).await.status, 204);
        app.send_as("DELETE", "/api/me/password", &alice.jwt, &Value::Null).await.assert_problem(403, "wrong_password");
        let again = sign_in(&app, "alice").await;
        assert_eq!(app.send_as("DELETE", "/api/me/password", &again.jwt, &Value::Null).await.status, 204);
    }

    async fn administrators_sign_in_again_before_they_promote_or_take_away(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let bob = sign_in(&app, "bob").await;
        let path = |rest: &str| format!("/api/admin/users/{}{rest}", bob.user_id);
        let identities = app.get_as(&path("/identities"), &ada.jwt).await;
        let identity = identities.json["items"][0]["id"].as_str().expect("an id").to_owned();
        app.clock.advance(FRESH_FOR + 1);
        let identity = path(&format!("/identities/{identity}"));
        for change in [json!({ "admin": true }), json!({ "admin": false }), json!({ "admin": true, "name": "Bob" })] {
            assert_reauthentication_required(&app.patch_user(&bob.user_id, &ada.jwt, change).await);
        }
        for path in [path(""), path("/password"), identity.clone()] {
            assert_reauthentication_required(&app.delete(&path, &ada.jwt).await);
        }
        // What shuts out needs no second sign-in: it must be quick.
        assert_eq!(app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": true })).await.status, 200);
        assert_eq!(app.send_as("POST", &path("/revoke-tokens"), &ada.jwt, &Value::Null).await.status, 204);
        assert_eq!(app.patch_user(&bob.user_id, &ada.jwt, json!({ "disabled": false })).await.status, 200);
        let recent = sign_in(&app, "ada").await;
        assert_eq!(app.patch_user(&bob.user_id, &recent.jwt, json!({ "admin": true })).await.status, 200);
        // Nobody else learns of the rule.
        let carol = sign_in(&app, "carol").await;
        app.clock.advance(FRESH_FOR + 1);
        for path in [path(""), path("/password"), identity] {
            app.delete(&path, &carol.jwt).await.assert_problem(403, "admin_required");
        }
    }

    async fn an_administrator_takes_an_account_back(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let other = app.replica().await;
        let alice = app.sign_in_offline(Person::named("alice")).await;
        // The thief's own GitHub, and a password.
        assert_eq!(app.link_github(&alice.jwt, GithubUser::named("mallory")).await.status, 201);
        assert_eq!(app.send_as("PUT", "/api/me/password", &alice.jwt, &json!({ "new_password": PASSWORD })).await.status, 204);
        let path = |rest: &str| format!("/api/admin/users/{}{rest}", alice.user_id);
        assert_eq!(app.get_as(&path(""), &ada.jwt).await.json["has_password"], true);

        assert_eq!(app.delete(&path("/password"), &ada.jwt).await.status, 204);
        assert_eq!(app.delete(&path("/password"), &ada.jwt).await.status, 204, "again is as good");
        for replica in [&app, &other] {
            replica.me(&alice.jwt).await.assert_problem(401, "invalid_token");
            replica.refresh(alice.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
            replica.sign_in_with_password("alice@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
        }
        let thief = app.exchange_github(GithubUser::named("mallory")).await.assert_signed_in();
        let listed = app.get_as(&path("/identities"), &ada.jwt).await.json["items"].clone();
        let github = listed.as_array().expect("items").iter().find(|item| item["provider"] == "github").expect("github");
        let github = path(&format!("/identities/{}", github["id"].as_str().expect("an id")));
        assert_eq!(app.delete(&github, &ada.jwt).await.status, 204);
        app.delete(&github, &ada.jwt).await.assert_problem(404, "not_found");
        other.me(&thief.jwt).await.assert_problem(401, "invalid_token");
        // The thief is a stranger now, and the owner is back.
        assert!(app.exchange_github(GithubUser::named("mallory")).await.assert_signed_in().created);
        assert_eq!(sign_in(&app, "alice").await.user_id, alice.user_id);
        for (method, path) in [("GET", "/identities"), ("DELETE", "/password"), ("DELETE", "/identities/x")] {
            let nobody = format!("/api/admin/users/{}{path}", uuid::Uuid::nil());
            app.send_as(method, &nobody, &ada.jwt, &Value::Null).await.assert_problem(404, "not_found");
        }
        let by_ada = |kind: &str| app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE kind = '{kind}' AND actor_id = '{}' AND user_id = '{}'", ada.user_id, alice.user_id));
        assert_eq!((by_ada("password.removed"), by_ada("identity.unlinked")), (1, 1));
    }

    async fn the_last_administrator_keeps_a_way_to_sign_in(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let path = |id: &str, rest: &str| format!("/api/admin/users/{id}{rest}");
        let identity = async |id: &str| {
            let items = app.get_as(&path(id, "/identities"), &ada.jwt).await.json["items"].clone();
            items[0]["id"].as_str().expect("an id").to_owned()
        };
        let own = path(&ada.user_id, &format!("/identities/{}", identity(&ada.user_id).await));
        app.delete(&own, &ada.jwt).await.assert_problem(409, "last_admin");
        // Anybody else's last identity may be unlinked: what a thief has left is not spared.
        let bob = sign_in(&app, "bob").await;
        let of_bob = path(&bob.user_id, &format!("/identities/{}", identity(&bob.user_id).await));
        assert_eq!(app.delete(&of_bob, &ada.jwt).await.status, 204);
        assert!(sign_in(&app, "bob").await.created);
        // Not the last method, or not the last administrator.
        assert_eq!(app.send_as("PUT", "/api/me/password", &ada.jwt, &json!({ "new_password": PASSWORD })).await.status, 204);
        assert_eq!(app.delete(&own, &ada.jwt).await.status, 204);
    }

    async fn an_id_token_from_before_all_sessions_were_ended_is_rejected_everywhere(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.replica().await;
        let person = Person::named("alice");
        let before = id_token(&app, &person, 30);
        let alice = app.exchange_id_token(&before).await.assert_signed_in();
        let revocations: [(&str, &[&str]); 3] = [("revoke", &[]), ("disable", &["enable"]), ("everywhere", &[])];
        for (what, then) in revocations {
            let current = sign_in(&app, "alice").await;
            let command = |what: &str| {
                let done = crate::support::process::Tokenbooth::new(&["user", what, &alice.user_id]).set("database.url", &app.db.url).output();
                assert!(done.status.success(), "{what}");
            };
            if what == "everywhere" {
                assert_eq!(app.send_as("POST", "/auth/logout-all", &current.jwt, &Value::Null).await.status, 204);
            } else {
                command(what);
            }
            for what in then {
                command(what);
            }
            for replica in [&app, &other] {
                let answer = replica.exchange("google", &json!({ "id_token": before, "scope": "offline_access" })).await;
                assert!(answer.assert_problem(401, "invalid_token").contains("before all sessions"), "{}", answer.text);
                let answer = replica.token_exchange("google", ID_TOKEN, &before, &[]).await;
                assert!(answer.assert_oauth_refusal(400, "invalid_request").starts_with("invalid_token: "), "{}", answer.text);
            }
            // Nor can it be linked, by whoever has a session of that user.
            let again = sign_in(&app, "alice").await;
            let link = app.send_as("POST", "/api/me/identities/google", &again.jwt, &json!({ "id_token": before })).await;
            assert!(link.assert_problem(401, "invalid_token").contains("before all sessions"), "{}", link.text);
        }
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM sessions"), 0);
        // Another user's revocation is none of Bob's business.
        let bob = app.mock.google().id_token_of(&Person::named("bob"), json!({ "iat": app.clock.now().0 - 30 }));
        app.exchange_id_token(&bob).await.assert_signed_in();
    }

    async fn with_single_use_each_id_token_is_accepted_once_on_all_replicas(db: TestDatabase) {
        let app = TestApp::start_with(db, single_use).await;
        let other = app.replica_with(single_use).await;
        sign_in(&app, "alice").await;
        for name in ["alice", "newcomer"] {
            // Long enough ago not to be the token of the sign-in above, which a later second would make it.
            let token = id_token(&app, &Person::named(name), 30);
            let answers = join_all((0..20).flat_map(|_| [&app, &other]).map(|replica| replica.exchange_id_token(&token))).await;
            let (good, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
            let told: Vec<_> = answers.iter().map(|answer| (answer.status, &answer.text)).collect();
            assert_eq!(good.len(), 1, "{name}: {told:?}");
            for answer in refused {
                assert!(answer.assert_problem(401, "invalid_token").contains("used before"), "{}", answer.text);
            }
            let link = app.send_as("POST", "/api/me/identities/google", &good[0].assert_signed_in().jwt, &json!({ "id_token": token })).await;
            link.assert_problem(401, "invalid_token");
        }
    }
}
