//! What the engine keeps of one container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::super::labels::Spoken;
use super::super::names::NameList;
use super::command::{Attach, Health, Run};
use crate::model::{
    Condition, Container, ContainerId, Endpoint, Link, Name, NameSource, NetworkId, Reach,
};

/// A container, running or not.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its id.
    pub id: ContainerId,
    /// How many containers there had been before it: the engine lists the newest first.
    pub number: u64,
    /// Its name now.
    pub name: String,
    /// What it was made with.
    pub run: Run,
    /// Where its network comes from.
    pub mode: NetworkMode,
    /// Its hostname, as it sees it.
    pub hostname: String,
    /// What it does.
    pub state: State,
    /// How many starts there had been before its last one.
    pub started: u64,
    /// How its last run ended.
    pub exit_code: u8,
    /// Whether its stop signal was sent since its last start.
    pub told_to_stop: bool,
    /// What its health check found, if it has one.
    pub health: Option<Health>,
    /// Its networks, in the order in which it was attached to them.
    pub attachments: Vec<Attachment>,
}

/// Where a container's network comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// From networks of its own; the first one has this name.
    Network(String),
    /// From the host.
    Host,
    /// From nowhere.
    None,
    /// From another container.
    Container(ContainerId),
}

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not run yet.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has run.
    Exited,
}

/// A container's place on a network.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The network.
    pub network: NetworkId,
    /// What was asked for.
    pub attach: Attach,
    /// Whether it has been on the network yet.
    pub plumbed: bool,
    /// The address that it has while the container runs.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address that it has while the container runs.
    pub v6: Option<Ipv6Addr>,
}

impl State {
    /// Whether it has a process: a paused one has.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// The engine's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        }
    }
}

impl Record {
    /// As the directory is told, while it runs.
    pub(super) fn container(&self) -> Container {
        let condition = match (self.state, self.health) {
            _ if self.told_to_stop => Condition::Draining,
            (State::Paused, _) => Condition::Paused,
            (_, Some(Health::Starting)) => Condition::Starting,
            (_, Some(Health::Healthy)) => Condition::Healthy,
            (_, Some(Health::Unhealthy)) => Condition::Unhealthy,
            (_, None) => Condition::Running,
        };
        let attached = self.attachments.iter().filter(|a| a.v4.is_some() || a.v6.is_some());
        let labels = self.run.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let labels = Spoken::read(labels);
        let mut names = NameList::default();
        names.add(&self.name, NameSource::Name);
        names.add(self.id.short(), NameSource::ShortId);
        names.add(&self.hostname, NameSource::Hostname);
        for alias in &labels.aliases {
            names.add(alias, NameSource::Label);
        }
        let ports = self.run.exposed.iter().chain(&self.run.published);
        let ports: Vec<String> = ports.map(ToString::to_string).collect();
        Container {
            id: self.id.clone(),
            name: Arc::from(self.name.as_str()),
            names: names.valid.into(),
            started: self.started.try_into().unwrap_or(i64::MAX),
            condition,
            labels: labels.answers,
            reach: match &self.mode {
                NetworkMode::Host => Reach::Host,
                NetworkMode::Container(other) => Reach::SharedWith(other.clone()),
                NetworkMode::Network(_) | NetworkMode::None => {
                    Reach::Endpoints(attached.map(Attachment::endpoint).collect())
                }
            },
            ports: labels.ports(&ports),
        }
    }

    /// Whether its label says that it is to be left out.
    pub(super) fn is_ignored(&self) -> bool {
        self.run.labels.get("netalias.ignore").is_some_and(|value| value == "true")
    }

    /// What it is called on a network, as Docker spells it, with repetitions.
    pub fn dns_names<'a>(&'a self, attachment: &'a Attachment) -> impl Iterator<Item = &'a str> {
        let aliases = attachment.attach.aliases.iter().map(String::as_str);
        let spoken = std::iter::once(self.name.as_str()).chain(aliases);
        spoken.chain([self.id.short()]).chain([self.hostname.as_str()])
    }
}

impl Attachment {
    pub(super) fn new(network: NetworkId, attach: Attach) -> Self {
        Self { network, attach, plumbed: false, v4: None, v6: None }
    }

    fn endpoint(&self) -> Endpoint {
        let mut aliases = NameList::default();
        for alias in &self.attach.aliases {
            aliases.add(alias, NameSource::Alias);
        }
        let link = |link: &super::command::Link| {
            let alias = Name::parse(&link.alias).ok()?;
            Some(Link { alias, target: Name::parse(&link.container).ok()? })
        };
        Endpoint {
            network: self.network.clone(),
            v4: self.v4,
            v6: self.v6,
            aliases: aliases.valid.into_iter().map(|(alias, _)| alias).collect(),
            links: self.attach.links.iter().filter_map(link).collect(),
        }
    }

    /// Both addresses, where there are.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}
