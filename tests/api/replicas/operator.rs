//! What is done to the fleet meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use tokenbooth::mock::Person;

use super::clients::{Client, exchange, me, refresh};
use super::fleet::Fleet;
use super::tokens::{Tokens, key_of};
use crate::support::line::Line;

/// How soon a retired key is refused by every replica, on a busy machine.
const RETIRED_WITHIN: Duration = Duration::from_secs(30);
/// Between two deeds, so that some requests meet a fleet that is left alone.
const PAUSE: Duration = Duration::from_millis(500);

pub struct Operator<'a> {
    client: Client<'a>,
    fleet: &'a mut Fleet,
    tokens: &'a Tokens,
    /// Of the keys that were made, the oldest first.
    kids: Vec<String>,
    people: u32,
}

impl<'a> Operator<'a> {
    pub fn new(client: Client<'a>, fleet: &'a mut Fleet, tokens: &'a Tokens) -> Self {
        Self { client, fleet, tokens, kids: Vec::new(), people: 0 }
    }

    /// Everything once.
    pub fn round(&mut self) {
        self.rotate("EdDSA");
        self.fleet.restart(0, "KILL");
        self.put_out("disable");
        self.rotate("ES256");
        self.fleet.restart(1, "TERM");
        self.put_out("revoke");
        self.rotate("HS256");
        self.fleet.restart(1, "KILL");
        self.retire();
        self.fleet.restart(0, "TERM");
        thread::sleep(PAUSE);
    }

    /// Has a new key sign, and waits until it does.
    fn rotate(&mut self, algorithm: &str) {
        let kid = self.fleet.command(&["keys", "rotate", "--alg", algorithm]);
        self.tokens.wait_for_key(&kid);
        self.kids.push(kid);
        thread::sleep(PAUSE);
    }

    /// Disables somebody, or revokes what somebody has.
    fn put_out(&mut self, command: &str) {
        self.people += 1;
        let person = Person::named(&format!("victim-{}", self.people));
        let id_token = self.fleet.mock.google().id_token(person.claims());
        let Some(answer) = self.client.ask("exchanges", &exchange(&id_token), 200) else { return };
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        let (jwt, refresh_token) = (text("access_token"), text("refresh_token"));
        let user_id = answer["user"]["id"].as_str().expect("an id");
        self.client.read("reads", &jwt, user_id);
        self.fleet.command(&["user", command, user_id]);
        if command == "disable" {
            self.tokens.refuse("refused: the token of a disabled user", me(&jwt), 401);
            self.tokens.refuse("refused: the refresh token of a disabled user", refresh(&refresh_token), 401);
            self.tokens.refuse("refused: the exchange of a disabled user", exchange(&id_token), 403);
        } else {
            self.tokens.refuse("refused: a revoked token", me(&jwt), 401);
            self.tokens.refuse("refused: a revoked refresh token", refresh(&refresh_token), 401);
            // Of the time before it; the next one has the time of the machine, to the second.
            thread::sleep(Duration::from_secs(1));
            let fresh = self.fleet.mock.google().id_token(person.claims());
            self.client.ask("exchanges after a revocation", &exchange(&fresh), 200);
        }
    }

    /// Takes the oldest key out of use, which has not signed for a while.
    fn retire(&mut self) {
        let kid = self.kids.remove(0);
        let withdrawn = self.tokens.withdraw(&kid);
        assert!(!withdrawn.is_empty(), "the key signed nothing");
        self.fleet.command(&["keys", "retire", &kid, "--force"]);
        let request = me(&withdrawn[0].jwt);
        let deadline = Instant::now() + RETIRED_WITHIN;
        for number in 0..2 {
            let status = || {
                Line::open(&self.fleet.address_of(number))
                    .and_then(|mut line| line.ask(&request))
                    .map(|reply| reply.status)
                    .ok()
            };
            while status() != Some(401) {
                assert!(Instant::now() < deadline, "replica {number} takes tokens of a retired key");
                thread::sleep(Duration::from_millis(50));
            }
        }
        for token in withdrawn {
            assert_eq!(key_of(&token.jwt).0, kid);
            self.tokens.refuse("refused: the token of a retired key", me(&token.jwt), 401);
        }
    }
}
