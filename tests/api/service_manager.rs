//! What systemd is told (`Type=notify`).

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tokenbooth::mock::MockProviders;

use crate::databases::TestDatabase;
use crate::support::process::Tokenbooth;

#[actix_web::test]
async fn systemd_is_told_when_requests_are_answered_and_when_they_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    let told = || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).trim_end().to_owned()
    };
    let (db, mock) = (TestDatabase::sqlite(), MockProviders::start().await.expect("the mock starts"));
    let mut running = Tokenbooth::serving(&mock, &db.url).env("NOTIFY_SOCKET", &path).start();
    assert_eq!(told(), "READY=1");
    let address = running.url();
    let health = crate::support::app::client().get(format!("{address}/healthz")).send().await;
    assert_eq!(health.expect("an answer").status(), 200);
    running.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(running.wait().success());
}

#[actix_web::test]
async fn a_service_manager_that_is_gone_is_no_reason_not_to_serve() {
    let (db, mock) = (TestDatabase::sqlite(), MockProviders::start().await.expect("the mock starts"));
    let mut running = Tokenbooth::serving(&mock, &db.url).env("NOTIFY_SOCKET", "/nowhere/at/all").start();
    let address = running.url();
    let health = crate::support::app::client().get(format!("{address}/healthz")).send().await;
    assert_eq!(health.expect("an answer").status(), 200);
    running.wait_for("the service manager cannot be told READY=1");
}
