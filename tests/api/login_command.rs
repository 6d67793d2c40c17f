//! `tokenbooth login`: the real binary, the mock GitHub, a service that runs, and somebody who types the code or does not.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Fault, GithubUser, github};

use crate::databases::TestDatabase;
use crate::support::TestApp;
use crate::support::process::{Running, Tokenbooth};

/// `tokenbooth login` at this service, by way of its GitHub.
fn login(app: &TestApp, arguments: &[&str]) -> Tokenbooth {
    let arguments = [&["login", "--server", &app.base], arguments].concat();
    let settings = app.mock.settings().into_iter().filter(|(key, _)| key.starts_with("providers.github."));
    settings.fold(Tokenbooth::new(&arguments), |command, (key, value)| command.set(&key, &value))
}

/// The code it shows.
fn user_code(running: &mut Running) -> String {
    let line = running.wait_for("enter the code");
    line.rsplit(' ').next().expect("a word").to_owned()
}

/// Waits for the end: exit code, stdout, stderr.
fn end(mut running: Running) -> (Option<i32>, String, String) {
    let status = running.wait();
    (status.code(), running.stdout(), running.stderr())
}

/// The one line that says why not, after what was asked.
#[track_caller]
fn reason(ended: (Option<i32>, String, String)) -> String {
    let (code, out, err) = ended;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    let last = err.lines().last().unwrap_or_default();
    last.strip_prefix("tokenbooth: ").unwrap_or_else(|| panic!("{err}")).to_owned()
}

async fn start() -> TestApp {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    app.mock.github().set_device_interval(0);
    app
}

#[actix_web::test]
async fn a_person_signs_in_and_stdout_has_the_token_alone() {
    let app = start().await;
    // Beside it no settings are needed but whose app it is.
    let command =
        Tokenbooth::new(&["login", "--server", &format!("{}/", app.base), "--client-id", github::CLIENT_ID])
            .set("providers.github.web_url", &format!("{}/github", app.mock.base_url()));
    let mut running = command.start();
    let code = user_code(&mut running);
    let page = format!("{}/github/login/device", app.mock.base_url());
    assert!(
        running.stderr().starts_with(&format!("Open {page} and enter the code {code}\n")),
        "{}",
        running.stderr()
    );
    running.wait_for("Waiting, at most 15 minutes; Ctrl-C gives up.");
    assert_eq!(running.stdout(), "");
    assert!(app.mock.github().approve_device(&code, GithubUser::named("greta")));
    let (status, out, err) = end(running);
    assert_eq!(status, Some(0), "{err}");
    let token = out.strip_suffix('\n').expect("a line");
    let me = app.me(token).await;
    assert_eq!((me.status, &me.json["email"]), (200, &json!("greta@example.com")));
    let id = me.json["id"].as_str().expect("an id");
    assert!(err.ends_with(&format!("\nWelcome, Greta Example <greta@example.com>, user {id}\n")), "{err}");
    assert!(!err.contains(token));
    assert_eq!(app.db.count("sessions"), 0);
}

#[actix_web::test]
async fn json_has_the_whole_answer_and_offline_a_refresh_token() {
    let app = start().await;
    let signed_in = app
        .exchange_github(GithubUser { emails: vec![], ..GithubUser::named("greta") })
        .await
        .assert_signed_in();
    let mut running = login(&app, &["--json", "--offline"]).start();
    let code = user_code(&mut running);
    let nobody = GithubUser { emails: vec![], ..GithubUser::named("greta") };
    assert!(app.mock.github().approve_device(&code, nobody));
    let (status, out, err) = end(running);
    assert_eq!(status, Some(0), "{err}");
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&answer["created"], &answer["user"]["id"]), (&json!(false), &json!(signed_in.user_id)));
    let refresh_token = answer["refresh_token"].as_str().expect("a refresh token");
    assert!(!err.contains(refresh_token), "{err}");
    assert!(err.ends_with(&format!("\nSigned in as Greta Example, user {}\n", signed_in.user_id)), "{err}");
    assert_eq!(app.refresh(refresh_token).await.status, 200);
}

#[actix_web::test]
async fn who_is_refused_at_github_is_told_why_and_what_to_do() {
    let app = start().await;
    let mut running = login(&app, &[]).start();
    let code = user_code(&mut running);
    assert!(app.mock.github().deny_device(&code));
    assert_eq!(
        reason(end(running)),
        "somebody answered \"Cancel\" at github: run it again to be asked again"
    );

    let mut running = login(&app, &[]).start();
    user_code(&mut running);
    app.mock.github().expire_devices();
    assert_eq!(reason(end(running)), "the code was not entered in time: run it again for a new one");

    let told = reason(end(login(&app, &["--client-id", "Iv1.unknown"]).start()));
    assert!(
        told.starts_with(
            "github does not know this client id: give --client-id, or set providers.github.client_id"
        ),
        "{told}"
    );
    assert_eq!(app.db.count("users"), 0);
}

#[actix_web::test]
async fn an_absent_github_is_waited_for_and_ctrl_c_ends_it() {
    let app = start().await;
    let mut running = login(&app, &[]).start();
    let code = user_code(&mut running);
    app.mock.set_fault_times(Endpoint::GithubToken, Fault::RateLimited429 { retry_after: Some(1) }, 1);
    assert!(app.mock.github().approve_device(&code, GithubUser::named("greta")));
    let (status, _, err) = end(running);
    assert_eq!(status, Some(0), "{err}");

    let mut running = login(&app, &[]).start();
    user_code(&mut running);
    running.signal("INT");
    assert_eq!(running.wait().code(), None, "ended by the signal");
    assert_eq!(running.stdout(), "");
}

#[actix_web::test]
async fn what_the_server_refuses_is_shown_with_its_code() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("providers.github.client_id", "Iv1.another00000000")
    })
    .await;
    app.mock.github().set_device_interval(0);
    let mut running = login(&app, &["--client-id", github::CLIENT_ID]).start();
    let code = user_code(&mut running);
    assert!(app.mock.github().approve_device(&code, GithubUser::named("greta")));
    let told = reason(end(running));
    assert!(told.starts_with(&format!("{} refuses: github's answer cannot be used", app.base)), "{told}");
    assert!(told.ends_with("(provider_unavailable)"), "{told}");
}

#[test]
fn what_cannot_work_is_said_before_anything_is_asked() {
    let app = [("providers.github.client_id", "Iv1.app"), ("providers.github.client_secret", "a-secret")];
    let elsewhere =
        "plain http:// to another machine would let anyone on the way sign in as anyone. Use an https:// URL";
    for (arguments, settings, expected) in [
        (
            &["login"][..],
            &[][..],
            "no GitHub app is known: give --client-id, or set providers.github.client_id and client_secret"
                .to_owned(),
        ),
        (&["login", "--server", "http://auth.mail.com"], &app, format!("--server: {elsewhere}")),
        (
            &["login", "--server", "auth.mail.com"],
            &app,
            "--server: it is not a URL. Use an https:// URL".to_owned(),
        ),
        (
            &["login"],
            &[app[0], app[1], ("server.public_url", "http://auth.mail.com")],
            format!("server.public_url: {elsewhere}"),
        ),
    ] {
        let command =
            settings.iter().fold(Tokenbooth::new(arguments), |command, (key, value)| command.set(key, value));
        assert_eq!(reason(end(command.start())), expected, "{arguments:?}");
    }
}

/// When a poll came, and what it said.
type Polls = Arc<Mutex<Vec<(Instant, String)>>>;

/// A GitHub that answers a device and its polls word by word, the last answer for ever.
fn github_that_says(device: Value, answers: Vec<Value>) -> (String, Polls) {
    let polls = Polls::default();
    let kept = Arc::clone(&polls);
    let server = HttpServer::new(move || {
        let (device, answers, kept) = (device.clone(), answers.clone(), Arc::clone(&kept));
        App::new().default_service(web::to(move |request: HttpRequest, form: String| {
            let body = if request.path() == "/login/device/code" {
                device.clone()
            } else {
                let mut polls = kept.lock().expect("no panic");
                polls.push((Instant::now(), form));
                answers[(polls.len() - 1).min(answers.len() - 1)].clone()
            };
            std::future::ready(HttpResponse::Ok().json(body))
        }))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .expect("a free port");
    let url = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    (url, polls)
}

fn device() -> Value {
    json!({
        "device_code": "the-device-code",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://github.com/login/device",
        "expires_in": 900,
        "interval": 1,
    })
}

/// Waits for the end without stopping this test's own servers.
async fn end_beside(running: Running) -> (Option<i32>, String, String) {
    tokio::task::spawn_blocking(move || end(running)).await.expect("no panic")
}

#[actix_web::test]
async fn it_slows_down_when_told_to() {
    let app = start().await;
    let token = app.mock.github().access_token(GithubUser::named("greta"));
    let answers = vec![
        json!({ "error": "slow_down" }),
        json!({ "error": "slow_down", "interval": 2 }),
        json!({ "error": "authorization_pending" }),
        json!({ "access_token": token, "token_type": "bearer", "scope": "" }),
    ];
    let (github, polls) = github_that_says(device(), answers);
    let running = login(&app, &[]).set("providers.github.web_url", &github).start();
    let (status, out, err) = end_beside(running).await;
    assert_eq!(status, Some(0), "{err}");
    assert!(!err.contains("the-device-code") && !err.contains(&token) && !out.contains(&token), "{err}");
    let polls = polls.lock().expect("no panic");
    let [first, second, third, fourth] = polls.as_slice() else { panic!("four polls: {polls:?}") };
    let waited = |from: &(Instant, String), to: &(Instant, String)| to.0 - from.0;
    // RFC 8628 §3.5: five seconds more, unless an interval is named.
    assert!((5900..8500).contains(&waited(first, second).as_millis()), "{polls:?}");
    assert!((1900..4500).contains(&waited(second, third).as_millis()), "{polls:?}");
    assert!(waited(third, fourth) > Duration::from_millis(1900), "{polls:?}");
    let form: Vec<(String, String)> = serde_urlencoded::from_str(&first.1).expect("a form");
    let expected = [
        ("client_id", github::CLIENT_ID),
        ("device_code", "the-device-code"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[actix_web::test]
async fn each_answer_of_github_that_ends_it_is_told() {
    let app = start().await;
    let with = |changes: Value| {
        let mut device = device();
        for (name, value) in changes.as_object().expect("an object") {
            device[name] = value.clone();
        }
        device
    };
    let pending = json!({ "error": "authorization_pending" });
    for (device, answer, expected) in [
        (
            json!({ "error": "device_flow_disabled" }),
            &pending,
            "the device flow is switched off for this app: its owner switches",
        ),
        (json!({ "error": "incorrect_client_credentials" }), &pending, "github does not know this client id"),
        (
            with(json!({ "verification_uri": "file:///etc/passwd" })),
            &pending,
            "github's answer cannot be used: its verification_uri: ",
        ),
        (
            with(json!({ "user_code": null })),
            &pending,
            "github's answer cannot be used: there is no user_code in it",
        ),
        // It says so itself no more.
        (with(json!({ "expires_in": 2 })), &pending, "the code was not entered in time"),
        (
            with(json!({})),
            &json!({ "error": "device_flow_disabled" }),
            "the device flow is switched off for this app",
        ),
        (
            with(json!({})),
            &json!({ "error": "unsupported_grant_type" }),
            "github's answer cannot be used: it says unsupported_grant_type",
        ),
        (with(json!({})), &json!({ "error": "incorrect_device_code" }), "the code was not entered in time"),
    ] {
        let (github, _) = github_that_says(device, vec![answer.clone()]);
        let running = login(&app, &[]).set("providers.github.web_url", &github).start();
        let told = reason(end_beside(running).await);
        assert!(told.starts_with(expected), "{told}");
    }
}

#[actix_web::test]
async fn a_code_cannot_command_the_terminal() {
    let app = start().await;
    let mut device = device();
    device["user_code"] = "WDJB\u{1b}[2J-MJHT".into();
    let (github, _) = github_that_says(device, vec![json!({ "error": "access_denied" })]);
    let running = login(&app, &[]).set("providers.github.web_url", &github).start();
    let (_, _, err) = end_beside(running).await;
    assert!(
        err.starts_with("Open https://github.com/login/device and enter the code WDJB[2J-MJHT\n"),
        "{err:?}"
    );
}

#[actix_web::test]
async fn a_token_of_another_app_is_not_taken_and_the_remedy_is_told() {
    let app = start().await;
    let token = app.mock.github().foreign_access_token(GithubUser::named("greta"));
    let (github, _) = github_that_says(device(), vec![json!({ "access_token": token })]);
    let running = login(&app, &[]).set("providers.github.web_url", &github).start();
    let told = reason(end_beside(running).await);
    assert!(told.starts_with(&format!("{} refuses: github does not know this token", app.base)), "{told}");
    assert!(
        told.ends_with("(audience_mismatch). Give --client-id the client id of this server's GitHub app"),
        "{told}"
    );
    assert!(!told.contains(&token), "{told}");
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn the_browser_opens_when_it_is_asked_for_and_can() {
    use std::os::unix::fs::PermissionsExt;

    let app = start().await;
    for (arguments, path, opened) in [
        (&["--open"][..], "bin:/bin:/usr/bin", Some("https://github.com/login/device\n")),
        (&["--open"], "nothing-is-here", None),
        (&[], "bin:/bin:/usr/bin", None),
    ] {
        let (github, _) = github_that_says(device(), vec![json!({ "error": "access_denied" })]);
        let command = login(&app, arguments).set("providers.github.web_url", &github).env("PATH", path);
        let command = command.file("bin/xdg-open", "#!/bin/sh\necho noise\nprintf '%s\\n' \"$@\" > opened\n");
        let script = command.folder().join("bin/xdg-open");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a script");
        let mut running = command.start();
        let file = running.folder().join("opened");
        let (file, ended) = tokio::task::spawn_blocking(move || {
            running.wait();
            let said = std::fs::read_to_string(&file).ok();
            (said, end(running))
        })
        .await
        .expect("no panic");
        assert_eq!(file.as_deref(), opened, "{arguments:?} {path}");
        assert!(reason(ended).starts_with("somebody answered"));
    }
}

#[actix_web::test]
async fn a_server_that_is_no_tokenbooth_is_named() {
    let app = start().await;
    let token = app.mock.github().access_token(GithubUser::named("greta"));
    let (github, _) = github_that_says(device(), vec![json!({ "access_token": token })]);
    let nowhere = "http://127.0.0.1:1";
    let mock = app.mock.base_url();
    for (server, expected) in [
        (
            nowhere,
            format!("tokenbooth cannot be reached. Is {nowhere} the right server? --server names another"),
        ),
        (
            mock,
            format!(
                "{mock} does not answer as a tokenbooth does (status 404). Is it the right server? --server names another"
            ),
        ),
    ] {
        let command = Tokenbooth::new(&["login", "--server", server, "--client-id", github::CLIENT_ID]);
        let running = command.set("providers.github.web_url", &github).start();
        assert_eq!(reason(end_beside(running).await), expected);
    }
}
