//! The secret that is made in development, and providers that are not configured.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tokenbooth::mock::MockProviders;

use super::serve;
use crate::support::app::{Answer, client};
use crate::support::process::{Running, Tokenbooth};

/// The service without a secret, beside the mock.
fn in_development(mock: &MockProviders, database: &str) -> Running {
    Tokenbooth::serving(mock, database).set("token.secret", "").start()
}

async fn sign_in(mock: &MockProviders, url: &str) -> String {
    let body = json!({ "id_token": mock.google().id_token(json!({})) });
    let request = client().post(format!("{url}/auth/google")).json(&body);
    Answer::of(request.send().await.expect("an answer")).await.assert_signed_in().jwt
}

async fn status_of_me(url: &str, jwt: &str) -> u16 {
    let request = client().get(format!("{url}/api/me")).bearer_auth(jwt);
    request.send().await.expect("an answer").status().as_u16()
}

#[actix_web::test]
async fn the_secret_of_development_is_made_once_kept_from_others_and_outlives_a_restart() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("kept.db").display());
    // The issuer follows the port when it is not set, and the port is another one after the restart.
    let start = || {
        let command = Tokenbooth::serving(&mock, &database).set("token.secret", "");
        command.set("token.issuer", "https://auth.example.com").start()
    };
    let mut first = start();
    let jwt = sign_in(&mock, &first.url()).await;
    let file = folder.path().join("kept.db.secret");
    let (mode, secret) = (
        file.metadata().expect("a file beside the database").permissions().mode() & 0o777,
        std::fs::read_to_string(&file).expect("a file"),
    );
    assert_eq!(mode, 0o600);
    assert!(secret.trim().len() >= 32, "{} bytes", secret.trim().len());
    first.wait_for("token.secret is not set: one was made for development and kept in");
    first.signal("TERM");
    assert!(first.wait().success());
    assert!(!first.stderr().contains(secret.trim()), "the log shows the secret");

    let mut second = start();
    assert_eq!(status_of_me(&second.url(), &jwt).await, 200);
    assert!(!second.stderr().contains("one was made"), "{}", second.stderr());
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), secret);
}

#[actix_web::test]
async fn two_processes_that_start_at_once_in_development_agree_on_the_secret() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("shared.db").display());
    let start = || {
        let command = Tokenbooth::serving(&mock, &database).set("token.secret", "");
        command.set("token.issuer", "https://auth.example.com").start()
    };
    let mut both: Vec<Running> = (0..4).map(|_| start()).collect();
    let urls: Vec<String> = both.iter_mut().map(Running::url).collect();
    let jwt = sign_in(&mock, &urls[0]).await;
    for url in &urls {
        assert_eq!(status_of_me(url, &jwt).await, 200);
    }
}

#[test]
fn a_secret_file_that_is_too_short_does_not_start() {
    let mut ended = serve().file("tokenbooth.db.secret", "short").start();
    assert_eq!(ended.wait().code(), Some(1));
    assert_eq!(
        ended.stderr().lines().last(),
        Some(
            "tokenbooth: token.secret: it is not set, and the file tokenbooth.db.secret to keep one in cannot be used: \
             it holds less than 32 bytes; delete it. Set TOKENBOOTH__TOKEN__SECRET, or make the folder writable"
        )
    );
}

#[actix_web::test]
async fn a_provider_without_client_ids_does_not_exist() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("t.db").display());
    let mut running = in_development(&mock, &database);
    let configured = running.url();
    let mut bare = serve().start();
    let unconfigured = bare.url();
    for name in ["google", "github", "acme"] {
        let post = async |url: &str| {
            let request = client().post(format!("{url}/auth/{name}")).json(&json!({ "token": "x" }));
            Answer::of(request.send().await.expect("an answer")).await
        };
        post(&configured).await.assert_problem(401, "invalid_token");
        post(&unconfigured).await.assert_problem(404, "unknown_provider");
    }
    bare.wait_for("no provider is configured: set providers.google.client_ids, for example");
}
