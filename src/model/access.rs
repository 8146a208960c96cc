//! `Access`: who may ask.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Subnet;

/// The clients that are answered; others get no reply at all, so that nobody can use the server
/// against a third party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access(Vec<Range>);

/// A range of client addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// `loopback`: the machine itself.
    Loopback,
    /// `private`: addresses that are not routed on the Internet.
    Private,
    /// `engine`: the subnets of the engine's networks, whichever they are.
    Engine,
    /// `all`: everybody.
    All,
    /// These addresses.
    Subnet(Subnet),
}

/// A text that is no [`Range`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeError(String);

/// RFC 1918, RFC 6598 (shared), RFC 3927 and RFC 4291 (link-local), RFC 4193 (unique local).
const PRIVATE: [(IpAddr, u8); 7] = [
    (IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(std::net::Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(std::net::Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(std::net::Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

impl Access {
    /// Clients in any of these ranges.
    #[must_use]
    pub fn new(ranges: Vec<Range>) -> Self {
        Self(ranges)
    }

    /// The ranges.
    pub fn ranges(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().copied()
    }

    /// Whether a client may ask. `of_engine` says whether its address is in a subnet of the
    /// engine's, or may be: it is asked last.
    #[must_use]
    pub fn admits(&self, client: IpAddr, of_engine: impl FnOnce() -> bool) -> bool {
        let client = client.to_canonical();
        let in_range = |range: &Range| match range {
            Range::Loopback => client.is_loopback(),
            Range::Private => {
                PRIVATE.iter().any(|&(address, prefix)| Subnet { address, prefix }.contains(client))
            }
            Range::All => true,
            Range::Subnet(subnet) => subnet.contains(client),
            Range::Engine => false,
        };
        self.0.iter().any(in_range) || (self.0.contains(&Range::Engine) && of_engine())
    }
}

/// The machine itself, private addresses, and the engine's own subnets.
impl Default for Access {
    fn default() -> Self {
        Self(vec![Range::Loopback, Range::Private, Range::Engine])
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let subnet = || {
            let whole = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
            let single = text.parse().map(|address| Subnet { address, prefix: whole(address) });
            text.parse().or(single).map(Self::Subnet)
        };
        match text {
            "loopback" => Ok(Self::Loopback),
            "private" => Ok(Self::Private),
            "engine" => Ok(Self::Engine),
            "all" => Ok(Self::All),
            _ => subnet().map_err(|_| RangeError(text.to_owned())),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("loopback"),
            Self::Private => f.write_str("private"),
            Self::Engine => f.write_str("engine"),
            Self::All => f.write_str("all"),
            Self::Subnet(subnet) => write!(f, "{}/{}", subnet.address, subnet.prefix),
        }
    }
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not one of loopback, private, engine, all, nor an address or ADDRESS/PREFIX",
            self.0
        )
    }
}

impl std::error::Error for RangeError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(ranges: &[&str], client: &str, of_engine: bool) -> bool {
        let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
        Access::new(ranges).admits(client.parse().unwrap(), || of_engine)
    }

    #[test]
    fn by_default_the_machine_private_addresses_and_the_engines_subnets() {
        let default = |client: &str, of_engine| {
            Access::default().admits(client.parse().unwrap(), || of_engine)
        };
        for client in ["127.9.9.9", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "fd00::7"] {
            assert!(default(client, false), "{client}");
        }
        assert!(default("::ffff:10.0.0.1", false), "an IPv4 client on an IPv6 socket");
        assert!(!default("8.8.8.8", false) && !default("2001:db8::1", false));
        assert!(default("172.200.1.2", true), "a subnet of the engine that is not private");
        assert!(!default("172.200.1.2", false));
    }

    #[test]
    fn a_list_replaces_the_default() {
        assert!(admits(&["203.0.113.0/24"], "203.0.113.7", false));
        assert!(!admits(&["203.0.113.0/24"], "127.0.0.1", true));
        assert!(admits(&["203.0.113.7"], "203.0.113.7", false));
        assert!(admits(&["all"], "8.8.8.8", false));
        assert!(!admits(&[], "127.0.0.1", true));
        assert!("203.0.113.0/33".parse::<Range>().is_err() && "lan".parse::<Range>().is_err());
    }
}
