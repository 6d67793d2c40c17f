//! A client that remembers what it was told, and in which request it was cut off.

use std::collections::HashMap;
use std::io;

use serde_json::{Value, json};
use tokenbooth::mock::MockProviders;

use super::account::Account;
use super::chance::Chance;
use super::deed::{Deed, Outcome, Tokens, Way};
use super::stored::{Event, Stored};
use crate::support::line::{Line, Reply, http_request};

/// Who has one account after the other.
pub struct Client {
    number: usize,
    chance: Chance,
    requests: u32,
    pub account: Account,
    /// Of this life of the service: what was answered.
    answered: Vec<(String, Deed, Option<&'static str>)>,
    /// The request that was on its way when the connection died.
    cut_off: Option<(String, Deed)>,
}

/// How a request ended that was not answered.
pub struct CutOff {
    pub deed: Deed,
    /// `None`: a sign-in of somebody known leaves nothing to tell it by.
    pub done: Option<bool>,
}

impl Client {
    pub fn new(mock: &MockProviders, number: usize, seed: u64) -> Self {
        let account = Account::new(mock, number);
        let (chance, answered) = (Chance::new(seed), Vec::new());
        Self { number, chance, requests: 0, account, answered, cut_off: None }
    }

    /// One deed after the other until the service is gone.
    pub fn work(&mut self, address: &str) {
        // Refused: nothing was sent, nothing is in doubt.
        let Ok(mut line) = Line::open(address) else { return };
        loop {
            let deed = self.choose();
            if self.act(&mut line, deed).is_err() {
                return;
            }
        }
    }

    fn choose(&mut self) -> Deed {
        let account = &mut self.account;
        if account.user_id.is_none() {
            return Deed::SignUp;
        }
        if account.tokens.is_none() {
            return Deed::SignIn;
        }
        // A new password is looked up in a long list, which takes longer unoptimised than most of these lives last: if
        // everybody set one, nothing else would be done.
        let changes_passwords = self.number.is_multiple_of(6);
        match self.chance.below(20) {
            0..15 if changes_passwords && account.password.is_some() && self.chance.below(4) > 0 => {
                Deed::RemovePassword
            }
            0..15 if changes_passwords => self.new_password(),
            0..8 => Deed::Refresh,
            8..13 => self.toggle(Way::Second),
            13..16 => self.toggle(Way::Contested),
            16..18 => Deed::LogOut,
            _ => Deed::Delete,
        }
    }

    fn toggle(&self, way: Way) -> Deed {
        if self.account.linked.contains_key(&way) { Deed::Unlink(way) } else { Deed::Link(way) }
    }

    fn new_password(&self) -> Deed {
        Deed::SetPassword(format!("password of client {} no. {}", self.number, self.requests))
    }

    /// Does it, and believes the answer. An error: cut off, and nobody knows.
    pub fn act(&mut self, line: &mut Line, deed: Deed) -> io::Result<()> {
        let by_password = self.chance.coin();
        let request = self.account.request(&deed, by_password);
        let id = self.next_id();
        self.cut_off = Some((id.clone(), deed.clone()));
        let reply = ask(line, &id, request, self.account.tokens.clone())?;
        self.cut_off = None;
        let status = match deed {
            Deed::SignUp | Deed::SignIn | Deed::Refresh => 200,
            Deed::Link(Way::Contested) if reply.body["code"] == "identity_in_use" => {
                self.answered.push((id, deed, None));
                return Ok(());
            }
            Deed::Link(_) => 201,
            _ => 204,
        };
        assert_eq!(reply.status, status, "{deed:?} of {id}: {}", reply.body);
        let outcome = Outcome::told(&reply.body);
        if status == 200 {
            assert_eq!(reply.body["created"], json!(deed == Deed::SignUp), "{id}");
            let known = self.account.user_id.as_ref();
            assert!(known.is_none_or(|known| *known == outcome.user_id), "{id}: somebody else's account");
            assert!(outcome.tokens.is_some(), "{id}: {}", reply.body);
        }
        self.answered.push((id, deed.clone(), deed.event()));
        self.account.follow(deed, outcome);
        Ok(())
    }

    pub fn next_id(&mut self) -> String {
        self.requests += 1;
        format!("client-{}-request-{}", self.number, self.requests)
    }

    /// With the service dead: every answer of its life is in the database, and what was not answered is there with its event
    /// or not at all. Answers with what was cut off.
    pub fn settle(&mut self, stored: &Stored, news: &mut HashMap<String, Vec<Event>>) -> Option<CutOff> {
        for (id, deed, event) in self.answered.drain(..) {
            let events = main_events(&deed, news.remove(&id));
            assert_eq!(kinds(&events), Vec::from_iter(event), "the events of {id}, which was answered");
        }
        let settled = self.cut_off.take().map(|(id, deed)| {
            let events = main_events(&deed, news.remove(&id));
            let done = match (deed.event(), events.first()) {
                (Some(kind), Some(event)) => {
                    assert_eq!(kinds(&events), [kind], "the events of {id}");
                    self.account.follow(deed.clone(), Outcome::found(event));
                    Some(true)
                }
                (None, Some(_)) => panic!("{deed:?} of {id} has an event: {events:?}"),
                (Some(_), None) => {
                    if let Deed::SetPassword(new) = &deed {
                        self.account.wrong_passwords.push(new.clone());
                    }
                    Some(false)
                }
                (None, None) if deed == Deed::Refresh => {
                    self.account.repeats = true;
                    Some(self.account.has_rotated(stored))
                }
                (None, None) => None,
            };
            CutOff { deed, done }
        });
        self.account.assert_stored(stored);
        settled
    }
}

/// Asks under this request id, as the owner of the tokens or as nobody.
pub fn ask(
    line: &mut Line,
    id: &str,
    (method, path, body): (&str, String, Value),
    tokens: Option<Tokens>,
) -> io::Result<Reply> {
    let bearer = tokens.map(|tokens| format!("Bearer {}", tokens.access));
    let mut headers = vec![("X-Request-Id", id)];
    headers.extend(bearer.as_ref().map(|bearer| ("Authorization", bearer.as_str())));
    line.ask(&http_request(method, &path, &headers, &body))
}

/// Without those that may come beside the deed.
fn main_events(deed: &Deed, events: Option<Vec<Event>>) -> Vec<Event> {
    events.unwrap_or_default().into_iter().filter(|event| !deed.may_tell(&event.kind)).collect()
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}
