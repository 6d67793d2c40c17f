//! A service with an administrator, and what only tests of more than one method need.

use reqwest::Method;
use serde_json::{Value, json};
use tokenbooth::mock::Person;

use super::app::{Answer, SignedIn, TestApp};
use crate::databases::TestDatabase;

impl TestApp {
    /// With `ada@example.com` in `admin.emails`, signed in.
    pub async fn start_with_ada(db: TestDatabase) -> (Self, SignedIn) {
        let app = Self::start_with(db, |sources| sources.with("admin.emails", "ada@example.com")).await;
        let ada = app.sign_in(Person::named("ada")).await;
        (app, ada)
    }

    /// Any method on any path, with a bearer token and perhaps a JSON body.
    pub async fn ask(&self, method: Method, path: &str, jwt: &str, body: Option<&Value>) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(jwt);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// `PATCH /api/admin/users/{id}`.
    pub async fn patch_user(&self, id: &str, jwt: &str, change: Value) -> Answer {
        self.ask(Method::PATCH, &format!("/api/admin/users/{id}"), jwt, Some(&change)).await
    }

    /// `DELETE` of a path.
    pub async fn delete(&self, path: &str, jwt: &str) -> Answer {
        self.ask(Method::DELETE, path, jwt, None).await
    }

    /// `POST` of a path without a body.
    pub async fn post(&self, path: &str, jwt: &str) -> Answer {
        self.ask(Method::POST, path, jwt, None).await
    }

    /// Signs a person in with a Google ID token and a refresh token.
    pub async fn sign_in_to_stay(&self, person: Person) -> SignedIn {
        let id_token = self.mock.google().id_token(person.claims());
        self.exchange("google", &json!({ "id_token": id_token, "scope": "offline_access" }))
            .await
            .assert_signed_in()
    }

    /// `POST /auth/refresh` with the refresh token of a token answer.
    pub async fn refresh(&self, signed_in: &Value) -> Answer {
        let body = json!({ "refresh_token": signed_in["refresh_token"] });
        let request = self.http.post(format!("{}/auth/refresh", self.base)).json(&body);
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// All items of a list, page by page; each page must be full but for the last.
    pub async fn all_pages(&self, path: &str, limit: usize, jwt: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get_as(&format!("{path}{separator}limit={limit}{after}"), jwt).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let found = page.json["items"].as_array().expect("items");
            items.extend(found.iter().cloned());
            match page.json["next"].as_str() {
                None => return items,
                Some(next) => {
                    assert_eq!(found.len(), limit);
                    after = format!("&after={next}");
                }
            }
        }
    }

    /// The newest events of a kind, by way of the service.
    pub async fn events(&self, kind: &str, jwt: &str) -> Vec<Value> {
        self.all_pages(&format!("/api/admin/events?kind={kind}"), 200, jwt).await
    }
}
