//! Collisions: names that two owners claim. One of them answers; both are told.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::{ContainerId, Member, Name, NameSource, Policy, RecordSet};

/// A name with two owners.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Collision {
    /// The name.
    pub name: Name,
    /// What comes of it.
    pub clash: Clash,
}

/// What comes of two owners.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Clash {
    /// One answers.
    Hides {
        /// Who answers.
        answers: String,
        /// Who would answer without it.
        hidden: String,
    },
    /// Both are in the answer, on one network.
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
}

/// Finds them among all sets, ordered by name and network.
#[must_use]
pub fn collisions(
    sets: &[Arc<RecordSet>],
    networks: &[Arc<str>],
    policy: &Policy,
) -> Vec<Collision> {
    let mut found: Vec<Collision> = sets.iter().filter_map(|set| shared_own_name(set)).collect();
    found.extend(sets.iter().filter(|set| set.labels_differ).map(|set| labels_differ(set)));
    for same_name in sets.chunk_by(|a, b| a.owner == b.owner) {
        found.extend(two_networks(same_name));
        found.extend(against_configuration(&same_name[0], policy));
    }
    let domains = policy.domains.iter();
    found.extend(domains.filter_map(|domain| {
        let network = networks.iter().find(|n| Name::parse(n).as_ref() == Ok(domain))?;
        Some(hides(domain, "the configured domain".to_owned(), format!("the network {network}")))
    }));
    found
}

/// A container's own name that another container of the network has, too: both are in the set.
fn shared_own_name(set: &RecordSet) -> Option<Collision> {
    let owner = set.members.iter().find(|member| member.source.is_own())?;
    let other = set.members.iter().find(|member| member.container != owner.container)?;
    let (owner, other) = (owner.name.to_string(), other.name.to_string());
    let network = set.place.name.to_string();
    Some(Collision { name: set.owner.clone(), clash: Clash::Together { owner, other, network } })
}

fn labels_differ(set: &RecordSet) -> Collision {
    let containers = container_names(set);
    let network = set.place.name.to_string();
    Collision { name: set.owner.clone(), clash: Clash::Labels { containers, network } }
}

fn container_names(set: &RecordSet) -> String {
    let names: Vec<&str> = set.members.iter().map(|member| &*member.name).collect();
    names.join(", ")
}

/// One alias on two networks, for different containers: a client of both gets the first one's.
fn two_networks(sets: &[Arc<RecordSet>]) -> Option<Collision> {
    let ids = |set: &RecordSet| -> HashSet<ContainerId> {
        set.members.iter().map(|member| member.container.clone()).collect()
    };
    let is_host = |set: &RecordSet| set.members.iter().all(is_host);
    let first = sets.iter().find(|set| !is_host(set))?;
    let other = sets.iter().find(|set| !is_host(set) && ids(set) != ids(first))?;
    let owner = |set: &RecordSet| format!("{} on {}", container_names(set), set.place.name);
    Some(hides(&first.owner, owner(first), owner(other)))
}

/// A container's name that the configuration has, too: the configuration answers, since it is the
/// operator's, and anybody who can start a container can choose an alias.
fn against_configuration(set: &RecordSet, policy: &Policy) -> Option<Collision> {
    let configured = policy.statics.owners().any(|owner| *owner == set.owner);
    let apex = policy.domains.iter().any(|domain| *domain == set.owner);
    let member = set.members.first().filter(|_| configured || apex)?;
    let owner = format!("{} on {}", member.name, set.place.name);
    let (answers, hidden) = if configured {
        ("the configuration's record".to_owned(), owner)
    } else {
        (owner, "the configured domain".to_owned())
    };
    Some(hides(&set.owner, answers, hidden))
}

/// The host has its names on every network.
fn is_host(member: &Member) -> bool {
    member.source == NameSource::Host
}

fn hides(name: &Name, answers: String, hidden: String) -> Collision {
    Collision { name: name.clone(), clash: Clash::Hides { answers, hidden } }
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.clash {
            Clash::Hides { answers, hidden } => {
                write!(f, "{name}: {answers} answers, and hides {hidden}")
            }
            Clash::Labels { containers, network } => {
                write!(f, "{name}: the labels of {containers} on {network} disagree; most decide")
            }
            Clash::Together { owner, other, network } => {
                write!(f, "{name}: the name of {owner} and an alias of {other} on {network}")
            }
        }
    }
}
