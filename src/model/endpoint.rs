//! What an engine has: containers, networks, and the endpoints where they meet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::{Few, Name, Overrides, Place};

/// One running container, whole: a newer one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: ContainerId,
    /// The container name, as the engine spells it, without the slash.
    pub name: Arc<str>,
    /// The names it has wherever it is, each once.
    pub names: Box<[(Name, NameSource)]>,
    /// When it was started, by its engine's clock, in nanoseconds; only its order among others
    /// counts.
    pub started: i64,
    /// Whether it can take clients.
    pub condition: Condition,
    /// What its labels say about it.
    pub labels: Labels,
    /// How it is reached.
    pub reach: Reach,
    /// The ports it exposes.
    pub ports: Box<[Port]>,
}

/// What a container's labels say about how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    /// `netalias.order`, `.answers`, `.ttl` and `.health`.
    pub selection: Overrides,
    /// `netalias.weight`, 1 without it.
    pub weight: u8,
    /// `netalias.publish-not-ready=true`: it counts as ready before it is healthy, for clusters
    /// whose members must find each other first.
    pub publish_not_ready: bool,
}

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// The container's name.
    Name,
    /// The first 12 digits of its id.
    ShortId,
    /// Its hostname.
    Hostname,
    /// Its label `netalias.alias`.
    Label,
    /// A network alias.
    Alias,
    /// The host's names on each network.
    Host,
}

/// How a container is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through its own endpoints, one for each network that it has an address on.
    Endpoints(Few<Endpoint>),
    /// Through those of another container (`--network container:NAME`).
    SharedWith(ContainerId),
    /// Through the host (`--network host`): at each network's gateway address.
    Host,
}

/// A container's attachment to one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkId,
    /// The IPv4 address on it.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address on it.
    pub v6: Option<Ipv6Addr>,
    /// Its network aliases.
    pub aliases: Few<Name>,
    /// What it alone calls others on that network (`--link`).
    pub links: Box<[Link]>,
}

/// A private name for another container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What the client says.
    pub alias: Name,
    /// A name of the container that is meant.
    pub target: Name,
}

/// A port that a container exposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Arc<str>,
    /// Names of the service behind it, from labels `netalias.port.NAME`.
    pub services: Vec<Name>,
}

/// A network of an engine. Docker changes none of these after creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The engine's id.
    pub id: NetworkId,
    /// The name, as the engine spells it.
    pub name: Arc<str>,
    /// `--internal`: it has no way out of the host.
    pub internal: bool,
    /// Its address ranges.
    pub subnets: Vec<Subnet>,
    /// The addresses at which its containers reach the host.
    pub gateways: Vec<IpAddr>,
}

/// An address range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The range's first address.
    pub address: IpAddr,
    /// How many leading bits are the range's own.
    pub prefix: u8,
}

/// A text that is no `ADDRESS/PREFIX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubnetError;

/// What can be said of a container's fitness to take clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Running, without a health check.
    Running,
    /// Running, and its health check passes.
    Healthy,
    /// Running, and its health check has not passed yet.
    Starting,
    /// Running, and its health check fails.
    Unhealthy,
    /// Frozen by `docker pause`.
    Paused,
    /// Its stop signal has been sent.
    Draining,
}

/// The order in which endpoints are preferred, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Healthy, or without a health check.
    Ready,
    /// Not yet known to be healthy.
    Starting,
    /// Unhealthy, paused or draining.
    Unfit,
}

/// A container's id as the engine gives it (64 hexadecimal digits).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(pub Arc<str>);

/// A network's id as the engine gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub Arc<str>);

impl Endpoint {
    /// Both addresses, where there are.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let v4 = self.v4.map(IpAddr::V4);
        v4.into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self { selection: Overrides::default(), weight: 1, publish_not_ready: false }
    }
}

impl Container {
    /// Its first name that DNS can carry: what its addresses point back to and, with the network's
    /// name, the target of SRV records.
    #[must_use]
    pub fn host(&self) -> Option<&Name> {
        self.names.first().map(|(name, _)| name)
    }

    /// Where it has one of its names from. What is none of its own is an alias.
    #[must_use]
    pub fn source_of(&self, name: &Name) -> NameSource {
        let own = self.names.iter().find(|(own, _)| own == name);
        own.map_or(NameSource::Alias, |(_, source)| *source)
    }

    /// Its own endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        match &self.reach {
            Reach::Endpoints(endpoints) => endpoints,
            Reach::SharedWith(_) | Reach::Host => &[],
        }
    }

    /// Its own endpoints on one network.
    pub fn endpoints_on(&self, network: &NetworkId) -> impl Iterator<Item = &Endpoint> {
        self.endpoints().iter().filter(move |endpoint| endpoint.network == *network)
    }

    /// Its own addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.endpoints().iter().flat_map(Endpoint::addresses)
    }

    /// How its endpoints are preferred.
    #[must_use]
    pub fn rank(&self) -> Rank {
        match self.condition {
            Condition::Starting | Condition::Unhealthy if self.labels.publish_not_ready => {
                Rank::Ready
            }
            condition => condition.rank(),
        }
    }
}

impl NameSource {
    /// The word that people read for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::ShortId => "id",
            Self::Hostname => "hostname",
            Self::Label => "label",
            Self::Alias => "alias",
            Self::Host => "host",
        }
    }

    /// Whether it is meant to be one container's alone; aliases and labels are shared on purpose.
    #[must_use]
    pub fn is_own(self) -> bool {
        match self {
            Self::Name | Self::ShortId | Self::Hostname => true,
            Self::Label | Self::Alias | Self::Host => false,
        }
    }
}

impl Network {
    /// What its record sets know of it.
    #[must_use]
    pub fn place(&self) -> Place {
        let has = |v4: bool| self.subnets.iter().any(|subnet| subnet.address.is_ipv4() == v4);
        let dual_stack = has(true) && has(false);
        Place { network: self.id.clone(), name: self.name.clone(), dual_stack }
    }

    /// The gateway as an endpoint of the host.
    #[must_use]
    pub fn gateway(&self) -> Endpoint {
        let v4 = self.gateways.iter().find_map(|gateway| match gateway {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let v6 = self.gateways.iter().find_map(|gateway| match gateway {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(*v6),
        });
        Endpoint {
            network: self.id.clone(),
            v4,
            v6,
            aliases: Few::default(),
            links: Box::default(),
        }
    }
}

impl Condition {
    /// How endpoints in this condition are preferred.
    #[must_use]
    pub fn rank(self) -> Rank {
        match self {
            Self::Running | Self::Healthy => Rank::Ready,
            Self::Starting => Rank::Starting,
            Self::Unhealthy | Self::Paused | Self::Draining => Rank::Unfit,
        }
    }

    /// The word that people read for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Healthy => "healthy",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }
}

impl Subnet {
    /// Whether an address lies in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The first address of a part of the range that a host can have: not the range's own first.
    #[must_use]
    pub fn first_host_in(&self, part: &Self) -> Option<IpAddr> {
        part.host(u128::from(part.address == self.address))
    }

    /// The `n`th address of the range, counted from its first one.
    #[must_use]
    pub fn host(&self, n: u128) -> Option<IpAddr> {
        let host = match self.address {
            IpAddr::V4(first) => {
                let offset = u32::try_from(n).ok()?;
                IpAddr::V4(u32::from(first).checked_add(offset)?.into())
            }
            IpAddr::V6(first) => IpAddr::V6(u128::from(first).checked_add(n)?.into()),
        };
        self.contains(host).then_some(host)
    }

    /// Whether it is the last address of an IPv4 range, which no host can have.
    #[must_use]
    pub fn is_broadcast(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => match u32::from(v4).checked_add(1) {
                Some(next) => !self.contains(IpAddr::V4(next.into())),
                None => true,
            },
            IpAddr::V6(_) => false,
        }
    }
}

/// `ADDRESS/PREFIX`, as in 172.200.1.0/24.
impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let (address, prefix) = text.split_once('/').ok_or(SubnetError)?;
        let address: IpAddr = address.parse().map_err(|_| SubnetError)?;
        let prefix: u8 = prefix.parse().map_err(|_| SubnetError)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest { Err(SubnetError) } else { Ok(Self { address, prefix }) }
    }
}

impl ContainerId {
    /// The first 12 digits, which Docker prints and answers to.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}
