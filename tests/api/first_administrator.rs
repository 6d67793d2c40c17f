//! `admin.emails`: who becomes the first administrator, and who does not.

use serde_json::{Value, json};
use tokenbooth::mock::Person;

use crate::command_line::run;
use crate::databases::TestDatabase;
use crate::support::{SignedIn, TestApp};

const LIST: &str = "google:ada@example.com, google:Eve@Example.com";

async fn is_admin(app: &TestApp, user: &SignedIn) -> bool {
    app.me(&user.jwt).await.json["admin"] == true
}

/// Signs in at the OpenID Connect issuer, which says that this address is verified.
async fn by_acme(app: &TestApp, name: &str) -> SignedIn {
    let id_token = app.mock.oidc().id_token(Person::named(name).claims());
    app.exchange("acme", &json!({ "id_token": id_token })).await.assert_signed_in()
}

fn user(app: &TestApp, command: &str, id: &str) {
    run(&["user", command, id], &[("database.url", &app.db.url)]).good();
}

on_both_databases! {
    async fn a_listed_address_counts_only_by_its_provider_and_only_verified(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("admin.emails", LIST)).await;
        let unverified = app.sign_in(Person { email_verified: Some(json!(false)), ..Person::named("ada") }).await;
        assert!(!is_admin(&app, &unverified).await);
        assert!(!is_admin(&app, &by_acme(&app, "ada").await).await);
        let github = app.exchange_github(tokenbooth::mock::GithubUser::named("ada")).await.assert_signed_in();
        assert!(!is_admin(&app, &github).await);
        assert!(!is_admin(&app, &app.sign_in(Person::named("bob")).await).await);
        // At a later sign-in, once it is verified; the case of ASCII letters does not matter.
        let ada = app.sign_in(Person { email: Some("ADA@example.com".into()), ..Person::named("ada") }).await;
        assert!(is_admin(&app, &ada).await);
        let events = app.events("user.promoted", &ada.jwt).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!((&events[0]["actor_id"], &events[0]["user_id"]), (&Value::Null, &json!(ada.user_id)));
        assert_eq!(events[0]["detail"], json!({ "by": "admin.emails" }));
    }

    async fn an_identity_of_another_provider_on_the_same_account_promotes_nobody(db: TestDatabase) {
        let settings = |sources: tokenbooth::settings::Sources| {
            sources.with("admin.emails", LIST).with("accounts.link_verified_email", "true")
        };
        let app = TestApp::start_with(db, settings).await;
        // The account's address is ada@example.com, by the word of a provider that is not listed.
        let mallory = by_acme(&app, "ada").await;
        assert_eq!(mallory.json["user"]["email"], "ada@example.com");
        let other = Person { email: Some("mallory@example.com".into()), ..Person::named("mallory") };
        assert_eq!(app.link_google(&mallory.jwt, other.clone()).await.status, 201);
        assert!(!is_admin(&app, &app.sign_in(other).await).await);
        assert!(!is_admin(&app, &by_acme(&app, "ada").await).await);
    }

    async fn there_is_one_and_a_demotion_is_not_undone(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| sources.with("admin.emails", LIST)).await;
        let ada = app.sign_in(Person::named("ada")).await;
        let eve = app.sign_in(Person::named("eve")).await;
        assert!(is_admin(&app, &ada).await && !is_admin(&app, &eve).await);
        // Ada hands over and steps down.
        assert_eq!(app.patch_user(&eve.user_id, &ada.jwt, json!({ "admin": true })).await.status, 200);
        assert_eq!(app.patch_user(&ada.user_id, &eve.jwt, json!({ "admin": false })).await.status, 200);
        let events = app.db.count("events");
        for _ in 0..3 {
            assert!(!is_admin(&app, &app.sign_in(Person::named("ada")).await).await);
        }
        assert_eq!(app.db.count("events"), events, "nothing is written either");
        // Without an administrator who can sign in the list counts again.
        user(&app, "disable", &eve.user_id);
        assert!(is_admin(&app, &app.sign_in(Person::named("ada")).await).await);
    }

    async fn of_two_who_are_listed_one_is_promoted_on_two_replicas(db: TestDatabase) {
        let url = db.url.clone();
        let settings = |sources: tokenbooth::settings::Sources| {
            sources.with("admin.emails", LIST).with("token.issuer", "https://booth.test").with("database.timeout", "60s")
        };
        let one = TestApp::start_with(db, settings).await;
        let sources = settings(TestApp::sources(&one.mock, &url));
        let two = TestApp::try_start(one.mock.clone(), TestDatabase::sqlite(), sources).await.expect("a replica");
        one.warm().await;
        two.warm().await;
        let administrators = "SELECT COUNT(*) AS number FROM users WHERE admin";
        for _ in 0..10 {
            // First as new users, then as users who are there.
            tokio::join!(one.sign_in(Person::named("ada")), two.sign_in(Person::named("eve")));
            assert_eq!(one.db.number(administrators), 1);
            one.db.execute("UPDATE users SET admin = FALSE");
        }
    }
}

#[test]
fn an_entry_without_a_known_provider_does_not_start() {
    for (value, problem) in [
        ("ada@mail.com", "entry 1 does not say which provider must have verified the address"),
        (
            "google:ada@mail.com,eve@mail.com",
            "entry 2 does not say which provider must have verified the address",
        ),
        ("nobody", "entry 1 does not say which provider must have verified the address"),
        ("googel:ada@mail.com", "entry 1 names a provider that is not configured"),
        (":ada@mail.com", "entry 1 is not a provider's name, a colon and an e-mail address"),
        ("google:", "entry 1 is not a provider's name, a colon and an e-mail address"),
        ("google:ada", "entry 1 is not a provider's name, a colon and an e-mail address"),
        ("google:ada\u{200b}@mail.com", "entry 1 is not a provider's name, a colon and an e-mail address"),
    ] {
        let told = run(&["check"], &[("admin.emails", value)]).told();
        let remedy = "Write \"<provider>:<address>\", such as \"google:ada@mail.com\"";
        assert!(told.contains(&format!("error    admin.emails: {problem}. {remedy}")), "{value}: {told}");
    }
}
