//! What becomes of a name that is not ours: it leaves, or it never does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Forward, ForwardDomain, Name, Reverse, Subnet};

/// Where a name that is not ours is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside<'a> {
    /// By other servers: those of this domain, or the general ones.
    Leaves(Option<&'a ForwardDomain>),
    /// Here, since no other server may be asked.
    Special(Special),
    /// Nowhere: a single label that nobody has.
    SingleLabel,
}

/// A name for special use, answered where it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Special {
    /// The name that owns the SOA of negative answers.
    pub zone: Name,
    /// What there is.
    pub what: SpecialUse,
}

/// What there is under a name for special use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialUse {
    /// The host itself, at its loopback addresses (RFC 6761 section 6.3).
    Loopback,
    /// The name of the zone, or one that exists without data.
    Exists,
    /// Nothing.
    Nothing,
}

/// Names that never leave, since no server elsewhere can know them, or none should see them.
const LOCAL_ZONES: [&str; 9] = [
    "invalid",       // RFC 6761 section 6.4
    "test",          // RFC 6761 section 6.2
    "local",         // RFC 6762: multicast DNS
    "onion",         // RFC 7686
    "alt",           // RFC 9476
    "internal",      // reserved by ICANN in 2024 for private use
    "home.arpa",     // RFC 8375
    "service.arpa",  // RFC 9665
    "resolver.arpa", // RFC 9462 section 8.2
];
const LOCALHOST: &[u8] = b"\x09localhost";
/// It exists, without data: we name no encrypted resolver (RFC 9462 section 6.4).
const DESIGNATED_RESOLVER: &[u8] = b"\x04_dns\x08resolver\x04arpa";

const fn v4(a: u8, b: u8, prefix: u8) -> Subnet {
    Subnet { address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), prefix }
}

const fn v6(first: u16, prefix: u8) -> Subnet {
    Subnet { address: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix }
}

/// Ranges that mean something else on each network (RFC 1918, RFC 6303, RFC 7793).
const LOCAL_RANGES: [Subnet; 10] = [
    v4(10, 0, 8),
    v4(172, 16, 12),
    v4(192, 168, 16),
    v4(127, 0, 8),
    v4(169, 254, 16),
    v4(100, 64, 10),
    v4(0, 0, 8),
    v6(0xfd00, 8),
    v6(0xfe80, 10),
    Subnet { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
];

/// Decides where a name is answered that nothing of ours has.
#[must_use]
pub fn outside<'a>(name: &Name, forward: &'a Forward) -> Outside<'a> {
    if let Some(domain) = forward.domain_of(name) {
        return Outside::Leaves(Some(domain));
    }
    if let Some(special) = special(name) {
        return Outside::Special(special);
    }
    let single = name.is_single_label();
    if single && !forward.single_labels { Outside::SingleLabel } else { Outside::Leaves(None) }
}

/// Whether an address is one of a host's or site's own.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    LOCAL_RANGES.iter().any(|range| range.contains(address))
}

fn special(name: &Name) -> Option<Special> {
    let last = name.label_starts().last()?;
    let end = name.as_wire().len();
    if name.as_wire()[last..] == *LOCALHOST {
        return Some(Special { zone: name.part(last, end), what: SpecialUse::Loopback });
    }
    let zone = local_zone(name).or_else(|| reverse_zone(name))?;
    let exists = *name == zone || name.as_wire() == DESIGNATED_RESOLVER;
    Some(Special { zone, what: if exists { SpecialUse::Exists } else { SpecialUse::Nothing } })
}

/// The zone of [`LOCAL_ZONES`] that a name is in.
fn local_zone(name: &Name) -> Option<Name> {
    let zones = LOCAL_ZONES.iter().filter_map(|zone| Name::parse(zone).ok());
    zones.into_iter().find(|zone| name.prefix_before(zone).is_some())
}

/// The zone that an address of [`LOCAL_RANGES`] is in, as an address.
fn reverse_zone(name: &Name) -> Option<Name> {
    let reverse = Reverse::parse(name)?;
    let range = LOCAL_RANGES.iter().find(|range| range.contains(reverse.address))?;
    let bits_of_label = if range.address.is_ipv4() { 8 } else { 4 };
    let labels = usize::from(range.prefix.div_ceil(bits_of_label));
    // Less than the range's labels is a name above it, which the world has.
    let own = usize::from(reverse.bits / bits_of_label).checked_sub(labels)?;
    let start = name.label_starts().nth(own)?;
    Some(name.part(start, name.as_wire().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(text: &str, forward: &Forward) -> String {
        match outside(&text.parse().unwrap(), forward) {
            Outside::Leaves(None) => "leaves".to_owned(),
            Outside::Leaves(Some(domain)) => format!("leaves to {}", domain.servers[0]),
            Outside::Special(special) => format!("{:?} in {}", special.what, special.zone),
            Outside::SingleLabel => "single label".to_owned(),
        }
    }

    #[test]
    fn special_names_stay() {
        for (name, expected) in [
            ("localhost", "Loopback in localhost"),
            ("a.LocalHost.", "Loopback in localhost"),
            ("x.invalid", "Nothing in invalid"),
            ("invalid", "Exists in invalid"),
            ("duck.onion", "Nothing in onion"),
            ("a.b.test", "Nothing in test"),
            ("printer.local", "Nothing in local"),
            ("db.internal", "Nothing in internal"),
            ("nas.home.arpa", "Nothing in home.arpa"),
            ("home.arpa", "Exists in home.arpa"),
            ("_dns.resolver.arpa", "Exists in resolver.arpa"),
            ("1.0.0.10.in-addr.arpa", "Nothing in 10.in-addr.arpa"),
            ("10.in-addr.arpa", "Exists in 10.in-addr.arpa"),
            ("9.5.31.172.in-addr.arpa", "Nothing in 31.172.in-addr.arpa"),
            ("5.1.168.192.in-addr.arpa", "Nothing in 168.192.in-addr.arpa"),
            ("1.0.0.127.in-addr.arpa", "Nothing in 127.in-addr.arpa"),
            ("7.100.100.in-addr.arpa", "Nothing in 100.100.in-addr.arpa"),
            ("0.0.d.f.ip6.arpa", "Nothing in d.f.ip6.arpa"),
            ("1.b.e.f.ip6.arpa", "Nothing in b.e.f.ip6.arpa"),
        ] {
            assert_eq!(decided(name, &Forward::default()), expected, "{name}");
        }
    }

    #[test]
    fn the_rest_of_the_world_leaves() {
        for name in [
            "example.com",
            "notlocalhost.com",
            "localhost.example",
            "xinvalid.org",
            "8.8.8.8.in-addr.arpa",
            "1.32.172.in-addr.arpa",
            "172.in-addr.arpa",
            "in-addr.arpa",
            "1.b.8.b.d.0.1.0.0.2.ip6.arpa",
            "ipv4only.arpa",
        ] {
            assert_eq!(decided(name, &Forward::default()), "leaves", "{name}");
        }
    }

    #[test]
    fn the_root_is_no_single_label() {
        assert_eq!(outside(&Name::root(), &Forward::default()), Outside::Leaves(None));
    }

    #[test]
    fn a_domain_with_servers_of_its_own_goes_before_the_rule() {
        let servers = vec!["10.0.0.1".parse().unwrap()];
        let domain =
            |name: &str| ForwardDomain { name: name.parse().unwrap(), servers: servers.clone() };
        let domains = vec![domain("corp.internal"), domain("10.in-addr.arpa"), domain("intra")];
        let forward = Forward { domains, ..Forward::default() };
        for name in ["a.corp.internal", "1.2.3.10.in-addr.arpa", "intra"] {
            assert_eq!(decided(name, &forward), "leaves to 10.0.0.1:53", "{name}");
        }
        assert_eq!(decided("a.internal", &forward), "Nothing in internal");
    }

    #[test]
    fn a_single_label_leaves_only_when_asked_to() {
        assert_eq!(decided("web", &Forward::default()), "single label");
        let forward = Forward { single_labels: true, ..Forward::default() };
        assert_eq!(decided("web", &forward), "leaves");
        assert_eq!(decided("localhost", &forward), "Loopback in localhost");
    }

    #[test]
    fn addresses_of_a_site_are_local() {
        for (address, local) in [
            ("127.0.0.11", true),
            ("172.17.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("::1", true),
            ("1.1.1.1", false),
            ("172.32.0.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_local(address.parse().unwrap()), local, "{address}");
        }
    }
}
