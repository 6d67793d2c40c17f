//! What holds behind every proxy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::RequestBuilder;
use tokenbooth::mock::Person;

use super::{ORIGIN, Scene, send};
use crate::support::Answer;

/// What a backend knows its visitor by.
const NAMES: [&str; 4] = ["X-User-Id", "X-User-Email", "X-Client-Id", "X-Client-Scope"];

/// All of it, at the proxy with this URL, which knows the service and the backend of the scene.
pub async fn is_whole(scene: &Scene, proxy: &str) {
    let place = Place { scene, proxy };
    place.a_good_token_passes_under_its_name().await;
    place.a_bad_one_does_not().await;
    place.a_name_of_ones_own_does_not_arrive().await;
    place.a_body_arrives_whole().await;
    place.by_cookie_a_change_comes_from_our_own_page().await;
    place.our_cookies_do_not_arrive().await;
    place.no_spelling_of_a_path_leads_around_it();
    place.the_booth_is_open_and_its_metrics_are_not().await;
}

/// What holds when nobody can be asked. The service of the scene is gone.
pub async fn stays_without_the_service(scene: &Scene, proxy: &str, jwt: &str) {
    for method in ["GET", "POST"] {
        let answer = send(scene.request(proxy, method, "/orders").bearer_auth(jwt)).await;
        // Envoy says 403 of whatever it cannot ask about.
        assert!(matches!(answer.status, 500..=504 | 403), "{}", answer.status);
        scene.backend.assert_untouched("without tokenbooth");
    }
}

/// A method, headers beside the cookie, and whether it passes.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

struct Place<'a> {
    scene: &'a Scene,
    proxy: &'a str,
}

impl Place<'_> {
    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.scene.request(self.proxy, method, path)
    }

    /// Asserts that the backend was reached once, by somebody of these names.
    #[track_caller]
    fn assert_passed(&self, what: &str, answer: &Answer, names: [&str; 4]) {
        assert_eq!((answer.status, answer.text.as_str()), (200, "from the backend"), "{what}");
        let seen = self.scene.backend.take_one();
        for (name, expected) in NAMES.iter().zip(names) {
            let expected: &[&str] = if expected.is_empty() { &[] } else { &[expected] };
            assert_eq!(seen.header(name), expected, "{what}: {name} in {:?}", seen.headers);
        }
    }

    #[track_caller]
    fn assert_stopped(&self, what: &str, status: u16, answer: &Answer) {
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        self.scene.backend.assert_untouched(what);
        if status == 401 {
            assert!(
                answer.header("www-authenticate").starts_with("Bearer realm=\"tokenbooth\""),
                "{what}: {:?}",
                answer.headers
            );
        }
    }

    async fn a_good_token_passes_under_its_name(&self) {
        let app = &self.scene.app;
        let ada = app.sign_in(Person::named("ada")).await;
        for path in ["/", "/orders", "/orders/7?page=2&admin=true&q=%2F", "/a%20b", "/login", "/auth/verify"]
        {
            let answer = send(self.request("GET", path).bearer_auth(&ada.jwt)).await;
            self.assert_passed(path, &answer, [&ada.user_id, "ada@example.com", "", ""]);
        }
        for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = send(self.request(method, "/orders").bearer_auth(&ada.jwt)).await;
            assert_eq!(answer.status, 200, "{method}");
            assert_eq!(self.scene.backend.take_one().method, method);
        }
        app.db.execute("UPDATE users SET email = NULL");
        let answer = send(self.request("GET", "/").bearer_auth(&ada.jwt)).await;
        self.assert_passed("no e-mail", &answer, [&ada.user_id, "", "", ""]);
        let service = app.create_client("Reports", "orders.read orders.write");
        let jwt = app.client_token(&service).await;
        let answer = send(self.request("GET", "/").bearer_auth(&jwt)).await;
        self.assert_passed("a client", &answer, ["", "", &service.id, "orders.read orders.write"]);
    }

    async fn a_bad_one_does_not(&self) {
        let app = &self.scene.app;
        let (bob, eve) = (app.sign_in(Person::named("bob")).await, app.sign_in(Person::named("eve")).await);
        app.db.execute(&format!("UPDATE users SET disabled = true WHERE id = '{}'", bob.user_id));
        app.db.execute(&format!("UPDATE users SET token_version = 7 WHERE id = '{}'", eve.user_id));
        let google = app.mock.google().id_token(Person::default().claims());
        let good = app.sign_in(Person::named("ada")).await.jwt;
        app.clock.advance(1800);
        for method in ["GET", "POST", "OPTIONS", "HEAD"] {
            for (what, token) in
                [("disabled", &bob.jwt), ("revoked", &eve.jwt), ("Google's", &google), ("expired", &good)]
            {
                let answer = send(self.request(method, "/orders").bearer_auth(token)).await;
                self.assert_stopped(what, 401, &answer);
            }
            self.assert_stopped("nobody", 401, &send(self.request(method, "/orders")).await);
            // Not even as a preflight.
            let preflight = self.request(method, "/orders").header("origin", "https://app.example.com");
            let preflight = preflight.header("access-control-request-method", "GET");
            self.assert_stopped("a preflight", 401, &send(preflight).await);
        }
        app.clock.advance(-1800);
    }

    async fn a_name_of_ones_own_does_not_arrive(&self) {
        let app = &self.scene.app;
        let eve = app.sign_in(Person::named("mallory")).await;
        let service = app.create_client("Reports", "");
        let clients = app.client_token(&service).await;
        let good = [
            (&eve.jwt, [eve.user_id.as_str(), "mallory@example.com", "", ""]),
            (&clients, ["", "", service.id.as_str(), ""]),
        ];
        for name in NAMES {
            let (lower, upper) = (name.to_lowercase(), name.to_uppercase());
            let with_underscores = name.replace('-', "_");
            let (first, last) = (name.replacen('-', "_", 1), name.replacen('-', "_", 2));
            for spelling in [name, &lower, &upper, &with_underscores, &first, &last] {
                for (token, names) in good {
                    let request = self.request("GET", "/orders").bearer_auth(token);
                    let forged = request.header(spelling, "forged").header(spelling, "forged again");
                    let answer = send(forged).await;
                    // Envoy refuses what has an underscore.
                    if answer.status == 400 && spelling.contains('_') {
                        self.scene.backend.assert_untouched(spelling);
                    } else {
                        self.assert_passed(spelling, &answer, names);
                    }
                }
                let answer = send(self.request("GET", "/orders").header(spelling, "forged")).await;
                assert!(matches!(answer.status, 400 | 401), "{spelling}: {}", answer.status);
                self.scene.backend.assert_untouched(spelling);
            }
        }
        // What nginx tells tokenbooth, in the visitor's own words.
        let cookie = format!("__Host-tokenbooth_session={}", eve.jwt);
        for header in ["X-Original-Method", "X-Forwarded-Method"] {
            let request = self.request("POST", "/orders").header("cookie", &cookie).header(header, "GET");
            self.assert_stopped(header, 403, &send(request).await);
        }
    }

    async fn a_body_arrives_whole(&self) {
        let jwt = self.scene.app.sign_in(Person::named("ada")).await.jwt;
        let body = "0123456789abcdef".repeat(20_000);
        let answer = send(self.request("POST", "/orders").bearer_auth(&jwt).body(body.clone())).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let seen = self.scene.backend.take_one();
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str(), seen.body.len()),
            ("POST", "/orders", body.len())
        );
        assert_eq!(seen.body, body.as_bytes());
        // In pieces, whose length nobody has said.
        let address = self.proxy.strip_prefix("http://").expect("a URL");
        let chunked =
            "POST /orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
        let chunked =
            format!("{chunked}Authorization: Bearer {jwt}\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
        assert_eq!(status_of(address, &chunked), 200);
        assert_eq!(self.scene.backend.take_one().body, "hello world");
        // And none of it does without a token.
        let answer = self.request("POST", "/orders").body(body).send().await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 401));
        self.scene.backend.assert_untouched("a body");
    }

    async fn by_cookie_a_change_comes_from_our_own_page(&self) {
        let ada = self.scene.app.sign_in(Person::named("cookie")).await;
        let cookie = format!("__Host-tokenbooth_session={}", ada.jwt);
        let names = [ada.user_id.as_str(), "cookie@example.com", "", ""];
        let key = ("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw==");
        let cases: [Case<'_>; 15] = [
            ("GET", &[], true),
            ("GET", &[("origin", ORIGIN)], true),
            ("GET", &[("origin", "https://evil.com")], false),
            ("GET", &[("origin", "null")], false),
            ("POST", &[("origin", ORIGIN)], true),
            ("DELETE", &[("sec-fetch-site", "same-origin")], true),
            ("POST", &[("origin", "https://evil.com")], false),
            ("POST", &[("origin", "null")], false),
            ("POST", &[("sec-fetch-site", "cross-site")], false),
            ("POST", &[], false),
            ("PUT", &[], false),
            ("PATCH", &[], false),
            ("DELETE", &[], false),
            ("GET", &[key, ("origin", "https://evil.com")], false),
            ("GET", &[key, ("origin", ORIGIN)], true),
        ];
        for (method, headers, passes) in cases {
            let request = self.request(method, "/orders").header("cookie", &cookie);
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let (what, answer) = (format!("{method} {headers:?}"), send(request).await);
            if passes {
                self.assert_passed(&what, &answer, names);
            } else {
                self.assert_stopped(&what, 403, &answer);
            }
        }
    }

    /// The service's own cookies arrive, unless there are more of ours than the proxy can take out.
    async fn our_cookies_do_not_arrive(&self) {
        let ada = self.scene.app.sign_in(Person::named("cookies")).await;
        let session = format!("__Host-tokenbooth_session={}", ada.jwt);
        let more: Vec<String> =
            (0..10).map(|at| format!("__Host-tokenbooth_login_{at}=sealed{at}")).collect();
        let all = "__Host-tokenbooth_csrf=c; __Host-tokenbooth_device=d; __Secure-tokenbooth_refresh=r";
        let cases = [
            (session.clone(), "", true),
            (format!("a=1; {session}"), "a=1", true),
            (format!("{session}; a=1"), "a=1", true),
            (format!("a=1; {all}; b=2; {session}; c=3"), "a=1;b=2;c=3", true),
            (format!("x_=1; {session};a=1;b=__Host-tokenbooth_z"), "x_=1;a=1;b=__Host-tokenbooth_z", true),
            (format!("a=1; {}; {all}; {session}; b=2", more.join("; ")), "a=1;b=2", false),
        ];
        for (cookies, own, must_arrive) in cases {
            let answer = send(self.request("GET", "/orders").header("cookie", &cookies)).await;
            assert_eq!(answer.status, 200, "{cookies}: {}", answer.text);
            let seen = self.scene.backend.take_one();
            let arrived = seen.header("cookie").join("; ");
            let pairs: Vec<&str> =
                arrived.split(';').map(str::trim).filter(|pair| !pair.is_empty()).collect();
            assert!(!pairs.iter().any(|pair| pair.starts_with("__")), "{cookies}: {arrived}");
            if must_arrive || !pairs.is_empty() {
                assert_eq!(pairs.join(";"), own, "{cookies}");
            }
        }
        // By bearer nothing of ours is there, and the service's own cookies arrive as they came.
        let request = self.request("GET", "/orders").bearer_auth(&ada.jwt).header("cookie", "a=1; b=\"x y\"");
        assert_eq!(send(request).await.status, 200);
        assert_eq!(self.scene.backend.take_one().header("cookie"), ["a=1; b=\"x y\""]);
    }

    /// Without a token, so that whatever arrives at the backend went around.
    fn no_spelling_of_a_path_leads_around_it(&self) {
        let address = self.proxy.strip_prefix("http://").expect("a URL");
        let paths = [
            "/",
            "//",
            "///orders",
            "/./orders",
            "/%2e/orders",
            "/orders%00",
            "/orders%2f",
            "/%6frders",
            "/orders;a=b",
            "/booth/../orders",
            "/booth/%2e%2e/orders",
            "/booth/..%2forders",
            "/booth/%2e%2e%2forders",
            "/booth//../orders",
            "/booth/./../orders",
            "/booth/x/../../orders",
            "/%62ooth/../orders",
            "/booth/..;/orders",
            "/booth\\..\\orders",
            "/booth/..\\orders",
            "/booth/..%5corders",
            "/booth/%252e%252e/orders",
            "/booth/..%252forders",
            "/booth/..",
            "/booth/%2e%2e",
            "/BOOTH/../orders",
            "/booth../orders",
            "/booth",
            "/boothx",
            "/booth/metrics/../../orders",
            "/_verify",
            "/_verify/../orders",
            "/_verify/orders",
            "/%5fverify",
            "/auth/verify",
            "/@unauthorized",
            "/orders?x=/booth/",
            "/orders#/booth/",
            "/?/booth/",
            "/orders/booth/",
            "/orders%3f/booth/",
            "/.well-known/x",
            "http://other.example.com/orders",
            "http://other.example.com/booth/../orders",
            "*",
        ];
        for path in paths {
            for method in ["GET", "POST", "OPTIONS", "PROPFIND"] {
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let status = status_of(address, &request);
                self.scene.backend.assert_untouched(&format!("{method} {path}: {status}"));
            }
        }
        // Nor a second request in the first one's body, nor an old version of HTTP.
        for request in [
            "GET /booth/healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nGET /orders HTTP/1.1\r\nHost: x\r\n\r\n.......",
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /orders HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
            "GET /orders HTTP/1.0\r\n\r\n",
            "GET /orders\r\n\r\n",
            "GET /orders HTTP/1.1\r\nHost: x\r\nConnection: close, Authorization, X-Original-Method\r\n\r\n",
        ] {
            let status = status_of(address, request);
            self.scene.backend.assert_untouched(&format!("{request:?}: {status}"));
        }
    }

    async fn the_booth_is_open_and_its_metrics_are_not(&self) {
        assert_eq!(send(self.request("GET", "/booth/healthz")).await.status, 200);
        assert_eq!(send(self.request("GET", "/booth/metrics")).await.status, 404);
        let page =
            send(self.request("GET", "/booth/sign-in?redirect_to=%2Forders").header("accept", "text/html"))
                .await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("/booth/auth/google/login?redirect_to=%2Forders"), "{}", page.text);
        let id_token = self.scene.app.mock.google().id_token(Person::named("ada").claims());
        let exchange = self.request("POST", "/booth/auth/google").form(&[("id_token", &id_token)]);
        let jwt = send(exchange).await.assert_signed_in().jwt;
        assert_eq!(send(self.request("GET", "/booth/api/me").bearer_auth(&jwt)).await.status, 200);
        self.scene.backend.assert_untouched("the booth");
    }
}

/// Sends these bytes and reads the status of the first answer, 0 when there was none.
fn status_of(address: &str, request: &str) -> u16 {
    let mut line = TcpStream::connect(address).expect("a connection");
    line.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    line.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    // What was read until an error counts: a second answer may never come.
    let _ = line.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}
