//! Handlers of an app of one's own that services may call: `CurrentClient`, `Scoped` and `Caller`.

use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::{App, get, post, test};
use serde_json::{Value, json};
use tokenbooth::mock::{MockProviders, Person};
use tokenbooth::{Caller, CurrentClient, CurrentUser, Scope, Scoped};

use self::Proof::{Bearer, Cookie, Nothing};
use super::booth;
use crate::databases::TestDatabase;
use crate::support::oauth::{Service, create_client, disable_client};

struct ReadReports;

impl Scope for ReadReports {
    const NAME: &'static str = "reports.read";
}

#[get("/user")]
async fn for_users(CurrentUser(user): CurrentUser) -> String {
    user.id.to_string()
}

#[get("/client")]
async fn for_clients(client: CurrentClient) -> String {
    format!("{} {}: {}", client.id, client.name.as_str(), client.scopes)
}

#[get("/reports")]
async fn for_readers(reader: Scoped<ReadReports>) -> String {
    reader.client.id.to_string()
}

#[get("/either")]
async fn for_either(caller: Caller) -> String {
    match caller {
        Caller::User(user) => format!("user {}", user.id),
        Caller::Client(client) => format!("client {}", client.id),
    }
}

#[get("/either-reports")]
async fn for_users_and_readers(caller: Caller<Scoped<ReadReports>>) -> String {
    match caller {
        Caller::User(user) => format!("user {}", user.id),
        Caller::Client(reader) => format!("client {}", reader.client.id),
    }
}

#[post("/either")]
async fn for_changes(_: Caller) -> &'static str {
    "changed"
}

const PATHS: [&str; 5] = ["/user", "/client", "/reports", "/either", "/either-reports"];

/// How a caller comes.
enum Proof<'a> {
    Nothing,
    Bearer(&'a str),
    Cookie(&'a str),
}

impl Proof<'_> {
    fn add_to(&self, request: test::TestRequest) -> test::TestRequest {
        match self {
            Self::Nothing => request,
            Self::Bearer(token) => request.insert_header(("authorization", format!("Bearer {token}"))),
            Self::Cookie(token) => {
                request.insert_header(("cookie", format!("__Host-tokenbooth_session={token}")))
            }
        }
    }
}

/// Asserts that a refusal is in the documented form and says which it is.
#[track_caller]
fn check(path: &str, status: u16, challenge: Option<&str>, body: &[u8]) {
    let (code, starts_with) = match status {
        200 => (None, None),
        403 => (
            Some("insufficient_scope"),
            Some(
                "Bearer realm=\"tokenbooth\", error=\"insufficient_scope\", \
                 error_description=\"the access token is not for this\", scope=\"reports.read\"",
            ),
        ),
        _ => (Some("invalid_token"), Some("Bearer realm=\"tokenbooth\"")),
    };
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    assert_eq!(problem["code"].as_str(), code, "{path}");
    let as_expected = match (challenge, starts_with) {
        (Some(challenge), Some(start)) => challenge.starts_with(start),
        (challenge, start) => challenge == start,
    };
    assert!(as_expected, "{path}: {challenge:?}");
}

on_both_databases! {
    async fn each_handler_lets_in_whom_its_arguments_name(db: TestDatabase) {
        let mock = MockProviders::start().await.expect("the mock starts");
        let tokenbooth = booth(&mock, &db);
        let app = App::new().configure(tokenbooth.routes()).service(for_users).service(for_clients);
        let app = app.service(for_readers).service(for_either).service(for_users_and_readers).service(for_changes);
        let app = test::init_service(app).await;
        let statuses = async |proof: &Proof<'_>| {
            let mut found = [0; PATHS.len()];
            for (status, path) in found.iter_mut().zip(PATHS) {
                let request = proof.add_to(test::TestRequest::get().uri(path)).to_request();
                let response = test::call_service(&app, request).await;
                *status = response.status().as_u16();
                let challenge = response.headers().get(WWW_AUTHENTICATE).cloned();
                let challenge = challenge.as_ref().map(|value| value.to_str().expect("text"));
                check(path, *status, challenge, &test::read_body(response).await);
            }
            found
        };
        let post = async |path: &str, form: Vec<(&str, String)>| -> Value {
            let request = test::TestRequest::post().uri(path).set_form(form).to_request();
            test::call_and_read_body_json(&app, request).await
        };
        let sign_in = async |client: &Service, scope: &str| {
            let form = vec![
                ("grant_type", "client_credentials".to_owned()),
                ("client_id", client.id.clone()),
                ("client_secret", client.secret.clone()),
                ("scope", scope.to_owned()),
            ];
            post("/oauth/token", form).await["access_token"].as_str().expect("a token").to_owned()
        };
        let id_token = mock.google().id_token(Person::named("alice").claims());
        let alice = post("/auth/google", vec![("id_token", id_token)]).await;
        let alice = alice["access_token"].as_str().expect("a token");
        let reader = create_client(&db, "Reports", "mail.send reports.read");
        let other = create_client(&db, "Other", "reports.reader reports");
        let all = sign_in(&reader, "").await;
        let less = sign_in(&reader, "mail.send").await;
        let others = sign_in(&other, "").await;

        for (what, proof, expected) in [
            ("nobody", Nothing, [401, 401, 401, 401, 401]),
            ("a user", Bearer(alice), [200, 401, 401, 200, 200]),
            ("a user's browser", Cookie(alice), [200, 401, 401, 200, 200]),
            ("a client with the scope", Bearer(&all), [401, 200, 200, 200, 200]),
            ("the same with a token for less", Bearer(&less), [401, 200, 403, 200, 403]),
            ("a client without the scope", Bearer(&others), [401, 200, 403, 200, 403]),
            ("a client's token in a cookie", Cookie(&all), [401, 401, 401, 401, 401]),
            ("a client's secret", Bearer(&reader.secret), [401, 401, 401, 401, 401]),
        ] {
            assert_eq!(statuses(&proof).await, expected, "{what}");
        }
        let request = Bearer(&all).add_to(test::TestRequest::get().uri("/client")).to_request();
        let expected = format!("{} Reports: mail.send reports.read", reader.id);
        assert_eq!(test::call_and_read_body(&app, request).await, expected);

        // A cookie needs the proof that our own page asks, a bearer token does not.
        for (proof, status) in [(Bearer(&all), 200), (Bearer(alice), 200), (Cookie(alice), 403)] {
            let request = proof.add_to(test::TestRequest::post().uri("/either")).to_request();
            assert_eq!(test::call_service(&app, request).await.status(), status);
        }

        // Out at the next request, with every token; the others stay.
        disable_client(&db, &reader);
        assert_eq!(statuses(&Bearer(&all)).await, [401; 5]);
        assert_eq!(statuses(&Bearer(&less)).await, [401; 5]);
        assert_eq!(statuses(&Bearer(&others)).await, [401, 200, 403, 200, 403]);
        db.execute("DELETE FROM clients");
        assert_eq!(statuses(&Bearer(&others)).await, [401; 5]);
    }
}

#[actix_web::test]
async fn an_app_without_the_routes_is_told_in_the_log_only() {
    let app = test::init_service(App::new().service(for_either)).await;
    let request = test::TestRequest::get().uri("/either").insert_header(("authorization", "Bearer x"));
    let response = test::call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), 500);
    let problem: Value = test::read_body_json(response).await;
    assert_eq!(problem["code"], json!("internal"));
}
