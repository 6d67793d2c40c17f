//! Which networks an address counts for.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// The limits of an IPv6 /48 are this many times those of one address.
pub(super) const SITE_FACTOR: u32 = 16;

/// The networks that an address counts for, by hashes of a random seed, so that nobody can look for two that share a count.
///
/// An IPv4 address is its own network. An IPv6 address counts by its /64, which is what one subscriber gets at least, and by its
/// /48, which is what one site gets at most: who has a /48 has 65 536 /64s. IPv4 written as IPv6 (`::ffff:10.0.0.1`) is IPv4, or all
/// of it would be one /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Networks {
    /// The address, or its /64.
    pub own: u64,
    /// The /48 of an IPv6 address.
    pub site: Option<u64>,
}

impl Networks {
    pub(super) fn of(address: IpAddr, seed: &RandomState) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self { own: seed.hash_one((4, address.to_bits())), site: None },
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self { own: seed.hash_one((64, [a, b, c, d])), site: Some(seed.hash_one((48, [a, b, c]))) }
            }
        }
    }

    /// Returns each network and how many times the limits of one address it has.
    pub(super) fn keys(self) -> impl Iterator<Item = (u64, u32)> {
        let site = self.site.map(|site| (site, SITE_FACTOR));
        std::iter::once((self.own, 1)).chain(site)
    }
}
