//! IPv4 subnets: parsing, overlap, and cutting one out of a pool.
//!
//! Pure, apart from [`host_routes`], which reads the kernel's routing table.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A block of IPv4 addresses in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: u32,
    prefix: u8,
}

/// A text that is no IPv4 subnet.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an IPv4 subnet such as 10.231.0.0/16")]
pub struct NotASubnet(String);

impl Subnet {
    /// The block of `2^(32 - prefix)` addresses that contains `address`.
    #[must_use]
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Subnet {
        Subnet { first: u32::from(address) & mask(prefix), prefix: prefix.min(32) }
    }

    /// Whether an address belongs to both.
    #[must_use]
    pub fn overlaps(self, other: Subnet) -> bool {
        let wider = mask(self.prefix.min(other.prefix));
        self.first & wider == other.first & wider
    }

    /// How many leading bits its addresses share.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether it is the whole of IPv4: the default route.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self.prefix == 0
    }

    /// How many blocks of the given prefix fit into it.
    #[must_use]
    pub fn blocks(self, prefix: u8) -> u32 {
        match prefix.checked_sub(self.prefix) {
            Some(bits @ 0..=31) => 1 << bits,
            _ => 0,
        }
    }

    /// The block of the given prefix at an index, counted round when it is too high. The prefix must fit.
    #[must_use]
    pub fn block(self, prefix: u8, index: u32) -> Subnet {
        let index = index % self.blocks(prefix).max(1);
        Subnet { first: self.first + (index << (32 - u32::from(prefix))), prefix }
    }
}

/// The prefix of the smallest block with room for so many endpoints besides the network's own three addresses; never
/// smaller than a /28.
#[must_use]
pub fn prefix_for(endpoints: usize) -> u8 {
    (8..=28).rev().find(|&prefix| (1usize << (32 - prefix)) >= endpoints + 4).unwrap_or(8)
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = NotASubnet;
    fn from_str(text: &str) -> Result<Subnet, NotASubnet> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            Some(Subnet::containing(address.parse().ok()?, prefix))
        };
        parse().ok_or_else(|| NotASubnet(text.to_owned()))
    }
}

impl TryFrom<String> for Subnet {
    type Error = NotASubnet;
    fn try_from(text: String) -> Result<Subnet, NotASubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> String {
        subnet.to_string()
    }
}

/// The destinations in the kernel's IPv4 routing table, default routes left out. A table that cannot be read is empty:
/// the engine then has the last word.
#[must_use]
pub fn host_routes() -> Vec<Subnet> {
    std::fs::read_to_string("/proc/net/route").map(|table| routes(&table)).unwrap_or_default()
}

/// Reads the table as the kernel prints it: hexadecimal, in the byte order of the network read as a native integer.
fn routes(table: &str) -> Vec<Subnet> {
    let address = |hex: &str| u32::from_str_radix(hex, 16).ok().map(|number| u32::from_be_bytes(number.to_ne_bytes()));
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let destination = address(columns.next()?)?;
            let netmask = address(columns.nth(5)?)?;
            let prefix = u8::try_from(netmask.count_ones()).ok()?;
            Some(Subnet::containing(destination.into(), prefix))
        })
        .filter(|subnet| !subnet.is_everything())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_overlap_when_one_contains_the_other() {
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.231.4.16/28")));
        assert!(subnet("10.231.4.16/28").overlaps(subnet("10.231.4.16/28")));
        assert!(!subnet("10.231.4.16/28").overlaps(subnet("10.231.4.32/28")));
    }

    #[test]
    fn blocks_are_cut_side_by_side_and_counted_round() {
        let pool = subnet("10.231.0.0/16");
        assert_eq!(pool.blocks(28), 4096);
        assert_eq!(pool.block(28, 0).to_string(), "10.231.0.0/28");
        assert_eq!(pool.block(28, 101).to_string(), "10.231.6.80/28");
        assert_eq!(pool.block(28, 4096), pool.block(28, 0));
        assert_eq!(subnet("10.0.0.0/30").blocks(28), 0);
    }

    #[test]
    fn a_block_has_room_for_the_endpoints() {
        assert_eq!([2, 12, 13, 28, 29].map(prefix_for), [28, 28, 27, 27, 26]);
    }

    #[test]
    fn the_kernels_table_is_read_without_its_default_route() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            tun0\t0000E70A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(routes(table), [subnet("10.231.0.0/16")]);
    }

    #[test]
    fn what_is_no_subnet_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/0", "x/8"] {
            assert!(text.parse::<Subnet>().is_err(), "{text:?}");
        }
    }
}
