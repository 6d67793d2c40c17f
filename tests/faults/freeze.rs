//! A server that does not respond behind a proxy that does: TCP sees nothing wrong.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::postgres::Cluster;
use crate::proxy::{Open, Proxy};
use crate::site::{Site, TIMEOUT, ask, me, ready};
use crate::switchover::url;

/// What a busy machine may add.
const MARGIN: Duration = Duration::from_secs(3);

#[actix_web::test]
async fn connections_that_say_nothing_delay_nobody_longer_than_the_timeout() {
    let Some(cluster) = Cluster::start_own() else { return };
    let proxy = Proxy::to(cluster.port());
    let site = Site::start(&url(&format!("127.0.0.1:{}", proxy.port())), 1).await;
    let (address, jwt) = (&site.addresses[0], site.sign_in("ada").jwt);
    // The loader has a connection.
    assert_eq!(me(address, &jwt), 200);
    for round in 0..2 {
        // Every connection that is open, of the loaders and of the pool. New ones are served.
        proxy.lead_to(cluster.port(), Open::Silent);
        let start = Instant::now();
        let waiting: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..10)
                .map(|number| {
                    let jwt = &jwt;
                    scope.spawn(move || {
                        thread::sleep(Duration::from_millis(100) * number);
                        let start = Instant::now();
                        (me(address, jwt), start.elapsed())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        for (status, took) in &waiting {
            assert!(*took < TIMEOUT + MARGIN, "{took:?}");
            assert!(matches!(status, 200 | 503), "{status}");
        }
        // Those behind the one that is blocked are served by another connection.
        assert!(waiting.iter().any(|(status, _)| *status == 200), "{waiting:?}\n{}", site.said());
        assert_eq!(me(address, &jwt), 200);
        // All others were replaced with it: no further request meets one.
        for number in 0..12 {
            let body = json!({ "name": format!("name {round} {number}") });
            let changed = ask(address, "PATCH", "/api/me", Some(&jwt), &body);
            assert_eq!(changed.status, 200, "{}\n{}", changed.text, site.said());
        }
        let took = start.elapsed();
        println!("service after {took:?}");
        assert!(took < TIMEOUT + MARGIN * 2, "{took:?}");
    }
}

#[actix_web::test]
async fn a_server_that_is_frozen_for_long_is_told_in_time_and_service_resumes() {
    let Some(cluster) = Cluster::start_own() else { return };
    let proxy = Proxy::to(cluster.port());
    let site = Site::start(&url(&format!("127.0.0.1:{}", proxy.port())), 1).await;
    let (address, jwt) = (&site.addresses[0], site.sign_in("ada").jwt);
    proxy.freeze();
    let start = Instant::now();
    while start.elapsed() < TIMEOUT * 3 {
        for (method, path, body) in
            [("GET", "/api/me", Value::Null), ("PATCH", "/api/me", json!({ "name": "late" }))]
        {
            let begun = Instant::now();
            assert_eq!(ask(address, method, path, Some(&jwt), &body).status, 503);
            assert!(begun.elapsed() < TIMEOUT + MARGIN, "{method} {path}: {:?}", begun.elapsed());
        }
    }
    proxy.thaw();
    let took = site
        .wait_until(TIMEOUT + MARGIN * 2, "service", || ready(address) == 200 && me(address, &jwt) == 200);
    println!("frozen for {:?}, service after {took:?}", TIMEOUT * 3);
    // Who was told 503 may find that nothing was done, or all of it.
    let renamed = ask(address, "PATCH", "/api/me", Some(&jwt), &json!({ "name": "Ada" }));
    assert_eq!((renamed.status, &renamed.body["name"]), (200, &json!("Ada")), "{}", renamed.text);
    // A process with blocked threads ends when it is told to.
    proxy.freeze();
    assert_eq!(me(address, &jwt), 503);
    site.replicas[0].signal("TERM");
    let mut site = site;
    let status = site.replicas[0].wait();
    assert!(status.success(), "{status}");
}
