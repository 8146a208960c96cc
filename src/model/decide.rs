//! The decision: question, what was found and readiness in; outcome and reason out.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{
    Asker, Health, Member, Name, PlainTurn, Policy, RecordSet, Selection, Service, StaticSet,
    choose, plain_turn,
};

/// Decides the answer. `complete` says whether every source has given its first complete list;
/// before that nobody can know that a name does not exist.
#[must_use]
pub fn decide(question: &Question, policy: &Policy, complete: bool) -> Decision {
    let Question { zone, found, qtype, .. } = *question;
    let (outcome, reason) = match found {
        Found::Set(set) => return from_set(question, set, policy),
        Found::Service(service, set) => from_service(zone, service, set, qtype),
        Found::Static(set) => return from_statics(set, qtype, policy),
        Found::Pointer(host) => match qtype {
            RecordType::Ptr | RecordType::Any => (Outcome::Ptr(host.clone()), Reason::Address),
            _ => (Outcome::NoData, Reason::NoSuchType),
        },
        Found::Apex => match (qtype, zone) {
            (RecordType::Soa | RecordType::Any, Zone::Domain(_)) => (Outcome::Soa, Reason::Apex),
            (RecordType::Ns, Zone::Domain(_)) => (Outcome::Ns, Reason::Apex),
            _ => (Outcome::NoData, Reason::Apex),
        },
        _ if !complete => (Outcome::ServFail, Reason::NotListedYet),
        Found::Branch => (Outcome::NoData, Reason::OnlyNamesBelow),
        Found::Nothing if *zone == Zone::Foreign => (Outcome::Refused, Reason::NotOurs),
        Found::Nothing => (Outcome::NxDomain, Reason::Unknown),
    };
    Decision { outcome, ttl: policy.rules.general.resolved().ttl, reason }
}

/// A question, and what is known of its name.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The zone that the name is in.
    pub zone: &'a Zone,
    /// What is there.
    pub found: &'a Found,
    /// What is asked for.
    pub qtype: RecordType,
    /// Who asks.
    pub asker: &'a Asker,
}

/// What to answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub outcome: Outcome,
    /// TTL of its records, in seconds; negative answers have their own.
    pub ttl: u32,
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
    /// A PTR record.
    Ptr(Name),
    /// An SRV RRset (RFC 2782): port and target of each.
    Srv(Vec<(u16, Name)>),
    /// A TXT RRset: the strings of each record.
    Txt(Vec<Vec<String>>),
    /// The question's name is an alias of this one, which is to be answered too.
    Cname(Name),
    /// The zone's SOA, as an answer.
    Soa,
    /// The zone's NS.
    Ns,
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
        /// How many records are in the answer.
        answered: usize,
    },
    /// The address of an endpoint.
    Address,
    /// The configuration says so.
    Configured,
    /// The name exists, without data of the asked type that may be answered.
    NoSuchType,
    /// Endpoints have the name, none of them that port.
    NoSuchPort,
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
    /// Below `in-addr.arpa` or `ip6.arpa`, in the range of a network.
    Reverse(Name),
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
    /// A service of endpoints.
    Service(Service, Arc<RecordSet>),
    /// An endpoint's address, and the name it points back to.
    Pointer(Name),
    /// Records of the configuration.
    Static(Arc<StaticSet>),
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
    /// The name of an address.
    Ptr,
    /// Ports.
    Srv,
    /// What is known of a name's endpoints.
    Txt,
    /// An alias.
    Cname,
    /// A zone's SOA.
    Soa,
    /// A zone's NS.
    Ns,
    /// One RRset, whichever there is (RFC 8482 section 4.1).
    Any,
    /// No data of ours.
    Other,
}

/// A decision about the addresses of a set, but for whose turn it is: as long as the directory
/// does not change, the same question is answered by it again.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Whose addresses.
    pub set: Arc<RecordSet>,
    /// How they are chosen.
    pub selection: Selection,
}

impl Draw {
    /// What is drawn for a question for addresses. None: something else decides.
    #[must_use]
    pub fn of(question: &Question, policy: &Policy) -> Option<Self> {
        let Found::Set(set) = question.found else { return None };
        let addresses = matches!(question.qtype, RecordType::A | RecordType::Aaaa);
        addresses.then(|| Self { set: set.clone(), selection: selection(question, set, policy) })
    }

    /// Whether its answers are nothing but the next turn of the ring, as long as there is room for
    /// all of it. None: they take more than that.
    #[must_use]
    pub fn plain_turn(&self) -> Option<PlainTurn> {
        plain_turn(self.selection, self.set.place.dual_stack)
    }

    /// Takes the turn for an A RRset; nothing in `out` means NODATA.
    pub fn v4(&self, asker: &Asker, out: &mut Vec<Ipv4Addr>) {
        choose(&self.set.v4, self.selection, self.set.place.dual_stack, asker, out);
    }

    /// Takes the turn for an AAAA RRset; nothing in `out` means NODATA.
    pub fn v6(&self, asker: &Asker, out: &mut Vec<Ipv6Addr>) {
        match self.set.v6() {
            Some(ring) => choose(ring, self.selection, self.set.place.dual_stack, asker, out),
            None => out.clear(),
        }
    }
}

fn selection(question: &Question, set: &RecordSet, policy: &Policy) -> Selection {
    let domain = match question.zone {
        Zone::Domain(domain) => Some(domain),
        _ => None,
    };
    policy.rules.selection(domain, &set.owner, set.labels())
}

fn from_set(question: &Question, set: &Arc<RecordSet>, policy: &Policy) -> Decision {
    let selection = selection(question, set, policy);
    let draw = || Draw { set: set.clone(), selection };
    let qtype = match question.qtype {
        RecordType::Any if set.v4.is_empty() => RecordType::Aaaa,
        RecordType::Any => RecordType::A,
        other => other,
    };
    let (outcome, answered) = match qtype {
        RecordType::A => {
            let mut addresses = Vec::new();
            draw().v4(question.asker, &mut addresses);
            let answered = addresses.len();
            (Outcome::A(addresses), answered)
        }
        RecordType::Aaaa => {
            let mut addresses = Vec::new();
            draw().v6(question.asker, &mut addresses);
            let answered = addresses.len();
            (Outcome::Aaaa(addresses), answered)
        }
        RecordType::Txt => {
            let texts: Vec<_> = set.members.iter().map(|member| describe(set, member)).collect();
            let answered = texts.len();
            (Outcome::Txt(texts), answered)
        }
        _ => (Outcome::NoData, 0),
    };
    let ttl = selection.ttl;
    if answered == 0 {
        return Decision { outcome: Outcome::NoData, ttl, reason: Reason::NoSuchType };
    }
    Decision { outcome, ttl, reason: Reason::Endpoints { known: set.members.len(), answered } }
}

/// The strings of an endpoint's TXT record.
fn describe(set: &RecordSet, member: &Member) -> Vec<String> {
    vec![
        format!("container={}", member.container.name),
        format!("network={}", set.place.name),
        format!("health={}", member.container.condition.as_str()),
    ]
}

fn from_statics(set: &StaticSet, qtype: RecordType, policy: &Policy) -> Decision {
    let ttl = set.ttl.unwrap_or_else(|| policy.rules.general.resolved().ttl);
    if let Some(target) = &set.cname {
        let outcome = Outcome::Cname(target.clone());
        return Decision { outcome, ttl, reason: Reason::Configured };
    }
    let outcome = match qtype {
        RecordType::A | RecordType::Any if !set.v4.is_empty() => {
            Outcome::A(set.v4.rotate(Health::Ignore).collect())
        }
        RecordType::Aaaa | RecordType::Any if !set.v6.is_empty() => {
            Outcome::Aaaa(set.v6.rotate(Health::Ignore).collect())
        }
        RecordType::Txt | RecordType::Any if !set.texts.is_empty() => {
            Outcome::Txt(set.texts.iter().map(|text| vec![text.clone()]).collect())
        }
        _ => return Decision { outcome: Outcome::NoData, ttl, reason: Reason::NoSuchType },
    };
    Decision { outcome, ttl, reason: Reason::Configured }
}

/// SRV records of the endpoints that may be answered and have the port. Targets are qualified by
/// their network, and by the question's domain, so that each resolves to one container.
fn from_service(
    zone: &Zone,
    service: &Service,
    set: &RecordSet,
    qtype: RecordType,
) -> (Outcome, Reason) {
    let Some(wanted) = &service.port else {
        let any = set
            .members
            .iter()
            .flat_map(|m| m.container.ports.iter())
            .any(|port| service.fits(port));
        return if any {
            (Outcome::NoData, Reason::OnlyNamesBelow)
        } else {
            (Outcome::NxDomain, Reason::NoSuchPort)
        };
    };
    let mut records = Vec::new();
    for member in set.members.iter().filter(|member| set.answers(member)) {
        for port in
            member.container.ports.iter().filter(|port| service.fits(port) && wanted.is(port))
        {
            if let Some(target) = target(zone, set, member) {
                records.push((port.number, target));
            }
        }
    }
    let answered = records.len();
    match qtype {
        _ if answered == 0 => (Outcome::NxDomain, Reason::NoSuchPort),
        RecordType::Srv | RecordType::Any => {
            (Outcome::Srv(records), Reason::Endpoints { known: set.members.len(), answered })
        }
        _ => (Outcome::NoData, Reason::NoSuchType),
    }
}

/// `container.network`, below the domain where the question was.
fn target(zone: &Zone, set: &RecordSet, member: &Member) -> Option<Name> {
    let network = Name::parse(&set.place.name).ok()?;
    let target = member.container.host()?.below(&network).ok()?;
    match zone {
        Zone::Domain(domain) => target.below(domain).ok(),
        _ => Some(target),
    }
}

impl Zone {
    /// The owner name of its SOA.
    #[must_use]
    pub fn apex(&self) -> Name {
        match self {
            Self::Domain(apex) | Self::Network(apex) | Self::Reverse(apex) | Self::Bare(apex) => {
                apex.clone()
            }
            Self::Root | Self::Foreign => Name::root(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoints { known, answered } => {
                return write!(f, "{answered} records of {known} endpoints");
            }
            Self::Address => "the address of an endpoint",
            Self::Configured => "the configuration has a record for it",
            Self::NoSuchType => "the name exists, without data of this type",
            Self::NoSuchPort => "no endpoint of the name has this port",
            Self::Apex => "the name of a domain or network itself",
            Self::OnlyNamesBelow => "only names below it exist",
            Self::Unknown => "no running container has this name",
            Self::NotOurs => "not below a domain or network of ours",
            Self::NotListedYet => "the engine has not been listed completely yet",
        })
    }
}
