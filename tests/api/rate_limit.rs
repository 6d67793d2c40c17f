//! `[rate_limit]`: who asks too often is told so and when to come again, whoever he says he is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::ResponseError;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokenbooth::error::ApiError;
use tokenbooth::mock::{GithubUser, Person};
use tokenbooth::rate_limit::{Exceeded, Policy};
use tokenbooth::settings::Sources;

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

/// So many requests at once and then one a minute, which no test lives to see.
async fn limited_to(burst: u32, db: TestDatabase, trusted_proxies: &str) -> TestApp {
    TestApp::start_with(db, |sources| {
        sources
            .with("rate_limit.enabled", "true")
            .with("rate_limit.address_burst", burst.to_string())
            .with("rate_limit.address_per_minute", "1")
            .with("server.trusted_proxies", trusted_proxies)
            .with("cors.allowed_origins", "https://app.example.com")
    })
    .await
}

/// With the bursts as they are by default, behind a proxy that a test can play.
async fn with_limits(db: TestDatabase, change: impl FnOnce(Sources) -> Sources) -> TestApp {
    let sources = |sources: Sources| {
        // No more than at once, however slow the machine is.
        let sources = sources.with("rate_limit.enabled", "true").with("rate_limit.account_per_minute", "1");
        change(sources.with("server.trusted_proxies", "127.0.0.1"))
    };
    TestApp::start_with(db, sources).await
}

/// A request that is answered 404 when no limit is in its way, with these `X-Forwarded-For`.
async fn ask(app: &TestApp, forwarded: &[&str]) -> Answer {
    let request =
        app.http.post(format!("{}/auth/nobody", app.base)).header("origin", "https://app.example.com");
    let request = forwarded.iter().fold(request, |request, value| request.header("x-forwarded-for", *value));
    Answer::of(request.send().await.expect("an answer")).await
}

/// Asserts of requests in turn whether they are let through.
async fn assert_let_through(trusted_proxies: &str, requests: &[(&[&str], bool)]) {
    let app = limited_to(1, TestDatabase::sqlite(), trusted_proxies).await;
    for (number, (forwarded, expected)) in requests.iter().enumerate() {
        let status = ask(&app, forwarded).await.status;
        assert_eq!(status, if *expected { 404 } else { 429 }, "request {number}, from {forwarded:?}");
    }
}

on_both_databases! {
    async fn a_burst_is_let_through_and_the_next_one_is_told_when_to_come_again(db: TestDatabase) {
        let app = limited_to(3, db, "").await;
        app.warm().await;
        for _ in 0..3 {
            app.sign_in(Person::named("ada")).await;
        }
        let asked_of_google = app.mock.total_requests();
        let newcomer = app.mock.google().id_token(Person::named("bob").claims());
        let answer = app.exchange_id_token(&newcomer).await;
        assert_eq!(
            answer.assert_problem(429, "rate_limited"),
            "there were more than 3 requests at once, or 1 a minute, for one address: \
             rate_limit.address_burst and rate_limit.address_per_minute decide"
        );
        let wait: u64 = answer.header("retry-after").parse().expect("whole seconds");
        assert!((30..=60).contains(&wait), "{wait}");
        assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=3;w=180");
        assert_eq!(answer.header("ratelimit"), format!("\"address\";r=0;t={wait}"));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!((app.db.count("users"), app.mock.total_requests()), (1, asked_of_google));
    }

    async fn whatever_tries_a_credential_of_one_user_counts_together(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            let sources = sources.with("rate_limit.enabled", "true").with("rate_limit.account_burst", "4");
            sources.with("rate_limit.account_per_minute", "1").with("refresh.grace", "1h")
        })
        .await;
        let (ada, bob) = (app.sign_in_offline(Person::named("ada")).await, app.sign_in_offline(Person::named("bob")).await);
        assert_eq!(app.link_github(&ada.jwt, GithubUser::named("ada")).await.status, 201);
        assert_eq!(app.link_github(&ada.jwt, GithubUser::named("ada")).await.status, 200);
        let path = "/api/me/password";
        let password = json!({ "new_password": "correct horse battery staple" });
        assert_eq!(app.send_as("PUT", path, &ada.jwt, &password).await.status, 204);
        let weak = json!({ "new_password": "weak" });
        app.send_as("PUT", path, &ada.jwt, &weak).await.assert_problem(400, "weak_password");
        // Spent: on each of them, and whatever comes.
        for refused in [
            app.link_github(&ada.jwt, GithubUser::named("other")).await,
            app.send_as("PUT", path, &ada.jwt, &password).await,
            app.send_as("DELETE", path, &ada.jwt, &json!({})).await,
        ] {
            refused.assert_problem(429, "rate_limited");
            assert!(refused.header("ratelimit").starts_with("\"account\";r=0;t="), "{:?}", refused.headers);
        }
        // Not of another user, not of her sessions, not of what she only reads, and she may still leave.
        assert_eq!(app.refresh(bob.refresh_token()).await.status, 200);
        assert_eq!(app.refresh(ada.refresh_token()).await.status, 200);
        assert_eq!(app.me(&ada.jwt).await.status, 200);
        assert_eq!(app.send_as("POST", "/auth/logout-all", &ada.jwt, &Value::Null).await.status, 204);
    }

    async fn fourteen_devices_of_one_account_refresh_within_a_minute(db: TestDatabase) {
        let app = with_limits(db, |sources| sources).await;
        let mut devices = Vec::new();
        for _ in 0..14 {
            devices.push(app.sign_in_offline(Person::named("ada")).await.refresh_token().to_owned());
        }
        for _ in 0..2 {
            for token in &mut devices {
                let next = app.refresh(token).await.assert_signed_in();
                next.refresh_token().clone_into(token);
            }
        }
        // A device that goes on and on is stopped, whichever of its tokens it sends, and the others are not.
        let mut token = devices[0].clone();
        for _ in 0..8 {
            let next = app.refresh(&token).await.assert_signed_in();
            next.refresh_token().clone_into(&mut token);
        }
        let refused = app.refresh(&token).await;
        refused.assert_problem(429, "rate_limited");
        assert!(refused.header("ratelimit").starts_with("\"account\";r=0;t="), "{:?}", refused.headers);
        app.refresh(&devices[0]).await.assert_problem(429, "rate_limited");
        app.refresh(&devices[1]).await.assert_signed_in();
        assert_eq!(app.db.count("sessions"), 14);
    }

    async fn wrong_passwords_from_elsewhere_do_not_keep_the_owner_out(db: TestDatabase) {
        let app = with_limits(db, |sources| sources).await;
        let ada = app.sign_in(Person::named("ada")).await;
        let password = "correct horse battery staple";
        let set = app.send_as("PUT", "/api/me/password", &ada.jwt, &json!({ "new_password": password })).await;
        assert_eq!(set.status, 204, "{}", set.text);
        let attempt = async |address: &str, email: &str, password: &str| {
            app.post_from(address, "/auth/password", &json!({ "email": email, "password": password })).await
        };
        // Writing the address in other ways gains no attempts.
        let spellings = ["ada@example.com", "ADA@example.com", " ada@example.com", "ada@example.com\t", "\u{a0}Ada@Example.Com\n"];
        for spelled in spellings.repeat(2) {
            attempt("203.0.113.1", spelled, "wrong").await.assert_problem(401, "invalid_credentials");
        }
        for spelled in spellings {
            let refused = attempt("203.0.113.1", spelled, password).await;
            refused.assert_problem(429, "rate_limited");
            assert_eq!(refused.header("ratelimit-policy"), "\"account\";q=10;w=600");
        }
        attempt("198.51.100.1", "ada@example.com", password).await.assert_signed_in();
        // From many addresses there are ten times as many.
        let mut attempts = 11;
        let refused = loop {
            let address = format!("203.0.113.{}", 2 + attempts / 10);
            let answer = attempt(&address, "ada@example.com", "wrong").await;
            if answer.status == 429 {
                break answer;
            }
            attempts += 1;
        };
        assert!((100..150).contains(&attempts), "{attempts}");
        assert_eq!(refused.header("ratelimit-policy"), "\"email\";q=100;w=600");
        assert!(app.get("/metrics").await.text.contains("tokenbooth_rate_limited_total{policy=\"email\"}"));
        attempt("192.0.2.1", "bob@example.com", "wrong").await.assert_problem(401, "invalid_credentials");
        // Who is signed in may still change the password.
        let body = json!({ "new_password": "another horse battery staple", "current_password": password });
        assert_eq!(app.send_as("PUT", "/api/me/password", &ada.jwt, &body).await.status, 204);
    }

    async fn logging_out_counts_for_its_address(db: TestDatabase) {
        let app = limited_to(3, db, "").await;
        let token = app.sign_in_offline(Person::named("ada")).await.refresh_token().to_owned();
        for guessed in ["nonsense", "tbr_nonsense"] {
            assert_eq!(app.post("/auth/logout", &json!({ "refresh_token": guessed })).await.status, 204);
        }
        let refused = app.post("/auth/logout", &json!({ "refresh_token": token })).await;
        refused.assert_problem(429, "rate_limited");
        assert!(refused.header("ratelimit").starts_with("\"address\""), "{:?}", refused.headers);
        assert_eq!(app.db.count("sessions"), 1);
        assert_eq!(ask(&app, &[]).await.status, 429, "one bucket for all routes");
    }

    async fn what_a_bearer_reads_and_what_an_orchestrator_asks_is_never_limited(db: TestDatabase) {
        let app = limited_to(1, db, "").await;
        app.warm().await;
        let ada = app.sign_in(Person::named("ada")).await;
        assert_eq!(ask(&app, &[]).await.status, 429);
        for _ in 0..20 {
            for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/api/me"] {
                assert_eq!(app.get_as(path, &ada.jwt).await.status, 200, "{path}");
            }
            assert_eq!(app.me("no token").await.status, 401);
        }
        assert_eq!(ask(&app, &[]).await.status, 429);
    }
}

#[test]
fn the_headers_say_which_limit_it_was_and_round_up() {
    let number = |number| NonZeroU32::new(number).expect("not 0");
    for (policy, burst, per_minute, wait, headers) in [
        (Policy::Address, 200, 600, 100_000_000, ["1", "\"address\";q=200;w=20", "\"address\";r=0;t=1"]),
        (Policy::Account, 10, 10, 6_000_000_000, ["6", "\"account\";q=10;w=60", "\"account\";r=0;t=6"]),
        (Policy::Account, 10, 7, 2_000_000_001, ["3", "\"account\";q=10;w=86", "\"account\";r=0;t=3"]),
        (Policy::Address, 1, 600, 0, ["1", "\"address\";q=1;w=1", "\"address\";r=0;t=1"]),
        (Policy::Site, 3200, 9600, 1, ["1", "\"site\";q=3200;w=20", "\"site\";r=0;t=1"]),
        (Policy::Email, 100, 100, 1, ["1", "\"email\";q=100;w=60", "\"email\";r=0;t=1"]),
        (Policy::FailedProofs, 30, 30, 41_000_000_000, ["41", "\"failed\";q=30;w=60", "\"failed\";r=0;t=41"]),
        (
            Policy::FailedProofsInAll,
            300,
            300,
            9_500_000_000,
            ["10", "\"failed_in_all\";q=300;w=60", "\"failed_in_all\";r=0;t=10"],
        ),
    ] {
        let (burst, per_minute) = (number(burst), number(per_minute));
        let retry_after = Duration::from_nanos(wait);
        let answer = ApiError::from(Exceeded { policy, burst, per_minute, retry_after }).error_response();
        assert_eq!(answer.status(), 429);
        let said = ["retry-after", "ratelimit-policy", "ratelimit"]
            .map(|name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default());
        assert_eq!(said, headers);
    }
}

#[actix_web::test]
async fn who_comes_again_after_retry_after_is_let_through() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        let sources = sources.with("rate_limit.enabled", "true").with("rate_limit.address_burst", "1");
        sources.with("rate_limit.address_per_minute", "30")
    })
    .await;
    assert_eq!(ask(&app, &[]).await.status, 404);
    let answer = ask(&app, &[]).await;
    answer.assert_problem(429, "rate_limited");
    let wait = answer.header("retry-after").parse().expect("whole seconds");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(ask(&app, &[]).await.status, 404);
    assert_eq!(ask(&app, &[]).await.status, 429, "one was regained, not more");
}

#[actix_web::test]
async fn setting_the_clock_opens_no_limit() {
    let app = limited_to(1, TestDatabase::sqlite(), "").await;
    assert_eq!(ask(&app, &[]).await.status, 404);
    for seconds in [3600, -7200] {
        app.clock.advance(seconds);
        assert_eq!(ask(&app, &[]).await.status, 429);
    }
}

#[actix_web::test]
async fn each_address_behind_a_trusted_proxy_has_a_limit_of_its_own() {
    assert_let_through(
        "127.0.0.1",
        &[
            (&["203.0.113.1"], true),
            (&["203.0.113.1"], false),
            (&["203.0.113.2"], true),
            (&["::ffff:203.0.113.2"], false),
            // The proxy itself.
            (&[], true),
            (&[], false),
        ],
    )
    .await;
}

#[actix_web::test]
async fn an_address_that_a_stranger_made_up_does_not_evade() {
    for trusted in ["", "10.0.0.0/8"] {
        assert_let_through(
            trusted,
            &[(&[], true), (&["203.0.113.1"], false), (&["203.0.113.2, 10.0.0.1"], false), (&["::1"], false)],
        )
        .await;
    }
}

#[actix_web::test]
async fn of_several_entries_the_right_most_untrusted_one_counts() {
    assert_let_through(
        "127.0.0.1,10.0.0.0/8",
        &[
            (&["198.51.100.1, 203.0.113.9, 10.1.2.3"], true),
            (&["198.51.100.2, 203.0.113.9, 10.1.2.3"], false),
            (&["198.51.100.3", "203.0.113.9", "10.4.5.6"], false),
            (&["203.0.113.9"], false),
            (&["203.0.113.9, 198.51.100.1"], true),
        ],
    )
    .await;
}

#[actix_web::test]
async fn ipv6_counts_by_its_64() {
    assert_let_through(
        "127.0.0.1",
        &[
            (&["2001:db8:0:1::1"], true),
            (&["2001:db8:0:1:abcd:ef01:2345:6789"], false),
            (&["2001:db8:0:2::1"], true),
        ],
    )
    .await;
}

#[actix_web::test]
async fn a_48_has_sixteen_times_the_limits() {
    let app = limited_to(1, TestDatabase::sqlite(), "127.0.0.1").await;
    for subnet in 0..16 {
        assert_eq!(ask(&app, &[&format!("2001:db8:0:{subnet}::1")]).await.status, 404);
    }
    let refused = ask(&app, &["2001:db8:0:ff::1"]).await;
    refused.assert_problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), "\"site\";q=16;w=60");
    assert_eq!(ask(&app, &["2001:db8:1:ff::1"]).await.status, 404);
}

#[actix_web::test]
async fn whatever_is_wrong_with_a_request_it_counts() {
    let app = limited_to(5, TestDatabase::sqlite(), "").await;
    app.warm().await;
    let post = |provider: &str, content_type: &str, body: String| {
        let request = app.http.post(format!("{}/auth/{provider}", app.base));
        let request = request.header("content-type", content_type).body(body);
        async { Answer::of(request.send().await.expect("an answer")).await.status }
    };
    let requests = || {
        [
            (post("google", "application/json", "{".to_owned()), 400),
            (post("google", "text/plain", String::new()), 415),
            (post("google", "application/json", json!({ "id_token": "guessed" }).to_string()), 401),
            (post("gogle", "application/json", "{}".to_owned()), 404),
            (post("github", "application/json", " ".repeat(65 * 1024)), 413),
        ]
    };
    for (request, status) in requests() {
        assert_eq!(request.await, status);
    }
    for (request, instead_of) in requests() {
        assert_eq!(request.await, 429, "instead of {instead_of}");
    }
    let good = app.mock.google().id_token(json!({}));
    app.exchange_id_token(&good).await.assert_problem(429, "rate_limited");
}

#[actix_web::test]
async fn the_answer_does_not_wait_for_the_body() {
    let app = limited_to(1, TestDatabase::sqlite(), "").await;
    assert_eq!(ask(&app, &[]).await.status, 404);
    let address = app.base.trim_start_matches("http://");
    for body in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
        let mut line = TcpStream::connect(address).expect("a connection");
        line.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        write!(
            line,
            "POST /auth/google HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{body}\r\n\r\n"
        )
        .expect("the head is sent");
        let mut start = [0; 13];
        line.read_exact(&mut start).expect("an answer before the body");
        assert_eq!(String::from_utf8_lossy(&start), "HTTP/1.1 429 ", "{body}");
    }
}

#[actix_web::test]
async fn those_who_ask_at_the_same_moment_are_counted_one_by_one() {
    let app = limited_to(10, TestDatabase::sqlite(), "").await;
    let answers = join_all((0..60).map(|_| ask(&app, &[]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 404).count(), 10);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 50);
}

#[actix_web::test]
async fn a_browser_app_may_read_what_the_limit_says() {
    let app = limited_to(1, TestDatabase::sqlite(), "").await;
    ask(&app, &[]).await;
    let answer = ask(&app, &[]).await;
    assert_eq!(answer.status, 429);
    let exposed = answer.header("access-control-expose-headers").to_lowercase();
    let exposed: Vec<_> = exposed.split(',').map(str::trim).collect();
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(exposed.contains(&name), "{exposed:?}");
    }
}

#[actix_web::test]
async fn refusals_are_counted_in_the_metrics() {
    let app = limited_to(1, TestDatabase::sqlite(), "").await;
    for _ in 0..3 {
        ask(&app, &[]).await;
    }
    let metrics = app.get("/metrics").await.text;
    assert!(metrics.contains("tokenbooth_rate_limited_total{policy=\"address\"} 2\n"), "{metrics}");
}

#[actix_web::test]
async fn switched_off_it_limits_nobody() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("rate_limit.enabled", "false").with("rate_limit.address_burst", "1")
    })
    .await;
    for _ in 0..20 {
        assert_eq!(ask(&app, &[]).await.status, 404);
    }
}
