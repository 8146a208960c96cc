//! What the engine has, as `docker inspect` says it: who holds which name on which network.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use netalias_testkit::{Docker, label};
use serde_json::Value;

use crate::case::Guest;

/// The network that Docker gives no names.
pub(crate) const DEFAULT_BRIDGE: &str = "bridge";

/// The engine's state, as far as it is the test's own.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) containers: Vec<Container>,
    /// The default bridge among them.
    pub(crate) networks: Vec<Network>,
}

/// A container.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) running: bool,
    pub(crate) paused: bool,
    /// When, as the engine writes it.
    pub(crate) created: String,
    pub(crate) pid: u32,
    /// Its network namespace, where that can be seen.
    pub(crate) namespace: Option<PathBuf>,
    pub(crate) hostname: String,
    /// The container whose network namespace it shares (`--network container:X`).
    pub(crate) shares: Option<String>,
    pub(crate) attachments: Vec<Attachment>,
}

/// A container's place on a network.
#[derive(Default)]
pub(crate) struct Attachment {
    pub(crate) network: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) gateways: Vec<IpAddr>,
    pub(crate) aliases: Vec<String>,
    /// Target and link alias.
    pub(crate) links: Vec<(String, String)>,
}

/// A network.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) subnets: Vec<String>,
    pub(crate) gateways: Vec<IpAddr>,
}

impl Facts {
    /// Asks the engine.
    pub(crate) fn read(docker: &Docker) -> Result<Self, String> {
        let filter = format!("label={}", label());
        let containers = inspect(docker, &["ps", "-aq", "--filter", &filter], &["inspect"])?;
        let networks = ["network", "ls", "-q", "--filter", &filter];
        let mut networks = inspect(docker, &networks, &["network", "inspect"])?;
        let bridge = docker.attempt(&["network", "inspect", DEFAULT_BRIDGE])?;
        networks.extend(serde_json::from_str::<Vec<Value>>(&bridge).map_err(|e| e.to_string())?);
        let mut facts = Self {
            containers: containers.iter().map(container).collect(),
            networks: networks.iter().map(network).collect(),
        };
        // The engine's order, ids and generated names are not determined by the seed.
        facts.containers.sort_by(|a, b| a.created.cmp(&b.created));
        facts.networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(facts)
    }

    /// The running containers with this name on this network, in any case.
    pub(crate) fn holders(&self, name: &str, network: &str) -> Vec<(&Container, &Attachment)> {
        let holds = |(container, on): &(&Container, &Attachment)| {
            container.names(on).any(|held| held.eq_ignore_ascii_case(name))
        };
        self.attached(network).filter(holds).collect()
    }

    /// The running containers on a network.
    pub(crate) fn attached(
        &self,
        network: &str,
    ) -> impl Iterator<Item = (&Container, &Attachment)> {
        let running = self.containers.iter().filter(|container| container.running);
        running.filter_map(move |container| Some((container, container.on(network)?)))
    }

    /// The addresses on a network that lead to a container without an endpoint of its own.
    pub(crate) fn through(&self, guest: &Container, kind: Guest, network: &str) -> Vec<IpAddr> {
        match kind {
            Guest::OfContainer => {
                let mut hosts = self.containers.iter().filter(|host| host.running);
                let host = hosts.find(|host| Some(&host.id) == guest.shares.as_ref());
                // Whoever is started anew leaves its guests behind in what is gone.
                let host = host.filter(|host| host.namespace == guest.namespace);
                let on = host.and_then(|host| host.on(network));
                on.map(|on| on.addresses.clone()).unwrap_or_default()
            }
            Guest::OfHost if guest.on("host").is_some() => {
                let ends = self.attached(network).flat_map(|(_, on)| &on.gateways);
                ends.chain(&self.gateways_of(network)).copied().collect()
            }
            Guest::OfHost => Vec::new(),
        }
    }

    fn gateways_of(&self, network: &str) -> Vec<IpAddr> {
        self.network(network).map(|network| network.gateways.clone()).unwrap_or_default()
    }

    /// Everyone who can be asked from: each has a network namespace of its own, and a gateway.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &Container> {
        let can_ask = |c: &&Container| c.attachments.iter().any(|a| !a.gateways.is_empty());
        self.containers.iter().filter(|c| c.running && c.shares.is_none()).filter(can_ask)
    }

    /// What is known of a network.
    pub(crate) fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// Every name that anyone has, spelt as it was given.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let of = |container: &Container| {
            let mut names = BTreeSet::from([container.name.clone(), container.hostname.clone()]);
            names.insert(container.id[..12].to_owned());
            for attachment in &container.attachments {
                names.extend(attachment.aliases.iter().cloned());
                names.extend(attachment.links.iter().map(|(_, alias)| alias.clone()));
            }
            names
        };
        self.containers.iter().flat_map(of).filter(|name| !name.is_empty()).collect()
    }
}

impl Container {
    /// Its place on this network, if it has one.
    pub(crate) fn on(&self, network: &str) -> Option<&Attachment> {
        self.attachments.iter().find(|attachment| attachment.network == network)
    }

    /// Every name that it has on a network; a name may come twice.
    pub(crate) fn names<'a>(&'a self, on: &'a Attachment) -> impl Iterator<Item = &'a str> {
        self.own_names().chain(on.aliases.iter().map(String::as_str))
    }

    /// The names that it has wherever it is.
    pub(crate) fn own_names(&self) -> impl Iterator<Item = &str> {
        [self.name.as_str(), &self.id[..12], self.hostname.as_str()].into_iter()
    }

    /// Whether it lives in the network namespace of another container, or of the host.
    pub(crate) fn is_guest(&self) -> bool {
        self.shares.is_some() || self.on("host").is_some()
    }

    /// Every address that it has.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.attachments.iter().flat_map(|attachment| attachment.addresses.iter().copied())
    }

    /// Whether the engine chose its name; those of the test begin with `nd`.
    pub(crate) fn has_generated_name(&self) -> bool {
        !self.name.to_lowercase().starts_with("nd")
    }
}

fn inspect(docker: &Docker, list: &[&str], inspect: &[&str]) -> Result<Vec<Value>, String> {
    let ids = docker.attempt(list)?;
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let text = docker.attempt(&[inspect, &ids].concat())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn container(json: &Value) -> Container {
    let id = text(&json["Id"]);
    let networks = json["NetworkSettings"]["Networks"].as_object();
    let pid = json["State"]["Pid"].as_u64().and_then(|pid| pid.try_into().ok()).unwrap_or(0);
    let attach = |(name, settings): (&String, &Value)| attachment(name, settings);
    Container {
        name: text(&json["Name"]).trim_start_matches('/').to_owned(),
        running: json["State"]["Running"] == true,
        paused: json["State"]["Paused"] == true,
        created: text(&json["Created"]),
        pid,
        namespace: std::fs::read_link(format!("/proc/{pid}/ns/net")).ok(),
        hostname: text(&json["Config"]["Hostname"]),
        shares: text(&json["HostConfig"]["NetworkMode"])
            .strip_prefix("container:")
            .map(str::to_owned),
        attachments: networks.into_iter().flatten().map(attach).collect(),
        id,
    }
}

fn attachment(network: &str, json: &Value) -> Attachment {
    let addresses = |keys: [&str; 2]| {
        keys.into_iter().filter_map(|key| text(&json[key]).parse().ok()).collect()
    };
    let link = |link: String| {
        let (target, alias) = link.split_once(':')?;
        Some((target.to_owned(), alias.to_owned()))
    };
    Attachment {
        network: network.to_owned(),
        addresses: addresses(["IPAddress", "GlobalIPv6Address"]),
        gateways: addresses(["Gateway", "IPv6Gateway"]),
        // The short id is every container's, and may stand here, too.
        aliases: texts(&json["Aliases"]),
        links: texts(&json["Links"]).into_iter().filter_map(link).collect(),
    }
}

fn network(json: &Value) -> Network {
    let configs = || json["IPAM"]["Config"].as_array().into_iter().flatten();
    let gateway = |config: &Value| text(&config["Gateway"]).parse().ok();
    Network {
        name: text(&json["Name"]),
        subnets: configs().map(|config| text(&config["Subnet"])).collect(),
        gateways: configs().filter_map(gateway).collect(),
    }
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

fn texts(json: &Value) -> Vec<String> {
    json.as_array().into_iter().flatten().map(text).collect()
}
