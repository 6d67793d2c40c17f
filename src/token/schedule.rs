//! Decides which key signs, and until when the others verify: from the times that are stored and nothing else, so that every
//! replica and every command comes to the same result.

use std::cmp::Reverse;
use std::fmt;

use super::REPLICA_CLOCK_SKEW;
use crate::clock::Timestamp;

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// New tokens are signed with it.
    Signing,
    /// It signs in a moment, when every replica knows it.
    Next,
    /// It is published and signs nothing yet.
    Added,
    /// Another one signs; its tokens are still good.
    Previous,
    /// The last token signed with it has ended.
    Expired,
    /// It was taken out of use.
    Retired,
}

/// Which keys take precedence: a stored key signs before a secret of the settings, whenever either began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyOrigin {
    /// `token.secret`, and those of `token.previous_secrets` that were it.
    Secret,
    /// A key made by `tokenbooth keys`.
    Stored,
}

/// A key as the schedule is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Scheduled<'a> {
    /// Its id.
    pub kid: &'a str,
    /// Where it comes from.
    pub origin: KeyOrigin,
    /// Since when it signs. `None`: a stored key that was only added, or a secret that signed before anybody wrote that down.
    pub signs_from: Option<Timestamp>,
    /// Whether it was retired.
    pub retired: bool,
}

/// How long a key is needed after another one has begun to sign, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of access tokens.
    pub token: i64,
    /// Of what is sealed for clients with keys derived from it: cookies of sign-ins, one-time codes.
    pub carried: i64,
}

/// A key's part in the schedule.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) kid: String,
    origin: KeyOrigin,
    /// `None`: it signs nothing.
    pub(super) signs_from: Option<Timestamp>,
    /// When another one began to sign in its place.
    replaced_at: Option<Timestamp>,
    pub(super) retired: bool,
}

/// The turns of all keys.
#[derive(Debug)]
pub struct Schedule {
    /// The latest to sign first, then those that do not sign.
    turns: Vec<Turn>,
    lifetimes: Lifetimes,
}

impl Schedule {
    /// Orders the keys. A key verifies until the last token signed with it has ended: an access token's lifetime after its successor
    /// begins, and the replicas' clocks may differ.
    #[must_use]
    pub fn new<'a>(keys: impl IntoIterator<Item = Scheduled<'a>>, lifetimes: Lifetimes) -> Self {
        let mut turns: Vec<Turn> = keys
            .into_iter()
            .map(|Scheduled { kid, origin, signs_from, retired }| Turn {
                kid: kid.to_owned(),
                origin,
                signs_from,
                replaced_at: None,
                retired,
            })
            .collect();
        turns.sort_by(|a, b| a.place().cmp(&b.place()));
        // Nothing replaces the newest that is left, whatever was done to the tables by hand.
        let newest = turns.iter().position(|turn| !turn.retired).unwrap_or_default();
        let mut successor: Option<Timestamp> = None;
        for turn in turns.iter_mut().skip(newest).take_while(|turn| !turn.is_only_added()) {
            turn.replaced_at = successor;
            // A secret may have been set after a stored key began: what it replaced had stopped signing already.
            let begun = turn.signs_from.filter(|from| *from > SINCE_EVER);
            successor = successor.into_iter().chain(begun).min();
        }
        Self { turns, lifetimes }
    }

    /// The key that signs at `now`.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Option<&str> {
        self.turns.iter().find(|turn| turn.signs(now)).map(|turn| turn.kid.as_str())
    }

    /// Where this key is at `now`. `None`: there is no such key.
    #[must_use]
    pub fn state(&self, kid: &str, now: Timestamp) -> Option<KeyState> {
        let turn = self.turns.iter().find(|turn| turn.kid == kid)?;
        let replaced = turn.replaced_at.is_some_and(|at| at <= now);
        Some(match turn.signs_from {
            _ if turn.retired => KeyState::Retired,
            None if turn.is_only_added() => KeyState::Added,
            Some(_) if self.signing(now) == Some(kid) => KeyState::Signing,
            _ if replaced && turn.opens_until(self.lifetimes).is_some_and(|end| end <= now) => {
                KeyState::Expired
            }
            Some(from) if from > now && !replaced => KeyState::Next,
            _ => KeyState::Previous,
        })
    }

    /// When this key stops opening anything by itself.
    #[must_use]
    pub fn end(&self, kid: &str) -> Option<Timestamp> {
        self.turns.iter().find(|turn| turn.kid == kid)?.opens_until(self.lifetimes)
    }

    pub(super) fn into_turns(self) -> Vec<Turn> {
        self.turns
    }
}

/// The beginning of a secret of which it is not known when it began.
pub(super) const SINCE_EVER: Timestamp = Timestamp(i64::MIN);

impl Turn {
    /// Stored keys before secrets, the latest first; those that were only added last. Of two that begin in the same second one
    /// is the later one, and the same one everywhere.
    fn place(&self) -> (bool, Reverse<(KeyOrigin, Option<Timestamp>)>, &str) {
        (self.is_only_added(), Reverse((self.origin, self.signs_from)), &self.kid)
    }

    fn is_only_added(&self) -> bool {
        self.origin == KeyOrigin::Stored && self.signs_from.is_none()
    }

    fn signs(&self, now: Timestamp) -> bool {
        !self.retired && self.signs_from.is_some_and(|from| from <= now)
    }

    /// From then on it verifies no token. `None`: no other one follows it.
    pub(super) fn verifies_until(&self, lifetimes: Lifetimes) -> Option<Timestamp> {
        Some(self.replaced_at?.plus(lifetimes.token).plus(REPLICA_CLOCK_SKEW))
    }

    /// From then on it opens nothing at all.
    pub(super) fn opens_until(&self, lifetimes: Lifetimes) -> Option<Timestamp> {
        Some(self.replaced_at?.plus(lifetimes.token.max(lifetimes.carried)).plus(REPLICA_CLOCK_SKEW))
    }
}

impl KeyState {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Next => "next",
            Self::Added => "added",
            Self::Previous => "previous",
            Self::Expired => "expired",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: i64 = 1800;
    const LIVES: Lifetimes = Lifetimes { token: LIFE, carried: 600 };

    fn secret(kid: &str, signs_from: Option<i64>) -> Scheduled<'_> {
        let signs_from = signs_from.map(Timestamp);
        Scheduled { kid, origin: KeyOrigin::Secret, signs_from, retired: false }
    }

    fn base<'a>() -> Scheduled<'a> {
        secret("base", Some(i64::MIN))
    }

    fn stored(kid: &str, signs_from: Option<i64>) -> Scheduled<'_> {
        Scheduled { origin: KeyOrigin::Stored, ..secret(kid, signs_from) }
    }

    fn retired(key: Scheduled<'_>) -> Scheduled<'_> {
        Scheduled { retired: true, ..key }
    }

    fn states(schedule: &Schedule, kids: &[&str], now: i64) -> Vec<&'static str> {
        kids.iter().map(|kid| schedule.state(kid, Timestamp(now)).expect("a key").as_str()).collect()
    }

    #[test]
    fn a_key_signs_from_its_time_on_and_the_one_before_ends_a_life_later() {
        let keys = [base(), stored("a", Some(1000)), stored("b", Some(5000)), stored("c", None)];
        let schedule = Schedule::new(keys, LIVES);
        let kids = ["base", "a", "b", "c"];
        assert_eq!(states(&schedule, &kids, 999), ["signing", "next", "next", "added"]);
        assert_eq!(states(&schedule, &kids, 1000), ["previous", "signing", "next", "added"]);
        assert_eq!(states(&schedule, &kids, 1000 + LIFE + 59), ["previous", "signing", "next", "added"]);
        assert_eq!(states(&schedule, &kids, 1000 + LIFE + 60), ["expired", "signing", "next", "added"]);
        assert_eq!(states(&schedule, &kids, 9999), ["expired", "expired", "signing", "added"]);
        assert_eq!(schedule.state("nobody", Timestamp(1)), None);
    }

    #[test]
    fn who_was_retired_signs_and_verifies_nothing_and_still_ended_the_one_before() {
        let keys = [base(), retired(stored("a", Some(1000))), stored("b", Some(5000))];
        let schedule = Schedule::new(keys, LIVES);
        assert_eq!(states(&schedule, &["base", "a", "b"], 4000), ["signing", "retired", "next"]);
        assert_eq!(schedule.end("base"), Some(Timestamp(1000 + LIFE + 60)));
        assert_eq!(states(&schedule, &["base", "a", "b"], 5000), ["expired", "retired", "signing"]);
    }

    #[test]
    fn the_newest_that_is_left_never_ends() {
        let keys = [base(), retired(stored("a", Some(1000))), retired(stored("b", Some(5000)))];
        let schedule = Schedule::new(keys, LIVES);
        assert_eq!(schedule.signing(Timestamp(9999)), Some("base"));
        assert_eq!(schedule.end("base"), None);
    }

    #[test]
    fn of_two_that_begin_together_the_same_one_signs_in_whatever_order_they_come() {
        let (a, b) = (stored("a", Some(7)), stored("b", Some(7)));
        for keys in [[base(), a, b], [b, a, base()]] {
            assert_eq!(Schedule::new(keys, LIVES).signing(Timestamp(7)), Some("a"));
        }
    }

    #[test]
    fn a_secret_ends_a_life_after_the_next_secret_began_wherever_it_stands_in_the_settings() {
        let keys = [secret("old", Some(10)), secret("new", Some(1000)), secret("older", None)];
        let schedule = Schedule::new(keys, LIVES);
        let kids = ["older", "old", "new"];
        assert_eq!(states(&schedule, &kids, 10), ["previous", "signing", "next"]);
        assert_eq!(states(&schedule, &kids, 1000), ["previous", "previous", "signing"]);
        assert_eq!(states(&schedule, &kids, 10 + LIFE + 60), ["expired", "previous", "signing"]);
        assert_eq!(states(&schedule, &kids, 1000 + LIFE + 60), ["expired", "expired", "signing"]);
    }

    #[test]
    fn a_secret_that_was_set_after_a_stored_key_began_gives_no_earlier_one_more_time() {
        let keys = [secret("old", Some(10)), stored("k", Some(1000)), secret("new", Some(9000))];
        let schedule = Schedule::new(keys, LIVES);
        assert_eq!(states(&schedule, &["old", "new", "k"], 9000), ["expired", "expired", "signing"]);
        assert_eq!(states(&schedule, &["old", "new", "k"], 1001), ["previous", "previous", "signing"]);
    }

    #[test]
    fn a_key_is_kept_for_what_clients_carry_where_that_lives_longer_than_a_token() {
        let lives = Lifetimes { token: 60, carried: 600 };
        let schedule = Schedule::new([base(), stored("a", Some(1000))], lives);
        assert_eq!(states(&schedule, &["base"], 1659), ["previous"]);
        assert_eq!(states(&schedule, &["base"], 1660), ["expired"]);
        let turn = schedule.into_turns().pop().expect("a turn");
        assert_eq!(turn.verifies_until(lives), Some(Timestamp(1120)));
    }
}
