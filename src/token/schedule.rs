//! Whose turn it is to sign, and until when the others still verify: from the times that are stored, and nothing else, so that
//! every replica and every command comes to the same.

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

/// A key's part in the schedule.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) kid: String,
    /// `None`: it signs nothing, and verifies.
    pub(super) signs_from: Option<Timestamp>,
    /// From then on it verifies nothing. `None`: no other one is to follow it.
    pub(super) ends: Option<Timestamp>,
    pub(super) retired: bool,
}

/// The turns of all keys.
#[derive(Debug)]
pub struct Schedule {
    /// The latest to sign first, then those that do not sign.
    turns: Vec<Turn>,
}

impl Schedule {
    /// From each key's `kid`, when it signs from, and whether it was retired. A key verifies until the last token signed with
    /// it has ended: `life` seconds after its successor begins, and the replicas' clocks may differ.
    #[must_use]
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, Option<Timestamp>, bool)>, life: i64) -> Self {
        let mut turns: Vec<Turn> = keys
            .into_iter()
            .map(|(kid, signs_from, retired)| Turn { kid: kid.to_owned(), signs_from, ends: None, retired })
            .collect();
        // Of two that begin in the same second one is the later one, and the same one everywhere.
        turns.sort_by(|a, b| (Reverse(a.signs_from), &a.kid).cmp(&(Reverse(b.signs_from), &b.kid)));
        // Nothing ends the newest that is left, whatever was done to the tables by hand.
        let newest = turns.iter().position(|turn| !turn.retired).unwrap_or_default();
        let mut successor = None;
        for turn in turns.iter_mut().skip(newest).take_while(|turn| turn.signs_from.is_some()) {
            turn.ends = successor.map(|from: Timestamp| from.plus(life).plus(REPLICA_CLOCK_SKEW));
            successor = turn.signs_from;
        }
        Self { turns }
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
        Some(match turn.signs_from {
            _ if turn.retired => KeyState::Retired,
            None => KeyState::Added,
            Some(_) if self.signing(now) == Some(kid) => KeyState::Signing,
            Some(from) if from > now => KeyState::Next,
            Some(_) if turn.verifies(now) => KeyState::Previous,
            Some(_) => KeyState::Expired,
        })
    }

    /// When this key stops to verify by itself.
    #[must_use]
    pub fn end(&self, kid: &str) -> Option<Timestamp> {
        self.turns.iter().find(|turn| turn.kid == kid)?.ends
    }

    pub(super) fn into_turns(self) -> Vec<Turn> {
        self.turns
    }
}

impl Turn {
    fn signs(&self, now: Timestamp) -> bool {
        !self.retired && self.signs_from.is_some_and(|from| from <= now)
    }

    fn verifies(&self, now: Timestamp) -> bool {
        self.ends.is_none_or(|end| now < end)
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
    const BASE: (&str, Option<Timestamp>, bool) = ("base", Some(Timestamp(i64::MIN)), false);

    fn states(schedule: &Schedule, kids: &[&str], now: i64) -> Vec<&'static str> {
        kids.iter().map(|kid| schedule.state(kid, Timestamp(now)).expect("a key").as_str()).collect()
    }

    #[test]
    fn a_key_signs_from_its_time_on_and_the_one_before_ends_a_life_later() {
        let keys = [
            BASE,
            ("a", Some(Timestamp(1000)), false),
            ("b", Some(Timestamp(5000)), false),
            ("c", None, false),
        ];
        let schedule = Schedule::new(keys, LIFE);
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
        let keys = [BASE, ("a", Some(Timestamp(1000)), true), ("b", Some(Timestamp(5000)), false)];
        let schedule = Schedule::new(keys, LIFE);
        assert_eq!(states(&schedule, &["base", "a", "b"], 4000), ["signing", "retired", "next"]);
        assert_eq!(schedule.end("base"), Some(Timestamp(1000 + LIFE + 60)));
        assert_eq!(states(&schedule, &["base", "a", "b"], 5000), ["expired", "retired", "signing"]);
    }

    #[test]
    fn the_newest_that_is_left_never_ends() {
        let schedule = Schedule::new(
            [BASE, ("a", Some(Timestamp(1000)), true), ("b", Some(Timestamp(5000)), true)],
            LIFE,
        );
        assert_eq!(schedule.signing(Timestamp(9999)), Some("base"));
        assert_eq!(schedule.end("base"), None);
    }

    #[test]
    fn of_two_that_begin_together_the_same_one_signs_in_whatever_order_they_come() {
        let (a, b) = (("a", Some(Timestamp(7)), false), ("b", Some(Timestamp(7)), false));
        for keys in [[BASE, a, b], [b, a, BASE]] {
            assert_eq!(Schedule::new(keys, LIFE).signing(Timestamp(7)), Some("a"));
        }
    }
}
