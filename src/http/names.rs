//! `GET /v1/names`: the directory as JSON.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Pages;
use crate::model::{
    Found, Health, Name, NameError, RecordSet, RecordType, StaticSet, View, Warning,
};

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
    /// Whether another owner claims the name here, too: the warnings say who.
    pub collision: bool,
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
    /// Where it has the name from: `name`, `id`, `hostname`, `label`, `alias`, `host`, or `record`
    /// for the configuration.
    pub source: String,
    /// `running`, `healthy`, `starting`, `unhealthy` or `paused`.
    pub state: String,
    /// Whether answers have it; health may leave it out.
    pub answered: bool,
}

/// All names, or those that one name can mean: unqualified, qualified, or below a domain.
pub(super) fn listing(pages: &Pages, name: Option<&str>) -> Result<Directory, NameError> {
    let name = name.map(Name::parse).transpose()?;
    let mut sets = pages.directory.sets(name.as_ref());
    if let Some(name) = name.as_ref().filter(|_| sets.is_empty()) {
        let policy = pages.directory.policy();
        let lookup = pages.directory.resolve(name, RecordType::Any, &policy, &View::All);
        if let Found::Set(set) = lookup.found {
            sets.push(set);
        }
    }
    let warnings = pages.directory.warnings();
    let collisions: Vec<Warning> = warnings.iter().filter(|w| w.is_collision()).cloned().collect();
    let shown = |owner| sets.iter().any(|set| set.owner == owner);
    let warnings = warnings.into_iter().filter(|w| name.is_none() || shown(w.name.clone()));
    let policy = pages.directory.policy();
    let configured = policy
        .statics
        .sets()
        .into_iter()
        .filter(|(owner, _)| name.as_ref().is_none_or(|name| *owner == name.to_string()));
    let configured = configured.map(|(owner, set)| static_entry(owner, set));
    let mut names: Vec<NameEntry> = configured.chain(sets.iter().map(entry)).collect();
    let claimed: HashSet<(String, Option<&str>)> =
        collisions.iter().map(|warning| (warning.name.to_string(), warning.network())).collect();
    for entry in &mut names {
        let here = |network| claimed.contains(&(entry.name.clone(), network));
        entry.collision = here(None) || here(Some(&entry.network));
    }
    Ok(Directory { names, warnings: warnings.map(|warning| warning.to_string()).collect() })
}

/// A name of the configuration: its records stand in the place of endpoints.
fn static_entry(owner: String, set: &StaticSet) -> NameEntry {
    let record = |v4, v6, state: String| EndpointEntry {
        container: "-".to_owned(),
        id: String::new(),
        v4,
        v6,
        source: "record".to_owned(),
        state,
        answered: true,
    };
    let state = || "configured".to_owned();
    let v4 = set.v4.addresses(Health::Ignore).into_iter().map(|v4| record(Some(v4), None, state()));
    let v6 = set.v6.addresses(Health::Ignore).into_iter().map(|v6| record(None, Some(v6), state()));
    let cname = set.cname.iter().map(|target| record(None, None, format!("CNAME {target}")));
    let texts = set.texts.iter().map(|text| record(None, None, format!("TXT {text}")));
    let endpoints = v4.chain(v6).chain(cname).chain(texts).collect();
    NameEntry { name: owner, network: "-".to_owned(), collision: false, endpoints }
}

fn entry(set: &Arc<RecordSet>) -> NameEntry {
    let endpoints = set.members.iter().map(|member| EndpointEntry {
        container: member.container.name.to_string(),
        id: member.container.id.0.to_string(),
        v4: member.v4,
        v6: member.v6,
        source: member.container.source_of(&set.owner).as_str().to_owned(),
        state: member.container.condition.as_str().to_owned(),
        answered: set.answers(member),
    });
    NameEntry {
        name: set.owner.to_string(),
        network: set.place.name.to_string(),
        collision: false,
        endpoints: endpoints.collect(),
    }
}
