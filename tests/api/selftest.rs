//! `tokenbooth selftest`: the corpus of attacks, tried against this service and against one that believes everything.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokenbooth::mock::{Signature, SigningKey, compact};

use crate::databases::TestDatabase;
use crate::postgres::free_port;
use crate::support::app::SECRET;
use crate::support::process::Tokenbooth;

/// What a run printed, and how it ended.
struct Tried {
    success: bool,
    /// One for each case, and the summary.
    lines: Vec<Value>,
    text: String,
}

impl Tried {
    fn run(arguments: &[&str]) -> Self {
        let command = Tokenbooth::new(&[&["selftest", "--json"], arguments].concat());
        let output = command.file("secret", &format!("{SECRET}\n")).output();
        let text = String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr);
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { success: output.status.success(), lines, text }
    }

    fn with_outcome(&self, outcome: &str) -> BTreeSet<&str> {
        let cases = self.lines.iter().filter(|line| line["outcome"] == outcome);
        cases.map(|case| case["id"].as_str().expect("an id")).collect()
    }

    fn summary(&self) -> &Value {
        self.lines.last().unwrap_or_else(|| panic!("nothing was printed: {}", self.text))
    }
}

on_both_databases! {
    async fn this_service_rejects_every_attack(db: TestDatabase) {
        let issuer = format!("127.0.0.1:{}", free_port());
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let printed = Tokenbooth::new(&["selftest", "--url", &url, "--issuer", &issuer, "--print-settings"]).output();
        let settings = String::from_utf8(printed.stdout).expect("text");
        let serve = Tokenbooth::new(&["serve"])
            .set("server.port", &port.to_string())
            .set("server.workers", "2")
            .set("server.public_url", &url)
            .set("database.url", &db.url)
            .set("token.secret", SECRET);
        let settings = settings.lines().filter_map(|line| line.split_once('='));
        let mut serving = settings.fold(serve, |serve, (name, value)| serve.env(name, value)).start();
        serving.url();
        let tried = Tried::run(&["--url", &url, "--issuer", &issuer, "--token-secret-file", "secret"]);
        let summary = tried.summary();
        for unwanted in ["accepted", "not_tried", "skipped"] {
            assert_eq!(summary[unwanted], 0, "{}", tried.text);
        }
        assert!(tried.success && summary["rejected"].as_u64() > Some(160), "{}", tried.text);
        // Without the secret, no rejection of a token that is signed anew is claimed.
        let tried = Tried::run(&["--url", &url, "--issuer", &issuer, "--only", "at-expired"]);
        assert_eq!(tried.summary()["skipped"], 1, "{}", tried.text);
        // Without a provider, what needs no sign-in is tried all the same.
        let tried = Tried::run(&["--url", &url]);
        let summary = tried.summary();
        assert_eq!((tried.success, &summary["accepted"], &summary["not_tried"]), (true, &json!(0), &json!(0)), "{}", tried.text);
        assert!(summary["rejected"].as_u64() > Some(3) && summary["skipped"].as_u64() > Some(50), "{}", tried.text);
    }
}

/// Whatever it is asked, it says yes, and leads wherever it is told.
async fn believe(request: HttpRequest, issuer: web::Data<String>) -> HttpResponse {
    let query: std::collections::BTreeMap<String, String> =
        web::Query::from_query(request.query_string()).map(web::Query::into_inner).unwrap_or_default();
    let asked = |name: &str| query.get(name).cloned().unwrap_or_default();
    match request.path() {
        "/auth/selftest/login" => {
            let callback = format!("http://{}/callback", request.connection_info().host());
            let back = url::Url::parse_with_params(&callback, [("to", asked("redirect_to"))]).expect("a URL");
            let parameters = [
                ("client_id", tokenbooth::mock::oidc::CLIENT_ID),
                ("redirect_uri", back.as_str()),
                ("response_type", "code"),
                ("scope", "openid"),
                ("state", "always the same"),
            ];
            let there = format!("http://{}/oidc/authorize", **issuer);
            let there = url::Url::parse_with_params(&there, parameters).expect("a URL");
            HttpResponse::Found().insert_header((header::LOCATION, there.as_str())).finish()
        }
        "/callback" => {
            let to: String = asked("to").chars().filter(|c| !c.is_control()).collect();
            let to = if to.starts_with("http://127.0.0.1") { format!("{to}?code=1") } else { to };
            let location = header::HeaderValue::from_bytes(to.as_bytes()).expect("a header");
            let response = &mut HttpResponse::Found();
            response
                .insert_header((header::LOCATION, location))
                .insert_header((header::SET_COOKIE, "a=b"))
                .finish()
        }
        _ => {
            let key = SigningKey::foreign().expect("a key");
            let token = compact(key.header().to_string(), r#"{"sub":"1"}"#, Signature::Key(&key));
            HttpResponse::Ok().json(json!({ "access_token": token, "refresh_token": "always the same" }))
        }
    }
}

#[actix_web::test]
async fn a_service_that_believes_everything_is_told_so() {
    let issuer = format!("127.0.0.1:{}", free_port());
    let state = web::Data::new(issuer.clone());
    let factory = move || App::new().app_data(state.clone()).default_service(web::to(believe));
    let server = HttpServer::new(factory).workers(1).bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    let tried = {
        let (url, issuer) = (url.clone(), issuer.clone());
        tokio::task::spawn_blocking(move || {
            Tried::run(&["--url", &url, "--issuer", &issuer, "--token-secret-file", "secret"])
        })
        .await
        .expect("a run")
    };
    assert!(!tried.success, "{}", tried.text);
    let (rejected, not_tried) = (tried.with_outcome("rejected"), tried.with_outcome("not_tried"));
    // Some places look dangerous, and lead to the same host when they are repeated as they are.
    let harmless = ["rd-control", "rd-dot-dot", "rd-encoded-slash", "rd-header", "rd-leading-space"];
    assert!(rejected.iter().all(|id| harmless.contains(id)), "{rejected:?}");
    assert!(not_tried.is_empty(), "{not_tried:?} {}", tried.text);
    assert!(tried.summary()["severe"].as_u64() > Some(110), "{}", tried.summary());
    let case = tried.lines.iter().find(|line| line["id"] == "id-alg-none").expect("the case");
    assert_eq!((&case["severity"], case["source"].as_str().is_some()), (&json!("critical"), true));
}

/// Rejects what does not begin with the provider's own header, but follows a `jku` before it does.
async fn follow(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let token = body["id_token"].as_str().unwrap_or_default();
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap_or_default());
    let header: Value = serde_json::from_slice(&header.unwrap_or_default()).unwrap_or_default();
    if let Some(jku) = header["jku"].as_str() {
        let url = url::Url::parse(jku).expect("a URL");
        let mut stream =
            TcpStream::connect(&*url.socket_addrs(|| None).expect("an address")).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("a request");
        let mut key_set = String::new();
        stream.read_to_string(&mut key_set).expect("a response");
        assert!(key_set.contains(r#""kid":"attacker""#), "{key_set}");
    }
    if request.method() == "POST" && header["kid"] == "attacker" {
        return HttpResponse::Unauthorized().finish();
    }
    HttpResponse::Ok().json(json!({ "access_token": "opaque" }))
}

#[actix_web::test]
async fn a_service_that_asks_where_a_token_says_is_told_so_although_it_rejects_the_token() {
    let server = HttpServer::new(|| App::new().default_service(web::to(follow)));
    let server = server.workers(1).bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    let run = move || {
        let issuer = format!("127.0.0.1:{}", free_port());
        ["id-jku", "id-x5u"].map(|id| Tried::run(&["--url", &url, "--issuer", &issuer, "--only", id]))
    };
    let [followed, ignored] = tokio::task::spawn_blocking(run).await.expect("two runs");
    assert_eq!((followed.success, &followed.summary()["severe"]), (false, &json!(1)), "{}", followed.text);
    assert!(followed.text.contains("asked an address that the attacker named"), "{}", followed.text);
    assert_eq!((ignored.success, &ignored.summary()["rejected"]), (true, &json!(1)), "{}", ignored.text);
}

#[test]
fn a_corpus_or_a_profile_of_ones_own_is_read_and_a_bad_one_is_told_with_its_place() {
    let run = |files: &[(&str, &str)], arguments: &[&str]| {
        let command = Tokenbooth::new(&[&["selftest", "--url", "http://127.0.0.1:9"], arguments].concat());
        let output = files.iter().fold(command, |command, (name, text)| command.file(name, text)).output();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told =
        run(&[("own/a.json", "{\n\"about\": \"\", \"cases\": [ { \"id\": 1 } ] }")], &["--corpus", "own"]);
    assert!(told.contains("own/a.json") && told.contains("line 2"), "{told}");
    let told = run(&[], &["--corpus", "nowhere"]);
    assert!(told.contains("nowhere"), "{told}");
    let told =
        run(&[("profile.json", "{ \"about\": \"\", \"sign_up\": {} }")], &["--profile", "profile.json"]);
    assert!(told.contains("the profile") && told.contains("sign_up"), "{told}");
    let told = run(&[], &["--token-secret-file", "nowhere"]);
    assert!(told.contains("--token-secret-file nowhere"), "{told}");
    let told = run(&[], &[]);
    assert!(told.contains("http://127.0.0.1:9") && told.contains("refused"), "{told}");
}
