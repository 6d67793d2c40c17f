//! Two replicas behind nginx, PgBouncer and PostgreSQL, with the files of docs/REPLICAS.md: while keys rotate and replicas are
//! killed and started again, no valid request is refused and no invalid one is accepted.

mod clients;
mod fleet;
mod operator;
mod tokens;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use self::clients::{Client, Forger, Keeper, Newcomer, Reader, Record, Role, Trier, from_before};
use self::fleet::{Fleet, site};
use self::operator::Operator;
use self::tokens::Tokens;
use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::app::{Answer, client};
use crate::support::nginx::Nginx;

/// How long it goes on, when `TOKENBOOTH_REPLICAS_SECONDS` does not say; every step is done once all the same.
const SECONDS: u64 = 12;

#[actix_web::test]
async fn the_site_of_the_guide_leads_to_the_service_and_keeps_the_metrics_to_itself() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let address = app.base.strip_prefix("http://").expect("a URL").to_owned();
    let Some(nginx) = Nginx::start(|port| site(port, [&address, &address])) else { return };
    let get = async |path: &str| {
        Answer::of(client().get(format!("{}{path}", nginx.base)).send().await.expect("an answer")).await
    };
    assert_eq!(get("/healthz").await.status, 200, "{}", nginx.log());
    assert_eq!(get("/metrics").await.status, 404);
    assert_eq!(app.get("/metrics").await.status, 200);
    assert!(nginx.access_log().contains("GET /healthz"));
}

#[actix_web::test]
async fn what_one_replica_answers_503_is_read_from_the_other_and_not_changed_there() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let unready = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = client.read(&mut request);
            let told = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = client.write_all(told.as_bytes());
        }
    });
    let address = app.base.strip_prefix("http://").expect("a URL").to_owned();
    let Some(nginx) = Nginx::start(|port| site(port, [&unready, &address])) else { return };
    let status = async |method: &str| {
        let method = method.parse().expect("a method");
        let request = client().request(method, format!("{}/healthz", nginx.base));
        request.send().await.expect("an answer").status().as_u16()
    };
    for method in ["GET", "HEAD", "GET", "HEAD"] {
        assert_eq!(status(method).await, 200, "{method}: {}", nginx.log());
    }
    // Every second one meets the replica that is not ready.
    let mut changes = Vec::new();
    for _ in 0..4 {
        changes.push(status("POST").await);
    }
    assert!(changes.contains(&503) && changes.contains(&405), "{changes:?}");
}

#[actix_web::test]
async fn no_valid_request_is_refused_and_no_invalid_one_accepted_while_keys_rotate_and_replicas_die() {
    let Some(mut fleet) = Fleet::start().await else { return };
    let seconds = std::env::var("TOKENBOOTH_REPLICAS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let seconds = seconds.unwrap_or(SECONDS);
    let (mock, address) = (fleet.mock.clone(), fleet.address().to_owned());
    let (record, tokens) = (Record::default(), Tokens::default());
    let client = || Client::new(&address, &record);
    Newcomer::new(client(), &mock, "first", &tokens).act();
    // What a forger makes is refused for the one thing that is wrong with it.
    let first = tokens.good(0);
    client().read("reads", &from_before(&first.jwt, &tokens.first_kid(), 1), &first.user_id);
    drop(first);

    let mut roles: Vec<Box<dyn Role + '_>> = Vec::new();
    for number in 0..3 {
        roles.push(Box::new(Reader::new(client(), &tokens, number)));
    }
    for name in ["ann", "ben"] {
        roles.push(Box::new(Newcomer::new(client(), &mock, name, &tokens)));
        roles.push(Box::new(Keeper::new(client(), &mock, name, &tokens)));
        roles.push(Box::new(Forger::new(client(), &mock, &tokens)));
    }
    roles.push(Box::new(Trier::new(client(), &tokens)));
    thread::scope(|scope| {
        for mut role in roles {
            let record = &record;
            scope.spawn(move || {
                while !record.is_over() {
                    role.act();
                    // They are to be many, not to starve the machine.
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        // Also when the operator's part fails.
        let _end = record.end_at_drop();
        let mut operator = Operator::new(client(), &mut fleet, &tokens);
        let start = Instant::now();
        let mut rounds = 0;
        while rounds == 0 || start.elapsed() < Duration::from_secs(seconds) {
            operator.round();
            rounds += 1;
        }
        println!("{rounds} rounds in {:?}", start.elapsed());
    });
    fleet.assert_both_serve();
    tokens.assert_rotated();
    fleet.print_retried();
    record.assert_all_right(seconds, || fleet.said());
}
