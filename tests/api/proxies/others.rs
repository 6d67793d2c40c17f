//! Caddy and Envoy, with their files of examples/proxies.

use std::path::Path;

use super::{Scene, protection, send};
use crate::daemon::{Daemon, find_program};
use crate::databases::TestDatabase;
use crate::support::Answer;
use crate::support::browser::HTML;

const SIGN_IN: &str = "/booth/sign-in?redirect_to=%2Forders%3Fpage%3D2%26by%3Dname";

/// Where the program is, or a line that says that it is not.
fn program(name: &str) -> Option<std::path::PathBuf> {
    use std::io::Write as _;
    let found = find_program(name);
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "\n*** no {name}: examples/proxies is NOT TESTED with it\n");
    }
    found
}

async fn protects(
    program: &Path,
    arguments: &[&str],
    name: &'static str,
    file: &str,
    tells_browsers: impl Fn(&Answer),
) {
    let scene = Scene::set(TestDatabase::sqlite()).await;
    let daemon = Daemon::start(program, arguments, |port| vec![(name, scene.file(file, port))]);
    let proxy = format!("http://127.0.0.1:{}", daemon.port());
    protection::is_whole(&scene, &proxy).await;
    let page = scene.request(&proxy, "GET", "/orders?page=2&by=name").header("accept", HTML);
    tells_browsers(&send(page).await);
    let jwt = scene.app.sign_in(tokenbooth::mock::Person::named("ada")).await.jwt;
    let Scene { app, backend, http } = scene;
    let other = Scene { app: crate::support::TestApp::start(TestDatabase::sqlite()).await, backend, http };
    drop(app);
    protection::stays_without_the_service(&other, &proxy, &jwt).await;
}

#[actix_web::test]
async fn caddy_protects_a_service_that_knows_nothing_of_tokens() {
    let Some(caddy) = program("caddy") else { return };
    // Its administration would listen on a port of its own.
    let file = concat!("{\n\tadmin off\n}\n", include_str!("../../../examples/proxies/Caddyfile"));
    protects(&caddy, &["run", "--config", "Caddyfile"], "Caddyfile", file, |answer| {
        assert_eq!((answer.status, answer.header("location")), (303, SIGN_IN));
    })
    .await;
}

#[actix_web::test]
async fn envoy_protects_a_service_that_knows_nothing_of_tokens() {
    let Some(envoy) = program("envoy") else { return };
    let arguments = ["-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "2"];
    let file = include_str!("../../../examples/proxies/envoy.yaml");
    protects(&envoy, &arguments, "envoy.yaml", file, |answer| {
        // Envoy tells tokenbooth the path, but not as a place to come back to.
        assert_eq!((answer.status, answer.header("x-sign-in")), (401, "/booth/sign-in"));
    })
    .await;
}
