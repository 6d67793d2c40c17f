//! A code that is exchanged twice, and a code that is exchanged by another client.

use super::{APP, SCHEME, VERIFIER, code, login, redeem, redeem_with, sent_back, with_apps};
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::SignedIn;
use crate::support::browser::{Browser, HTML};

const OFFLINE: &[(&str, &str)] = &[("scope", "offline_access")];

async fn redeem_offline(app: &TestApp, code: &str) -> SignedIn {
    redeem_with(app, code, APP, VERIFIER, OFFLINE).await.assert_signed_in()
}

/// The events of this kind that a replay wrote.
fn written_by_replays(app: &TestApp, kind: &str) -> i64 {
    app.db.number(&format!(
        "SELECT COUNT(*) AS number FROM events WHERE kind = '{kind}' AND detail LIKE '%\"by\":\"code_replayed\"%'"
    ))
}

/// A second replica of the service.
async fn replica(one: &TestApp) -> TestApp {
    let sources =
        with_apps(TestApp::sources(&one.mock, &one.db.url)).with("token.issuer", "https://booth.test");
    TestApp::try_start(one.mock.clone(), TestDatabase::sqlite(), sources).await.expect("a replica")
}

async fn start(db: TestDatabase) -> TestApp {
    TestApp::start_with(db, |sources| with_apps(sources).with("token.issuer", "https://booth.test")).await
}

on_both_databases! {
    async fn a_replay_ends_the_session_that_the_code_gave_and_no_other(db: TestDatabase) {
        let one = start(db).await;
        let two = replica(&one).await;
        let first = code(&one, "alice").await;
        let other = redeem_offline(&one, &code(&one, "alice").await).await;
        let given = redeem_offline(&one, &first).await;
        assert_eq!(two.me(&given.jwt).await.status, 200);
        // With or without the scope, at whichever replica.
        for (replica, more) in [(&two, &[][..]), (&one, OFFLINE), (&two, OFFLINE)] {
            let told = redeem_with(replica, &first, APP, VERIFIER, more).await;
            assert_eq!(told.assert_oauth_refusal(400, "invalid_grant"), "code_refused: it was exchanged before");
            for replica in [&one, &two] {
                replica.me(&given.jwt).await.assert_problem(401, "invalid_token");
                assert_eq!(replica.me(&other.jwt).await.status, 200);
            }
        }
        one.refresh(given.refresh_token()).await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(two.refresh(other.refresh_token()).await.status, 200);
        assert_eq!((one.db.count("sessions"), one.db.count("spent_codes")), (1, 2));
        let written = ["session.ended", "tokens.revoked"].map(|kind| written_by_replays(&one, kind));
        assert_eq!(written, [1, 0]);
    }

    async fn a_replay_ends_the_access_token_that_the_code_gave_without_a_session(db: TestDatabase) {
        let one = start(db).await;
        let two = replica(&one).await;
        let first = code(&one, "alice").await;
        let bob = redeem_offline(&one, &code(&one, "bob").await).await;
        let given = redeem(&one, &first, APP, VERIFIER).await.assert_signed_in();
        for _ in 0..2 {
            redeem(&two, &first, APP, VERIFIER).await.assert_oauth_refusal(400, "invalid_grant");
            for replica in [&one, &two] {
                replica.me(&given.jwt).await.assert_problem(401, "invalid_token");
            }
        }
        // Nothing names that token: it ended with all others of its user, once, and of nobody else.
        assert_eq!(written_by_replays(&one, "tokens.revoked"), 1);
        assert_eq!(two.me(&bob.jwt).await.status, 200);
        // The owner signs in again.
        redeem_offline(&one, &code(&one, "alice").await).await;
    }

    async fn who_lacks_the_proof_ends_nothing(db: TestDatabase) {
        let app = start(db).await;
        let first = code(&app, "alice").await;
        let given = redeem_offline(&app, &first).await;
        let service = app.create_client("Orders", "orders.read");
        let other = format!("{}A", &VERIFIER[..42]);
        for (redirect_uri, verifier, client) in [
            (APP, other.as_str(), "app"),
            (APP, &VERIFIER[..42], "app"),
            (SCHEME, VERIFIER, "app"),
            (APP, VERIFIER, "another"),
            (APP, VERIFIER, service.id.as_str()),
        ] {
            let answer = redeem_with(&app, &first, redirect_uri, verifier, &[("client_id", client)]).await;
            answer.assert_oauth_refusal(400, "invalid_grant");
        }
        // By the end of its time a code proves nothing any more.
        app.clock.advance(60);
        redeem(&app, &first, APP, VERIFIER).await.assert_oauth_refusal(400, "invalid_grant");
        assert_eq!(app.me(&given.jwt).await.status, 200);
        assert_eq!(app.refresh(given.refresh_token()).await.status, 200);
        let ended = "SELECT COUNT(*) AS number FROM events WHERE kind IN ('session.ended', 'tokens.revoked')";
        assert_eq!(app.db.number(ended), 0);
    }

    async fn a_code_is_its_client_s(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| with_apps(sources).with("sign_in.client_id", "desktop")).await;
        let service = app.create_client("Orders", "orders.read");
        let first = code(&app, "alice").await;
        for client in ["app", "Desktop", "desktop ", service.id.as_str()] {
            let told = redeem_with(&app, &first, APP, VERIFIER, &[("client_id", client)]).await;
            let told = told.assert_oauth_refusal(400, "invalid_grant");
            assert!(told.starts_with("code_refused: client_id"), "{told}");
        }
        let members = [
            ("grant_type", "authorization_code"),
            ("code", first.as_str()),
            ("redirect_uri", APP),
            ("code_verifier", VERIFIER),
        ];
        // A service that proves itself is still another client.
        let told = app.post_form_as("/oauth/token", &service, &members).await;
        assert!(told.assert_oauth_refusal(400, "invalid_grant").starts_with("code_refused: client_id"));
        let twice = [&members[..], &[("client_id", "desktop"), ("client_id", "desktop")]].concat();
        app.post_form("/oauth/token", &twice).await.assert_oauth_refusal(400, "invalid_request");
        // None of them used it up, and one that is left out is the app's.
        assert_eq!(app.db.count("spent_codes"), 0);
        assert_eq!(redeem_with(&app, &first, APP, VERIFIER, &[]).await.status, 200);
        let second = code(&app, "alice").await;
        let named = redeem_with(&app, &second, APP, VERIFIER, &[("client_id", "desktop")]).await;
        assert_eq!(named.status, 200, "{}", named.text);
    }
}

#[tokio::test]
async fn a_sign_in_is_begun_by_the_app_only() {
    let app = TestApp::start_with(TestDatabase::sqlite(), with_apps).await;
    let mut browser = Browser::at(&app);
    for client in ["another", "App", "app%20", "%00"] {
        let path = format!("{}&client_id={client}", login("google", APP, "s"));
        let request = browser.request("GET", &path).header("accept", "application/json");
        let answer = browser.send(request).await;
        answer.assert_problem(400, "invalid_request");
        assert_eq!(answer.header("location"), "");
        let page = browser.send(browser.request("GET", &path).header("accept", HTML)).await;
        assert_eq!((page.status, page.header("location")), (400, ""));
    }
    let (_, parameters) =
        sent_back(&app, &format!("{}&client_id=app", login("google", APP, "s")), "alice").await;
    assert_eq!(redeem(&app, &parameters["code"], APP, VERIFIER).await.status, 200);
}
