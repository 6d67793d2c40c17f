//! `examples/clients/curl/service.sh`, against a service with a client.

use std::process::Command;

use crate::databases::TestDatabase;
use crate::support::TestApp;

#[actix_web::test]
async fn the_example_gets_tokens_for_what_it_may_do_and_nothing_else() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let service = app.create_client("Night job", "reports.read mail.send");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/clients/curl/service.sh");
    let mut command = Command::new(script);
    let command = command.arg(&app.base).env("CLIENT_ID", &service.id).env("CLIENT_SECRET", &service.secret);
    let output = command.output().expect("bash and curl are there");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for line in [
        "  200  a token for the scopes: reports.read mail.send",
        "  200  one for less: reports.read",
        "  400  none for more than it was made with: invalid_scope",
        "  401  nor for a wrong secret: invalid_client",
        "  401  and at a route for people a service is nobody",
    ] {
        assert!(said.lines().any(|one| one == line), "{line:?} in {said}");
    }
    assert!(!said.contains(&service.secret), "{said}");
}
