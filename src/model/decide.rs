//! The decision: question, what was found and readiness in; outcome and reason out.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Name, RecordSet};

/// Decides the answer. `complete` says whether every source has given its first complete list;
/// before that nobody can know that a name does not exist.
#[must_use]
pub fn decide(zone: &Zone, found: &Found, qtype: RecordType, complete: bool) -> Decision {
    let (outcome, reason) = match (found, zone) {
        (Found::Set(set), _) => return from_set(set, qtype),
        (Found::Apex, _) => (Outcome::NoData, Reason::Apex),
        (_, _) if !complete => (Outcome::ServFail, Reason::NotListedYet),
        (Found::Branch, _) => (Outcome::NoData, Reason::OnlyNamesBelow),
        (Found::Nothing, Zone::Foreign) => (Outcome::Refused, Reason::NotOurs),
        (Found::Nothing, _) => (Outcome::NxDomain, Reason::Unknown),
    };
    Decision { outcome, reason }
}

/// What to answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub outcome: Outcome,
    /// Its reason, for people.
    pub reason: Reason,
}

/// The kinds of answers (RFC 9499 section 3, RFC 2308 for the negative ones).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An A RRset, in the order to send.
    A(Vec<Ipv4Addr>),
    /// An AAAA RRset, in the order to send.
    Aaaa(Vec<Ipv6Addr>),
    /// The name exists without the asked type: NOERROR, empty, SOA.
    NoData,
    /// The name does not exist: NXDOMAIN, SOA.
    NxDomain,
    /// It cannot be known: SERVFAIL.
    ServFail,
    /// The name is not ours to answer: REFUSED.
    Refused,
}

/// Why an answer is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Endpoints of the name were found.
    Endpoints {
        /// How many have the name.
        known: usize,
        /// How many addresses are in the answer.
        answered: usize,
    },
    /// Endpoints have the name, none of them an address of the asked type that may be answered.
    NoSuchType,
    /// The name of an own domain itself, or of a network.
    Apex,
    /// Only names below it exist (RFC 8020).
    OnlyNamesBelow,
    /// Nothing has this name.
    Unknown,
    /// The name is below no own domain and no known network.
    NotOurs,
    /// No complete list has come from the engine yet.
    NotListedYet,
}

/// The zone that a name belongs to; its apex owns the SOA of negative answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Below a configured domain.
    Domain(Name),
    /// Qualified by a network's name.
    Network(Name),
    /// A bare name that exists: it is its own apex.
    Bare(Name),
    /// A single label that does not exist. Only the root can say so.
    Root,
    /// Anything else: not ours.
    Foreign,
}

/// What the directory has for a question's name.
#[derive(Clone, Debug)]
pub enum Found {
    /// Endpoints.
    Set(Arc<RecordSet>),
    /// The apex of a zone of ours.
    Apex,
    /// An empty non-terminal.
    Branch,
    /// Nothing.
    Nothing,
}

/// The types that are answered with data; every other one is NODATA where the name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// No data of ours.
    Other,
}

fn from_set(set: &RecordSet, qtype: RecordType) -> Decision {
    let (outcome, answered) = match qtype {
        RecordType::A => {
            let addresses = set.v4.rotate();
            let answered = addresses.len();
            (Outcome::A(addresses), answered)
        }
        RecordType::Aaaa => {
            let addresses = set.v6.rotate();
            let answered = addresses.len();
            (Outcome::Aaaa(addresses), answered)
        }
        RecordType::Other => (Outcome::NoData, 0),
    };
    if answered == 0 {
        return Decision { outcome: Outcome::NoData, reason: Reason::NoSuchType };
    }
    Decision { outcome, reason: Reason::Endpoints { known: set.members.len(), answered } }
}

impl Zone {
    /// The owner name of its SOA.
    #[must_use]
    pub fn apex(&self) -> Name {
        match self {
            Self::Domain(apex) | Self::Network(apex) | Self::Bare(apex) => apex.clone(),
            Self::Root | Self::Foreign => Name::root(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoints { known, answered } => {
                write!(f, "{answered} addresses of {known} endpoints, rotating")
            }
            Self::NoSuchType => f.write_str("the name exists, without an address of this type"),
            Self::Apex => f.write_str("the name of a domain or network itself"),
            Self::OnlyNamesBelow => f.write_str("only names below it exist"),
            Self::Unknown => f.write_str("no running container has this name"),
            Self::NotOurs => f.write_str("not below a domain or network of ours"),
            Self::NotListedYet => f.write_str("the engine has not been listed completely yet"),
        }
    }
}
