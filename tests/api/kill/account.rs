//! An account as its client knows it: what was asked for, what was answered, and what must follow from it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenbooth::mock::{GithubUser, MockProviders, Person};
use tokenbooth::token::RefreshToken;

use super::deed::{Deed, Outcome, Tokens, Way};
use super::stored::Stored;
use crate::support::both_doors::claims;

/// One person, with an account or about to have one.
pub struct Account {
    person: Person,
    proof: String,
    second: String,
    contested: String,
    pub user_id: Option<String>,
    pub tokens: Option<Tokens>,
    /// A refresh was not answered: the successor may be out, and lost.
    pub repeats: bool,
    pub linked: BTreeMap<Way, String>,
    pub password: Option<String>,
    /// What must be refused for ever.
    pub ended: Vec<Tokens>,
    pub wrong_passwords: Vec<String>,
    /// Sessions that were ended one by one.
    logged_out: Vec<String>,
    former_user_ids: Vec<String>,
}

impl Account {
    pub fn new(mock: &MockProviders, client: usize) -> Self {
        let name = format!("client-{client}");
        let (person, second) = (Person::named(&name), Person::named(&format!("{name}-second")));
        // Of two clients each, who take it from each other.
        let contested = GithubUser::named(&format!("contested-{}", client / 2));
        Self {
            // No ID tokens: one from before everything was ended would be rejected.
            proof: mock.google().access_token(person.clone()),
            second: mock.google().access_token(second),
            contested: mock.github().access_token(contested),
            person,
            user_id: None,
            tokens: None,
            repeats: false,
            linked: BTreeMap::new(),
            password: None,
            ended: Vec::new(),
            wrong_passwords: Vec::new(),
            logged_out: Vec::new(),
            former_user_ids: Vec::new(),
        }
    }

    fn email(&self) -> &str {
        self.person.email.as_deref().expect("an address")
    }

    pub fn sign_in_with_password(&self, password: &str) -> (&'static str, String, Value) {
        let body = json!({ "email": self.email(), "password": password, "scope": "offline_access" });
        ("POST", "/auth/password".to_owned(), body)
    }

    pub fn request(&self, deed: &Deed, by_password: bool) -> (&'static str, String, Value) {
        let current = self.password.as_ref();
        let identities = "/api/me/identities";
        match deed {
            Deed::SignIn if by_password && current.is_some() => {
                self.sign_in_with_password(current.map_or("", String::as_str))
            }
            Deed::SignUp | Deed::SignIn => {
                let body = json!({ "access_token": self.proof, "scope": "offline_access" });
                ("POST", "/auth/google".to_owned(), body)
            }
            Deed::Refresh => {
                let token = self.tokens.as_ref().map(|tokens| &tokens.refresh);
                ("POST", "/auth/refresh".to_owned(), json!({ "refresh_token": token }))
            }
            Deed::Link(Way::Second) => {
                ("POST", format!("{identities}/google"), json!({ "access_token": self.second }))
            }
            Deed::Link(Way::Contested) => {
                ("POST", format!("{identities}/github"), json!({ "access_token": self.contested }))
            }
            Deed::Unlink(way) => ("DELETE", format!("{identities}/{}", self.linked[way]), Value::Null),
            Deed::SetPassword(new) => {
                let mut body = json!({ "new_password": new });
                if let Some(current) = current {
                    body["current_password"] = json!(current);
                }
                ("PUT", "/api/me/password".to_owned(), body)
            }
            Deed::RemovePassword => {
                ("DELETE", "/api/me/password".to_owned(), json!({ "current_password": current }))
            }
            Deed::LogOut => {
                let token = self.tokens.as_ref().map(|tokens| &tokens.refresh);
                ("POST", "/auth/logout".to_owned(), json!({ "refresh_token": token }))
            }
            Deed::Delete => ("DELETE", "/api/me".to_owned(), Value::Null),
        }
    }

    /// The account after a deed that was done.
    pub fn follow(&mut self, deed: Deed, outcome: Outcome) {
        match deed {
            Deed::SignUp => {
                assert!(!self.former_user_ids.contains(&outcome.user_id), "a deleted account is back");
                self.user_id = Some(outcome.user_id);
                self.tokens = outcome.tokens;
            }
            Deed::SignIn | Deed::Refresh => {
                if outcome.tokens.is_some() {
                    self.tokens = outcome.tokens;
                    self.repeats = false;
                }
            }
            Deed::Link(way) => drop(self.linked.insert(way, outcome.identity_id)),
            Deed::Unlink(way) => {
                self.linked.remove(&way);
                self.end_everything();
            }
            Deed::SetPassword(new) => {
                if let Some(old) = self.password.replace(new) {
                    self.wrong_passwords.push(old);
                    self.end_everything();
                }
            }
            Deed::RemovePassword => {
                self.wrong_passwords.extend(self.password.take());
                self.end_everything();
            }
            Deed::LogOut => {
                self.logged_out.extend(self.tokens.as_ref().map(|tokens| session_id(&tokens.access)));
                self.end_everything();
            }
            Deed::Delete => {
                self.wrong_passwords.extend(self.password.take());
                self.end_everything();
                self.linked.clear();
                self.former_user_ids.extend(self.user_id.take());
            }
        }
    }

    fn end_everything(&mut self) {
        self.ended.extend(self.tokens.take());
        self.repeats = false;
    }

    /// Whether the rows are what the client was told.
    pub fn assert_stored(&self, stored: &Stored) {
        for tokens in &self.ended {
            let (handle, _) = hashes(&tokens.refresh);
            assert!(!stored.sessions.contains_key(&handle), "a session that was ended is there");
        }
        for session in &self.logged_out {
            assert!(
                stored.ended_sessions.contains(session),
                "verifiers are not told of a session that was ended"
            );
        }
        let Some(user_id) = &self.user_id else {
            assert!(!stored.has_identity("google", &self.person.sub), "an identity without its user");
            return;
        };
        let user = stored.users.get(user_id).expect("the user of an answered sign-in");
        assert_eq!(user.has_password, self.password.is_some(), "{user_id}: a password");
        let rows = stored.identities.get(user_id).map(Vec::as_slice).unwrap_or_default();
        let (own, linked): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row.provider == "google" && row.provider_id == self.person.sub);
        let mut linked: Vec<&String> = linked.into_iter().map(|row| &row.id).collect();
        let mut told: Vec<&String> = self.linked.values().collect();
        linked.sort();
        told.sort();
        assert_eq!((own.len(), linked), (1, told), "the ways in of {user_id}");
        let Some(tokens) = &self.tokens else { return };
        let (handle, secret) = hashes(&tokens.refresh);
        let session = stored.sessions.get(&handle).expect("the session of an answered token");
        assert_eq!(&session.user_id, user_id);
        let good = session.secret_hash == secret
            || self.repeats && session.previous_secret_hash.as_ref() == Some(&secret);
        assert!(good, "the refresh token last answered to {user_id} is lost");
    }

    /// Whether the token last answered has a successor.
    pub fn has_rotated(&self, stored: &Stored) -> bool {
        let hashes = self.tokens.as_ref().map(|tokens| hashes(&tokens.refresh));
        hashes.is_some_and(|(handle, secret)| {
            stored.sessions.get(&handle).and_then(|session| session.previous_secret_hash.as_ref())
                == Some(&secret)
        })
    }
}

/// The `sid` of an access token.
fn session_id(access_token: &str) -> String {
    claims(access_token)["sid"].as_str().expect("a token of a session").to_owned()
}

fn hashes(refresh_token: &str) -> (String, String) {
    let token = RefreshToken::parse(refresh_token).expect("a refresh token");
    (token.handle_hash().0, token.secret_hash().0)
}
