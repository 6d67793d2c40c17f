//! `tokenbooth explain-token`: what is in a token, who would take it, and why not.

use serde_json::json;
use tokenbooth::clock::Clock;
use tokenbooth::mock::{GithubUser, Person};

use super::user::user;
use super::{Ended, run};
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// `tokenbooth explain-token` with the settings of a running service.
fn explain(app: &TestApp, token: &str) -> Ended {
    let settings = app.mock.settings().into_iter().chain(app.mock.oidc_settings("acme"));
    let ended: Ended = settings
        .fold(Tokenbooth::new(&["explain-token", "-"]), |command, (key, value)| command.set(&key, &value))
        .set("database.url", &app.db.url)
        .set("token.secret", SECRET)
        .set("token.issuer", &app.base)
        .input(token)
        .output()
        .into();
    // What is shown can be passed on.
    if let Some((_, signature)) = token.trim().rsplit_once('.').filter(|(_, signature)| !signature.is_empty())
    {
        assert!(
            !ended.out.contains(signature) && !ended.err.contains(signature),
            "the signature is printed: {}",
            ended.out
        );
    }
    ended
}

on_both_databases! {
    async fn explain_token_knows_our_own_tokens_and_what_became_of_them(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let bob = app.sign_in(Person::named("bob")).await;
        let accepted = format!("accepted as our access token: it is a token of user {}", bob.user_id);
        let told = explain(&app, &bob.jwt).good();
        assert!(told.lines().any(|line| line == accepted), "{told}");
        assert!(told.contains("\"typ\": \"at+jwt\"") && told.contains(&format!("\"sub\": \"{}\"", bob.user_id)), "{told}");
        assert!(told.lines().any(|line| line.trim_start().starts_with("exp  2") && line.ends_with(" s")), "{told}");
        // As people paste it.
        let told = explain(&app, &format!("  Bearer {}\n", bob.jwt)).good();
        assert!(told.lines().any(|line| line == accepted), "{told}");

        app.clock.advance(-4000);
        let mut claims = Person::named("bob").claims();
        claims["iat"] = json!(app.clock.now().0);
        let expired = app.exchange_id_token(&app.mock.google().id_token(claims)).await.assert_signed_in();
        let told = explain(&app, &expired.jwt).told();
        assert!(told.contains("refused  as our access token: it expired 2"), "{told}");
        app.clock.advance(4000);

        let forged = format!("{}{}", &bob.jwt[..bob.jwt.len() - 4], "AAAA");
        let told = explain(&app, &forged).told();
        assert!(told.contains("refused  as our access token: the token's signature is wrong"), "{told}");

        user(&app.db, &["disable", &bob.user_id]).good();
        let told = explain(&app, &bob.jwt).told();
        assert!(told.contains("refused  as our access token: the user's tokens were revoked"), "{told}");
    }
}

#[actix_web::test]
async fn explain_token_knows_a_refresh_token_and_shows_it_to_nobody() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let bob = app.sign_in_offline(Person::named("bob")).await;
    app.mock.forget_requests();
    let told = explain(&app, bob.refresh_token()).good();
    assert!(
        told.starts_with("This is a refresh token of tokenbooth: POST /auth/refresh takes it, once."),
        "{told}"
    );
    assert!(!told.contains("tbr_"), "{told}");
    assert_eq!(app.mock.total_requests(), 0);
    assert_eq!(app.refresh(bob.refresh_token()).await.status, 200, "it is not used up");
}

#[actix_web::test]
async fn explain_token_knows_what_belongs_to_a_client() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let service = app.create_client("Night job", "reports.read mail.send");
    let token = app.client_token(&service).await;
    let told = explain(&app, &token).good();
    let accepted = format!(
        "accepted as our access token: it is a token of client {} for \"reports.read mail.send\"",
        service.id
    );
    assert!(told.lines().any(|line| line == accepted), "{told}");
    app.disable_client(&service);
    let told = explain(&app, &token).told();
    assert!(told.contains("refused  as our access token: the client is disabled"), "{told}");
    app.mock.forget_requests();
    let told = explain(&app, &service.secret).good();
    assert!(
        told.starts_with("This is the secret of a client of tokenbooth") && !told.contains("tbs_"),
        "{told}"
    );
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn explain_token_says_what_each_provider_makes_of_a_token() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let google = app.mock.google();
    let token = google.id_token(json!({}));
    let told = explain(&app, &token).good();
    let sub = Person::default().sub;
    assert!(told.contains(&format!("accepted at POST /auth/google: it proves {sub} of google")), "{told}");
    assert!(told.contains("refused  as our access token: its typ is "), "{told}");
    assert!(told.contains("refused  at POST /auth/acme: "), "{told}");

    let told = explain(&app, &google.id_token(json!({ "aud": "somebody-elses-app", "azp": null }))).told();
    assert!(told.contains("refused  at POST /auth/google: token audience \"somebody-elses-app\" is not in providers.google.client_ids"), "{told}");
    let told = explain(&app, &google.id_token(json!({ "iat": 1_000_000_000 }))).told();
    assert!(told.contains("refused  at POST /auth/google: the token expired "), "{told}");

    let opaque = google.access_token(Person::default());
    let told = explain(&app, &opaque).good();
    assert!(
        told.starts_with(
            "This is no signed JWT (header.payload.signature), so an opaque access token at best.\n"
        ),
        "{told}"
    );
    assert!(told.contains(&format!("accepted at POST /auth/google: it proves {sub} of google")), "{told}");
    assert!(!told.contains(&opaque), "{told}");
    let told = explain(&app, &app.mock.github().access_token(GithubUser::default())).good();
    assert!(told.contains("accepted at POST /auth/github: it proves "), "{told}");
    let told = explain(&app, "neither-one-nor-the-other").told();
    assert!(told.contains("refused  as our access token: it is no JWT"), "{told}");
    assert!(
        told.contains("refused  at POST /auth/github: this is not a GitHub app's user access token"),
        "{told}"
    );
}

#[test]
fn explain_token_takes_the_token_as_argument_too_and_wants_one() {
    let told = run(&["explain-token", "opaque"], &[]).told();
    assert!(told.ends_with("No provider is configured, so no exchange would take it.\n"), "{told}");
    assert_eq!(
        run(&["explain-token"], &[]).bad(),
        "there is no token: give it as argument or on standard input"
    );
}
