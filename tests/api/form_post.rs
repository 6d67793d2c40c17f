//! `POST /auth/{provider}/callback`: a provider has the browser post its answer from another site, where no cookie of ours goes
//! with it.

use reqwest::header::ORIGIN;
use serde_json::{Value, json};
use tokenbooth::mock::{Endpoint, Person};

use crate::databases::TestDatabase;
use crate::support::browser::{Browser, HTML};
use crate::support::{Answer, TestApp};

/// What the provider's page has the browser post, and where to.
pub struct Form {
    pub action: String,
    fields: Vec<(String, String)>,
}

impl Form {
    fn of(page: &str) -> Self {
        let attribute = |text: &str, name: &str| {
            let start = text.split_once(&format!("{name}=\"")).expect(name).1;
            let value = start.split_once('"').expect("a quote").0;
            value
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        };
        let inputs = page.lines().filter(|line| line.starts_with("<input "));
        let form = page.lines().find(|line| line.starts_with("<form ")).expect("a form");
        Self {
            action: attribute(form, "action"),
            fields: inputs.map(|line| (attribute(line, "name"), attribute(line, "value"))).collect(),
        }
    }

    pub fn get(&self, name: &str) -> &str {
        &self.fields.iter().find(|(known, _)| known == name).expect("a field").1
    }

    /// Apple's, at the end of a sign-in that this browser began.
    pub async fn of_sign_in(app: &TestApp, browser: &mut Browser, person: &str) -> Self {
        form_of(app, browser, "/auth/apple/login", &format!("mock_person={person}")).await
    }

    /// The same, with another value.
    fn with(&self, name: &str, value: &str) -> Self {
        let fields = self.fields.iter().filter(|(known, _)| known != name).cloned();
        let fields = fields.chain([(name.to_owned(), value.to_owned())]).collect();
        Self { action: self.action.clone(), fields }
    }

    /// As a browser posts it from another site: without any cookie that is `Lax`.
    pub async fn post(&self, app: &TestApp) -> Answer {
        let request = app.http.post(&self.action).header("accept", HTML).header(ORIGIN, app.mock.base_url());
        Answer::of(request.form(&self.fields).send().await.expect("an answer")).await
    }
}

/// The form at the end of the provider's pages.
async fn form_of(app: &TestApp, browser: &mut Browser, login: &str, choice: &str) -> Form {
    let there = browser.visit(login).await;
    assert_eq!(there.status, 302, "{}", there.text);
    form_at(app, there.header("location"), choice).await
}

/// At the provider's page, by this choice.
async fn form_at(app: &TestApp, page: &str, choice: &str) -> Form {
    let url = format!("{page}&{choice}");
    let page = Answer::of(app.http.get(url).send().await.expect("an answer")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    Form::of(&page.text)
}

/// Signs in at Apple, all the way.
pub async fn sign_in(app: &TestApp, browser: &mut Browser, person: &str) -> Answer {
    let form = Form::of_sign_in(app, browser, person).await;
    let passed = form.post(app).await;
    assert_eq!(passed.status, 303, "{}", passed.text);
    browser.visit(passed.header("location")).await
}

async fn start(db: TestDatabase) -> TestApp {
    TestApp::start_with_further_providers(db, |sources| sources).await
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.text.contains(code), "{}", answer.text);
    assert_eq!(answer.header("location"), "");
}

on_both_databases! {
    async fn a_browser_that_comes_with_a_form_signs_in(db: TestDatabase) {
        let app = start(db).await;
        let mut browser = Browser::at(&app);
        let form = form_of(&app, &mut browser, "/auth/apple/login?redirect_to=/account", "mock_person=alice").await;
        assert_eq!(form.action, format!("{}/auth/apple/callback", app.base));
        assert!(form.get("user").contains("\"firstName\":\"Alice\""), "as Apple does the first time");
        let passed = form.post(&app).await;
        assert_eq!((passed.status, passed.header("cache-control"), passed.header("referrer-policy")), (303, "no-store", "no-referrer"));
        assert!(passed.headers.get("set-cookie").is_none() && passed.text.is_empty());
        let location = passed.header("location");
        assert!(location.starts_with(&format!("{}?state=", form.action)), "{location}");
        assert!(!location.contains("user=") && !location.contains("Alice"), "{location}");
        let home = browser.visit(location).await;
        assert_eq!((home.status, home.header("location")), (302, "/account"), "{}", home.text);
        let me = browser.call("GET", "/api/me").await.json;
        // The name was in the form, where anybody can write one.
        assert_eq!((me["email"].as_str(), &me["name"]), (Some("alice@example.com"), &Value::Null));
        assert_eq!(browser.attempts(), [""; 0]);
        // The same once more: the browser has let go of its cookie, and nobody else ever had it.
        let again = form.post(&app).await;
        assert_refused(&browser.visit(again.header("location")).await, 400, "invalid_state");
        assert_refused(&Browser::at(&app).visit(again.header("location")).await, 400, "invalid_state");
        assert_eq!(app.db.count("users"), 1);
    }

    async fn a_form_signs_in_only_the_browser_that_began_with_the_person_that_the_code_names(db: TestDatabase) {
        let app = start(db).await;
        let (mut browser, mut mallorys) = (Browser::at(&app), Browser::at(&app));
        let attack = form_of(&app, &mut mallorys, "/auth/apple/login", "mock_person=mallory").await;
        // Mallory has another browser post her own form: it has begun nothing, or something else.
        for form in [form_of(&app, &mut browser, "/auth/apple/login", "mock_person=alice").await] {
            let state = form.get("state").to_owned();
            for (changed, code) in [
                (attack.with("error", ""), "invalid_state"),
                (form.with("state", "forged"), "invalid_state"),
                (form.with("state", ""), "invalid_state"),
                (form.with("state", &"A".repeat(43)), "invalid_state"),
                (form.with("state", &format!("{state}{}", "x".repeat(600))), "invalid_state"),
            ] {
                let passed = changed.post(&app).await;
                assert_eq!(passed.status, 303);
                assert_refused(&browser.visit(passed.header("location")).await, 400, code);
            }
            // Her code under his state: made with another verifier and another nonce.
            let mixed = form.with("code", attack.get("code"));
            let passed = mixed.post(&app).await;
            assert_refused(&browser.visit(passed.header("location")).await, 400, "code_refused");
        }
        assert_eq!((app.db.count("users"), app.mock.requests(Endpoint::AppleToken)), (0, 1));
        // A cookie that does come with the form changes nothing.
        let form = form_of(&app, &mut browser, "/auth/apple/login", "mock_person=alice").await;
        let request = browser.request("POST", "/auth/apple/callback").form(&form.fields);
        let passed = browser.send(request).await;
        assert_eq!((passed.status, app.db.count("users"), browser.attempts().len()), (303, 0, 1));
        assert_eq!(browser.visit(passed.header("location")).await.status, 302);
        assert_eq!(app.db.count("users"), 1);
    }
}

#[actix_web::test]
async fn who_calls_it_off_at_apple_is_told_so() {
    let app = start(TestDatabase::sqlite()).await;
    let mut browser = Browser::at(&app);
    let form = form_of(&app, &mut browser, "/auth/apple/login", "mock_deny=1").await;
    assert_eq!(form.get("error"), "user_cancelled_authorize");
    let passed = form.post(&app).await;
    assert_refused(&browser.visit(passed.header("location")).await, 403, "access_denied");
    // Any other error is Apple's trouble.
    let form =
        form_of(&app, &mut browser, "/auth/apple/login", "mock_deny=1").await.with("error", "invalid_scope");
    let passed = form.post(&app).await;
    assert_refused(&browser.visit(passed.header("location")).await, 502, "invalid_scope");
}

#[actix_web::test]
async fn what_is_no_such_form_is_refused_and_not_repeated() {
    let app = start(TestDatabase::sqlite()).await;
    let post = |provider: &str| {
        app.http.post(format!("{}/auth/{provider}/callback", app.base)).header("accept", "application/json")
    };
    let send =
        async |request: reqwest::RequestBuilder| Answer::of(request.send().await.expect("an answer")).await;
    send(post("apple").json(&json!({ "state": "a", "code": "b" })))
        .await
        .assert_problem(415, "unsupported_media_type");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for body in ["state=a&state=b", "code=hunter2&code=hunter2", "error=a&error=b"] {
        let answer = send(post("apple").header(form.0, form.1).body(body)).await;
        let detail = answer.assert_problem(400, "invalid_request");
        assert!(!detail.contains("hunter2"), "{detail}");
    }
    let long = format!("state=a&user={}", "x".repeat(64 * 1024));
    send(post("apple").header(form.0, form.1).body(long)).await.assert_problem(413, "payload_too_large");
    let long = format!("state=a&code={}", "x".repeat(5000));
    let answer = send(post("apple").header(form.0, form.1).body(long)).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, &*format!("{}/auth/apple/callback?state=a", app.base))
    );
    // No place of somebody's choice, and no second header line.
    let answer = send(
        post("apple")
            .header(form.0, form.1)
            .header("host", "evil.example")
            .body("state=a%0d%0aSet-Cookie:%20a=b&redirect_uri=//evil.example"),
    )
    .await;
    assert!(
        answer
            .header("location")
            .starts_with(&format!("{}/auth/apple/callback?state=a%0D%0ASet-Cookie", app.base))
    );
    assert!(answer.headers.get("set-cookie").is_none());
    // Nobody else comes with a form.
    for provider in ["google", "github", "acme", "microsoft", "gitlab"] {
        let answer = send(post(provider).form(&[("state", "a"), ("code", "b")])).await;
        answer.assert_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "GET", "{provider}");
    }
    send(post("nobody").form(&[("state", "a")])).await.assert_problem(404, "unknown_provider");
    assert_eq!((app.mock.requests(Endpoint::AppleToken), app.db.count("users")), (0, 0));
}

#[actix_web::test]
async fn an_app_and_a_link_come_back_by_a_form_as_well() {
    let app = TestApp::start_with_further_providers(TestDatabase::sqlite(), |sources| {
        sources.with("sign_in.redirect_uris", "com.mail.app:/callback")
    })
    .await;
    let mut browser = Browser::at(&app);
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let login = format!(
        "/auth/apple/login?redirect_to=com.mail.app:/callback&state=mine&code_challenge={challenge}&code_challenge_method=S256"
    );
    // Apple cannot be asked to show a page, so ours asks first, and its form goes there.
    assert_eq!(browser.visit(&login).await.status, 200);
    let fields =
        [("redirect_to", "com.mail.app:/callback"), ("state", "mine"), ("code_challenge", challenge)];
    let request = browser.as_our_page("POST", "/auth/apple/login").form(&fields);
    let there = browser.send(request).await;
    let form = form_at(&app, there.header("location"), "mock_person=alice").await;
    let back = browser.visit(form.post(&app).await.header("location")).await;
    assert!(back.header("location").starts_with("com.mail.app:/callback?code="), "{}", back.text);

    browser.sign_in("google", "bob").await;
    let there = browser.call("POST", "/auth/apple/link").await;
    let url = format!("{}&mock_person=carol", there.header("location"));
    let page = Answer::of(app.http.get(url).send().await.expect("an answer")).await;
    let linked = browser.visit(Form::of(&page.text).post(&app).await.header("location")).await;
    assert_eq!((linked.status, linked.header("location")), (302, "/account"), "{}", linked.text);
    let identities = browser.call("GET", "/api/me/identities").await.json;
    assert_eq!(identities["items"][1]["provider_id"], Person::named("carol").sub.as_str(), "{identities}");
}

#[actix_web::test]
async fn any_issuer_may_be_asked_for_a_form() {
    let app = TestApp::start_with(TestDatabase::sqlite(), |sources| {
        sources.with("providers.acme.response_mode", "form_post")
    })
    .await;
    let there = Browser::at(&app).visit("/auth/acme/login").await;
    assert!(there.header("location").ends_with("&response_mode=form_post"), "{}", there.header("location"));
    let answer =
        app.http.post(format!("{}/auth/acme/callback", app.base)).form(&[("state", "a")]).send().await;
    assert_eq!(answer.expect("an answer").status(), 303);
}
