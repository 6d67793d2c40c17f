//! From a proved identity to a user: who is the same person, what a login writes, and what no profile can break.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::clock::{Clock, SystemClock};
use tokenbooth::db;
use tokenbooth::mock::{GithubEmail, GithubUser, Person};
use uuid::Uuid;

use crate::databases::TestDatabase;
use crate::support::{SignedIn, TestApp};

const HOUR: i64 = 3600;

async fn with_linking(db: TestDatabase) -> TestApp {
    TestApp::start_with(db, |sources| sources.with("accounts.link_verified_email", "true")).await
}

/// Somebody at GitHub with one primary address.
fn at_github(login: &str, email: &str, verified: bool) -> GithubUser {
    GithubUser { emails: vec![GithubEmail::new(email, true, verified)], ..GithubUser::named(login) }
}

/// Somebody at Google with this address.
fn at_google(name: &str, email: &str, verified: bool) -> Person {
    Person { email: Some(email.into()), email_verified: Some(json!(verified)), ..Person::named(name) }
}

fn email(signed_in: &SignedIn) -> Option<&str> {
    signed_in.json["user"]["email"].as_str()
}

/// All that a sign-in may write, as numbers: (`users.updated_at`, `users.last_login_at`, `identities.last_used_at`).
fn times(db: &TestDatabase) -> (i64, i64, i64) {
    let newest =
        |column: &str, table: &str| db.number(&format!("SELECT MAX({column}) AS number FROM {table}"));
    (newest("updated_at", "users"), newest("last_login_at", "users"), newest("last_used_at", "identities"))
}

/// Signs in with a token made at the time that the service takes for now.
async fn sign_in_now(app: &TestApp, person: Person) -> SignedIn {
    app.exchange_id_token(&token_of_now(app, &person)).await.assert_signed_in()
}

fn token_of_now(app: &TestApp, person: &Person) -> String {
    let mut claims = app.mock.google().claims(json!({ "iat": app.clock.now().0 }));
    for (name, value) in person.claims().as_object().expect("an object") {
        claims[name] = value.clone();
    }
    app.mock.google().sign_claims(&claims)
}

fn disable(db: &TestDatabase, user_id: &str) {
    let sql =
        format!("UPDATE users SET disabled = TRUE, token_version = token_version + 1 WHERE id = '{user_id}'");
    assert_eq!(db.execute(&sql), 1);
}

on_both_databases! {
    async fn a_hundred_first_logins_of_one_person_at_once_make_one_user(db: TestDatabase) {
        // The database alone decides, so no request may be lost to a slow machine.
        let app = TestApp::start_with(db, |sources| sources.with("database.timeout", "60s")).await;
        app.warm().await;
        let token = app.mock.google().id_token(json!({}));
        let answers = join_all((0..100).map(|_| app.exchange_id_token(&token))).await;
        let signed_in: Vec<SignedIn> = answers.iter().map(|answer| answer.assert_signed_in()).collect();
        assert_eq!(signed_in.iter().filter(|one| one.created).count(), 1);
        let ids: HashSet<&str> = signed_in.iter().map(|one| one.user_id.as_str()).collect();
        assert_eq!(ids.len(), 1);
        assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 1));
        // Every one of the hundred tokens is good.
        assert_eq!(app.me(&signed_in[99].jwt).await.json["id"], signed_in[0].user_id.as_str());
    }

    async fn first_logins_of_many_people_at_once_do_not_mix(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("database.timeout", "60s")).await;
        app.warm().await;
        let signed_in = join_all((0..60).map(|number| app.sign_in(Person::named(&format!("p{}", number % 20))))).await;
        assert_eq!(signed_in.iter().filter(|one| one.created).count(), 20);
        assert_eq!((app.db.count("users"), app.db.count("identities")), (20, 20));
        for (number, one) in signed_in.iter().enumerate() {
            assert_eq!(email(one), Some(format!("p{}@example.com", number % 20).as_str()));
        }
    }

    async fn a_user_is_created_once_and_found_ever_after(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = app.sign_in(Person::named("ann")).await;
        assert!(first.created);
        for _ in 0..3 {
            let again = app.sign_in(Person::named("ann")).await;
            assert_eq!((again.user_id.as_str(), again.created), (first.user_id.as_str(), false));
        }
        assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 1));
    }

    async fn an_id_is_a_uuid_of_version_7_and_the_tokens_subject(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = app.sign_in(Person::named("ann")).await;
        let second = app.sign_in(Person::named("ben")).await;
        for signed_in in [&first, &second] {
            let id = Uuid::parse_str(&signed_in.user_id).expect("a UUID");
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(signed_in.user_id, id.hyphenated().to_string(), "in its usual form");
            assert_eq!(subject(&signed_in.jwt), signed_in.user_id.as_str());
        }
        assert!(first.user_id < second.user_id, "in order of creation");
    }

    async fn the_same_address_with_another_sub_is_another_user(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = app.sign_in(at_google("ann", "shared@example.com", true)).await;
        let second = app.sign_in(at_google("ben", "shared@example.com", true)).await;
        assert!(second.created);
        assert_ne!(first.user_id, second.user_id);
        assert_eq!((email(&first), email(&second)), (Some("shared@example.com"), Some("shared@example.com")));
    }

    async fn the_same_sub_with_another_address_is_the_same_user(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = app.sign_in(at_google("ann", "old@example.com", true)).await;
        let second = app.sign_in(at_google("ann", "new@example.com", true)).await;
        assert_eq!((second.user_id.as_str(), second.created), (first.user_id.as_str(), false));
        assert_eq!(email(&second), Some("new@example.com"));
        assert_eq!(app.me(&first.jwt).await.json["email"], "new@example.com");
        assert_eq!(
            app.db.number("SELECT COUNT(*) AS number FROM users WHERE email_lower = 'new@example.com'"),
            1,
            "the column it is found by follows"
        );
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM identities WHERE email = 'new@example.com'"), 1);
    }

    async fn an_address_that_is_not_verified_any_more_goes_and_one_not_mentioned_stays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.sign_in(at_google("ann", "ann@example.com", true)).await;
        let silent = Person { email: None, email_verified: None, ..Person::named("ann") };
        assert_eq!(email(&app.sign_in(silent).await), Some("ann@example.com"));
        for verified in [json!(false), json!("false"), json!("true"), Value::Null] {
            let ann = at_google("ann", "ann@example.com", true);
            let doubtful = Person { email_verified: Some(verified.clone()), ..ann };
            assert_eq!(email(&app.sign_in(doubtful).await), None, "{verified}");
            assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM users WHERE email_lower IS NULL"), 1);
            // The identity still shows the address, for people.
            assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM identities WHERE email = 'ann@example.com'"), 1);
            let again = app.sign_in(at_google("ann", "ann@example.com", true)).await;
            assert_eq!(email(&again), Some("ann@example.com"));
        }
    }

    async fn an_address_verified_later_comes_in_later(db: TestDatabase) {
        let app = TestApp::start(db).await;
        assert_eq!(email(&app.sign_in(at_google("ann", "ann@example.com", false)).await), None);
        assert_eq!(email(&app.sign_in(at_google("ann", "ann@example.com", true)).await), Some("ann@example.com"));
        assert_eq!(email(&app.sign_in(at_google("ann", "new@example.com", true)).await), Some("new@example.com"));
    }

    async fn one_person_at_two_providers_is_two_users_by_default(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let google = app.sign_in(at_google("ann", "ann@example.com", true)).await;
        let github = app.exchange_github(at_github("ann", "ann@example.com", true)).await.assert_signed_in();
        assert!(github.created);
        assert_ne!(google.user_id, github.user_id);
        assert_eq!((app.db.count("users"), app.db.count("identities")), (2, 2));
    }

    async fn with_linking_one_person_at_two_providers_is_one_user(db: TestDatabase) {
        let app = with_linking(db).await;
        let google = app.sign_in(at_google("ann", "Ann@Example.com", true)).await;
        let github = app.exchange_github(at_github("ann", "aNN@eXAMPLE.com", true)).await.assert_signed_in();
        assert_eq!((github.user_id.as_str(), github.created), (google.user_id.as_str(), false));
        assert_eq!(email(&github), Some("Ann@Example.com"), "the address is the first one's");
        let again = app.exchange_github(at_github("ann", "ann@example.com", true)).await.assert_signed_in();
        assert_eq!((again.user_id.as_str(), again.created), (google.user_id.as_str(), false));
        assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 2));

        // The user's address follows the identity that gave it and no other.
        let moved = app.exchange_github(at_github("ann", "elsewhere@example.com", true)).await.assert_signed_in();
        assert_eq!((moved.user_id.as_str(), email(&moved)), (google.user_id.as_str(), Some("Ann@Example.com")));
        let moved = app.sign_in(at_google("ann", "home@example.com", true)).await;
        assert_eq!(email(&moved), Some("home@example.com"));
    }

    async fn a_linked_sign_in_is_a_login_like_any_other(db: TestDatabase) {
        let app = with_linking(db).await;
        app.sign_in(at_google("ann", "ann@example.com", true)).await;
        let (_, first_login, _) = times(&app.db);
        app.clock.advance(2 * HOUR);
        let linked = app.exchange_github(at_github("ann", "ann@example.com", true)).await.assert_signed_in();
        let (_, second_login, _) = times(&app.db);
        assert!(second_login >= first_login + 2 * HOUR, "{first_login} {second_login}");
        assert_eq!(app.me(&linked.jwt).await.status, 200);
    }

    async fn linking_wants_both_addresses_verified_and_the_same(db: TestDatabase) {
        let app = with_linking(db).await;
        let victim = app.sign_in(at_google("victim", "victim@example.com", true)).await;
        let unverified = app.sign_in(at_google("other", "other@example.com", false)).await;
        for (number, (address, verified)) in [
            ("victim@example.com", false),
            // Alike to a person, not to ASCII.
            ("v\u{ed}ctim@example.com", true),
            ("v\u{131}ct\u{131}m@example.com", true),
            ("\u{fb01}ctim@example.com", true),
            ("victim@example.com.", true),
            ("victim+tag@example.com", true),
            ("\"victim\"@example.com", true),
            (" victim@example.com", true),
            ("victim@example.com,evil@example.com", true),
            ("victim@\u{ff45}xample.com", true),
            // The one whose owner never proved it.
            ("other@example.com", true),
        ]
        .into_iter()
        .enumerate()
        {
            let github = at_github(&format!("evil{number}"), address, verified);
            let signed_in = app.exchange_github(github).await.assert_signed_in();
            assert!(signed_in.created, "{address}");
            assert!(![&victim.user_id, &unverified.user_id].contains(&&signed_in.user_id), "{address}");
        }
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM identities WHERE provider = 'google'"), 2);
        assert_eq!(app.db.count("users"), 13);
    }

    async fn a_link_by_address_is_in_the_audit_trail_and_in_the_default_there_is_none(db: TestDatabase) {
        let app = with_linking(db).await;
        let ann = app.sign_in(at_google("ann", "ann@example.com", true)).await;
        let linked = app.exchange_github(at_github("ann", "ANN@example.com", true)).await.assert_signed_in();
        assert_eq!((&linked.user_id, linked.created), (&ann.user_id, false));
        let told = format!(
            "SELECT COUNT(*) AS number FROM events WHERE kind = 'identity.linked' AND user_id = '{0}' AND actor_id = '{0}' \
             AND detail LIKE '%\"by\":\"verified_email\"%' AND detail LIKE '%\"provider\":\"github\"%'",
            ann.user_id
        );
        assert_eq!(app.db.number(&told), 1);
        app.exchange_github(at_github("ann", "ANN@example.com", true)).await.assert_signed_in();
        assert_eq!(app.db.number(&told), 1, "only when it is linked");
    }

    async fn several_users_with_one_address_are_no_answer(db: TestDatabase) {
        let app = with_linking(db).await;
        // Two users of one address, as the default (no linking) makes them.
        let first = app.sign_in(at_google("ann", "shared@example.com", true)).await;
        let second = app.sign_in(at_google("ben", "b@example.com", true)).await;
        let second = {
            let sql = format!(
                "UPDATE users SET email = 'Shared@example.com', email_lower = 'shared@example.com' WHERE id = '{}'",
                second.user_id
            );
            assert_eq!(app.db.execute(&sql), 1);
            second
        };
        let third = app.exchange_github(at_github("cat", "shared@example.com", true)).await.assert_signed_in();
        assert!(third.created);
        assert!(![first.user_id, second.user_id].contains(&third.user_id));
    }

    async fn a_disabled_match_is_refused_and_nothing_is_written(db: TestDatabase) {
        let app = with_linking(db).await;
        let ann = app.sign_in(at_google("ann", "ann@example.com", true)).await;
        disable(&app.db, &ann.user_id);
        app.clock.advance(2 * HOUR);
        let before = times(&app.db);
        app.exchange_github(at_github("ann", "ANN@example.com", true)).await.assert_problem(403, "user_disabled");
        assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 1));
        assert_eq!(times(&app.db), before);
    }

    async fn a_hundred_linked_sign_ins_at_once_make_one_identity(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("accounts.link_verified_email", "true").with("database.timeout", "60s")
        })
        .await;
        app.warm().await;
        let google = app.sign_in(at_google("ann", "ann@example.com", true)).await;
        let token = app.mock.oidc().id_token(at_google("ann", "ann@example.com", true).claims());
        let body = json!({ "id_token": token });
        for answer in join_all((0..100).map(|_| app.exchange("acme", &body))).await {
            let signed_in = answer.assert_signed_in();
            assert_eq!((signed_in.user_id.as_str(), signed_in.created), (google.user_id.as_str(), false));
        }
        assert_eq!((app.db.count("users"), app.db.count("identities")), (1, 2));
    }

    async fn a_disabled_user_is_refused_at_the_exchange_and_let_in_again_afterwards(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = app.sign_in(Person::named("ann")).await;
        disable(&app.db, &ann.user_id);
        app.clock.advance(2 * HOUR);
        let before = times(&app.db);
        let changed = at_google("ann", "new@example.com", true);
        let answer = app.exchange_id_token(&token_of_now(&app, &changed)).await;
        let detail = answer.assert_problem(403, "user_disabled");
        assert!(!detail.contains(&ann.user_id), "{detail}");
        assert_eq!(times(&app.db), before, "a refused login writes nothing");
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM users WHERE email = 'ann@example.com'"), 1);
        app.exchange_google_access_token(Person::named("ann")).await.assert_problem(403, "user_disabled");

        app.db.execute("UPDATE users SET disabled = FALSE");
        let back = sign_in_now(&app, Person::named("ann")).await;
        assert_eq!((back.user_id.as_str(), back.created), (ann.user_id.as_str(), false));
        assert_eq!(app.me(&back.jwt).await.status, 200);
    }

    async fn after_a_deletion_the_same_identity_is_a_new_user(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = app.sign_in(Person::named("ann")).await;
        let id = first.user_id.parse().expect("an id");
        let mut conn = db::connect(&app.db.parsed_url()).expect("a connection");
        assert_eq!(db::users::delete(&mut conn, id, SystemClock.now()), Ok(true));
        assert_eq!(app.db.count("identities"), 0);
        app.me(&first.jwt).await.assert_problem(401, "invalid_token");
        let second = app.sign_in(Person::named("ann")).await;
        assert!(second.created);
        assert_ne!(second.user_id, first.user_id);
        app.me(&first.jwt).await.assert_problem(401, "invalid_token");
    }

    async fn a_login_that_changes_nothing_writes_nothing_but_its_time_once_an_hour(db: TestDatabase) {
        let app = TestApp::start(db).await;
        sign_in_now(&app, Person::named("ann")).await;
        let first = times(&app.db);
        app.clock.advance(HOUR - 120);
        sign_in_now(&app, Person::named("ann")).await;
        assert_eq!(times(&app.db), first, "within the hour nothing is written");
        app.clock.advance(180);
        sign_in_now(&app, Person::named("ann")).await;
        let second = times(&app.db);
        assert_eq!(second.0, first.0, "the profile did not change");
        assert!(second.1 > first.1 && second.2 > first.2, "{first:?} {second:?}");
        sign_in_now(&app, Person::named("ann")).await;
        assert_eq!(times(&app.db), second);
        // A clock that was set back is no reason to write.
        app.clock.advance(-10 * HOUR);
        sign_in_now(&app, Person::named("ann")).await;
        assert_eq!(times(&app.db), second);
    }

    async fn a_changed_profile_is_written_at_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = sign_in_now(&app, Person::named("ann")).await;
        let first = times(&app.db);
        app.clock.advance(60);
        let renamed = Person {
            name: Some("Ann Other".into()), picture: Some("https://example.com/new.png".into()), ..Person::named("ann")
        };
        sign_in_now(&app, renamed).await;
        let me = app.me(&ann.jwt).await;
        assert_eq!(me.json["name"], "Ann Other");
        assert_eq!(me.json["avatar_url"], "https://example.com/new.png");
        let second = times(&app.db);
        assert!(second.0 >= first.0 + 60, "{first:?} {second:?}");
        assert_eq!((second.1, second.2), (first.1, first.2), "the hour has not passed");
        // A token that does not mention them leaves them.
        let silent = Person { name: None, picture: None, ..Person::named("ann") };
        sign_in_now(&app, silent).await;
        assert_eq!(app.me(&ann.jwt).await.json["name"], "Ann Other");
        assert_eq!(times(&app.db), second);
    }

    async fn no_name_breaks_a_login(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let longest = "x".repeat(10_000);
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        for (name, kept) in [
            ("Nul\u{0}l \u{0}", Some("Null")),
            ("\u{0}", None),
            ("", None),
            ("   ", None),
            ("\n\t\r", None),
            ("two\nlines", Some("twolines")),
            (family, Some("\u{1f468}\u{1f469}\u{1f467}")),
            ("\u{202e}gnp.exe", Some("gnp.exe")),
            ("\u{2066}\u{200b}\u{feff} \u{61c}", None),
            ("\u{6a9}\u{62a}\u{627}\u{628}\u{200c}\u{647}\u{627}", Some("\u{6a9}\u{62a}\u{627}\u{628}\u{647}\u{627}")),
            // A form of a Japanese character stays.
            ("\u{845b}\u{e0100}\u{fe0f}", Some("\u{845b}\u{e0100}\u{fe0f}")),
            ("\u{645}\u{62d}\u{645}\u{62f}", Some("\u{645}\u{62d}\u{645}\u{62f}")),
            ("Zoe\u{308}", Some("Zoe\u{308}")),
            ("<script>alert(1)</script>", Some("<script>alert(1)</script>")),
            ("Robert'); DROP TABLE users;--", Some("Robert'); DROP TABLE users;--")),
            ("\u{10ffff}\u{fffd}", Some("\u{10ffff}\u{fffd}")),
            (longest.as_str(), Some(&longest[..200])),
        ] {
            let person = Person { sub: Uuid::new_v4().to_string(), name: Some(name.into()), ..Person::default() };
            let signed_in = app.sign_in(person).await;
            assert_eq!(signed_in.json["user"]["name"].as_str(), kept, "{name:?}");
            let me = app.me(&signed_in.jwt).await;
            assert_eq!(me.json["name"].as_str(), kept, "{name:?} comes back from the database");
        }
        let emoji = "\u{1f600}".repeat(500);
        let signed_in = app.sign_in(Person { name: Some(emoji), ..Person::named("emoji") }).await;
        assert_eq!(signed_in.json["user"]["name"].as_str().map(|name| name.chars().count()), Some(200));
        // Another type is no name.
        let odd = app.mock.google().id_token(json!({ "name": { "first": "Ann" }, "picture": 5, "email": ["a@b.c"] }));
        let signed_in = app.exchange_id_token(&odd).await.assert_signed_in();
        assert_eq!(signed_in.json["user"]["name"], Value::Null);
    }

    async fn what_is_no_single_address_is_none(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let [longest, too_long] = [308, 309].map(|length| format!("{}@example.com", "a".repeat(length)));
        for (address, kept) in [
            ("a@x,b@y", false),
            ("a@x;b@y", false),
            ("Ann <ann@example.com>", false),
            ("ann@example.com\u{0}", false),
            ("ann\n@example.com", false),
            ("ann @example.com", false),
            ("@example.com", false),
            ("ann@", false),
            ("ann", false),
            ("", false),
            (too_long.as_str(), false),
            (longest.as_str(), true),
            ("\u{fc}mit@example.com", true),
            ("o'neil+tag@example.com", true),
        ] {
            let person = Person { sub: Uuid::new_v4().to_string(), ..at_google("x", address, true) };
            let signed_in = app.sign_in(person).await;
            assert_eq!(email(&signed_in), kept.then_some(address), "{address:?}");
            assert_eq!(app.me(&signed_in.jwt).await.json["email"].as_str(), kept.then_some(address));
        }
    }

    async fn a_picture_is_an_https_url_or_none(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let huge = format!("https://example.com/{}", "a".repeat(100_000 / 10));
        for (url, kept) in [
            ("javascript:alert(1)", false),
            ("data:image/png;base64,AAAA", false),
            ("http://example.com/a.png", false),
            ("//example.com/a.png", false),
            ("/a.png", false),
            ("https:", false),
            ("https://", false),
            ("file:///etc/passwd", false),
            ("", false),
            (huge.as_str(), false),
            ("https://example.com/a.png?s=96#x", true),
        ] {
            let person = Person { sub: Uuid::new_v4().to_string(), picture: Some(url.into()), ..Person::default() };
            let signed_in = app.sign_in(person).await;
            assert_eq!(signed_in.json["user"]["avatar_url"].as_str(), kept.then_some(url), "{url:.60}");
            assert_eq!(app.me(&signed_in.jwt).await.json["avatar_url"].as_str(), kept.then_some(url));
        }
    }

    async fn a_picture_url_holds_nothing_that_ends_an_attribute_or_a_line(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for url in [
            "https://example.com/\u{0}.png",
            "https://example.com/a\n.png",
            "https://example.com/a\r\nX-Evil: 1",
            "\thttps://example.com/a.png",
            " https://example.com/a.png ",
        ] {
            let person = Person { sub: Uuid::new_v4().to_string(), picture: Some(url.into()), ..Person::default() };
            let signed_in = app.sign_in(person).await;
            let me = app.me(&signed_in.jwt).await;
            assert_eq!(me.status, 200, "{url:?}");
            let kept = me.json["avatar_url"].as_str().unwrap_or_default();
            assert!(!kept.contains(|c: char| c.is_control() || c.is_whitespace()), "{kept:?}");
            assert_eq!(signed_in.json["user"]["avatar_url"], me.json["avatar_url"]);
        }
    }

    async fn odd_subjects_are_told_apart_to_the_letter(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let longest = "s".repeat(255);
        let (long, longer) = (&longest[..254], longest.as_str());
        let subjects = ["a", "A", "a ", " a", "\u{e1}", "a\u{301}", "0", "00", "a'--", long, longer];
        let mut ids = HashSet::new();
        for sub in subjects {
            let signed_in = app.sign_in(Person { sub: sub.into(), ..Person::default() }).await;
            assert!(signed_in.created && ids.insert(signed_in.user_id), "{sub:?}");
        }
        for sub in subjects {
            assert!(!app.sign_in(Person { sub: sub.into(), ..Person::default() }).await.created, "{sub:?}");
        }
    }
}

/// The `sub` claim of one of our tokens, read without proof.
fn subject(jwt: &str) -> Value {
    use base64::Engine;
    let claims = jwt.split('.').nth(1).expect("three parts");
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    serde_json::from_slice::<Value>(&claims).expect("JSON")["sub"].clone()
}
