//! What a client is asked at a quiet point.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fastrand::Rng;

use crate::case::{Asked, DOMAIN};
use crate::facts::{Container, Facts};

/// Types that no name of Docker's has data of.
const OTHER_TYPES: &[&str] = &["MX", "TXT", "SRV", "ANY", "HTTPS", "CNAME", "NS", "SOA"];
/// Names that were, asked at one point; of all of them there would be more and more.
const DEAD_NAMES: usize = 8;

/// Every name that exists anywhere, in every form, and names that exist nowhere. `first` is true
/// once in a run.
pub(crate) fn questions(
    rng: &mut Rng,
    facts: &Facts,
    client: &Container,
    ever: &BTreeSet<String>,
    first: bool,
) -> Vec<Asked> {
    let mut list = List { rng, asked: BTreeSet::new(), others: BTreeMap::new() };
    let living = facts.names();
    let dead = ever.difference(&living).cloned();
    let dead = list.rng.choose_multiple(dead, DEAD_NAMES);
    for name in living.into_iter().chain(dead) {
        list.owner(&name, facts, client);
    }
    for network in &facts.networks {
        list.bare(&network.name);
        list.bare(&format!("nd-none.{}", network.name));
        list.below_domain(&network.name);
    }
    for name in ["nd-none", "nd-none.invalid", "nd-none.nd-none"] {
        list.bare(name);
        list.below_domain(name);
    }
    list.ask(DOMAIN, "A");
    // Docker never answers this one, which costs the whole time-out.
    if first {
        list.ask(&client.name, "A");
        list.ask(&client.name, "PTR");
    }
    for address in addresses(facts) {
        list.ask(&reverse(address), "PTR");
    }
    list.asked.into_iter().collect()
}

struct List<'a> {
    rng: &'a mut Rng,
    asked: BTreeSet<Asked>,
    /// The other type that a name in lower case is asked for: what two spellings of it get can be
    /// compared.
    others: BTreeMap<String, &'static str>,
}

impl List<'_> {
    /// A name by itself, and on every network.
    fn owner(&mut self, name: &str, facts: &Facts, client: &Container) {
        self.bare(name);
        for network in &facts.networks {
            let qualified = format!("{name}.{}", network.name);
            if client.on(&network.name).is_some() {
                self.bare(&qualified);
            } else {
                self.ask(&qualified, "A");
            }
            if self.one_in(6) {
                self.below_domain(&qualified);
            }
        }
        // What stands above a dotted name.
        for (dot, _) in name.match_indices('.') {
            self.bare(&name[dot + 1..]);
        }
        if self.one_in(4) {
            self.ask(&format!("nd-none.{name}"), "A");
            self.below_domain(name);
        }
    }

    /// Addresses of both kinds, in its own case and in another one, and one other type.
    fn bare(&mut self, name: &str) {
        self.ask(name, "A");
        self.ask(name, "AAAA");
        let drawn = OTHER_TYPES[self.rng.usize(0..OTHER_TYPES.len())];
        let other = *self.others.entry(name.to_lowercase()).or_insert(drawn);
        self.ask(name, other);
        let shaken = self.shaken(name);
        self.put(shaken.clone(), "A", name);
        if self.one_in(4) {
            self.put(shaken.clone(), "AAAA", name);
            self.put(shaken, other, name);
        }
    }

    /// A name below netalias's own domain, beside the same name above it.
    fn below_domain(&mut self, name: &str) {
        for qtype in ["A", "AAAA", "TXT"] {
            self.ask(name, qtype);
            self.ask(&format!("{name}.{DOMAIN}"), qtype);
        }
    }

    fn ask(&mut self, name: &str, qtype: &'static str) {
        self.put(name.to_owned(), qtype, name);
    }

    fn put(&mut self, name: String, qtype: &'static str, exact: &str) {
        self.asked.insert(Asked { name, qtype, exact: exact.to_owned() });
    }

    /// The name in random case.
    fn shaken(&mut self, name: &str) -> String {
        let shake = |c: char| if self.rng.bool() { c.to_ascii_uppercase() } else { c };
        name.to_lowercase().chars().map(shake).collect()
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.rng.u8(0..n) == 0
    }
}

/// Every container's and gateway's addresses, and one of each subnet that nobody has.
fn addresses(facts: &Facts) -> BTreeSet<IpAddr> {
    let attachments = || facts.containers.iter().flat_map(|c| &c.attachments);
    let used = attachments().flat_map(|a| a.addresses.iter().chain(&a.gateways).copied());
    let free = facts.networks.iter().flat_map(|n| &n.subnets).filter_map(|subnet| {
        let (first, _) = subnet.split_once('/')?;
        match first.parse().ok()? {
            IpAddr::V4(first) => Some(IpAddr::V4((u32::from(first) + 250).into())),
            IpAddr::V6(first) => Some(IpAddr::V6((u128::from(first) + 0xfade).into())),
        }
    });
    used.chain(free).collect()
}

/// The name under which an address has its PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub(crate) fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = format!("{:032x}", u128::from(v6));
            digits.chars().rev().flat_map(|digit| [digit, '.']).collect::<String>() + "ip6.arpa"
        }
    }
}

/// The end of such names for a range of 16, 24 or 64 bits, as the engine and the test make them.
pub(crate) fn reverse_range(subnet: &str) -> Option<String> {
    let (first, bits) = subnet.split_once('/')?;
    let first: IpAddr = first.parse().ok()?;
    let host_bits = if first.is_ipv4() { 32 } else { 128 } - bits.parse::<usize>().ok()?;
    let labels = host_bits / if first.is_ipv4() { 8 } else { 4 };
    let name = reverse(first);
    let (at, _) = name.match_indices('.').nth(labels.checked_sub(1)?)?;
    Some(name[at..].to_owned())
}
