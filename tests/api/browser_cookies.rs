//! Cookies that somebody else has set: a sibling domain, which can set any `__Secure-` cookie for the parent domain, and other apps
//! of the same host, whose cookies may be anything.

use reqwest::header::{COOKIE, HeaderValue, ORIGIN};
use serde_json::json;
use tokenbooth::mock::Person;

use crate::databases::TestDatabase;
use crate::support::app::SECRET;
use crate::support::browser::{Browser, HTML};
use crate::support::{Answer, TestApp};

const SESSION: &str = "__Host-tokenbooth_session";
const CSRF: &str = "__Host-tokenbooth_csrf";
const REFRESH: &str = "__Secure-tokenbooth_refresh";
const DEVICE: &str = "__Host-tokenbooth_device";

async fn signed_in(app: &TestApp, person: &str) -> Browser {
    let mut browser = Browser::at(app);
    assert_eq!(browser.sign_in("google", person).await.status, 302);
    browser
}

fn pair(browser: &Browser, name: &str) -> String {
    format!("{name}={}", browser.cookie(name).expect("a cookie"))
}

/// `POST /auth/refresh` from our own page with exactly these `Cookie` headers.
async fn refresh(app: &TestApp, cookies: &[&[u8]]) -> Answer {
    let request = app.http.post(format!("{}/auth/refresh", app.base)).header(ORIGIN, &app.base);
    let request = cookies.iter().fold(request, |request, cookie| {
        request.header(COOKIE, HeaderValue::from_bytes(cookie).expect("a header"))
    });
    Answer::of(request.send().await.expect("an answer")).await
}

/// Nobody is signed in, and the browser forgets all that it had.
#[track_caller]
fn assert_refused(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text);
    answer.assert_problem(401, "invalid_refresh_token");
    let set: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("text")).collect();
    assert_eq!(set.len(), 4, "{what}: {set:?}");
    for name in [SESSION, CSRF, REFRESH, DEVICE] {
        let cleared =
            |cookie: &&str| cookie.starts_with(&format!("{name}=;")) && cookie.contains("Max-Age=0");
        assert_eq!(set.iter().filter(|cookie| cleared(cookie)).count(), 1, "{what}: {name} in {set:?}");
    }
}

on_both_databases! {
    async fn a_refresh_cookie_counts_only_beside_the_device_cookie_of_its_session(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (alice, mallory) = (signed_in(&app, "alice").await, signed_in(&app, "mallory").await);
        let ours = (pair(&alice, REFRESH), pair(&alice, DEVICE));
        let theirs = (pair(&mallory, REFRESH), pair(&mallory, DEVICE));
        let by_program = format!("{REFRESH}={}", app.sign_in_offline(Person::named("mallory")).await.refresh_token());
        let changed = format!("{}A", ours.1);
        for (what, cookies) in [
            ("a sibling's cookie alone", theirs.0.clone()),
            ("a sibling's cookie, in place of the visitor's", format!("{}; {}", theirs.0, ours.1)),
            ("that of a program", format!("{by_program}; {}", ours.1)),
            ("a sibling's cookie before the visitor's", format!("{}; {}; {}", theirs.0, ours.0, ours.1)),
            ("a sibling's cookie behind the visitor's", format!("{}; {}; {}", ours.0, theirs.0, ours.1)),
            ("the visitor's own twice", format!("{}; {}; {}", ours.0, ours.0, ours.1)),
            ("an empty one beside it", format!("{}; {REFRESH}=; {}", ours.0, ours.1)),
            ("no device cookie", ours.0.clone()),
            ("an empty device cookie", format!("{}; {DEVICE}=", ours.0)),
            ("a device cookie that was changed", format!("{}; {changed}", ours.0)),
            ("another session's device cookie", format!("{}; {}", ours.0, theirs.1)),
            ("two device cookies", format!("{}; {}; {}", ours.0, ours.1, theirs.1)),
            ("the same device cookie twice", format!("{}; {}; {}", ours.0, ours.1, ours.1)),
            ("a device cookie alone", ours.1.clone()),
            ("a refresh token as its own proof", format!("{}; {DEVICE}={}", ours.0, alice.cookie(REFRESH).expect("a token"))),
            ("nothing", "a=b".to_owned()),
        ] {
            assert_refused(what, &refresh(&app, &[cookies.as_bytes()]).await);
        }
        // In two headers it is the same.
        assert_refused("two headers", &refresh(&app, &[format!("{}; {}", ours.0, ours.1).as_bytes(), theirs.0.as_bytes()]).await);
        // None of that used a token up or ended a session.
        assert_eq!((app.db.count("sessions"), app.db.number("SELECT COUNT(*) AS number FROM events WHERE kind = 'refresh.reused'")), (3, 0));
        let renewed = refresh(&app, &[format!("{}; {}", ours.1, ours.0).as_bytes()]).await;
        assert_eq!((renewed.status, renewed.json["user"]["name"].as_str()), (200, Some("Alice Example")), "{}", renewed.text);
    }

    async fn the_device_cookie_stays_valid_over_every_renewal_and_ends_with_the_session(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = signed_in(&app, "alice").await;
        let device = browser.cookie(DEVICE).expect("a cookie").to_owned();
        for _ in 0..3 {
            let before = browser.cookie(REFRESH).expect("a cookie").to_owned();
            assert_eq!(browser.call("POST", "/auth/refresh").await.status, 200);
            assert_ne!(browser.cookie(REFRESH), Some(before.as_str()));
            assert_eq!(browser.cookie(DEVICE), Some(device.as_str()));
            // A second tab that has not seen the answer, within the grace.
            let repeated = refresh(&app, &[format!("{REFRESH}={before}; {DEVICE}={device}").as_bytes()]).await;
            assert_eq!(repeated.status, 200, "{}", repeated.text);
        }
        // A second sign-in in the same browser is another session.
        browser.sign_in("google", "alice").await;
        assert_ne!(browser.cookie(DEVICE), Some(device.as_str()));
        assert_eq!(browser.call("POST", "/auth/logout").await.status, 204);
        assert_eq!(browser.cookie_names(), [""; 0]);
    }

    async fn the_device_cookie_is_for_our_host_and_pages_only(db: TestDatabase) {
        let app = TestApp::start_with(db, |sources| {
            sources.with("refresh.idle_ttl", "3d").with("refresh.absolute_ttl", "2d")
        })
        .await;
        let mut browser = Browser::at(&app);
        let home = browser.sign_in("google", "alice").await;
        let renewed = browser.call("POST", "/auth/refresh").await;
        for answer in [home, renewed] {
            let set = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("text"));
            let device = set.filter(|cookie| cookie.starts_with(DEVICE)).collect::<Vec<_>>();
            let [device] = device[..] else { panic!("{device:?}") };
            let (_, attributes) = device.split_once("; ").expect("attributes");
            assert_eq!(attributes, "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=172800");
        }
    }

    async fn another_replica_and_a_new_secret_know_the_device_cookie(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = signed_in(&app, "alice").await;
        let cookies = format!("{}; {}", pair(&browser, REFRESH), pair(&browser, DEVICE));
        let next = "a-new-secret-of-the-tests-0123456789abcdef";
        let other = app.replica_with(|sources| {
            sources.with("token.secret", next).with("token.previous_secrets", SECRET).with("server.public_url", &app.base)
        })
        .await;
        let request = other.http.post(format!("{}/auth/refresh", other.base)).header(ORIGIN, &app.base);
        let renewed = Answer::of(request.header(COOKIE, cookies).send().await.expect("an answer")).await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
        // Its own cookie is made under the new secret.
        let set = renewed.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("text"));
        let device = set.filter_map(|cookie| cookie.strip_prefix(&format!("{DEVICE}="))).collect::<Vec<_>>();
        assert_eq!(device.len(), 1);
        assert_ne!(device[0].split(';').next(), browser.cookie(DEVICE));
    }

    async fn logging_out_ends_the_session_of_the_session_cookie_whatever_else_is_there(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let log_out = async |cookies: String| {
            let request = app.http.post(format!("{}/auth/logout", app.base)).header(ORIGIN, &app.base);
            Answer::of(request.header(COOKIE, cookies).send().await.expect("an answer")).await
        };
        // A sibling's refresh cookie does not decide whose session ends.
        let (alice, mallory) = (signed_in(&app, "alice").await, signed_in(&app, "mallory").await);
        let answer = log_out(format!("{}; {}; {}", pair(&mallory, REFRESH), pair(&alice, SESSION), pair(&alice, DEVICE))).await;
        assert_eq!((answer.status, answer.headers.get_all("set-cookie").iter().count()), (204, 4), "{}", answer.text);
        let left = "SELECT COUNT(*) AS number FROM sessions, users WHERE users.id = sessions.user_id AND users.name LIKE 'Mallory%'";
        assert_eq!((app.db.count("sessions"), app.db.number(left)), (1, 1));
        // Of two session cookies both end.
        let alice = signed_in(&app, "alice").await;
        let answer = log_out(format!("{}; {}", pair(&mallory, SESSION), pair(&alice, SESSION))).await;
        assert_eq!((answer.status, app.db.count("sessions")), (204, 0), "{}", answer.text);
    }

    async fn an_odd_cookie_of_another_app_hides_none_of_ours(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = signed_in(&app, "alice").await;
        let names = [SESSION, CSRF, REFRESH, DEVICE];
        let ours = names.map(|name| pair(&browser, name)).join("; ").into_bytes();
        let odd: [&[u8]; 9] =
            [b"lang=\xe4", b"\xff=x", b"\xff", b"x=caf\xc3\xa9", b"x=\"a\xc3;b\"", b"=x", b"x", b"a=\t\x80", b"\xc3\xa9=\xc3\xa9"];
        for odd in odd {
            for cookies in [[odd, b"; ", &ours].concat(), [&ours, &b"; "[..], odd].concat(), [&ours, &b";"[..], odd, b";a=b"].concat()] {
                let shown = cookies.escape_ascii().to_string();
                let with = |request: reqwest::RequestBuilder| {
                    request.header(COOKIE, HeaderValue::from_bytes(&cookies).expect("a header"))
                };
                let me = with(app.http.get(format!("{}/api/me", app.base)));
                assert_eq!(me.send().await.expect("an answer").status(), 200, "{shown}");
                // The proof without Origin reads another cookie of ours.
                let csrf = browser.cookie(CSRF).expect("a cookie");
                let change = with(app.http.patch(format!("{}/api/me", app.base))).header("x-csrf-token", csrf);
                assert_eq!(change.json(&json!({ "name": "A" })).send().await.expect("an answer").status(), 200, "{shown}");
            }
            let before = [odd, b"; ", &ours].concat();
            let renewed = refresh(&app, &[&before]).await;
            assert_eq!(renewed.status, 200, "{}: {}", odd.escape_ascii(), renewed.text);
        }
        // And nobody has trouble signing in, neither with such a cookie nor with such an Accept or User-Agent.
        let back = browser.authorize("/auth/google/login", "alice").await;
        let attempt = browser.attempts().remove(0);
        let cookie = [b"x=\xff; ", pair(&browser, &attempt).as_bytes()].concat();
        let request = app.http.get(&back).header(COOKIE, HeaderValue::from_bytes(&cookie).expect("a header"));
        let odd_text = |text: &str| HeaderValue::from_bytes(&[text.as_bytes(), b"\xff"].concat()).expect("a header");
        let request = request.header("accept", odd_text(HTML)).header("user-agent", odd_text("Alice's phone "));
        let home = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(home.status, 302, "{}", home.text);
        assert_eq!(app.db.number("SELECT COUNT(*) AS number FROM sessions WHERE device LIKE 'Alice_s phone %'"), 1);
        let page = app.http.get(format!("{}/auth/nobody/login", app.base)).header("accept", odd_text(HTML));
        let page = Answer::of(page.send().await.expect("an answer")).await;
        assert!(page.status == 404 && page.header("content-type").starts_with("text/html"), "{}", page.text);
    }

    async fn two_cookies_of_one_sign_in_under_way_finish_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = Browser::at(&app);
        let back = browser.authorize("/auth/google/login", "alice").await;
        let attempt = pair(&browser, &browser.attempts()[0].clone());
        let (name, _) = attempt.split_once('=').expect("a pair");
        for cookies in [format!("{attempt}; {name}=x"), format!("{name}=x; {attempt}")] {
            let request = app.http.get(&back).header(COOKIE, cookies).header("accept", "application/json");
            Answer::of(request.send().await.expect("an answer")).await.assert_problem(400, "invalid_state");
        }
        assert_eq!(app.db.count("users"), 0);
        assert_eq!(browser.visit(&back).await.status, 302);
    }

    async fn two_cookies_of_google_s_button_prove_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let credential = app.mock.google().id_token(Person::named("mallory").claims());
        for cookies in ["g_csrf_token=victims; g_csrf_token=evil", "g_csrf_token=evil; g_csrf_token=victims"] {
            let request = app.http.post(format!("{}/auth/google", app.base)).header("accept", HTML).header(COOKIE, cookies);
            let form = [("credential", credential.as_str()), ("g_csrf_token", "evil")];
            let answer = Answer::of(request.form(&form).send().await.expect("an answer")).await;
            assert_eq!((answer.status, app.db.count("users")), (403, 0), "{}", answer.text);
        }
    }

    async fn head_neither_begins_nor_finishes_a_sign_in(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut browser = Browser::at(&app);
        let head = browser.request("HEAD", "/auth/google/login?redirect_to=/account").header("accept", HTML);
        let answer = browser.send(head).await;
        assert_eq!((answer.status, answer.headers.contains_key("set-cookie")), (302, false));
        assert!(answer.header("location").contains("/google/"), "{:?}", answer.headers);

        let back = browser.authorize("/auth/google/login", "alice").await;
        let attempts = browser.attempts();
        let asked = app.mock.total_requests();
        for accept in [HTML, "application/json", "*/*"] {
            let head = browser.request("HEAD", &back).header("accept", accept);
            let answer = browser.send(head).await;
            assert_eq!((answer.status, answer.header("allow"), answer.text.as_str()), (405, "GET, POST", ""), "{accept}");
            assert!(!answer.headers.contains_key("set-cookie"), "{:?}", answer.headers);
        }
        assert_eq!((browser.attempts(), app.mock.total_requests()), (attempts, asked));
        assert_eq!((app.db.count("users"), app.db.count("events")), (0, 0));
        // The code is good as before.
        assert_eq!(browser.visit(&back).await.status, 302);
        assert_eq!(browser.call("GET", "/api/me").await.status, 200);
    }
}
