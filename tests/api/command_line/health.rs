//! `tokenbooth health`: what an orchestrator without a shell asks.

use std::io::{Read, Write};
use std::net::TcpListener;

use tokenbooth::mock::{Endpoint, Fault, MockProviders};

use crate::databases::TestDatabase;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// Exit code, standard output, standard error.
fn health(host: &str, port: &str) -> (Option<i32>, String, String) {
    let command =
        Tokenbooth::new(&["health"]).env("TOKENBOOTH_ENV", "production").set("token.secret", SECRET);
    // A way out for the others is no way to oneself.
    let command = command.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    let output = command.set("server.host", host).set("server.port", port).output();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[actix_web::test]
async fn a_service_that_is_ready_is_healthy_however_it_listens() {
    for (listens, asks) in [("127.0.0.1", "localhost"), ("0.0.0.0", "0.0.0.0"), ("::", "::")] {
        let db = TestDatabase::sqlite();
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut running = Tokenbooth::serving(&mock, &db.url).set("server.host", listens).start();
        let line = running.wait_for("listening on ");
        let port = line.rsplit(':').next().expect("a port").to_owned();
        let answers = || health(asks, &port);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut told = answers();
        while told.0 != Some(0) && std::time::Instant::now() < deadline {
            assert!(told.2.contains("not ready: {\"status\":\"starting\""), "{told:?}");
            told = answers();
        }
        assert_eq!(told.0, Some(0), "{told:?}");
        assert!(told.1.starts_with("{\"status\":\"ready\""), "{told:?}");
        assert_eq!(told.2, "");
    }
}

#[actix_web::test]
async fn a_service_that_is_not_ready_is_not_healthy() {
    let db = TestDatabase::sqlite();
    let mock = MockProviders::start().await.expect("the mock starts");
    mock.set_fault(Endpoint::Jwks, Fault::Hang);
    let command = Tokenbooth::serving(&mock, &db.url).set("http_client.timeout", "30s");
    let mut running = command.start();
    let url = running.url();
    let told = health("127.0.0.1", url.rsplit(':').next().expect("a port"));
    assert_eq!((told.0, told.1.as_str()), (Some(1), ""), "{told:?}");
    assert!(told.2.starts_with("tokenbooth: not ready: {\"status\":\"starting\""), "{told:?}");
}

#[test]
fn nobody_and_somebody_else_are_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let stranger = std::thread::spawn(move || {
        for answer in ["", "220 mail\r\n", "HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nready"] {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    for _ in 0..4 {
        let told = health("127.0.0.1", &port);
        assert_eq!((told.0, told.1.as_str()), (Some(1), ""), "{told:?}");
        assert!(told.2.contains("answers something else than tokenbooth"), "{told:?}");
    }
    stranger.join().expect("a thread");
    let told = health("127.0.0.1", &port);
    assert_eq!(told.0, Some(1));
    assert!(told.2.contains("nobody answers on 127.0.0.1:"), "{told:?}");
    assert_eq!(told.2.lines().count(), 1, "{told:?}");
}
