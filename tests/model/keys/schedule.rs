//! The rules by which the model decides from the stored times which key signs, and which keys
//! verify.

use super::{KEYS, Key, Keys, LIFE, Mistake, SECRETS, SKEW, Stored};

/// Where a key is in its life, as an operator is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyState {
    Unknown,
    Signing,
    Next,
    Added,
    Previous,
    Expired,
    Retired,
}

/// One key's part in the order of all keys.
#[derive(Debug, Clone, Copy)]
struct Turn {
    key: usize,
    signs_from: Option<u8>,
    replaced_at: Option<u8>,
    retired: bool,
}

impl Turn {
    fn is_only_added(&self) -> bool {
        self.key >= SECRETS && self.signs_from.is_none()
    }

    fn has_ended(&self, now: u8) -> bool {
        self.replaced_at.is_some_and(|at| at + LIFE + SKEW <= now)
    }
}

impl Keys {
    /// The latest to sign first: stored keys before secrets, and those that were only added last.
    fn turns(&self, stored: &Stored) -> Vec<Turn> {
        let mut turns: Vec<Turn> = (0..KEYS)
            .filter(|key| *key < SECRETS || stored[*key].exists)
            .map(|key| {
                let Key { signs_from, retired_at, .. } = stored[key];
                let came = |from: &u8| {
                    self.mistake == Some(Mistake::TurnsThatNeverCame)
                        || retired_at.is_none_or(|at| *from <= at)
                };
                let signs_from = signs_from.filter(came);
                Turn { key, signs_from, replaced_at: None, retired: retired_at.is_some() }
            })
            .collect();
        turns.sort_by_key(|turn| {
            let place = (turn.key >= SECRETS, turn.signs_from);
            (turn.is_only_added(), std::cmp::Reverse(place), turn.key)
        });
        let newest = turns.iter().position(|turn| !turn.retired).unwrap_or_default();
        let mut successor: Option<u8> = None;
        for turn in turns.iter_mut().skip(newest).take_while(|turn| !turn.is_only_added()) {
            turn.replaced_at = successor;
            successor = successor.into_iter().chain(turn.signs_from).min();
        }
        turns
    }

    pub(super) fn signing(&self, stored: &Stored, now: u8) -> Option<usize> {
        let turns = self.turns(stored);
        let signs = |turn: &&Turn| !turn.retired && turn.signs_from.is_some_and(|from| from <= now);
        turns.iter().find(signs).map(|turn| turn.key)
    }

    pub(super) fn state(&self, stored: &Stored, key: usize, now: u8) -> KeyState {
        let Some(turn) = self.turns(stored).into_iter().find(|turn| turn.key == key) else {
            return KeyState::Unknown;
        };
        let replaced = turn.replaced_at.is_some_and(|at| at <= now);
        match turn.signs_from {
            _ if turn.retired => KeyState::Retired,
            None if turn.is_only_added() => KeyState::Added,
            Some(_) if self.signing(stored, now) == Some(key) => KeyState::Signing,
            _ if replaced && turn.has_ended(now) => KeyState::Expired,
            Some(from) if from > now && !replaced => KeyState::Next,
            _ => KeyState::Previous,
        }
    }

    pub(super) fn verifies(&self, stored: &Stored, key: usize, now: u8) -> bool {
        let turn = self.turns(stored).into_iter().find(|turn| turn.key == key);
        turn.is_some_and(|turn| {
            let dropped = self.mistake == Some(Mistake::DroppedWhenReplaced)
                && turn.replaced_at.is_some_and(|at| at <= now);
            !turn.retired && !turn.has_ended(now) && !dropped
        })
    }
}
