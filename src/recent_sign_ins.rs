//! The addresses from which an account was signed in to within the last hour: a sign-in is written once an hour for each
//! method and address. Knows neither the database nor the audit trail.

use std::net::IpAddr;

use aws_lc_rs::digest;
use uuid::Uuid;

use crate::clock::Timestamp;

/// A sign-in by the same method from the same address is written once in this time, in seconds.
const INTERVAL: i64 = 60 * 60;
/// How many addresses are kept. From more than these within the hour, an address that comes back is written again.
const MOST: usize = 8;
/// Bytes of an address's hash. With 24 bits one IPv4 address cannot be told from 255 others, so that a row does not tell where
/// its user was; that two addresses of one account collide, and the second is not written, happens once in 16 million.
const FINGERPRINT_BYTES: usize = 3;

/// The addresses and the time of the last written sign-in from each, as they are stored: `hash:seconds`, separated by spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentSignIns(Option<String>);

impl RecentSignIns {
    /// Takes over what is stored. What cannot be read counts as nothing.
    #[must_use]
    pub fn from_stored(text: Option<String>) -> Self {
        Self(text)
    }

    /// Returns the text to be stored.
    #[must_use]
    pub fn as_stored(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns whether a sign-in from this address is to be written. `owner` is the identity or the user, so that the same
    /// address has another hash in each row.
    #[must_use]
    pub fn is_due(&self, owner: Uuid, ip: Option<IpAddr>, now: Timestamp) -> bool {
        let fingerprint = fingerprint(owner, ip);
        let last = self.entries().find(|(known, _)| *known == fingerprint);
        last.is_none_or(|(_, at)| !is_recent(at, now))
    }

    /// Notes that a sign-in from this address is written now, and forgets those before the last hour.
    pub fn record(&mut self, owner: Uuid, ip: Option<IpAddr>, now: Timestamp) {
        let fingerprint = fingerprint(owner, ip);
        let mut text = format!("{fingerprint}:{}", now.0);
        let others = self.entries().filter(|(known, at)| *known != fingerprint && is_recent(*at, now));
        for (known, at) in others.take(MOST - 1) {
            text.extend([" ", known, ":", &at.0.to_string()]);
        }
        self.0 = Some(text);
    }

    fn entries(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let entries = self.0.as_deref().unwrap_or_default().split(' ');
        entries.filter_map(|entry| {
            let (fingerprint, at) = entry.split_once(':')?;
            Some((fingerprint, Timestamp(at.parse().ok()?)))
        })
    }
}

/// A time in the future is recent: a clock that was set back is no reason to write.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < INTERVAL
}

/// IPv6 counts by /64, as it does for rate limits: a customer has at least that many addresses, and each would be an event.
fn fingerprint(owner: Uuid, ip: Option<IpAddr>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(owner.as_bytes());
    match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => hash.update(&ip.octets()),
        Some(IpAddr::V6(ip)) => hash.update(&ip.octets()[..8]),
        None => {}
    }
    hex::encode(&hash.finish().as_ref()[..FINGERPRINT_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Uuid = Uuid::nil();
    const NOW: Timestamp = Timestamp(1_800_000_000);

    #[expect(clippy::unnecessary_wraps, reason = "what the functions take")]
    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_address_is_due_once_an_hour() {
        let mut recent = RecentSignIns::default();
        let addresses = ["192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1"];
        for address in addresses {
            assert!(recent.is_due(OWNER, ip(address), NOW), "{address}");
            recent.record(OWNER, ip(address), NOW);
        }
        for later in [-36_000, 0, 3599] {
            for address in addresses {
                assert!(!recent.is_due(OWNER, ip(address), NOW.plus(later)), "{address} {later}");
            }
        }
        assert!(recent.is_due(OWNER, ip("192.0.2.1"), NOW.plus(3600)));
        assert!(recent.is_due(OWNER, None, NOW));
        // One network of a customer, and one address in two spellings.
        assert!(!recent.is_due(OWNER, ip("2001:db8::ffff"), NOW));
        assert!(recent.is_due(OWNER, ip("2001:db8:0:1::1"), NOW));
        assert!(!recent.is_due(OWNER, ip("::ffff:192.0.2.1"), NOW));
    }

    #[test]
    fn the_list_is_bounded_and_forgets_what_is_older_than_an_hour() {
        let mut recent = RecentSignIns::default();
        for number in 0..100 {
            recent.record(OWNER, ip(&format!("192.0.2.{number}")), NOW.plus(number));
        }
        assert_eq!(recent.entries().count(), MOST);
        assert!(recent.as_stored().unwrap().len() < 200);
        recent.record(OWNER, ip("192.0.2.1"), NOW.plus(4000));
        assert_eq!(recent.entries().count(), 1);
    }

    #[test]
    fn a_row_does_not_tell_the_address_and_what_cannot_be_read_is_nothing() {
        let mut recent = RecentSignIns::default();
        recent.record(OWNER, ip("192.0.2.1"), NOW);
        let mut other = RecentSignIns::default();
        other.record(Uuid::from_u128(1), ip("192.0.2.1"), NOW);
        assert_ne!(recent, other);
        for text in ["", " ", ":", "abc", "abcdef:x", "abcdef:99999999999999999999"] {
            assert!(RecentSignIns::from_stored(Some(text.to_owned())).is_due(OWNER, None, NOW), "{text}");
        }
    }
}
