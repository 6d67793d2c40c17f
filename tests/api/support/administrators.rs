//! A service with an administrator, and what only tests of more than one method need.

use serde_json::Value;
use tokenbooth::mock::Person;

use super::app::{Answer, SignedIn, TestApp};
use crate::databases::TestDatabase;

impl TestApp {
    /// With `ada@example.com` in `admin.emails`, signed in.
    pub async fn start_with_ada(db: TestDatabase) -> (Self, SignedIn) {
        let app =
            Self::start_with(db, |sources| sources.with("admin.emails", "google:ada@example.com")).await;
        let ada = app.sign_in(Person::named("ada")).await;
        (app, ada)
    }

    /// `PATCH /api/admin/users/{id}`.
    pub async fn patch_user(&self, id: &str, jwt: &str, change: Value) -> Answer {
        self.send_as("PATCH", &format!("/api/admin/users/{id}"), jwt, &change).await
    }

    /// `DELETE` of a path.
    pub async fn delete(&self, path: &str, jwt: &str) -> Answer {
        self.send_as("DELETE", path, jwt, &Value::Null).await
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

    /// How many rejected sign-ins of this error code the audit trail counts, or of all with `%`.
    pub fn refused_sign_ins(&self, code: &str) -> i64 {
        let count = if self.db.url.starts_with("sqlite") {
            "json_extract(detail, '$.count')"
        } else {
            "CAST(CAST(detail AS json) ->> 'count' AS BIGINT)"
        };
        self.db.number(&format!(
            "SELECT CAST(COALESCE(SUM({count}), 0) AS BIGINT) AS number FROM events \
             WHERE kind = 'sign_in.refused' AND detail LIKE '%\"code\":\"{code}\"%'"
        ))
    }

    /// `POST` of a JSON body from this address, as a proxy tells it. The service must trust `127.0.0.1`.
    pub async fn post_from(&self, address: &str, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).header("x-forwarded-for", address);
        Answer::of(request.json(body).send().await.expect("an answer")).await
    }

    /// The newest events of a kind, by way of the service.
    pub async fn events(&self, kind: &str, jwt: &str) -> Vec<Value> {
        self.all_pages(&format!("/api/admin/events?kind={kind}"), 200, jwt).await
    }
}
