//! Addresses as names: `in-addr.arpa` (RFC 1035 section 3.5) and `ip6.arpa` (RFC 3596).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Name, Subnet};

/// A name below `in-addr.arpa` or `ip6.arpa`, read as the front part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// The address, with zeros for what the name leaves out.
    pub address: IpAddr,
    /// How many bits the name gives.
    pub bits: u8,
}

const V4_LABELS: usize = 4;
const V6_LABELS: usize = 32;

impl Reverse {
    /// Reads a name; None if it is not below one of the two trees, or no part of an address.
    #[must_use]
    pub fn parse(name: &Name) -> Option<Self> {
        let mut labels: Vec<&[u8]> = name.labels().collect();
        if labels.pop()? != b"arpa" {
            return None;
        }
        match labels.pop()? {
            b"in-addr" if labels.len() <= V4_LABELS => {
                let mut octets = [0; V4_LABELS];
                for (octet, label) in octets.iter_mut().zip(labels.iter().rev()) {
                    *octet = decimal(label)?;
                }
                let bits = u8::try_from(labels.len() * 8).ok()?;
                Some(Self { address: Ipv4Addr::from(octets).into(), bits })
            }
            b"ip6" if labels.len() <= V6_LABELS => {
                let mut address: u128 = 0;
                for index in 0..V6_LABELS {
                    let label = labels.len().checked_sub(index + 1).map(|at| labels[at]);
                    address = address << 4 | u128::from(label.map_or(Some(0), nibble)?);
                }
                let bits = u8::try_from(labels.len() * 4).ok()?;
                Some(Self { address: Ipv6Addr::from(address).into(), bits })
            }
            _ => None,
        }
    }

    /// Whether the name gives the whole address.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bits == if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The zone that a subnet makes: its bits, cut to whole labels.
    #[must_use]
    pub fn zone_of(subnet: &Subnet) -> Name {
        let (texts, tree): (Vec<String>, _) = match subnet.address {
            IpAddr::V4(v4) => {
                let labels = usize::from(subnet.prefix / 8);
                let octets = v4.octets();
                let own = octets.iter().take(labels).rev();
                (own.map(ToString::to_string).collect(), "in-addr")
            }
            IpAddr::V6(v6) => {
                let labels = usize::from(subnet.prefix / 4);
                let nibbles = v6.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
                let own: Vec<u8> = nibbles.take(labels).collect();
                (own.iter().rev().map(|nibble| format!("{nibble:x}")).collect(), "ip6")
            }
        };
        let labels = texts.iter().map(String::as_bytes).chain([tree.as_bytes(), b"arpa"]);
        // An address fits a name.
        Name::from_labels(labels).unwrap_or_else(|_| Name::root())
    }
}

/// An octet as RFC 1035 writes it: no leading zero.
fn decimal(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    let value: u8 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

fn nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit] => char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, u8)> {
        let reverse = Reverse::parse(&Name::parse(text).unwrap())?;
        Some((reverse.address.to_string(), reverse.bits))
    }

    #[test]
    fn reads_whole_addresses_and_front_parts() {
        let whole = |text: &str, bits| Some((text.to_owned(), bits));
        assert_eq!(read("4.1.200.172.in-addr.arpa"), whole("172.200.1.4", 32));
        assert_eq!(read("200.172.in-addr.arpa"), whole("172.200.0.0", 16));
        assert_eq!(read("in-addr.arpa"), whole("0.0.0.0", 0));
        let v6 = "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.0.0.0.3.1.2.0.0.0.d.f.ip6.arpa";
        assert_eq!(read(v6), whole("fd00:213:5::11", 128));
        assert_eq!(read("0.0.D.F.IP6.ARPA"), whole("fd00::", 16));
    }

    #[test]
    fn leaves_other_names_alone() {
        for text in ["web", "arpa", "04.1.1.1.in-addr.arpa", "256.in-addr.arpa", "x.ip6.arpa"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("1.2.3.4.5.in-addr.arpa"), None);
    }

    #[test]
    fn a_subnet_is_a_zone_of_whole_labels() {
        let zone = |text: &str| Reverse::zone_of(&text.parse().unwrap()).to_string();
        assert_eq!(zone("172.200.1.0/24"), "1.200.172.in-addr.arpa");
        assert_eq!(zone("172.16.0.0/12"), "172.in-addr.arpa");
        assert_eq!(zone("fd00:213::/32"), "3.1.2.0.0.0.d.f.ip6.arpa");
    }
}
