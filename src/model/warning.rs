//! Warnings: names that two owners claim, and selections that do not reach their end.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::{Answers, ContainerId, Member, Name, NameSource, Policy, RecordSet};

/// Containers of one name that a sentence names; the others are counted.
const NAMED: usize = 3;

/// Something about a name that people should know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning {
    /// The name.
    pub name: Name,
    /// What it is.
    pub what: What,
}

/// What there is to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Two owners; one answers.
    Hides {
        /// Who answers.
        answers: String,
        /// Who would answer without it.
        hidden: String,
    },
    /// Two owners; both are in the answer, on one network.
    Together {
        /// Whose own name it is.
        owner: String,
        /// Whose alias it is.
        other: String,
        /// Where.
        network: String,
    },
    /// The labels of its containers disagree about how it is answered; most of them decide.
    Labels {
        /// Whose labels.
        containers: String,
        /// Where.
        network: String,
    },
    /// All addresses are answered where clients sort them: those that do all take the same one.
    ClientsSort {
        /// Where.
        network: String,
    },
}

impl Warning {
    /// Whether two owners claim the name.
    #[must_use]
    pub fn is_collision(&self) -> bool {
        matches!(self.what, What::Hides { .. } | What::Together { .. })
    }

    /// The one network that it is about; none where it goes beyond one.
    #[must_use]
    pub fn network(&self) -> Option<&str> {
        match &self.what {
            What::Hides { .. } => None,
            What::Together { network, .. }
            | What::Labels { network, .. }
            | What::ClientsSort { network } => Some(network),
        }
    }
}

/// What there is to know of a name, by all its sets, ordered by network.
#[must_use]
pub fn warnings_of(sets: &[&RecordSet], policy: &Policy) -> Vec<Warning> {
    let mut found: Vec<Warning> = sets.iter().filter_map(|set| shared_own_name(set)).collect();
    found.extend(sets.iter().filter(|set| set.labels_differ()).map(|set| labels_differ(set)));
    found.extend(sets.iter().filter_map(|set| clients_sort(set, policy)));
    found.extend(two_networks(sets));
    found.extend(sets.first().and_then(|set| against_configuration(set, policy)));
    found
}

/// Networks that are called as a domain is.
#[must_use]
pub fn warnings_of_domains(networks: &[Arc<str>], policy: &Policy) -> Vec<Warning> {
    let warning = |domain: &Name| {
        let network = networks.iter().find(|n| Name::parse(n).as_ref() == Ok(domain))?;
        Some(hides(domain, "the configured domain".to_owned(), format!("the network {network}")))
    };
    policy.domains.iter().filter_map(warning).collect()
}

/// A container's own name that another container of the network has, too: both are in the set.
/// Those who share a network share the hostname, and lead to one address.
fn shared_own_name(set: &RecordSet) -> Option<Warning> {
    if set.members.len() < 2 {
        return None;
    }
    let owner = set.members.iter().find(|m| m.container.source_of(&set.owner).is_own())?;
    let leads_on =
        |m: &&Member| m.container.id != owner.container.id && (m.v4, m.v6) != (owner.v4, owner.v6);
    let other = set.members.iter().find(leads_on)?;
    let (owner, other) = (owner.container.name.to_string(), other.container.name.to_string());
    let network = set.place.name.to_string();
    Some(Warning { name: set.owner.clone(), what: What::Together { owner, other, network } })
}

fn labels_differ(set: &RecordSet) -> Warning {
    let containers = container_names(set);
    let network = set.place.name.to_string();
    Warning { name: set.owner.clone(), what: What::Labels { containers, network } }
}

fn clients_sort(set: &RecordSet, policy: &Policy) -> Option<Warning> {
    let overrides = policy.rules.without_domain(&set.owner, set.labels());
    let all = overrides.answers == Some(Answers::All);
    let network = set.place.name.to_string();
    (all && set.place.dual_stack && set.members.len() > 1)
        .then(|| Warning { name: set.owner.clone(), what: What::ClientsSort { network } })
}

/// Whose they are; of many, the first few.
fn container_names(set: &RecordSet) -> String {
    let mut names: Vec<&str> = set.members.iter().map(|member| &*member.container.name).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

/// One alias on two networks, for different containers: a client of both gets the first one's.
fn two_networks(sets: &[&RecordSet]) -> Option<Warning> {
    if sets.len() < 2 {
        return None;
    }
    let is_host = |set: &RecordSet| set.members.iter().all(|member| is_host(member, &set.owner));
    let mut sets: Vec<&RecordSet> = sets.iter().copied().filter(|set| !is_host(set)).collect();
    // As they are searched: where nobody has an address of its own, last.
    sets.sort_by_key(|set| set.members.iter().all(|member| member.guest));
    let (first, others) = sets.split_first()?;
    let answers: HashSet<&ContainerId> = first.members.iter().map(|m| &m.container.id).collect();
    let hides = |set: &RecordSet| set.members.iter().any(|m| !answers.contains(&m.container.id));
    let other = others.iter().find(|set| hides(set))?;
    let owner = |set: &RecordSet| format!("{} on {}", container_names(set), set.place.name);
    Some(self::hides(&first.owner, owner(first), owner(other)))
}

/// A container's name that the configuration has, too: the configuration answers, since it is the
/// operator's, and anybody who can start a container can choose an alias.
fn against_configuration(set: &RecordSet, policy: &Policy) -> Option<Warning> {
    let configured = policy.statics.owners().any(|owner| *owner == set.owner);
    let apex = policy.domains.iter().any(|domain| *domain == set.owner);
    let member = set.members.first().filter(|_| configured || apex)?;
    let owner = format!("{} on {}", member.container.name, set.place.name);
    let (answers, hidden) = if configured {
        ("the configuration's record".to_owned(), owner)
    } else {
        (owner, "the configured domain".to_owned())
    };
    Some(hides(&set.owner, answers, hidden))
}

/// The host has its names on every network.
fn is_host(member: &Member, owner: &Name) -> bool {
    member.container.source_of(owner) == NameSource::Host
}

fn hides(name: &Name, answers: String, hidden: String) -> Warning {
    Warning { name: name.clone(), what: What::Hides { answers, hidden } }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::Hides { answers, hidden } => {
                write!(f, "{name}: {answers} answers, and hides {hidden}")
            }
            What::ClientsSort { network } => write!(
                f,
                "{name}: answers = all on {network}, which has IPv4 and IPv6: clients that sort \
                 (getaddrinfo) all take the same one; sortproof or 1 spreads them"
            ),
            What::Labels { containers, network } => {
                write!(f, "{name}: the labels of {containers} on {network} disagree; most decide")
            }
            What::Together { owner, other, network } => {
                write!(f, "{name}: the name of {owner} and an alias of {other} on {network}")
            }
        }
    }
}
