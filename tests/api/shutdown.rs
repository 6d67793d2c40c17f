//! Stopping: SIGTERM and Ctrl-C let every request end that was sent, then the process ends with exit code 0.

use std::io;
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, GithubUser, MockProviders};

use crate::databases::TestDatabase;
use crate::support::line::{Line, Reply, http_request};
use crate::support::process::{Running, Tokenbooth};

fn post(provider: &str, body: &Value) -> String {
    http_request("POST", &format!("/auth/{provider}"), &[], body)
}

fn me(jwt: &str) -> String {
    http_request("GET", "/api/me", &[("Authorization", &format!("Bearer {jwt}"))], &Value::Null)
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    answered: usize,
    /// Requests written whole without a whole answer.
    lost: Vec<String>,
    other_status: Vec<u16>,
}

/// Sends the same request again and again until the service takes no connection any more.
fn client(address: String, request: String, keeps_alive: bool, deadline: Instant) -> JoinHandle<Seen> {
    std::thread::spawn(move || {
        let mut seen = Seen::default();
        while Instant::now() < deadline {
            // Refused or not taken: nothing was sent, nothing can be lost.
            let Ok(mut line) = Line::open(&address) else {
                break;
            };
            loop {
                match line.ask(&request) {
                    Ok(Reply { status: 200, closes, .. }) => {
                        seen.answered += 1;
                        if closes || !keeps_alive {
                            break;
                        }
                    }
                    Ok(reply) => {
                        seen.other_status.push(reply.status);
                        break;
                    }
                    Err(error) => {
                        seen.lost.push(error.to_string());
                        break;
                    }
                }
            }
        }
        seen
    })
}

fn address(running: &mut Running) -> String {
    let url = running.url();
    url.strip_prefix("http://").expect("a URL").to_owned()
}

on_both_databases! {
    async fn sigterm_under_load_loses_no_request(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let mut running = Tokenbooth::serving(&mock, &db.url).start();
        let address = address(&mut running);
        let id_token = json!({ "id_token": mock.google().id_token(json!({})) });
        let exchange = post("google", &id_token);
        let signed_in = Line::open(&address).and_then(|mut line| line.ask(&exchange)).expect("an answer");
        let me = me(signed_in.body["access_token"].as_str().expect("a token"));

        let deadline = Instant::now() + Duration::from_secs(20);
        let clients: Vec<JoinHandle<Seen>> = [(&me, true), (&me, true), (&me, false), (&me, false), (&exchange, true), (&exchange, false)]
            .into_iter()
            .map(|(request, keeps_alive)| client(address.clone(), request.clone(), keeps_alive, deadline))
            .collect();
        // In flight when the signal comes, and for a while after.
        mock.set_fault(Endpoint::GithubCheck, Fault::Slow(Duration::from_millis(2500)));
        let slow = post("github", &json!({ "access_token": mock.github().access_token(GithubUser::default()) }));
        let slow = std::thread::spawn({
            let address = address.clone();
            move || Line::open(&address).and_then(|mut line| line.ask(&slow))
        });
        std::thread::sleep(Duration::from_millis(700));
        running.signal("TERM");
        let start = Instant::now();
        let status = running.wait();
        let took = start.elapsed();

        assert_eq!(status.code(), Some(0), "{}", running.stderr());
        let slow = slow.join().expect("a client").expect("the answer to a slow exchange");
        assert_eq!((slow.status, slow.closes), (200, true));
        // Not before the slow exchange, not as late as shutdown_timeout (30 s).
        assert!((Duration::from_millis(1500)..Duration::from_secs(10)).contains(&took), "{took:?}");
        for client in clients {
            let seen = client.join().expect("a client");
            assert_eq!(seen.lost, [] as [String; 0], "of {} requests", seen.answered);
            assert_eq!(seen.other_status, [] as [u16; 0]);
            assert!(seen.answered > 10, "only {} answers", seen.answered);
        }
    }
}

/// A service with a provider that nobody needs to reach for what these tests ask.
fn idle() -> Running {
    service().start()
}

fn service() -> Tokenbooth {
    Tokenbooth::new(&["serve"])
        .set("server.port", "0")
        .set("providers.google.client_ids", "app")
        .set("providers.google.discovery_url", "http://127.0.0.1:1/x")
}

#[test]
fn sigterm_ends_an_idle_service_quickly() {
    let mut running = idle();
    running.url();
    let start = Instant::now();
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    running.wait_for("stopping: waiting for the requests in flight");
}

#[test]
fn a_kept_connection_without_a_request_does_not_hold_up_the_end_for_its_keep_alive_time() {
    let mut running = idle();
    let mut line = Line::open(&address(&mut running)).expect("a connection");
    let reply = line.ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("an answer");
    assert!(!reply.closes, "a connection is kept as long as nobody stops");
    let start = Instant::now();
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn ctrl_c_lets_a_request_in_flight_end_too() {
    let mut running = idle();
    let address = address(&mut running);
    let mut line = Line::open(&address).expect("a connection");
    // Its head is there, its body is not: the service waits for it.
    let request = post("google", &json!({ "id_token": "x" }));
    let (first, rest) = request.split_at(request.len() - 5);
    line.send(first).expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    running.signal("INT");
    running.wait_for("stopping: waiting for the requests in flight");
    std::thread::sleep(Duration::from_millis(1200));
    let reply = line.ask(rest).expect("an answer");
    // No token, but a whole answer, and that is what counts.
    assert_eq!((reply.status, reply.closes), (401, true));
    assert_eq!(running.wait().code(), Some(0));
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let mut running = idle();
    let mut line = Line::open(&address(&mut running)).expect("a connection");
    let request = post("google", &json!({ "id_token": "x" }));
    line.send(&request[..request.len() - 5]).expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    running.signal("TERM");
    let reply = line.ask("").expect("an answer");
    assert_eq!((reply.status, reply.closes, &reply.body["code"]), (408, true, &json!("request_timeout")));
    assert_eq!(running.wait().code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[actix_web::test]
async fn a_request_that_never_ends_is_not_waited_for_longer_than_shutdown_timeout() {
    let (mock, db) = (MockProviders::start().await.expect("the mock starts"), TestDatabase::sqlite());
    mock.set_fault(Endpoint::GithubCheck, Fault::Slow(Duration::from_mins(1)));
    let command = Tokenbooth::serving(&mock, &db.url).set("http_client.timeout", "1m");
    let mut running = command.set("server.shutdown_timeout", "3s").start();
    let mut line = Line::open(&address(&mut running)).expect("a connection");
    let token = mock.github().access_token(GithubUser::default());
    line.send(&post("github", &json!({ "access_token": token }))).expect("sent");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
    let took = start.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&took), "{took:?}");
}

#[test]
fn a_stopping_service_says_so_and_lets_no_new_client_in_in_the_end() {
    let mut running = idle();
    let address = address(&mut running);
    // A connection that was kept: without it an idle service is gone before anybody can ask.
    let mut kept = Line::open(&address).expect("a connection");
    kept.ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("an answer");
    running.signal("TERM");
    running.wait_for("stopping: waiting for the requests in flight");
    let reply = kept.ask("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").expect("an answer");
    assert_eq!((reply.status, reply.closes, &reply.body["status"]), (503, true, &json!("stopping")));
    assert_eq!(running.wait().code(), Some(0));
    assert_eq!(
        TcpStream::connect(&address).expect_err("nobody listens").kind(),
        io::ErrorKind::ConnectionRefused
    );
}
