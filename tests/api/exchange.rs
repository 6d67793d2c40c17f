//! `POST /auth/{provider}`: what every provider's exchange has in common: the body, the answer's shape, the errors
//! before a token is looked at, and what surrounds every request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, MockProviders, Person};

use crate::databases::TestDatabase;
use crate::support::{Answer, TestApp};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// The limit of `/auth/*`.
const MAX_BODY: usize = 64 * 1024;

/// `POST /auth/{provider}` with exactly this body; an empty `content_type` leaves the header out.
async fn post(app: &TestApp, provider: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let mut request = app.http.post(format!("{}/auth/{provider}", app.base)).body(body);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    Answer::of(request.send().await.expect("an answer")).await
}

/// Any method, any path, headers.
async fn send(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = app.http.request(method, format!("{}{path}", app.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.expect("an answer")).await
}

fn form(members: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(members).expect("a form")
}

fn names(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

on_both_databases! {
    async fn a_google_id_token_is_exchanged_for_our_jwt(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let answer = app.exchange_id_token(&app.mock.google().id_token(json!({}))).await;
        let signed_in = answer.assert_signed_in();
        assert!(signed_in.created);
        assert_eq!(app.me(&signed_in.jwt).await.status, 200);
    }

    async fn the_answer_has_exactly_the_documented_members(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let person = Person::named("carol");
        let answer = app.exchange_id_token(&app.mock.google().id_token(person.claims())).await;
        let signed_in = answer.assert_signed_in();
        // serde_json keeps an object's members in alphabetical order.
        assert_eq!(names(&answer.json), ["access_token", "created", "expires_in", "token_type", "user"]);
        assert_eq!(answer.json["token_type"], "bearer");
        assert_eq!(answer.json["expires_in"], 1800);
        assert_eq!(answer.json["created"], true);
        assert_eq!(
            answer.json["user"],
            json!({
                "id": signed_in.user_id,
                "email": "carol@example.com",
                "name": "Carol Example",
                "avatar_url": "https://lh3.googleusercontent.com/a/carol=s96-c",
            })
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-type"), JSON);
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[actix_web::test]
async fn every_member_name_works_in_json_and_in_a_form() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let id_token = || app.mock.google().id_token(json!({}));
    let google_access = || app.mock.google().access_token(Person::default());
    let github_access = || app.mock.github().access_token(GithubUser::default());
    let acme_token = || app.mock.oidc().id_token(json!({}));
    for (provider, member, token) in [
        ("google", "id_token", id_token()),
        ("google", "credential", id_token()),
        ("google", "access_token", google_access()),
        ("google", "token", id_token()),
        ("google", "token", google_access()),
        ("github", "access_token", github_access()),
        ("github", "token", github_access()),
        ("acme", "id_token", acme_token()),
        ("acme", "credential", acme_token()),
        ("acme", "token", acme_token()),
    ] {
        let answer = app.exchange(provider, &json!({ member: token })).await;
        assert_eq!(answer.status, 200, "{provider}, JSON {member}: {}", answer.text);
        let answer = post(&app, provider, FORM, form(&[(member, &token)])).await;
        assert_eq!(answer.status, 200, "{provider}, form {member}: {}", answer.text);
    }
}

#[actix_web::test]
async fn unknown_members_are_ignored_whatever_they_hold() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let token = app.mock.google().id_token(json!({}));
    // What Google's button posts, less its CSRF token, which goes with a cookie.
    let button = form(&[("clientId", "demo-web"), ("credential", &token), ("select_by", "btn")]);
    assert_eq!(post(&app, "google", FORM, button).await.status, 200);
    let odd = json!({
        "credential": token, "select_by": ["btn"], "clientId": { "a": [1, null] }, "": 0, "nul\u{0}": "\u{0}",
        "access_token": null,
    });
    let answer = app.exchange("google", &odd).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let twice = format!(r#"{{"select_by":"a","select_by":"b","id_token":"{token}"}}"#);
    assert_eq!(post(&app, "google", JSON, twice).await.status, 200);
}

#[actix_web::test]
async fn profile_members_and_issuers_of_a_request_are_not_believed() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await;
    app.mock.forget_requests();
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a listener that does not wait");
    let trap_url = format!("http://{}", trap.local_addr().expect("an address"));
    let victim = app.sign_in(Person::named("victim")).await;
    let claims = json!({
        "issuer": trap_url, "iss": trap_url, "jwks_uri": format!("{trap_url}/jwks"), "jku": trap_url,
        "discovery_url": trap_url, "userinfo_endpoint": trap_url, "client_id": "evil", "aud": "evil",
        "sub": Person::named("victim").sub, "user_id": victim.user_id, "id": victim.user_id,
        "email": "victim@example.com", "email_verified": true, "name": "Victim", "avatar_url": "https://evil.example/",
        "picture": "https://evil.example/", "admin": true, "provider": "github",
        "user": { "id": victim.user_id, "email": "victim@example.com" },
    });
    let mut body = claims.clone();
    body["id_token"] = app.mock.google().id_token(Person::named("mallory").claims()).into();
    let signed_in = app.exchange("google", &body).await.assert_signed_in();
    assert!(signed_in.created);
    assert_ne!(signed_in.user_id, victim.user_id);
    assert_eq!(signed_in.json["user"]["email"], "mallory@example.com");
    assert_eq!(signed_in.json["user"]["name"], "Mallory Example");
    assert_eq!(app.me(&signed_in.jwt).await.json["admin"], false);

    // A token that does name the trap as its issuer, in its claims and in its header.
    let key = tokenbooth::mock::SigningKey::foreign().expect("a key");
    let header =
        json!({ "alg": "RS256", "kid": key.kid(), "jku": trap_url, "jwk": key.jwk(), "x5u": trap_url });
    let forged = tokenbooth::mock::compact(
        header.to_string(),
        app.mock.google().claims(json!({ "iss": trap_url })).to_string(),
        tokenbooth::mock::Signature::Key(&key),
    );
    body["id_token"] = forged.into();
    app.exchange("google", &body).await.assert_problem(401, "issuer_mismatch");
    assert!(
        trap.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        "an address out of a request was contacted"
    );
    // The unknown kid may cause one look at the provider's own keys, and nothing else is asked.
    assert!(app.mock.seen().iter().all(|seen| seen.path == tokenbooth::mock::Endpoint::Jwks.path()));
}

#[actix_web::test]
async fn a_body_without_exactly_one_credential_is_refused_and_told_why() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await;
    app.mock.forget_requests();
    for (body, told) in [
        // None.
        (r"{}", "exactly one of id_token, credential, access_token, token"),
        (r#"{"nonce":"n"}"#, "no credential"),
        (r#"{"id_token":null}"#, "no credential"),
        (r#"{"ID_TOKEN":"x"}"#, "no credential"),
        (r#"{"id_token ":"x"}"#, "no credential"),
        // Empty.
        (r#"{"id_token":""}"#, "id_token is empty"),
        (r#"{"access_token":""}"#, "access_token is empty"),
        // Two.
        (r#"{"id_token":"a","access_token":"b"}"#, "id_token and access_token"),
        (r#"{"token":"a","credential":"a"}"#, "token and credential"),
        (r#"{"id_token":"a","credential":""}"#, "id_token and credential"),
        (
            r#"{"id_token":"a","credential":"b","access_token":"c","token":"d"}"#,
            "id_token and credential and access_token and token",
        ),
        // One twice.
        (r#"{"id_token":"a","id_token":"a"}"#, "id_token is there twice"),
        (r#"{"id_token":null,"id_token":"a"}"#, "id_token is there twice"),
        (r#"{"id_token":"a","id\u005ftoken":"b"}"#, "id_token is there twice"),
        (r#"{"token":"a","nonce":"b","nonce":"b"}"#, "nonce is there twice"),
        // The wrong type.
        (r#"{"id_token":1}"#, "id_token must be a string"),
        (r#"{"credential":true}"#, "credential must be a string"),
        (r#"{"access_token":["a"]}"#, "access_token must be a string"),
        (r#"{"token":{"$ne":null}}"#, "token must be a string"),
        (r#"{"id_token":1.5e300}"#, "id_token must be a string"),
        (r#"{"id_token":"a","nonce":5}"#, "nonce must be a string"),
        // Not JSON, or no object.
        ("", "not JSON"),
        ("{", "not JSON"),
        (r#"{"id_token":"a""#, "not JSON"),
        (r#"{"id_token":"a",}"#, "not JSON"),
        ("{'id_token':'a'}", "not JSON"),
        (r#"{"id_token":"a"} {}"#, "something follows"),
        (r#"{"id_token":"\ud800"}"#, "JSON"),
        ("[]", "expected an object"),
        (r#"["id_token","a"]"#, "expected an object"),
        (r#"[{"id_token":"a"}]"#, "expected an object"),
        ("\"id_token\"", "expected an object"),
        ("null", "expected an object"),
        ("42", "expected an object"),
        ("id_token=a", "not JSON"),
    ] {
        let answer = post(&app, "google", JSON, body).await;
        let detail = answer.assert_problem(400, "invalid_request");
        assert!(detail.contains(told), "{body}: {detail}");
    }
    let broken = b"{\"id_token\":\"\xff\xfe\"}".to_vec();
    post(&app, "google", JSON, broken).await.assert_problem(400, "invalid_request");
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn a_form_is_read_as_strictly_as_json() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for (body, told) in [
        ("", "no credential"),
        ("=", "no credential"),
        ("id_token", "id_token is empty"),
        ("id_token=", "id_token is empty"),
        ("id_token[]=a", "no credential"),
        ("id_token=a&id_token=a", "id_token is there twice"),
        ("id_token=a&id%5Ftoken=b", "id_token is there twice"),
        ("id_token=a&access_token=b", "id_token and access_token"),
        ("token=a&nonce=b&nonce=c", "nonce is there twice"),
        (r#"{"id_token":"a"}"#, "no credential"),
    ] {
        let answer = post(&app, "google", FORM, body).await;
        let detail = answer.assert_problem(400, "invalid_request");
        assert!(detail.contains(told), "{body}: {detail}");
    }
}

#[actix_web::test]
async fn deep_nesting_neither_crashes_nor_passes() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let deep = 30_000;
    let (open, close) = ("[".repeat(deep), "]".repeat(deep));
    let objects = r#"{"a":"#.repeat(deep / 3);
    for body in [
        format!("{open}{close}"),
        open.clone(),
        format!(r#"{{"id_token":{open}{close}}}"#),
        objects.clone(),
        format!(r#"{{"x":{objects}"#),
        // What is ignored is not climbed into either.
        format!(r#"{{"x":{open}{close}}}"#),
    ] {
        post(&app, "google", JSON, body).await.assert_problem(400, "invalid_request");
    }
    assert_eq!(app.get("/healthz").await.status, 200);
}

#[actix_web::test]
async fn the_content_type_says_how_to_read_and_any_other_is_refused() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let token = app.mock.google().id_token(json!({}));
    let body = json!({ "id_token": token }).to_string();
    for content_type in [
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json-patch+json",
        "application/vnd.api+json",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/jwt",
        "application",
        "*/*",
        ";",
    ] {
        let answer = post(&app, "google", content_type, body.clone()).await;
        let detail = answer.assert_problem(415, "unsupported_media_type");
        assert!(detail.contains(JSON) && detail.contains(FORM), "{detail}");
    }
    // RFC 9110 §8.3.1: parameters do not change the type, and its case does not matter.
    for content_type in
        [JSON, "application/json; charset=utf-8", "application/json ;charset=UTF-8", "Application/JSON"]
    {
        let answer = post(&app, "google", content_type, body.clone()).await;
        assert_eq!(answer.status, 200, "{content_type}: {}", answer.text);
    }
    for content_type in
        [FORM, "application/x-www-form-urlencoded; charset=UTF-8", "APPLICATION/X-WWW-FORM-URLENCODED"]
    {
        let answer = post(&app, "google", content_type, form(&[("id_token", &token)])).await;
        assert_eq!(answer.status, 200, "{content_type}: {}", answer.text);
    }
}

#[actix_web::test]
async fn a_body_has_at_most_64_kib() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let token = app.mock.google().id_token(json!({}));
    let padded = |size: usize| {
        let bare = json!({ "id_token": token, "padding": "" }).to_string().len();
        json!({ "id_token": token, "padding": "x".repeat(size - bare) }).to_string()
    };
    assert_eq!(post(&app, "google", JSON, padded(MAX_BODY)).await.status, 200);
    let answer = post(&app, "google", JSON, padded(MAX_BODY + 1)).await;
    let detail = answer.assert_problem(413, "payload_too_large");
    assert!(detail.contains("65536"), "{detail}");
    let pairs = format!("padding={}&id_token={token}", "x".repeat(MAX_BODY));
    post(&app, "google", FORM, pairs).await.assert_problem(413, "payload_too_large");
}

#[actix_web::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let address = app.base.trim_start_matches("http://");
    let mut line = TcpStream::connect(address).expect("a connection");
    line.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    write!(
        line,
        "POST /auth/google HTTP/1.1\r\nHost: {address}\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .expect("the head is sent");
    // One byte more than is read, and no end: the answer must not wait for one.
    write!(line, "{:x}\r\n{}", MAX_BODY + 1, " ".repeat(MAX_BODY + 1)).expect("the body is sent");
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("payload_too_large") {
        let read = line.read(&mut part).expect("an answer before the body's end");
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
}

#[actix_web::test]
async fn a_provider_that_is_not_configured_does_not_exist() {
    let mock = MockProviders::start().await.expect("the mock starts");
    let db = TestDatabase::sqlite();
    // Everything of `acme` but its client ids.
    let sources = mock
        .oidc_settings("acme")
        .into_iter()
        .fold(tokenbooth::settings::Sources::defaults(), |sources, (key, value)| sources.with(&key, value))
        .with("providers.acme.client_ids", ",")
        .with("server.port", "0")
        .with("server.workers", "1")
        .with("database.url", &db.url)
        .with("token.secret", crate::support::app::SECRET);
    let app = TestApp::try_start(mock, db, sources).await.expect("the service starts without providers");
    for (name, told) in [
        ("google", "providers.google.client_ids"),
        ("github", "providers.github.client_id"),
        ("acme", "client_ids"),
        ("nobody", "providers.<name>"),
        ("Google", "providers.<name>"),
        ("%00", "providers.<name>"),
        ("google%20", "providers.<name>"),
    ] {
        let answer = app.exchange(name, &json!({ "id_token": app.mock.google().id_token(json!({})) })).await;
        let detail = answer.assert_problem(404, "unknown_provider");
        assert!(detail.contains(told), "{name}: {detail}");
    }
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn an_unknown_provider_is_told_apart_from_an_unknown_path() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.exchange("gogle", &json!({ "token": "x" })).await.assert_problem(404, "unknown_provider");
    for path in ["/auth", "/auth/", "/auth/google/", "/auth/google/x", "/nowhere"] {
        send(&app, "POST", path, &[]).await.assert_problem(404, "not_found");
    }
}

#[actix_web::test]
async fn other_methods_are_answered_405_with_allow() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let answer = send(&app, method, "/auth/google", &[]).await;
        answer.assert_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST", "{method}");
    }
    let answer = send(&app, "HEAD", "/auth/google", &[]).await;
    assert_eq!((answer.status, answer.header("allow"), answer.text.as_str()), (405, "POST", ""));
}

#[actix_web::test]
async fn a_credential_of_a_kind_the_provider_does_not_take_is_refused_unasked() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.warm().await;
    app.mock.forget_requests();
    let jwt = app.mock.google().id_token(json!({}));
    for (provider, member, token, told) in [
        ("github", "id_token", jwt.as_str(), "provider github takes access_token or token, not id_token"),
        ("github", "credential", jwt.as_str(), "provider github takes access_token or token, not credential"),
        (
            "acme",
            "access_token",
            "opaque",
            "provider acme takes id_token, credential or token, not access_token",
        ),
    ] {
        let answer = app.exchange(provider, &json!({ member: token })).await;
        assert_eq!(answer.assert_problem(400, "invalid_request"), told);
    }
    assert_eq!(app.mock.total_requests(), 0);
}

#[actix_web::test]
async fn a_harmless_request_id_is_taken_over_and_any_other_replaced() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for id in ["a", "A.b_c-9", "0", longest.as_str()] {
        let answer = send(&app, "GET", "/healthz", &[("x-request-id", id)]).await;
        assert_eq!(answer.header("x-request-id"), id);
        // In a refusal as well.
        let answer = send(&app, "POST", "/auth/google", &[("x-request-id", id)]).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (415, id));
    }
    let mut made = std::collections::HashSet::new();
    for id in ["", " ", "a b", "a/b", "a;b", "a\"b", "a\tb", "{}", "a,b", "%41", too_long.as_str()] {
        let answer = send(&app, "GET", "/healthz", &[("x-request-id", id)]).await;
        let given = answer.header("x-request-id").to_owned();
        assert!(given.len() == 32 && given.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}: {given:?}");
        assert!(made.insert(given), "the same id twice");
    }
    let not_ascii = reqwest::header::HeaderValue::from_bytes(b"\xe4").expect("a header");
    let request = app.http.get(format!("{}/healthz", app.base)).header("x-request-id", not_ascii);
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    assert_eq!(answer.header("x-request-id").len(), 32);
    assert_eq!(app.get("/healthz").await.header("x-request-id").len(), 32);
}

const PREFLIGHT: [(&str, &str); 2] =
    [("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];

#[actix_web::test]
async fn browsers_of_other_origins_are_kept_out_by_default() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let origin = ("origin", "https://app.mail.com");
    let preflight = send(&app, "OPTIONS", "/auth/google", &[origin, PREFLIGHT[0], PREFLIGHT[1]]).await;
    preflight.assert_problem(405, "method_not_allowed");
    for answer in [preflight, send(&app, "GET", "/healthz", &[origin]).await] {
        let cors: Vec<_> =
            answer.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
        assert!(cors.is_empty(), "{cors:?}");
    }
}

#[actix_web::test]
async fn browsers_of_the_listed_origins_are_let_in_and_no_others() {
    let origins = "https://app.mail.com,http://localhost:5173";
    let app =
        TestApp::start_with(TestDatabase::sqlite(), |sources| sources.with("cors.allowed_origins", origins))
            .await;
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
    for origin in origins.split(',') {
        let preflight =
            send(&app, "OPTIONS", "/auth/google", &[("origin", origin), PREFLIGHT[0], PREFLIGHT[1]]).await;
        assert!(matches!(preflight.status, 200 | 204), "{}", preflight.status);
        assert_eq!(allowed(&preflight), origin);
        assert!(preflight.header("access-control-allow-methods").contains("POST"));
        assert!(preflight.header("access-control-allow-headers").to_lowercase().contains("content-type"));
        assert_eq!(preflight.header("access-control-max-age"), "3600");
        assert_eq!(preflight.header("access-control-allow-credentials"), "");

        // The answer itself, a refusal like any other, can be read by the page.
        let answer = send(&app, "POST", "/auth/google", &[("origin", origin)]).await;
        assert_eq!((answer.status, allowed(&answer).as_str()), (415, origin));
        assert!(answer.header("vary").to_lowercase().contains("origin"));
        assert!(answer.header("access-control-expose-headers").to_lowercase().contains("x-request-id"));
    }
    for origin in [
        "https://app.mail.com.evil.example",
        "https://evil.example",
        "http://app.mail.com",
        "https://app.mail.com:8443",
        "https://sub.app.mail.com",
        "https://APP.mail.com",
        "null",
        "*",
    ] {
        let preflight =
            send(&app, "OPTIONS", "/auth/google", &[("origin", origin), PREFLIGHT[0], PREFLIGHT[1]]).await;
        assert_eq!(allowed(&preflight), "", "{origin}");
        let answer = send(&app, "GET", "/healthz", &[("origin", origin)]).await;
        assert_eq!(allowed(&answer), "", "{origin}");
    }
    // A method or a header that is not on the list.
    for asked in [("access-control-request-method", "TRACE"), ("access-control-request-headers", "x-evil")] {
        let headers = [("origin", "https://app.mail.com"), ("access-control-request-method", "POST"), asked];
        let headers = if asked.0 == "access-control-request-method" {
            vec![headers[0], asked]
        } else {
            headers.to_vec()
        };
        let preflight = send(&app, "OPTIONS", "/auth/google", &headers).await;
        assert_eq!(preflight.status, 400, "{asked:?}");
    }
}
