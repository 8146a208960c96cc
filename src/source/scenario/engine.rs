//! An engine without containers: it keeps the books as Docker does, and says what changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::parse::{Attach, Command, Create, Run, Verb};
use crate::model::{
    Change, Condition, Container, ContainerId, Endpoint, Labels, Name, NameSource, Network,
    NetworkId, Reach, Subnet,
};

/// The books of the engine: networks, containers and who has which address.
#[derive(Debug)]
pub struct Engine {
    networks: Vec<Book>,
    containers: BTreeMap<ContainerId, Record>,
    /// Feeds the ids, so that a scenario gives the same ones each time.
    ids: u64,
}

/// Why a command cannot be carried out, in Docker's words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No container of that name or id.
    #[error("no such container: {0}")]
    NoContainer(String),
    /// No network of that name.
    #[error("network {0} not found")]
    NoNetwork(String),
    /// Two containers cannot share a name.
    #[error("the container name {0:?} is already in use")]
    NameInUse(String),
    /// Two networks of one name would make commands ambiguous.
    #[error("network with name {0} already exists")]
    NetworkExists(String),
    /// `docker network rm` of a network in use.
    #[error("network {0} has active endpoints")]
    NetworkInUse(String),
    /// A range that another network has.
    #[error("pool overlaps with other one on this address space: {0}")]
    Overlap(String),
    /// The address is taken.
    #[error("address already in use: {0}")]
    AddressInUse(IpAddr),
    /// The address is in no range of the network.
    #[error("no configured subnet contains the address {0}")]
    AddressOutside(IpAddr),
    /// Every address of the range is taken.
    #[error("no available addresses on network {0}")]
    Exhausted(String),
    /// The container is attached already.
    #[error("{0} is already attached to network {1}")]
    Attached(String, String),
    /// The container is not attached.
    #[error("container {0} is not connected to network {1}")]
    NotAttached(String, String),
    /// The default bridge has no aliases.
    #[error("network-scoped alias is supported only for containers in user defined networks")]
    AliasOnBridge,
    /// A running container is removed only by force.
    #[error("you cannot remove a running container {0}: stop it, or use -f")]
    Running(String),
    /// A container that must run does not.
    #[error("container {0} is not running")]
    NotRunning(String),
}

#[derive(Debug)]
struct Book {
    network: Network,
    range: Option<Subnet>,
    taken: BTreeSet<IpAddr>,
}

#[derive(Debug)]
struct Record {
    name: String,
    hostname: Option<String>,
    state: State,
    attachments: Vec<Attachment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Paused,
    Stopped,
}

#[derive(Debug)]
struct Attachment {
    network: NetworkId,
    attach: Attach,
    /// What it has while the container runs.
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

/// The network that `docker run` takes without `--network`.
const DEFAULT_BRIDGE: &str = "bridge";

impl Default for Engine {
    fn default() -> Self {
        let mut engine = Self { networks: Vec::new(), containers: BTreeMap::new(), ids: 0 };
        let subnet = Subnet { address: Ipv4Addr::new(172, 17, 0, 0).into(), prefix: 16 };
        let name = DEFAULT_BRIDGE.to_owned();
        // The first network of an empty engine cannot clash with another one.
        let _ = engine.create(&Create { name, subnets: vec![subnet], ..Create::default() });
        engine
    }
}

impl Engine {
    /// Carries out a command and adds what is different now to `changes`: also when it fails,
    /// for a command that names several containers has then been carried out for some of them.
    /// Questions and pauses change nothing.
    pub fn carry_out(
        &mut self,
        command: &Command,
        changes: &mut Vec<Change>,
    ) -> Result<(), EngineError> {
        match command {
            Command::NetworkCreate(create) => changes.push(self.create(create)?),
            Command::NetworkRemove(names) => {
                for name in names {
                    changes.push(self.remove_network(name)?);
                }
            }
            Command::Connect { container, attach } => {
                changes.push(self.connect(container, attach)?);
            }
            Command::Disconnect { network, container } => {
                changes.push(self.disconnect(network, container)?);
            }
            Command::Run(run) => changes.push(self.run(run)?),
            Command::Container(verb, containers) => {
                for container in containers {
                    changes.push(self.lifecycle(*verb, container)?);
                }
            }
            Command::Rename(old, new) => changes.push(self.rename(old, new)?),
            Command::Sleep(_) | Command::Dig(_) | Command::Spread { .. } => {}
        }
        Ok(())
    }

    /// Everything there is, as one would learn it from a complete list.
    #[must_use]
    pub fn everything(&self) -> Vec<Change> {
        let networks = self.networks.iter().map(|book| Change::Network(book.network.clone()));
        networks.chain(self.containers.keys().map(|id| self.change(id))).collect()
    }

    /// What is to be said of a network now, as from an inspect.
    #[must_use]
    pub fn network_change(&self, id: &NetworkId) -> Change {
        let found = self.networks.iter().find(|book| book.network.id == *id);
        match found {
            Some(book) => Change::Network(book.network.clone()),
            None => Change::NetworkGone(id.clone()),
        }
    }

    fn create(&mut self, create: &Create) -> Result<Change, EngineError> {
        if self.networks.iter().any(|book| *book.network.name == *create.name) {
            return Err(EngineError::NetworkExists(create.name.clone()));
        }
        let mut subnets = create.subnets.clone();
        if !subnets.iter().any(|subnet| subnet.address.is_ipv4()) {
            subnets.push(self.free_subnet(&create.name)?);
        }
        if let Some(subnet) = subnets.iter().find(|subnet| self.overlaps(subnet)) {
            return Err(EngineError::Overlap(subnet.address.to_string()));
        }
        let mut gateways = create.gateways.clone();
        for subnet in &subnets {
            if !gateways.iter().any(|gateway| subnet.contains(*gateway)) {
                let range = create.range.filter(|range| subnet.contains(range.address));
                gateways.extend(subnet.first_host_in(&range.unwrap_or(*subnet)));
            }
        }
        let taken = gateways.iter().copied().collect();
        let network = Network {
            id: NetworkId(self.next_id().into()),
            name: create.name.as_str().into(),
            internal: create.internal,
            subnets,
            gateways,
        };
        self.networks.push(Book { network: network.clone(), range: create.range, taken });
        Ok(Change::Network(network))
    }

    fn remove_network(&mut self, name: &str) -> Result<Change, EngineError> {
        let id = self.network(name)?.network.id.clone();
        let mut attachments = self.containers.values().flat_map(|c| &c.attachments);
        if attachments.any(|a| a.network == id && (a.v4.is_some() || a.v6.is_some())) {
            return Err(EngineError::NetworkInUse(name.to_owned()));
        }
        for container in self.containers.values_mut() {
            container.attachments.retain(|attachment| attachment.network != id);
        }
        self.networks.retain(|book| book.network.id != id);
        Ok(Change::NetworkGone(id))
    }

    fn run(&mut self, run: &Run) -> Result<Change, EngineError> {
        let id = ContainerId(self.next_id().into());
        let name = run.name.clone().unwrap_or_else(|| format!("container_{}", id.short()));
        if self.containers.values().any(|container| container.name == name) {
            return Err(EngineError::NameInUse(name));
        }
        let mut attachments = Vec::new();
        if !matches!(run.attach.network.as_str(), "host" | "none") {
            let network = self.network(&run.attach.network)?.network.id.clone();
            if run.attach.network == DEFAULT_BRIDGE && !run.attach.aliases.is_empty() {
                return Err(EngineError::AliasOnBridge);
            }
            let attach = run.attach.clone();
            attachments.push(Attachment { network, attach, v4: None, v6: None });
        }
        let hostname = run.hostname.clone();
        let record = Record { name, hostname, state: State::Stopped, attachments };
        self.containers.insert(id.clone(), record);
        match self.start(&id) {
            Ok(()) => Ok(self.change(&id)),
            Err(error) => {
                self.containers.remove(&id);
                Err(error)
            }
        }
    }

    fn connect(&mut self, container: &str, attach: &Attach) -> Result<Change, EngineError> {
        let id = self.container(container)?;
        let network = self.network(&attach.network)?.network.id.clone();
        let record = self.record(&id)?;
        if record.attachments.iter().any(|attachment| attachment.network == network) {
            let (container, network) = (record.name.clone(), attach.network.clone());
            return Err(EngineError::Attached(container, network));
        }
        let running = record.state != State::Stopped;
        let attach = attach.clone();
        let mut attachment = Attachment { network, attach, v4: None, v6: None };
        if running {
            self.allocate(&mut attachment)?;
        }
        self.record(&id)?.attachments.push(attachment);
        Ok(self.change(&id))
    }

    fn disconnect(&mut self, network: &str, container: &str) -> Result<Change, EngineError> {
        let id = self.container(container)?;
        let network_id = self.network(network)?.network.id.clone();
        let attachments = &mut self.record(&id)?.attachments;
        let Some(at) = attachments.iter().position(|a| a.network == network_id) else {
            return Err(EngineError::NotAttached(container.to_owned(), network.to_owned()));
        };
        let mut attachment = attachments.remove(at);
        self.release(&mut attachment);
        Ok(self.change(&id))
    }

    fn lifecycle(&mut self, verb: Verb, container: &str) -> Result<Change, EngineError> {
        let id = self.container(container)?;
        let record = self.record(&id)?;
        let not_running = || EngineError::NotRunning(container.to_owned());
        match (verb, record.state) {
            (Verb::Start, State::Stopped) => self.start(&id)?,
            (Verb::Restart, _) => {
                self.stop(&id)?;
                self.start(&id)?;
            }
            (Verb::Stop, State::Running | State::Paused) => self.stop(&id)?,
            (Verb::Pause, State::Running) => record.state = State::Paused,
            (Verb::Unpause, State::Paused) => record.state = State::Running,
            (Verb::Start | Verb::Signal, _) | (Verb::Stop, State::Stopped) => {}
            (Verb::Pause | Verb::Unpause, _) => return Err(not_running()),
            (Verb::Remove { force: false }, State::Running | State::Paused) => {
                return Err(EngineError::Running(container.to_owned()));
            }
            (Verb::Remove { .. }, _) => {
                self.stop(&id)?;
                self.containers.remove(&id);
            }
        }
        Ok(self.change(&id))
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<Change, EngineError> {
        let id = self.container(old)?;
        if self.containers.values().any(|container| container.name == new) {
            return Err(EngineError::NameInUse(new.to_owned()));
        }
        new.clone_into(&mut self.record(&id)?.name);
        Ok(self.change(&id))
    }

    fn start(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let mut attachments = std::mem::take(&mut self.record(id)?.attachments);
        let result = attachments.iter_mut().try_for_each(|a| self.allocate(a));
        if result.is_err() {
            self.release_all(&mut attachments);
        }
        let record = self.record(id)?;
        record.attachments = attachments;
        if result.is_ok() {
            record.state = State::Running;
        }
        result
    }

    fn stop(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let mut attachments = std::mem::take(&mut self.record(id)?.attachments);
        self.release_all(&mut attachments);
        let record = self.record(id)?;
        record.attachments = attachments;
        record.state = State::Stopped;
        Ok(())
    }

    /// Gives an attachment the address that it asks for, or the lowest free one, as Docker does.
    fn allocate(&mut self, attachment: &mut Attachment) -> Result<(), EngineError> {
        let Some(book) = self.networks.iter_mut().find(|b| b.network.id == attachment.network)
        else {
            return Err(EngineError::NoNetwork(attachment.attach.network.clone()));
        };
        let wished = [attachment.attach.v4.map(IpAddr::V4), attachment.attach.v6.map(IpAddr::V6)];
        for subnet in book.network.subnets.clone() {
            let wish =
                wished.into_iter().flatten().find(|w| w.is_ipv4() == subnet.address.is_ipv4());
            match book.take(subnet, wish)? {
                IpAddr::V4(address) => attachment.v4 = Some(address),
                IpAddr::V6(address) => attachment.v6 = Some(address),
            }
        }
        Ok(())
    }

    fn release_all(&mut self, attachments: &mut [Attachment]) {
        for attachment in attachments {
            self.release(attachment);
        }
    }

    fn release(&mut self, attachment: &mut Attachment) {
        let freed = [attachment.v4.take().map(IpAddr::V4), attachment.v6.take().map(IpAddr::V6)];
        for book in self.networks.iter_mut().filter(|b| b.network.id == attachment.network) {
            book.taken.retain(|address| !freed.contains(&Some(*address)));
        }
    }

    /// What is to be said of a container now, as from an inspect.
    #[must_use]
    pub fn change(&self, id: &ContainerId) -> Change {
        let running = |record: &&Record| record.state != State::Stopped;
        let Some(record) = self.containers.get(id).filter(running) else {
            return Change::ContainerGone(id.clone());
        };
        let paused = record.state == State::Paused;
        Change::Container(Container {
            id: id.clone(),
            name: Arc::from(record.name.as_str()),
            names: record.names(id),
            condition: if paused { Condition::Paused } else { Condition::Running },
            labels: Labels::default(),
            reach: Reach::Endpoints(record.attachments.iter().map(Attachment::endpoint).collect()),
            ports: [].into(),
        })
    }

    fn container(&self, name: &str) -> Result<ContainerId, EngineError> {
        let named = |(id, record): &(&ContainerId, &Record)| {
            record.name == name || (name.len() >= 12 && id.0.starts_with(name))
        };
        let found = self.containers.iter().find(named).map(|(id, _)| id.clone());
        found.ok_or_else(|| EngineError::NoContainer(name.to_owned()))
    }

    fn record(&mut self, id: &ContainerId) -> Result<&mut Record, EngineError> {
        let missing = || EngineError::NoContainer(id.to_string());
        self.containers.get_mut(id).ok_or_else(missing)
    }

    fn network(&self, name: &str) -> Result<&Book, EngineError> {
        let found = self.networks.iter().find(|book| *book.network.name == *name);
        found.ok_or_else(|| EngineError::NoNetwork(name.to_owned()))
    }

    fn overlaps(&self, subnet: &Subnet) -> bool {
        let mut others = self.networks.iter().flat_map(|book| &book.network.subnets);
        others.any(|other| other.contains(subnet.address) || subnet.contains(other.address))
    }

    /// The first of Docker's default pools that is free: 172.18.0.0/16 and on.
    fn free_subnet(&self, network: &str) -> Result<Subnet, EngineError> {
        let pool = |second| Subnet { address: Ipv4Addr::new(172, second, 0, 0).into(), prefix: 16 };
        let free = (18..=31).map(pool).find(|subnet| !self.overlaps(subnet));
        free.ok_or_else(|| EngineError::Exhausted(network.to_owned()))
    }

    /// 64 hexadecimal digits, different in the first twelve (the constants are `splitmix64`'s).
    fn next_id(&mut self) -> String {
        self.ids = self.ids.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.ids;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", x ^ (x >> 31)).repeat(4)
    }
}

impl Book {
    fn take(&mut self, subnet: Subnet, wish: Option<IpAddr>) -> Result<IpAddr, EngineError> {
        if let Some(wish) = wish {
            if !subnet.contains(wish) {
                return Err(EngineError::AddressOutside(wish));
            }
            if !self.taken.insert(wish) {
                return Err(EngineError::AddressInUse(wish));
            }
            return Ok(wish);
        }
        let range = self.range.filter(|range| subnet.contains(range.address)).unwrap_or(subnet);
        let first = u128::from(range.address == subnet.address);
        let hosts =
            (first..).map_while(|n| range.host(n)).filter(|host| !subnet.is_broadcast(*host));
        let Some(free) = hosts.into_iter().find(|host| !self.taken.contains(host)) else {
            return Err(EngineError::Exhausted(self.network.name.to_string()));
        };
        self.taken.insert(free);
        Ok(free)
    }
}

impl Record {
    /// The names it has wherever it is.
    fn names(&self, id: &ContainerId) -> Vec<(Name, NameSource)> {
        let own = [(self.name.as_str(), NameSource::Name), (id.short(), NameSource::ShortId)];
        let hostname = self.hostname.as_deref().map(|name| (name, NameSource::Hostname));
        let mut names: Vec<(Name, NameSource)> = Vec::new();
        for (text, source) in own.into_iter().chain(hostname) {
            if let Ok(name) = Name::parse(text)
                && names.iter().all(|(known, _)| *known != name)
            {
                names.push((name, source));
            }
        }
        names
    }
}

impl Attachment {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            network: self.network.clone(),
            v4: self.v4,
            v6: self.v6,
            aliases: distinct(self.attach.aliases.iter().map(String::as_str)),
            links: Vec::new(),
        }
    }
}

/// The texts that are names, each once.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Name> {
    let mut names = Vec::new();
    for name in texts.filter_map(|text| Name::parse(text).ok()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
