//! Passwords: `/auth/password` and `/api/me/password`. Nobody waits in a stranger's address, and nobody learns who has one.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::{Answer, SignedIn, TestApp};

const PATH: &str = "/api/me/password";
const FIRST: &str = "correct horse battery staple";
const SECOND: &str = "another horse, another staple";
const ALICE: &str = "alice@example.com";

async fn put(app: &TestApp, jwt: &str, new: &str, current: Option<&str>) -> Answer {
    let mut body = json!({ "new_password": new });
    if let Some(current) = current {
        body["current_password"] = json!(current);
    }
    app.send_as("PUT", PATH, jwt, &body).await
}

async fn remove(app: &TestApp, jwt: &str, current: &str) -> Answer {
    app.send_as("DELETE", PATH, jwt, &json!({ "current_password": current })).await
}

/// Alice, with [`FIRST`] as her password.
async fn alice_with_a_password(app: &TestApp) -> SignedIn {
    let alice = app.sign_in_offline(Person::named("alice")).await;
    assert_eq!(put(app, &alice.jwt, FIRST, None).await.status, 204);
    alice
}

fn events(app: &TestApp, kind: &str) -> i64 {
    app.db.number(&format!("SELECT COUNT(*) AS number FROM events WHERE kind = '{kind}'"))
}

on_both_databases! {
    async fn a_password_lets_the_same_user_in(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = alice_with_a_password(&app).await;
        // The first password ends nothing.
        assert_eq!(app.me(&alice.jwt).await.status, 200);
        assert_eq!(app.refresh(alice.refresh_token()).await.status, 200);
        for email in [ALICE, "Alice@EXAMPLE.com"] {
            let answer = app.sign_in_with_password(email, FIRST).await;
            let signed_in = answer.assert_signed_in();
            assert_eq!((&signed_in.user_id, signed_in.created), (&alice.user_id, false));
            assert_eq!(answer.header("cache-control"), "no-store");
            assert!(signed_in.json.get("refresh_token").is_none());
            assert_eq!(app.me(&signed_in.jwt).await.status, 200);
        }
        let body = json!({ "email": ALICE, "password": FIRST, "scope": "offline_access" });
        let offline = app.post("/auth/password", &body).await.assert_signed_in();
        assert_eq!(app.refresh(offline.refresh_token()).await.status, 200);
        assert_eq!(events(&app, "password.set"), 1);
        let stored = "SELECT COUNT(*) AS number FROM users WHERE password_hash LIKE '$argon2id$v=19$m=64,t=1,p=1$%'";
        assert_eq!(app.db.number(stored), 1);
    }

    async fn a_change_ends_everything_that_is_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = alice_with_a_password(&app).await;
        for wrong in [Some("wrong horse battery staple"), Some("")] {
            put(&app, &alice.jwt, SECOND, wrong).await.assert_problem(403, "wrong_password");
        }
        app.sign_in_with_password(ALICE, SECOND).await.assert_problem(401, "invalid_credentials");
        assert_eq!(app.me(&alice.jwt).await.status, 200);
        assert_eq!(put(&app, &alice.jwt, SECOND, Some(FIRST)).await.status, 204);
        app.me(&alice.jwt).await.assert_problem(401, "invalid_token");
        app.refresh(alice.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        app.sign_in_with_password(ALICE, FIRST).await.assert_problem(401, "invalid_credentials");
        let again = app.sign_in_with_password(ALICE, SECOND).await.assert_signed_in();

        // Removal, too.
        for wrong in [json!({}), Value::Null, json!({ "current_password": FIRST }), json!({ "current_password": null })] {
            app.send_as("DELETE", PATH, &again.jwt, &wrong).await.assert_problem(403, "wrong_password");
        }
        assert_eq!(remove(&app, &again.jwt, SECOND).await.status, 204);
        app.me(&again.jwt).await.assert_problem(401, "invalid_token");
        app.sign_in_with_password(ALICE, SECOND).await.assert_problem(401, "invalid_credentials");
        let by_google = app.sign_in(Person::named("alice")).await;
        assert_eq!(by_google.user_id, alice.user_id);
        assert_eq!(remove(&app, &by_google.jwt, "whatever").await.status, 204, "there is none any more");
        assert_eq!(app.me(&by_google.jwt).await.status, 200);
        assert_eq!((events(&app, "password.set"), events(&app, "password.removed")), (2, 1));
    }

    async fn nobody_waits_in_an_address_that_is_not_verified(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for verified in [json!(false), json!("false"), json!("true"), Value::Null] {
            let person = Person { email_verified: Some(verified), email: Some("victim@example.com".into()), ..Person::named("mallory") };
            let mallory = app.sign_in(person).await;
            put(&app, &mallory.jwt, FIRST, None).await.assert_problem(409, "email_required");
        }
        app.sign_in_with_password("victim@example.com", FIRST).await.assert_problem(401, "invalid_credentials");
        // The victim comes later, to an account of their own that no password opens.
        let victim = app.sign_in(Person::named("victim")).await;
        assert!(victim.created);
        app.sign_in_with_password("victim@example.com", FIRST).await.assert_problem(401, "invalid_credentials");
    }

    async fn one_user_of_an_address_has_a_password(db: TestDatabase) {
        let app = TestApp::start(db).await;
        alice_with_a_password(&app).await;
        let other = app.exchange_github(GithubUser::named("alice")).await.assert_signed_in();
        assert_eq!(other.json["user"]["email"], ALICE);
        put(&app, &other.jwt, SECOND, None).await.assert_problem(409, "email_in_use");
        // Two who try at the same moment: one has it.
        for round in 0..5 {
            let name = format!("twin-{round}");
            let one = app.sign_in(Person::named(&name)).await;
            let two = app.exchange_github(GithubUser::named(&name)).await.assert_signed_in();
            let answers = tokio::join!(put(&app, &one.jwt, FIRST, None), put(&app, &two.jwt, FIRST, None));
            let mut statuses = [answers.0.status, answers.1.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [204, 409], "{} {}", answers.0.text, answers.1.text);
            let email = format!("{name}@example.com");
            let signed_in = app.sign_in_with_password(&email, FIRST).await.assert_signed_in();
            let owner = if answers.0.status == 204 { &one } else { &two };
            assert_eq!(signed_in.user_id, owner.user_id);
        }
    }

    async fn whoever_moves_to_an_address_that_has_a_password_brings_none(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = alice_with_a_password(&app).await;
        let bob = app.sign_in_offline(Person::named("bob")).await;
        assert_eq!(put(&app, &bob.jwt, SECOND, None).await.status, 204);
        let moved = Person { email: Some(ALICE.into()), ..Person::named("bob") };
        let bob_again = app.sign_in(moved).await;
        assert_eq!((bob_again.user_id.as_str(), &bob_again.json["user"]["email"]), (bob.user_id.as_str(), &json!(ALICE)));
        assert_eq!(app.me(&bob_again.jwt).await.status, 200);
        app.me(&bob.jwt).await.assert_problem(401, "invalid_token");
        assert_eq!(app.sign_in_with_password(ALICE, FIRST).await.assert_signed_in().user_id, alice.user_id);
        app.sign_in_with_password(ALICE, SECOND).await.assert_problem(401, "invalid_credentials");
        app.sign_in_with_password("bob@example.com", SECOND).await.assert_problem(401, "invalid_credentials");
        assert_eq!(events(&app, "password.removed"), 1);
    }

    async fn a_password_follows_the_verified_address(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = alice_with_a_password(&app).await;
        app.sign_in(Person { email: Some("alice@new.example.com".into()), ..Person::named("alice") }).await;
        app.sign_in_with_password(ALICE, FIRST).await.assert_problem(401, "invalid_credentials");
        let moved = app.sign_in_with_password("alice@new.example.com", FIRST).await.assert_signed_in();
        assert_eq!(moved.user_id, alice.user_id);
        // Not verified any more: no address, no password to sign in with.
        app.sign_in(Person { email_verified: Some(json!(false)), ..Person::named("alice") }).await;
        app.sign_in_with_password("alice@new.example.com", FIRST).await.assert_problem(401, "invalid_credentials");
        app.sign_in_with_password("", FIRST).await.assert_problem(401, "invalid_credentials");
    }

    async fn a_password_is_a_way_in_and_so_may_be_the_last(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = alice_with_a_password(&app).await;
        let ids = app.get_as("/api/me/identities", &alice.jwt).await;
        let path = format!("/api/me/identities/{}", ids.json["items"][0]["id"].as_str().expect("an id"));
        assert_eq!(app.send_as("DELETE", &path, &alice.jwt, &Value::Null).await.status, 204);
        let by_password = app.sign_in_with_password(ALICE, FIRST).await.assert_signed_in();
        assert_eq!(by_password.json["user"]["email"], ALICE);
        remove(&app, &by_password.jwt, FIRST).await.assert_problem(409, "last_identity");
        assert_eq!(put(&app, &by_password.jwt, SECOND, Some(FIRST)).await.status, 204);
        assert_eq!(app.sign_in_with_password(ALICE, SECOND).await.assert_signed_in().user_id, alice.user_id);

        // The last two at once: one stays.
        for round in 0..5 {
            let name = format!("person-{round}");
            let user = app.sign_in(Person::named(&name)).await;
            assert_eq!(put(&app, &user.jwt, FIRST, None).await.status, 204);
            let ids = app.get_as("/api/me/identities", &user.jwt).await;
            let path = format!("/api/me/identities/{}", ids.json["items"][0]["id"].as_str().expect("an id"));
            let unlink = app.send_as("DELETE", &path, &user.jwt, &Value::Null);
            let (unlinked, removed) = tokio::join!(unlink, remove(&app, &user.jwt, FIRST));
            // The one that was first has ended the token of the other.
            let outcome = (unlinked.status, removed.status);
            assert!(matches!(outcome, (204, 409 | 401) | (409 | 401, 204)), "{outcome:?} {} {}", unlinked.text, removed.text);
        }
    }

    async fn a_weak_password_is_not_taken(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = app.sign_in(Person::named("alice")).await;
        for weak in ["", "hunter2", "elevenchars", "password1234", "123456789012", "PASSWORD1234", "\u{1f40e}".repeat(11).as_str(), "e\u{301}".repeat(11).as_str(), ALICE, "ALICE@example.COM"] {
            let refused = put(&app, &alice.jwt, weak, None).await;
            refused.assert_problem(400, "weak_password");
            assert!(weak.is_empty() || !refused.text.contains(weak), "{}", refused.text);
        }
        put(&app, &alice.jwt, &"a b".repeat(342), None).await.assert_problem(400, "invalid_request");
        for body in [json!({}), json!({ "new_password": null }), json!({ "new_password": 1 }), json!({ "new_password": FIRST, "password": FIRST })] {
            let refused = app.send_as("PUT", PATH, &alice.jwt, &body).await;
            refused.assert_problem(400, "invalid_request");
            assert!(!refused.text.contains(FIRST));
        }
        assert_eq!(put(&app, &alice.jwt, &"\u{1f40e}\u{1f50b}".repeat(6), None).await.status, 204);
    }

    async fn the_part_of_the_address_before_the_at_sign_is_weak(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (number, local) in ["bartholomew.smith", "zoe\u{308}-bartholomew"].into_iter().enumerate() {
            let person = Person { email: Some(format!("{local}@example.com")), ..Person::named(&format!("person-{number}")) };
            let user = app.sign_in(person).await;
            for weak in [local.to_owned(), local.to_uppercase(), format!("{local}@Example.com")] {
                put(&app, &user.jwt, &weak, None).await.assert_problem(400, "weak_password");
            }
            assert_eq!(put(&app, &user.jwt, &format!("{local}!"), None).await.status, 204);
        }
    }

    async fn a_password_and_an_address_are_the_same_however_they_are_typed(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let zoe = app.sign_in(Person { email: Some("Zo\u{eb}@example.com".into()), ..Person::named("zoe") }).await;
        // Twelve characters, typed as eighteen.
        let (composed, decomposed) = ("\u{e9}\u{e8}\u{ea}\u{eb}\u{e9}\u{e8}123456", "e\u{301}e\u{300}e\u{302}e\u{308}e\u{301}e\u{300}123456");
        assert_eq!(put(&app, &zoe.jwt, decomposed, None).await.status, 204);
        for email in ["zo\u{eb}@example.com", "zoe\u{308}@EXAMPLE.com", " zo\u{eb}@example.com\n", "\u{a0}Zo\u{eb}@example.com\t"] {
            for password in [composed, decomposed] {
                let signed_in = app.sign_in_with_password(email, password).await.assert_signed_in();
                assert_eq!(signed_in.user_id, zoe.user_id, "{email:?}");
            }
        }
        // Compatibility forms are other characters, and white space belongs to a password.
        for password in ["e\u{301}e\u{300}e\u{302}e\u{308}e\u{301}e\u{300}\u{2460}23456", &format!("{composed} ")] {
            app.sign_in_with_password("zo\u{eb}@example.com", password).await.assert_problem(401, "invalid_credentials");
        }
        assert_eq!(put(&app, &zoe.jwt, SECOND, Some(composed)).await.status, 204);
        // As an earlier version stored an address that came decomposed.
        app.db.execute("UPDATE users SET email = 'Zoe\u{308}@example.com', email_lower = 'zoe\u{308}@example.com'");
        for email in ["zo\u{eb}@example.com", "Zoe\u{308}@example.com"] {
            app.sign_in_with_password(email, SECOND).await.assert_signed_in();
        }
        app.sign_in_with_password("zoe@example.com", SECOND).await.assert_problem(401, "invalid_credentials");
    }

    async fn all_refusals_of_a_sign_in_are_one_answer(db: TestDatabase) {
        let app = TestApp::start(db).await;
        alice_with_a_password(&app).await;
        app.sign_in(Person::named("bob")).await;
        let wrong = app.sign_in_with_password(ALICE, "wrong horse battery staple").await;
        wrong.assert_problem(401, "invalid_credentials");
        let long = "x".repeat(2000);
        for (email, password) in [
            ("nobody@example.com", FIRST), ("bob@example.com", FIRST), ("bob@example.com", ""), (ALICE, ""), (ALICE, &long),
            ("", ""), ("%", FIRST), ("alice@example.com\u{0}", FIRST), ("alice@ example.com", FIRST), ("\u{0130}lice@example.com", FIRST),
            ("alice@example.com,bob@example.com", FIRST), (&long, FIRST), ("alice@example.com.", FIRST), ("\"alice\"@example.com", FIRST),
        ] {
            let answer = app.sign_in_with_password(email, password).await;
            assert_eq!((answer.status, &answer.text), (401, &wrong.text), "{email:.40}");
            let headers = |answer: &Answer| {
                let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
                names.sort();
                names
            };
            assert_eq!(headers(&answer), headers(&wrong));
        }
        for body in [
            json!({}), json!({ "email": ALICE }), json!({ "password": FIRST }), json!({ "email": 1, "password": FIRST }),
            json!({ "email": ALICE, "password": FIRST, "admin": true }), json!({ "email": [ALICE], "password": FIRST }),
        ] {
            app.post("/auth/password", &body).await.assert_problem(400, "invalid_request");
        }
        assert_eq!((app.refused_sign_ins("invalid_credentials"), app.refused_sign_ins("%")), (15, 15));
        let told = "SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.refused' AND (user_id IS NOT NULL OR detail NOT LIKE '%\"method\":\"password\"%')";
        assert_eq!(app.db.number(told), 0);
    }

    async fn a_refusal_takes_as_long_whoever_is_asked_for(db: TestDatabase) {
        // Enough work to be measured through everything else.
        let app = TestApp::start_with(db, |sources| {
            sources.with("password.memory_kib", "8192").with("password.iterations", "4").with("password.concurrency", "1")
        }).await;
        alice_with_a_password(&app).await;
        app.sign_in(Person::named("bob")).await;
        // The fastest of many: what else the machine does only ever adds. On a busy one it takes more of them.
        let mut fastest = [Duration::MAX; 3];
        for attempt in 1.. {
            for (email, fastest) in [ALICE, "nobody@example.com", "bob@example.com"].iter().zip(&mut fastest) {
                let start = Instant::now();
                app.sign_in_with_password(email, "wrong horse battery staple").await.assert_problem(401, "invalid_credentials");
                *fastest = start.elapsed().min(*fastest);
            }
            let [wrong, nobody, none] = fastest;
            let alike = [nobody, none].iter().all(|other| (0.7..1.4).contains(&(other.as_secs_f64() / wrong.as_secs_f64())));
            assert!(alike || attempt < 80, "wrong password {wrong:?}, no user {nobody:?}, no password {none:?}");
            if alike && attempt >= 10 {
                assert!(wrong > Duration::from_millis(4), "{wrong:?} is too little to be compared");
                return;
            }
        }
    }

    async fn a_disabled_user_is_told_so_with_the_right_password_only(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = alice_with_a_password(&app).await;
        app.db.execute(&format!("UPDATE users SET disabled = TRUE, token_version = token_version + 1 WHERE id = '{}'", alice.user_id));
        app.sign_in_with_password(ALICE, "wrong horse battery staple").await.assert_problem(401, "invalid_credentials");
        app.sign_in_with_password(ALICE, FIRST).await.assert_problem(403, "user_disabled");
        put(&app, &alice.jwt, SECOND, Some(FIRST)).await.assert_problem(401, "invalid_token");
        let proved = format!("SELECT COUNT(*) AS number FROM events WHERE kind = 'sign_in.refused' AND user_id = '{}'", alice.user_id);
        assert_eq!(app.db.number(&proved), 1);
    }

    async fn stored_passwords_follow_the_settings(db: TestDatabase) {
        let app = TestApp::start(db).await;
        alice_with_a_password(&app).await;
        let sources = TestApp::sources(&app.mock, &app.db.url).with("password.memory_kib", "128").with("password.iterations", "3");
        let mock = tokenbooth::mock::MockProviders::start().await.expect("the mock starts");
        let stronger = TestApp::try_start(mock, TestDatabase::sqlite(), sources).await.expect("the service starts");
        let with = |parameters: &str| {
            app.db.number(&format!("SELECT COUNT(*) AS number FROM users WHERE password_hash LIKE '$argon2id$v=19${parameters}$%'"))
        };
        stronger.sign_in_with_password(ALICE, "wrong horse battery staple").await.assert_problem(401, "invalid_credentials");
        assert_eq!(with("m=64,t=1,p=1"), 1, "only the right one");
        stronger.sign_in_with_password(ALICE, FIRST).await.assert_signed_in();
        assert_eq!(with("m=128,t=3,p=1"), 1);
        stronger.sign_in_with_password(ALICE, FIRST).await.assert_signed_in();
        // Old tokens live: nobody changed the password.
        assert_eq!(app.db.number("SELECT token_version AS number FROM users"), 0);
    }

    async fn changes_that_cross_leave_one_password(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let alice = alice_with_a_password(&app).await;
        let new = |n: usize| format!("new horse number {n} of many");
        let answers = join_all((0..6).map(|n| {
            let (app, alice) = (&app, &alice);
            async move { put(app, &alice.jwt, &new(n), Some(FIRST)).await }
        })).await;
        let winners: Vec<usize> = (0..6).filter(|n| answers[*n].status == 204).collect();
        assert_eq!(winners.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        app.sign_in_with_password(ALICE, &new(winners[0])).await.assert_signed_in();
        app.sign_in_with_password(ALICE, FIRST).await.assert_problem(401, "invalid_credentials");
    }

    async fn too_many_at_once_are_told_to_come_back(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("password.concurrency", "1").with("password.memory_kib", "32768").with("password.iterations", "2")
        }).await;
        let answers = join_all((0..60).map(|_| app.sign_in_with_password(ALICE, FIRST))).await;
        let (busy, judged): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 503);
        assert!(!busy.is_empty() && judged.len() >= 33, "{} busy", busy.len());
        for answer in busy {
            answer.assert_problem(503, "overloaded");
            assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
        }
        for answer in judged {
            answer.assert_problem(401, "invalid_credentials");
        }
        app.sign_in_with_password(ALICE, FIRST).await.assert_problem(401, "invalid_credentials");
    }

    async fn switched_off_there_are_no_passwords(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("password.enabled", "false")).await;
        let alice = app.sign_in(Person::named("alice")).await;
        put(&app, &alice.jwt, FIRST, None).await.assert_problem(404, "not_found");
        remove(&app, &alice.jwt, FIRST).await.assert_problem(404, "not_found");
        app.sign_in_with_password(ALICE, FIRST).await.assert_problem(404, "not_found");
    }

    async fn guessing_is_slowed_down_for_each_account_known_or_not(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("rate_limit.enabled", "true").with("rate_limit.account_burst", "3").with("rate_limit.account_per_minute", "1")
        }).await;
        alice_with_a_password(&app).await;
        for email in [ALICE, "nobody@example.com"] {
            for spelled in [email, &format!(" {}\u{a0}", email.to_uppercase()), &format!("\t{email}\n")] {
                app.sign_in_with_password(spelled, "wrong horse battery staple").await.assert_problem(401, "invalid_credentials");
            }
            let refused = app.sign_in_with_password(email, FIRST).await;
            refused.assert_problem(429, "rate_limited");
            assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
            assert!(refused.header("ratelimit").starts_with("\"account\";r=0;t="), "{:?}", refused.headers);
        }
        app.sign_in_with_password("bob@example.com", FIRST).await.assert_problem(401, "invalid_credentials");
    }
}
