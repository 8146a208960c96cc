//! One question with both replies, and in what they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::facts::{Attachment, Container, DEFAULT_BRIDGE, Facts};
use crate::probe::{Answer, Reply};
use crate::questions::reverse_range;

/// The domain of netalias's own.
pub(crate) const DOMAIN: &str = "rr.internal";

/// A question, both replies, and what can be known about it.
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) client: &'a Container,
    /// Everything that this client was asked at this point.
    pub(crate) sheet: &'a Sheet,
    pub(crate) asked: &'a Asked,
    pub(crate) docker: Reply,
    pub(crate) netalias: Reply,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    /// The name as it is asked.
    pub(crate) name: String,
    /// The type's mnemonic.
    pub(crate) qtype: &'static str,
    /// The same name in the case in which docker was told it.
    pub(crate) exact: String,
}

/// Docker's reply and netalias's, by name and type.
pub(crate) type Sheet = BTreeMap<(String, &'static str), (Reply, Reply)>;

/// A container without an endpoint of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    /// `--network container:X`.
    OfContainer,
    /// `--network host`.
    OfHost,
}

/// What a reply says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// These data.
    Data(BTreeSet<String>),
    /// The name exists without them.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// That is for others to say: passed on, or not done for want of an upstream.
    NotLocal,
    /// The server is not there.
    Nobody,
    /// Anything else.
    Failure(String),
}

/// Something in which two replies can differ. Order is left out: Docker shuffles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Facet {
    /// Which data, or why none.
    Verdict,
    /// Whether a SOA says how long a negative answer may be kept.
    Soa,
    /// The AA bit.
    Authority,
    /// How long a positive answer may be kept.
    Ttl,
    /// Whether names come back in the case of the question, as Docker's do.
    Case,
}

impl Case<'_> {
    /// In what the two replies differ.
    pub(crate) fn differences(&self) -> Vec<Facet> {
        let case_lost = matches!(&self.netalias, Reply::Answer(answer) if !answer.case_kept);
        let case_lost = case_lost.then_some(Facet::Case);
        let alike = self.docker() == self.netalias();
        if !alike || matches!(self.netalias(), Verdict::Failure(_)) {
            return case_lost.into_iter().chain([Facet::Verdict]).collect();
        }
        let (Reply::Answer(docker), Reply::Answer(netalias)) = (&self.docker, &self.netalias)
        else {
            return case_lost.into_iter().collect();
        };
        let differ = [
            (Facet::Soa, docker.soa != netalias.soa),
            (Facet::Authority, docker.authoritative != netalias.authoritative),
            (Facet::Ttl, docker.ttl != netalias.ttl),
        ];
        let differ = differ.into_iter().filter(|(_, differ)| *differ).map(|(facet, _)| facet);
        case_lost.into_iter().chain(differ).collect()
    }

    pub(crate) fn docker(&self) -> Verdict {
        docker_verdict(&self.docker)
    }

    pub(crate) fn netalias(&self) -> Verdict {
        netalias_verdict(&self.netalias)
    }

    /// The name in lower case, without an own domain.
    pub(crate) fn name(&self) -> String {
        let name = self.asked.name.to_lowercase();
        match name.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('.')) {
            Some(relative) => relative.to_owned(),
            None => name,
        }
    }

    /// What the name can mean on the client's networks: owner name and network.
    pub(crate) fn readings(&self) -> Vec<(String, &str)> {
        let name = self.name();
        let mut readings = Vec::new();
        for attachment in &self.client.attachments {
            readings.push((name.clone(), attachment.network.as_str()));
            let below = format!(".{}", attachment.network.to_lowercase());
            if let Some(owner) = name.strip_suffix(&below) {
                readings.push((owner.to_owned(), attachment.network.as_str()));
            }
        }
        readings
    }

    /// Its readings, and what its readings mean where they are link aliases.
    pub(crate) fn meanings(&self) -> Vec<(String, &str)> {
        self.readings().into_iter().chain(self.links()).collect()
    }

    /// What the client means by the name as a link alias, and on which network.
    pub(crate) fn links(&self) -> Vec<(String, &str)> {
        let linked = self.link_targets().into_iter();
        linked.map(|(target, network)| (target.to_owned(), network)).collect()
    }

    /// Who holds the name, in any reading.
    pub(crate) fn holders(&self) -> Vec<(&Container, &Attachment)> {
        let mut holders = Vec::new();
        for (owner, network) in self.readings() {
            holders.extend(self.facts.holders(&owner, network));
        }
        holders
    }

    /// The client's addresses of those who hold the name without an endpoint of their own.
    pub(crate) fn guests(&self, kind: Guest) -> Vec<IpAddr> {
        let networks = self.client.attachments.iter().map(|on| on.network.as_str());
        networks.flat_map(|network| self.guests_on(network, kind)).collect()
    }

    /// The same on one network.
    pub(crate) fn guests_on(&self, network: &str, kind: Guest) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for (owner, _) in self.meanings().into_iter().filter(|(_, on)| *on == network) {
            for guest in self.facts.containers.iter().filter(|guest| guest.running) {
                if guest.own_names().any(|name| name.eq_ignore_ascii_case(&owner)) {
                    addresses.extend(self.facts.through(guest, kind, network));
                }
            }
        }
        addresses
    }

    /// The addresses on the default bridge of those who hold the name there as their own.
    pub(crate) fn on_default_bridge(&self) -> Vec<IpAddr> {
        let holders = self.holders().into_iter().filter(|(_, on)| on.network == DEFAULT_BRIDGE);
        holders.flat_map(|(_, on)| on.addresses.iter().copied()).collect()
    }

    /// The name as link aliases of the client spell it.
    pub(crate) fn link_spellings(&self) -> Vec<String> {
        let mut spellings = Vec::new();
        for on in &self.client.attachments {
            for (_, alias) in &on.links {
                spellings.extend([alias.clone(), format!("{alias}.{}", on.network)]);
            }
        }
        spellings.retain(|name| name.eq_ignore_ascii_case(&self.asked.name));
        spellings
    }

    /// Whether it is a link alias of the client, and nobody is called as it means any more.
    pub(crate) fn is_dead_link_alias(&self) -> bool {
        let targets = self.link_targets();
        let is_dead = |(target, on): &(&str, &str)| self.facts.holders(target, on).is_empty();
        targets.iter().any(is_dead)
    }

    /// Whom the client calls so, and on which network.
    fn link_targets(&self) -> Vec<(&str, &str)> {
        let mut targets = Vec::new();
        for (owner, network) in self.readings() {
            let links = self.client.on(network).into_iter().flat_map(|on| &on.links);
            let links = links.filter(|(_, alias)| alias.eq_ignore_ascii_case(&owner));
            targets.extend(links.map(|(target, _)| (target.as_str(), network)));
        }
        targets
    }

    /// Whether the name stands for an address in the range of any network.
    pub(crate) fn is_in_a_subnet(&self) -> bool {
        let name = self.name();
        let mut ranges = self.facts.networks.iter().flat_map(|network| &network.subnets);
        ranges.any(|range| reverse_range(range).is_some_and(|range| name.ends_with(&range)))
    }

    /// Whether the name ends in the name of a network that the client is on.
    pub(crate) fn is_below_a_network(&self) -> bool {
        let name = self.name();
        let below = |a: &Attachment| name.ends_with(&format!(".{}", a.network.to_lowercase()));
        self.client.attachments.iter().any(below)
    }

    /// Whether the name stands for an address.
    pub(crate) fn is_reverse(&self) -> bool {
        self.name().rsplit('.').next() == Some("arpa")
    }

    /// What netalias says to the same name's addresses: whether the name exists there.
    pub(crate) fn exists_in_netalias(&self) -> bool {
        let reply = self.sheet.get(&(self.asked.name.clone(), "A"));
        let verdict = reply.map(|(_, netalias)| netalias_verdict(netalias));
        matches!(verdict, Some(Verdict::Data(_) | Verdict::NoData))
    }

    /// The addresses of the type asked for, as answers spell them.
    pub(crate) fn of_type(&self, addresses: impl IntoIterator<Item = IpAddr>) -> BTreeSet<String> {
        let wanted = |address: &IpAddr| match self.asked.qtype {
            "A" => address.is_ipv4(),
            "AAAA" => address.is_ipv6(),
            _ => false,
        };
        addresses.into_iter().filter(wanted).map(|address| address.to_string()).collect()
    }
}

pub(crate) fn docker_verdict(reply: &Reply) -> Verdict {
    match reply {
        Reply::Nobody => Verdict::Nobody,
        Reply::Silence => Verdict::Failure("silence".to_owned()),
        Reply::PassedOn => Verdict::NotLocal,
        // It would have passed it on, but may not or cannot.
        Reply::Answer(answer) if ["SERVFAIL", "REFUSED"].contains(&&*answer.code) => {
            Verdict::NotLocal
        }
        Reply::Answer(answer) => of_answer(answer),
    }
}

/// Without the AA bit an answer is not its own.
pub(crate) fn netalias_verdict(reply: &Reply) -> Verdict {
    match reply {
        Reply::Nobody => Verdict::Failure("not reached".to_owned()),
        Reply::Silence => Verdict::Failure("silence".to_owned()),
        Reply::PassedOn => Verdict::NotLocal,
        Reply::Answer(answer) if !answer.authoritative && answer.data.is_empty() => {
            match &*answer.code {
                "REFUSED" | "SERVFAIL" | "NXDOMAIN" => Verdict::NotLocal,
                _ => of_answer(answer),
            }
        }
        Reply::Answer(answer) => of_answer(answer),
    }
}

fn of_answer(answer: &Answer) -> Verdict {
    match &*answer.code {
        "NOERROR" if answer.data.is_empty() => Verdict::NoData,
        "NOERROR" => Verdict::Data(answer.data.clone()),
        "NXDOMAIN" => Verdict::NxDomain,
        other => Verdict::Failure(other.to_owned()),
    }
}

/// Replies that netalias could have given instead, each wrong in one way.
pub(crate) fn damaged(reply: &Reply) -> Vec<Reply> {
    let Reply::Answer(answer) = reply else { return Vec::new() };
    let with = |damage: &dyn Fn(&mut Answer)| {
        let mut other = answer.clone();
        damage(&mut other);
        Reply::Answer(other)
    };
    let mut replies = vec![
        with(&|answer| answer.data.extend(["192.0.2.1".to_owned()])),
        with(&|answer| answer.case_kept = false),
        with(&|answer| "SERVFAIL".clone_into(&mut answer.code)),
        with(&|answer| {
            let other = if answer.code == "NXDOMAIN" { "NOERROR" } else { "NXDOMAIN" };
            other.clone_into(&mut answer.code);
            answer.data.clear();
        }),
    ];
    if !answer.data.is_empty() {
        replies.push(with(&|answer| drop(answer.data.pop_first())));
        replies.push(with(&|answer| answer.data.clear()));
    }
    replies
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => f.write_str(&data.iter().cloned().collect::<Vec<_>>().join(" ")),
            Self::NoData => f.write_str("NODATA"),
            Self::NxDomain => f.write_str("NXDOMAIN"),
            Self::NotLocal => f.write_str("not local"),
            Self::Nobody => f.write_str("no resolver"),
            Self::Failure(what) => f.write_str(what),
        }
    }
}
