//! A request whose body arrives slowly is authenticated long before its change is written. Rights that are lost in the meantime count.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, Person};

use crate::databases::TestDatabase;
use crate::support::both_doors::claims;
use crate::support::{SignedIn, TestApp};

/// Long enough for the head of a request to be read and its sender to be authenticated. Where it is not, the test proves nothing, and
/// passes.
const AUTHENTICATED_WITHIN: Duration = Duration::from_millis(300);

/// A request of which the service has everything but the last byte of the body.
struct SlowRequest {
    stream: TcpStream,
    last: u8,
}

impl SlowRequest {
    fn begin(app: &TestApp, method: &str, path: &str, jwt: &str, body: &Value) -> Self {
        let address = app.base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let body = body.to_string();
        let (begin, last) = body.split_at(body.len() - 1);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {jwt}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{begin}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("the head is sent");
        Self { stream, last: last.as_bytes()[0] }
    }

    /// Sends the last byte, and returns the status and the whole response.
    fn finish(mut self) -> (u16, String) {
        self.stream.write_all(&[self.last]).expect("the end is sent");
        let mut response = String::new();
        self.stream.read_to_string(&mut response).expect("a response");
        let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no response: {response}")), response)
    }
}

/// How the sender loses the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    Disabled,
    Revoked,
    SessionEnded,
    Demoted,
}

impl Loss {
    fn statuses(self, otherwise: u16) -> u16 {
        match self {
            Self::Nothing => otherwise,
            Self::Disabled | Self::Revoked | Self::SessionEnded => 401,
            Self::Demoted => 403,
        }
    }
}

/// Takes the right away, as another administrator who is signed in on another replica.
async fn take_away(other: &TestApp, by: &SignedIn, from: &SignedIn, loss: Loss) {
    let path = format!("/api/admin/users/{}/revoke-tokens", from.user_id);
    let answer = match loss {
        Loss::Nothing => return,
        Loss::Disabled => other.patch_user(&from.user_id, &by.jwt, json!({ "disabled": true })).await,
        Loss::Demoted => other.patch_user(&from.user_id, &by.jwt, json!({ "admin": false })).await,
        Loss::Revoked => other.send_as("POST", &path, &by.jwt, &Value::Null).await,
        Loss::SessionEnded => {
            other.post("/auth/logout", &json!({ "refresh_token": from.refresh_token() })).await
        }
    };
    assert!(answer.status < 300, "{loss:?}: {}", answer.text);
}

on_both_databases! {
    async fn an_administrator_who_lost_the_right_changes_nobody(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let other = app.replica().await;
        for loss in [Loss::Nothing, Loss::Disabled, Loss::Revoked, Loss::SessionEnded, Loss::Demoted] {
            let victim = app.sign_in(Person::named(&format!("victim-of-{loss:?}"))).await;
            // One change of a user, and one of an administrator, for whom more rows are locked.
            for target_is_admin in [false, true] {
                let (admin, disable) = (json!({ "admin": target_is_admin }), json!({ "disabled": true }));
                assert_eq!(app.patch_user(&victim.user_id, &ada.jwt, admin).await.status, 200);
                let mallory = app.sign_in_offline(Person::named(&format!("{loss:?}-{target_is_admin}"))).await;
                assert_eq!(app.patch_user(&mallory.user_id, &ada.jwt, json!({ "admin": true })).await.status, 200);
                let path = format!("/api/admin/users/{}", victim.user_id);
                let slow = SlowRequest::begin(&app, "PATCH", &path, &mallory.jwt, &disable);
                tokio::time::sleep(AUTHENTICATED_WITHIN).await;
                take_away(&other, &ada, &mallory, loss).await;
                let (status, response) = slow.finish();
                assert_eq!(status, loss.statuses(200), "{loss:?}: {response}");
                let disabled = app.get_as(&path, &ada.jwt).await.json["disabled"].clone();
                assert_eq!(disabled, loss == Loss::Nothing, "{loss:?}");
                assert_eq!(app.patch_user(&victim.user_id, &ada.jwt, json!({ "disabled": false })).await.status, 200);
            }
        }
    }

    async fn a_user_who_lost_the_right_changes_nothing(db: TestDatabase) {
        let (app, ada) = TestApp::start_with_ada(db).await;
        let other = app.replica().await;
        for loss in [Loss::Nothing, Loss::Disabled, Loss::Revoked, Loss::SessionEnded] {
            let thief = app.sign_in_offline(Person::named(&format!("owner-{loss:?}"))).await;
            let github = app.mock.github().access_token(GithubUser::named(&format!("mallory-{loss:?}")));
            let requests = [
                ("PATCH", "/api/me", json!({ "name": "Mallory" }), 200),
                ("PUT", "/api/me/password", json!({ "new_password": "a password that mallory chose" }), 204),
                ("POST", "/api/me/identities/github", json!({ "access_token": github }), 201),
            ];
            let begin = |(method, path, body, _): &(&str, &str, Value, u16)| {
                SlowRequest::begin(&app, method, path, &thief.jwt, body)
            };
            let slow: Vec<_> = requests.iter().map(begin).collect();
            tokio::time::sleep(AUTHENTICATED_WITHIN).await;
            take_away(&other, &ada, &thief, loss).await;
            for (slow, (method, path, _, status)) in slow.into_iter().zip(&requests) {
                let (got, response) = slow.finish();
                assert_eq!(got, loss.statuses(*status), "{loss:?}: {method} {path}: {response}");
            }
            let user = app.get_as(&format!("/api/admin/users/{}", thief.user_id), &ada.jwt).await.json;
            let done = loss == Loss::Nothing;
            assert_eq!((&user["has_password"], user["name"] == "Mallory"), (&json!(done), done), "{loss:?}");
            assert_eq!(user["identities"].as_array().map(Vec::len), Some(1 + usize::from(done)), "{loss:?}");
        }
    }

    async fn the_end_of_a_session_by_its_id_counts_too(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.replica().await;
        let owner = app.sign_in_offline(Person::named("alice")).await;
        let thief = app.sign_in_offline(Person::named("alice")).await;
        let github = app.mock.github().access_token(GithubUser::named("mallory"));
        let body = json!({ "access_token": github });
        let slow = SlowRequest::begin(&app, "POST", "/api/me/identities/github", &thief.jwt, &body);
        tokio::time::sleep(AUTHENTICATED_WITHIN).await;
        let id = claims(&thief.jwt)["sid"].as_str().expect("a sid").to_owned();
        assert_eq!(other.delete(&format!("/api/me/sessions/{id}"), &owner.jwt).await.status, 204);
        let (status, response) = slow.finish();
        assert_eq!((status, app.db.count("identities")), (401, 1), "{response}");
        assert!(response.contains("\"invalid_token\""), "{response}");
    }
}
