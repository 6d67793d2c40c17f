//! How often something happened in the last minute, in constant memory: by the counts of the current minute and of the one
//! before, of which only the share that is less than a minute ago counts.

use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_mins(1);

/// Two counters. A minute begins with the first event, so that the count is exact until a second minute begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastMinute {
    began: Instant,
    current: u32,
    previous: u32,
}

impl LastMinute {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, current: 0, previous: 0 }
    }

    /// Counts one event.
    pub(super) fn add(&mut self, now: Instant) {
        *self = self.at(now);
        self.current = self.current.saturating_add(1);
    }

    /// Returns how many events there were in the last minute.
    pub(super) fn count(&self, now: Instant) -> u32 {
        let Self { began, current, previous } = self.at(now);
        let left = MINUTE.saturating_sub(now.saturating_duration_since(began));
        let share = u64::from(previous) * millis(left) / millis(MINUTE);
        current.saturating_add(u32::try_from(share).unwrap_or(u32::MAX))
    }

    /// Returns how long it takes until no more than `limit` are counted, if nothing else happens.
    pub(super) fn until_at_most(&self, limit: u32, now: Instant) -> Duration {
        let Self { began, current, previous } = self.at(now);
        let left = MINUTE.saturating_sub(now.saturating_duration_since(began));
        // From the beginning of a minute until the share of the minute before is at most `allowed`.
        let until_share_is = |of: u32, allowed: u32| {
            let left = ((u64::from(allowed) + 1) * millis(MINUTE) - 1) / u64::from(of.max(1));
            MINUTE.saturating_sub(Duration::from_millis(left))
        };
        if self.count(now) <= limit {
            Duration::ZERO
        } else if current <= limit {
            until_share_is(previous, limit - current).saturating_sub(MINUTE.saturating_sub(left))
        } else {
            left + until_share_is(current, limit)
        }
    }

    /// The same counters as they stand at `now`.
    fn at(self, now: Instant) -> Self {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed < MINUTE {
            self
        } else if elapsed < MINUTE * 2 {
            Self { began: self.began + MINUTE, current: 0, previous: self.current }
        } else {
            Self::new(now)
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_more_than_a_minute_ago_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut minute = LastMinute::new(start);
        assert_eq!(minute.count(start), 0);
        for _ in 0..30 {
            minute.add(start);
        }
        for (second, expected) in [(0, 30), (59, 30), (60, 30), (61, 29), (90, 15), (119, 0), (500, 0)] {
            assert_eq!(minute.count(at(second)), expected, "after {second} s");
        }
        minute.add(at(90));
        assert_eq!(minute.count(at(90)), 16);
        minute.add(at(1000));
        assert_eq!(minute.count(at(1000)), 1);
    }

    #[test]
    fn after_the_time_that_is_told_the_count_is_low_enough_and_not_much_earlier() {
        for (events, later) in [(30, 0), (30, 15), (30, 75), (400, 3), (301, 61), (1, 0)] {
            let start = Instant::now();
            let mut minute = LastMinute::new(start);
            for _ in 0..events {
                minute.add(start);
            }
            let now = start + Duration::from_secs(later);
            for limit in [0, 1, 14, 29, 300] {
                let wait = minute.until_at_most(limit, now);
                let then = now + wait;
                assert!(minute.count(then) <= limit, "{events} events, {later} s, {limit}: {wait:?}");
                let earlier = now + wait.saturating_sub(Duration::from_millis(100));
                assert!(
                    wait.is_zero() || minute.count(earlier) > limit,
                    "{events} events, {later} s, {limit}: {wait:?} is too long"
                );
            }
        }
    }
}
