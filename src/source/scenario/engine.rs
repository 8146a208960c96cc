//! An engine without containers: it keeps the books as Docker does, and says what changes.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use super::books::{self, Book};
use super::command::{Attach, Command, Create, Filter, Labels, Signal};
use super::error::EngineError;
use super::events::{Event, EventKind};
use super::record::{Attachment, NetworkMode, Record};
use crate::model::{Change, ContainerId, NetworkId, Subnet};

/// The books of the engine: networks, containers and who has which address.
#[derive(Debug)]
pub struct Engine {
    pub(super) networks: Vec<Book>,
    pub(super) containers: BTreeMap<ContainerId, Record>,
    pub(super) names: HashMap<String, ContainerId>,
    /// What the last command made happen.
    pub(super) happened: Vec<Event>,
    /// Feeds the ids, so that a scenario gives the same ones each time.
    pub(super) ids: u64,
    /// How many containers there have been.
    pub(super) count: u64,
    /// How many starts of containers there have been.
    pub(super) starts: u64,
}

/// The network that `docker run` takes without `--network`.
pub(super) const DEFAULT_BRIDGE: &str = "bridge";
const PREDEFINED: [&str; 3] = [DEFAULT_BRIDGE, "host", "none"];

impl Default for Engine {
    fn default() -> Self {
        let mut engine = Self {
            networks: Vec::new(),
            containers: BTreeMap::new(),
            names: HashMap::new(),
            happened: Vec::new(),
            ids: 0,
            count: 0,
            starts: 0,
        };
        let subnet = Subnet { address: Ipv4Addr::new(172, 17, 0, 0).into(), prefix: 16 };
        let name = DEFAULT_BRIDGE.to_owned();
        // The first network of an empty engine cannot clash with another one.
        let _ = engine.create(&Create { name, subnets: vec![subnet], ..Create::default() });
        for (name, driver) in [("host", "host"), ("none", "null")] {
            let id = NetworkId(engine.next_id().into());
            engine.networks.push(Book::bare(id, name, driver));
        }
        engine.happened.clear();
        engine
    }
}

/// What is asked of the engine.
impl Engine {
    /// Carries out a command and adds what is different now to `changes`: also when it fails,
    /// for a command that names several containers has then been carried out for some of them.
    /// Questions and pauses change nothing.
    pub fn carry_out(
        &mut self,
        command: &Command,
        changes: &mut Vec<Change>,
    ) -> Result<(), EngineError> {
        self.happened.clear();
        match command {
            Command::NetworkCreate(create) => changes.push(self.create(create)?),
            Command::NetworkRemove(names) => {
                for name in names {
                    changes.push(self.remove_network(name)?);
                }
            }
            Command::NetworkPrune(filter) => self.prune_networks(filter, changes),
            Command::Connect { container, attach } => {
                changes.push(self.connect(container, attach)?);
            }
            Command::Disconnect { network, container } => {
                changes.push(self.disconnect(network, container)?);
            }
            Command::Run(run) => changes.push(self.run(run)?),
            Command::Create(run) => {
                let id = self.create_container(run)?;
                changes.push(self.change(&id));
            }
            Command::Container(verb, containers) => {
                for container in containers {
                    changes.push(self.lifecycle(*verb, container)?);
                }
            }
            Command::Prune(filter) => self.prune_containers(filter, changes),
            Command::Rename(old, new) => changes.push(self.rename(old, new)?),
            Command::Health(container, health) => {
                changes.push(self.set_health(container, *health)?);
            }
            Command::Sleep(_) | Command::Dig(_) | Command::Spread { .. } => {}
        }
        Ok(())
    }

    /// Everything there is, as one would learn it from a complete list.
    #[must_use]
    pub fn everything(&self) -> Vec<Change> {
        let with_addresses = self.networks.iter().filter(|book| book.has_addresses());
        let networks = with_addresses.map(|book| Change::Network(book.network.clone()));
        networks.chain(self.containers.keys().map(|id| self.change(id))).collect()
    }

    /// What is to be said of a container now, as from an inspect.
    #[must_use]
    pub fn change(&self, id: &ContainerId) -> Change {
        let shown = |record: &&Record| record.state.is_running() && !record.is_ignored();
        match self.containers.get(id).filter(shown) {
            Some(record) => Change::Container(record.container()),
            None => Change::ContainerGone(id.clone()),
        }
    }

    /// What is to be said of a network now, as from an inspect.
    #[must_use]
    pub fn network_change(&self, id: &NetworkId) -> Change {
        match self.books().iter().find(|book| book.network.id == *id) {
            Some(book) => Change::Network(book.network.clone()),
            None => Change::NetworkGone(id.clone()),
        }
    }

    /// What the last command made happen, in order, as far as it got.
    #[must_use]
    pub fn happened(&self) -> &[Event] {
        &self.happened
    }

    /// Every network, `host` and `none` among them.
    #[must_use]
    pub fn books(&self) -> &[Book] {
        &self.networks
    }

    /// A network by its name or id.
    pub fn network(&self, name: &str) -> Result<&Book, EngineError> {
        let named = |book: &&Book| *book.network.name == *name || *book.network.id.0 == *name;
        let found = self.networks.iter().find(named);
        found.ok_or_else(|| EngineError::NoNetwork(name.to_owned()))
    }

    /// Every container, in the order of their ids.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.containers.values()
    }

    /// A container by its name, its id or the beginning of its id, from the 12 digits on that
    /// Docker prints.
    pub fn record(&self, name: &str) -> Result<&Record, EngineError> {
        if let Some(id) = self.names.get(name).or_else(|| self.by_id(name)) {
            return self.get(id);
        }
        Err(EngineError::NoContainer(name.to_owned()))
    }

    fn by_id(&self, start: &str) -> Option<&ContainerId> {
        let from = ContainerId(start.into());
        let (id, _) = self.containers.range(from..).next()?;
        (start.len() >= 12 && id.0.starts_with(start)).then_some(id)
    }

    pub(super) fn get(&self, id: &ContainerId) -> Result<&Record, EngineError> {
        let missing = || EngineError::NoContainer(id.to_string());
        self.containers.get(id).ok_or_else(missing)
    }

    pub(super) fn get_mut(&mut self, id: &ContainerId) -> Result<&mut Record, EngineError> {
        let missing = || EngineError::NoContainer(id.to_string());
        self.containers.get_mut(id).ok_or_else(missing)
    }
}

/// Networks.
impl Engine {
    fn create(&mut self, create: &Create) -> Result<Change, EngineError> {
        if self.network(&create.name).is_ok() {
            return Err(EngineError::NetworkExists(create.name.clone()));
        }
        let mut subnets = create.subnets.clone();
        if !subnets.iter().any(|subnet| subnet.address.is_ipv4()) {
            subnets.push(books::free_subnet(&self.networks, &create.name)?);
        }
        if let Some(subnet) = subnets.iter().find(|s| books::overlaps(&self.networks, s)) {
            return Err(EngineError::Overlap(subnet.address.to_string()));
        }
        let book = Book::open(NetworkId(self.next_id().into()), create, subnets)?;
        let change = Change::Network(book.network.clone());
        self.happened.push(Event::network(&book, "create", None));
        self.networks.push(book);
        Ok(change)
    }

    fn remove_network(&mut self, name: &str) -> Result<Change, EngineError> {
        if PREDEFINED.contains(&name) {
            return Err(EngineError::Predefined(name.to_owned()));
        }
        let id = self.network(name)?.network.id.clone();
        if self.is_in_use(&id) {
            return Err(EngineError::NetworkInUse(name.to_owned()));
        }
        for container in self.containers.values_mut() {
            container.attachments.retain(|attachment| attachment.network != id);
        }
        self.tell_network(&id, "destroy", None);
        self.networks.retain(|book| book.network.id != id);
        Ok(Change::NetworkGone(id))
    }

    fn is_in_use(&self, network: &NetworkId) -> bool {
        let mut attachments = self.containers.values().flat_map(|c| &c.attachments);
        attachments.any(|a| a.network == *network && a.addresses().next().is_some())
    }

    fn prune_networks(&mut self, filter: &Filter, changes: &mut Vec<Change>) {
        let unused = |book: &&Book| {
            !PREDEFINED.contains(&&*book.network.name)
                && matches(filter, &book.labels)
                && !self.is_in_use(&book.network.id)
        };
        let unused = self.networks.iter().filter(unused);
        let names: Vec<String> = unused.map(|book| book.network.name.to_string()).collect();
        changes.extend(names.iter().filter_map(|name| self.remove_network(name).ok()));
        self.happened.push(Event::prune(EventKind::Network));
    }

    fn connect(&mut self, container: &str, attach: &Attach) -> Result<Change, EngineError> {
        let record = self.record(container)?;
        let book = self.network(&attach.network)?;
        let (id, network) = (record.id.clone(), book.network.id.clone());
        let running = record.state.is_running();
        match record.mode {
            NetworkMode::Container(_) => return Err(EngineError::SharedNetwork),
            NetworkMode::Host => return Err(EngineError::HostNetwork),
            NetworkMode::None => return Err(EngineError::PrivateNetwork),
            NetworkMode::Network(_) => {}
        }
        match book.driver {
            "host" => return Err(EngineError::HostNetwork),
            "null" => return Err(EngineError::PrivateNetwork),
            _ => {}
        }
        if record.attachments.iter().any(|attachment| attachment.network == network) {
            let (container, network) = (record.name.clone(), attach.network.clone());
            return Err(EngineError::Attached(container, network));
        }
        if *book.network.name == *DEFAULT_BRIDGE {
            check_default_bridge(attach)?;
        }
        let mut attachment = Attachment::new(network.clone(), attach.clone());
        if running {
            self.allocate(&mut attachment)?;
            self.tell_network(&network, "connect", Some(&id));
        }
        self.get_mut(&id)?.attachments.push(attachment);
        Ok(self.change(&id))
    }

    fn disconnect(&mut self, network: &str, container: &str) -> Result<Change, EngineError> {
        let id = self.record(container)?.id.clone();
        let book = self.network(network)?;
        if book.driver == "host" {
            return Err(EngineError::HostNetwork);
        }
        let network_id = book.network.id.clone();
        let record = self.get_mut(&id)?;
        let running = record.state.is_running();
        let Some(at) = record.attachments.iter().position(|a| a.network == network_id) else {
            return Err(EngineError::NotAttached(container.to_owned(), network.to_owned()));
        };
        let mut attachment = record.attachments.remove(at);
        self.release(&mut attachment);
        if running {
            // Docker 20.10 tells it twice: once as the endpoint goes, once as the command is done.
            self.tell_network(&network_id, "disconnect", Some(&id));
            self.tell_network(&network_id, "disconnect", Some(&id));
        }
        Ok(self.change(&id))
    }

    /// Gives an attachment the address that it asks for, or the lowest free one, as Docker does.
    pub(super) fn allocate(&mut self, attachment: &mut Attachment) -> Result<(), EngineError> {
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
        attachment.plumbed = true;
        Ok(())
    }

    pub(super) fn release(&mut self, attachment: &mut Attachment) {
        for book in self.networks.iter_mut().filter(|b| b.network.id == attachment.network) {
            attachment.addresses().for_each(|address| book.release(address));
        }
        (attachment.v4, attachment.v6) = (None, None);
    }
}

/// What every command needs.
impl Engine {
    pub(super) fn tell(&mut self, id: &ContainerId, action: &str, told: &[(&str, &str)]) {
        let told = self.containers.get(id).map(|record| Event::container(record, action, told));
        self.happened.extend(told);
    }

    pub(super) fn tell_kill(&mut self, id: &ContainerId, signal: Signal) {
        self.tell(id, "kill", &[("signal", &signal.0.to_string())]);
    }

    pub(super) fn tell_network(
        &mut self,
        id: &NetworkId,
        action: &str,
        container: Option<&ContainerId>,
    ) {
        let book = self.networks.iter().find(|book| book.network.id == *id);
        self.happened.extend(book.map(|book| Event::network(book, action, container)));
    }

    /// 64 hexadecimal digits, different in the first twelve (the constants are `splitmix64`'s).
    pub(super) fn next_id(&mut self) -> String {
        self.ids = self.ids.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.ids;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", x ^ (x >> 31)).repeat(4)
    }
}

/// What the default bridge, `host`, `none` and another container's network cannot give.
pub(super) fn check_default_bridge(attach: &Attach) -> Result<(), EngineError> {
    if !attach.aliases.is_empty() {
        return Err(EngineError::AliasOnBridge);
    }
    if attach.v4.is_some() || attach.v6.is_some() {
        return Err(EngineError::AddressOnBridge);
    }
    Ok(())
}

/// Whether something has each of these labels.
pub(super) fn matches(filter: &Filter, labels: &Labels) -> bool {
    filter.iter().all(|(key, value)| {
        labels.get(key).is_some_and(|have| value.as_ref().is_none_or(|value| value == have))
    })
}
