//! What is asked: names with addresses, as questions with what is right to answer, and as the
//! lines of a scenario.

use std::net::{Ipv4Addr, Ipv6Addr};

use clap::ValueEnum;

/// Who asks: a container of the network that is asked about. Everything is on loopback, so that
/// no address needs to be made.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);
/// The address before those of the first name.
const BASE: Ipv4Addr = Ipv4Addr::new(127, 16, 0, 0);
/// The same for IPv6.
const BASE_6: u128 = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 1, 0).to_bits();
/// The domain of netalias's default configuration.
pub(crate) const SUFFIX: &str = "rr.internal";
/// The digits of a name: `n000042`.
pub(crate) const DIGITS: usize = 6;
/// From one question to the next, so that neighbours are not asked one after the other; prime.
const STRIDE: u32 = 617;

pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// 1,000 names with 4 addresses each
    W1,
    /// One name with 4 addresses
    W2,
    /// 100 names with 20 addresses each
    W3,
    /// A and AAAA in pairs with EDNS, 1,000 names that have 4 IPv4 addresses each
    W4,
    /// w1, while the registry changes 1,000 times a second
    W5,
    /// w1 on a network with IPv4 and IPv6, with `answers = sortproof`
    W6,
}

/// How many names and addresses there are, and how they are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) names: u32,
    pub(crate) addresses: u32,
    /// AAAA, which no name has, is asked as often as A, all with EDNS.
    pub(crate) pairs: bool,
    /// The network has IPv6, too, and answers are chosen for what clients sort.
    pub(crate) dual: bool,
    /// An address of each name comes and goes.
    pub(crate) churn: bool,
}

/// What is sent, and what is right to come back.
pub(crate) struct Question {
    /// The whole message; its id is filled in.
    pub(crate) query: Vec<u8>,
    /// So many answers at least and at most.
    pub(crate) count: (u16, u16),
    /// Addresses are one of these: the first one, and how many follow.
    pub(crate) first: u32,
    pub(crate) span: u32,
}

impl Workload {
    pub(crate) fn shape(self) -> Shape {
        let w1 = Shape { names: 1000, addresses: 4, pairs: false, dual: false, churn: false };
        match self {
            Self::W1 => w1,
            Self::W2 => Shape { names: 1, ..w1 },
            Self::W3 => Shape { names: 100, addresses: 20, ..w1 },
            Self::W4 => Shape { pairs: true, ..w1 },
            Self::W5 => Shape { churn: true, ..w1 },
            Self::W6 => Shape { dual: true, ..w1 },
        }
    }

    /// Whether a server that only reads zones can be asked the same.
    pub(crate) fn is_for_peers(self) -> bool {
        !matches!(self, Self::W5 | Self::W6)
    }
}

impl Shape {
    pub(crate) fn name(name: u32) -> String {
        format!("n{name:0DIGITS$}")
    }

    pub(crate) fn address(&self, name: u32, which: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(BASE.to_bits() + 256 + name * self.addresses + which)
    }

    fn address_6(&self, name: u32, which: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(BASE_6 + u128::from(name * self.addresses + which))
    }

    pub(crate) fn questions(&self, suffix: &str) -> Vec<Question> {
        let order = (0..self.names).map(|n| n.wrapping_mul(STRIDE) % self.names);
        let kinds: &[u16] = if self.pairs { &[A, AAAA] } else { &[A] };
        order.flat_map(|name| kinds.iter().map(move |k| self.question(name, *k, suffix))).collect()
    }

    pub(crate) fn question(&self, name: u32, kind: u16, suffix: &str) -> Question {
        let all = u16::try_from(self.addresses).unwrap_or(u16::MAX);
        let count = match kind {
            AAAA => (0, 0),
            _ if self.dual => (1, all),
            _ if self.churn => (all - 1, all),
            _ => (all, all),
        };
        let first = self.address(name, 0).to_bits();
        let query = query(&Self::name(name), suffix, kind, self.pairs);
        Question { query, count, first, span: self.addresses }
    }

    /// The whole world as docker commands.
    pub(crate) fn scenario(&self) -> impl Iterator<Item = String> {
        let six = if self.dual { " --ipv6 --subnet fd00:1::/64" } else { "" };
        let network = format!("docker network create --subnet 127.0.0.0/8{six} net");
        let client_6 = if self.dual { " --ip6 fd00:1::9" } else { "" };
        let client = format!("docker run -d --name client --net net --ip {CLIENT}{client_6} image");
        let all = (0..self.names).flat_map(|name| (0..self.addresses).map(move |k| (name, k)));
        let this = *self;
        let backends = all.map(move |(name, which)| {
            let six = this.dual.then(|| format!(" --ip6 {}", this.address_6(name, which)));
            let six = six.unwrap_or_default();
            format!(
                "docker run -d --name c{name}-{which} --net net --net-alias {} --ip {}{six} image",
                Self::name(name),
                this.address(name, which)
            )
        });
        [network, client].into_iter().chain(backends)
    }

    /// The change number `n` of an endless row: a container leaves the network, and the next
    /// change brings it back.
    pub(crate) fn change(&self, n: u32) -> String {
        let name = (n / 2) % self.names;
        if n.is_multiple_of(2) {
            return format!("docker network disconnect net c{name}-0");
        }
        let (alias, address) = (Self::name(name), self.address(name, 0));
        format!("docker network connect --alias {alias} --ip {address} net c{name}-0")
    }

    /// The question whose answer shows that the change number `n` has come through.
    pub(crate) fn question_of_change(&self, n: u32) -> Question {
        let mut question = self.question((n / 2) % self.names, A, SUFFIX);
        let (_, all) = question.count;
        let now = if n.is_multiple_of(2) { all - 1 } else { all };
        question.count = (now, now);
        question
    }
}

pub(crate) fn query(name: &str, suffix: &str, kind: u16, edns: bool) -> Vec<u8> {
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in std::iter::once(name).chain(suffix.split('.')).filter(|label| !label.is_empty()) {
        query.push(u8::try_from(label.len()).unwrap_or(63));
        query.extend(label.bytes());
    }
    query.push(0);
    query.extend(kind.to_be_bytes());
    query.extend([0, 1]);
    if edns {
        // A root name, OPT, 1232 bytes, version 0.
        query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    query
}
