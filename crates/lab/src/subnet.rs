//! The address range of a lab: `10.87.N.0/24`, with the gateway at `.1` and hosts from `.11` on.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// One of the 256 ranges `10.87.N.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subnet(u8);

/// A host's last octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Seat(pub(crate) u8);

/// The seats of a subnet that hosts get.
pub(crate) const SEATS: std::ops::RangeInclusive<u8> = 11..=250;

/// An address range that this machine already routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
    last: u32,
}

impl Range {
    /// Reads `192.0.2.0/24` or `192.0.2.7`; anything else (`default`, IPv6) is no range.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let length = length
            .parse::<u32>()
            .ok()
            .filter(|length| (1..=32).contains(length))?;
        let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
        Some(Self {
            first: address & !hosts,
            last: address | hosts,
        })
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl Subnet {
    /// The preferred subnet if none of `taken` overlaps it, else the first that is free.
    pub(crate) fn pick(preferred: Option<Self>, taken: &[Range]) -> Option<Self> {
        let is_free = |subnet: &Self| !taken.iter().any(|range| range.overlaps(subnet.range()));
        preferred
            .into_iter()
            .chain((0..=255).map(Self))
            .find(is_free)
    }

    /// The subnet whose bridge has this name.
    pub(crate) fn of_bridge(name: &str) -> Option<Self> {
        name.strip_prefix("lotse-")?.parse().ok().map(Self)
    }

    /// The name of the bridge on this machine.
    pub fn bridge(self) -> String {
        format!("lotse-{}", self.0)
    }

    /// The name of the machine's end of a host's link.
    pub(crate) fn link(self, seat: Seat) -> String {
        format!("lotse-{}-{}", self.0, seat.0)
    }

    /// This machine's address on the bridge.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 87, self.0, 1)
    }

    pub(crate) fn address(self, seat: Seat) -> Ipv4Addr {
        Ipv4Addr::new(10, 87, self.0, seat.0)
    }

    fn range(self) -> Range {
        let first = u32::from(Ipv4Addr::new(10, 87, self.0, 0));
        Range {
            first,
            last: first | 255,
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "10.87.{}.0/24", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(preferred: Option<u8>, taken: &[&str]) -> Option<u8> {
        let taken: Vec<_> = taken.iter().filter_map(|text| Range::parse(text)).collect();
        Subnet::pick(preferred.map(Subnet), &taken).map(|subnet| subnet.0)
    }

    #[test]
    fn the_first_free_subnet_is_picked() {
        for (preferred, taken, picked) in [
            (None, &[][..], Some(0)),
            (None, &["default", "192.0.2.0/24", "fe80::/64"], Some(0)),
            (None, &["10.87.0.0/24", "10.87.1.1"], Some(2)),
            (Some(7), &["10.87.0.0/24"], Some(7)),
            (Some(7), &["10.87.7.128/25"], Some(0)),
            (None, &["10.87.0.0/17"], Some(128)),
            (None, &["10.0.0.0/8"], None),
        ] {
            assert_eq!(pick(preferred, taken), picked, "{preferred:?} {taken:?}");
        }
    }

    #[test]
    fn link_names_fit_the_kernel() {
        assert!(Subnet(255).link(Seat(250)).len() <= 15);
        assert_eq!(Subnet::of_bridge("lotse-255"), Some(Subnet(255)));
        assert_eq!(Subnet::of_bridge("lotse-255-11"), None);
        assert_eq!(Subnet::of_bridge("docker0"), None);
    }
}
