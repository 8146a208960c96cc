//! What the engine keeps of one container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::command::{Attach, Health, Run};
use crate::model::{Condition, Container, ContainerId, Endpoint, Name, NetworkId};

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
    /// How its last run ended.
    pub exit_code: u8,
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
            (State::Paused, _) => Condition::Paused,
            (_, Some(Health::Starting)) => Condition::Starting,
            (_, Some(Health::Healthy)) => Condition::Healthy,
            (_, Some(Health::Unhealthy)) => Condition::Unhealthy,
            (_, None) => Condition::Running,
        };
        let attached = self.attachments.iter().filter(|a| a.v4.is_some() || a.v6.is_some());
        Container {
            id: self.id.clone(),
            name: Arc::from(self.name.as_str()),
            condition,
            endpoints: attached.map(|attachment| self.endpoint(attachment)).collect(),
        }
    }

    /// The endpoint of one attachment; names in the order of Docker's `buildEndpointDNSNames`.
    fn endpoint(&self, attachment: &Attachment) -> Endpoint {
        let mut names = Vec::new();
        for text in self.dns_names(attachment) {
            if let Ok(name) = Name::parse(text)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        Endpoint {
            network: attachment.network.clone(),
            v4: attachment.v4,
            v6: attachment.v6,
            names,
        }
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

    /// Both addresses, where there are.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}
