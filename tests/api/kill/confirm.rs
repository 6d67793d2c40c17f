//! A client that tries everything it holds and held, with nobody to disturb it.

use serde_json::{Value, json};

use super::client::{Client, ask};
use super::deed::{Deed, Tokens};
use crate::support::line::{Line, Reply};

impl Client {
    /// What was answered is good, and what was ended is refused, by the service as it is now.
    pub fn confirm(&mut self, address: &str) {
        let mut line = Line::open(address).expect("a connection");
        for Tokens { access, refresh } in std::mem::take(&mut self.account.ended) {
            let body = json!({ "refresh_token": refresh });
            let refused = self.try_as(&mut line, ("POST", "/auth/refresh".to_owned(), body), None);
            assert_refused(&refused, "invalid_refresh_token");
            let tokens = Tokens { access, refresh };
            let refused = self.try_as(&mut line, ("GET", "/api/me".to_owned(), Value::Null), Some(tokens));
            assert_refused(&refused, "invalid_token");
        }
        for password in std::mem::take(&mut self.account.wrong_passwords) {
            let request = self.account.sign_in_with_password(&password);
            assert_refused(&self.try_as(&mut line, request, None), "invalid_credentials");
        }
        if let Some(password) = &self.account.password {
            let request = self.account.sign_in_with_password(password);
            let reply = self.try_as(&mut line, request, None);
            assert_eq!(reply.status, 200, "the password last answered: {}", reply.body);
            assert_eq!(reply.body["user"]["id"].as_str(), self.account.user_id.as_deref());
        }
        if self.account.user_id.is_some() {
            let deed = if self.account.tokens.is_some() { Deed::Refresh } else { Deed::SignIn };
            self.act(&mut line, deed).expect("an answer");
            let request = ("GET", "/api/me".to_owned(), Value::Null);
            let reply = self.try_as(&mut line, request, self.account.tokens.clone());
            assert_eq!(reply.status, 200, "{}", reply.body);
            assert_eq!(reply.body["id"].as_str(), self.account.user_id.as_deref());
        }
    }

    fn try_as(&mut self, line: &mut Line, request: (&str, String, Value), tokens: Option<Tokens>) -> Reply {
        let id = self.next_id();
        ask(line, &id, request, tokens).expect("an answer")
    }
}

#[track_caller]
fn assert_refused(reply: &Reply, code: &str) {
    assert_eq!((reply.status, reply.body["code"].as_str()), (401, Some(code)), "{}", reply.body);
}
