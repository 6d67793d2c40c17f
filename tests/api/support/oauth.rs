//! `/oauth/*`: forms in, RFC 6749 out; and services that sign in for themselves.

use serde_json::Map;
use tokenbooth::account::clients;
use tokenbooth::clock::{Clock, SystemClock};
use tokenbooth::db;
use tokenbooth::event::Origin;

use super::app::{Answer, TestApp};
use crate::databases::TestDatabase;

/// A client and its secret.
#[derive(Debug, Clone)]
pub struct Service {
    pub id: String,
    pub secret: String,
}

/// Makes a client as `tokenbooth client create` does. `scopes` are separated by spaces.
pub fn create_client(db: &TestDatabase, name: &str, scopes: &str) -> Service {
    create_client_for(db, name, scopes, "")
}

/// The same for a client that is registered for `audiences`, separated by spaces.
pub fn create_client_for(db: &TestDatabase, name: &str, scopes: &str, audiences: &str) -> Service {
    let mut conn = db::connect(&db.parsed_url()).expect("a connection");
    let (name, scopes) = (name.parse().expect("a name"), scopes.parse().expect("scopes"));
    let origin = Origin::command_line(SystemClock.now());
    let audiences = audiences.parse().expect("audiences");
    let made = db::change(&mut conn, |conn| clients::create(conn, name, scopes, audiences, &origin));
    let made = made.expect("a client");
    Service { id: made.client.id.to_string(), secret: made.secret.expose().to_owned() }
}

/// Disables a client as `tokenbooth client disable` does.
pub fn disable_client(db: &TestDatabase, service: &Service) {
    let mut conn = db::connect(&db.parsed_url()).expect("a connection");
    let (id, origin) = (service.id.parse().expect("an id"), Origin::command_line(SystemClock.now()));
    let done = db::change(&mut conn, |conn| clients::disable(conn, &id, &origin)).expect("a change");
    done.expect("the client is there");
}

impl Answer {
    /// The code of a refusal, in whichever form it is.
    pub fn code(&self) -> Option<&str> {
        let in_description = || self.json["error_description"].as_str()?.split(':').next();
        self.json["code"].as_str().or_else(in_description)
    }

    /// Asserts a refusal as RFC 6749 §5.2 has it; answers its description.
    #[track_caller]
    pub fn assert_oauth_refusal(&self, status: u16, error: &str) -> &str {
        assert_eq!((self.status, self.json["error"].as_str()), (status, Some(error)), "{}", self.text);
        assert_eq!(self.json.as_object().map(Map::len), Some(2), "{}", self.text);
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("content-type"), "application/json");
        let description = self.json["error_description"].as_str().expect("a description");
        let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        assert!(description.chars().all(allowed), "{description}");
        description
    }
}

impl TestApp {
    /// As [`create_client`].
    pub fn create_client(&self, name: &str, scopes: &str) -> Service {
        create_client(&self.db, name, scopes)
    }

    /// As [`disable_client`].
    pub fn disable_client(&self, service: &Service) {
        disable_client(&self.db, service);
    }

    /// `POST` of a form, by nobody.
    pub async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).form(form);
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// `POST` of a form, by a client that proves itself with `client_secret_basic`.
    pub async fn post_form_as(&self, path: &str, service: &Service, form: &[(&str, &str)]) -> Answer {
        let request =
            self.http.post(format!("{}{path}", self.base)).basic_auth(&service.id, Some(&service.secret));
        Answer::of(request.form(form).send().await.expect("an answer")).await
    }

    /// A token of this client, with all its scopes.
    pub async fn client_token(&self, service: &Service) -> String {
        let answer =
            self.post_form_as("/oauth/token", service, &[("grant_type", "client_credentials")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["access_token"].as_str().expect("a token").to_owned()
    }
}
