//! `GET /v1/names`: the directory as JSON.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Pages;
use crate::model::{Found, Name, NameError, RecordSet, View};

/// What a server knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// All names, or those that were asked for.
    pub names: Vec<NameEntry>,
    /// A sentence for each thing to know: names that two owners claim, and the like.
    pub warnings: Vec<String>,
}

/// One name on one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameEntry {
    /// The unqualified owner name.
    pub name: String,
    /// The network's name.
    pub network: String,
    /// Who answers to it, in rotation order.
    pub endpoints: Vec<EndpointEntry>,
}

/// One endpoint of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointEntry {
    /// The container's name.
    pub container: String,
    /// The container's id.
    pub id: String,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Where it has the name from: `name`, `id`, `hostname`, `label`, `alias` or `host`.
    pub source: String,
    /// `running`, `healthy`, `starting`, `unhealthy` or `paused`.
    pub state: String,
    /// Whether answers have it; health may leave it out.
    pub answered: bool,
}

/// All names, or those that one name can mean: unqualified, qualified, or below a domain.
pub(super) fn listing(pages: &Pages, name: Option<&str>) -> Result<Directory, NameError> {
    let name = name.map(Name::parse).transpose()?;
    let one_name = name.is_some();
    let mut sets = pages.directory.sets(name.as_ref());
    if let Some(name) = name.filter(|_| sets.is_empty()) {
        let policy = pages.directory.policy();
        let lookup = pages.directory.resolve(&name, &policy, &View::All);
        if let Found::Set(set) = lookup.found {
            sets.push(set);
        }
    }
    let warnings = pages.directory.warnings();
    let shown = |owner| sets.iter().any(|set| set.owner == owner);
    let warnings = warnings.into_iter().filter(|w| !one_name || shown(w.name.clone()));
    Ok(Directory {
        names: sets.iter().map(entry).collect(),
        warnings: warnings.map(|warning| warning.to_string()).collect(),
    })
}

fn entry(set: &Arc<RecordSet>) -> NameEntry {
    let endpoints = set.members.iter().map(|member| EndpointEntry {
        container: member.name.to_string(),
        id: member.container.0.to_string(),
        v4: member.v4,
        v6: member.v6,
        source: member.source.as_str().to_owned(),
        state: member.condition.as_str().to_owned(),
        answered: set.answers(member),
    });
    NameEntry {
        name: set.owner.to_string(),
        network: set.place.name.to_string(),
        endpoints: endpoints.collect(),
    }
}
