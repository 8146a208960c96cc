//! `Registry`: the fold of all changes; each change gives only what is different now.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{
    Change, Client, Condition, Container, ContainerId, Endpoint, Few, Labels, Member, Name,
    NameSource, Network, NetworkId, Reach, Update, View,
};

/// Everything the sources have said. The directory is what its updates say, and nothing more.
#[derive(Debug, Default)]
pub struct Registry {
    networks: HashMap<NetworkId, Network>,
    /// Shared with the memberships that follow from them.
    containers: HashMap<ContainerId, Arc<Container>>,
    names: HashMap<Key, Entry>,
    /// What of each container stands in `names` and `clients` now.
    standing: HashMap<ContainerId, Standing>,
    /// Which containers have an address. More than one when they share it, and for a moment when
    /// an address moves from one to another and the two changes come one after the other.
    clients: HashMap<IpAddr, Few<ContainerId>>,
    /// Containers that are reached through this one.
    sharers: HashMap<ContainerId, BTreeSet<ContainerId>>,
    /// Containers that are reached through the host.
    on_host: BTreeSet<ContainerId>,
}

/// A name on a network.
type Key = (NetworkId, Name);

#[derive(Debug, Default)]
struct Entry {
    /// By address; shared with the directory.
    members: Arc<[Member]>,
    /// How many members' names end in this one: while there are any it is an empty non-terminal
    /// (RFC 8020), and cannot be NXDOMAIN.
    below: usize,
}

/// What is to stand of a container.
#[derive(Default)]
struct Wanted {
    /// Each name once.
    memberships: Vec<(Key, Member)>,
    /// The own addresses, each with its network; those of the host are not a container's own.
    addresses: Vec<(IpAddr, NetworkId)>,
}

/// What stands of a container: where to find its memberships, and its own addresses.
#[derive(Debug, Default)]
struct Standing {
    keys: Box<[Key]>,
    addresses: Box<[(IpAddr, NetworkId)]>,
}

/// By whose endpoint a container is reached.
#[derive(Clone, Copy)]
struct Via {
    guest: bool,
    host: bool,
}

/// What a change has touched, collected first so that each entry is published once.
#[derive(Default)]
struct Touched {
    names: HashSet<Key>,
    clients: HashSet<IpAddr>,
}

/// The host's names on every network, as Docker Desktop gives them.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "gateway.docker.internal"];

impl Registry {
    /// Takes a change in and returns the difference it makes: nothing, when it says what was
    /// known. Costs as much as the sets that it touches, however many others there are.
    pub fn apply(&mut self, change: Change) -> Vec<Update> {
        let mut touched = Touched::default();
        let mut updates = Vec::new();
        match change {
            Change::Network(network) => {
                if self.networks.get(&network.id) == Some(&network) {
                    return updates;
                }
                updates.push(Update::Network(network.clone()));
                self.put_network(network, &mut touched);
            }
            Change::NetworkGone(id) => {
                if self.networks.contains_key(&id) {
                    updates.push(Update::NetworkGone(id.clone()));
                }
                self.drop_network(&id, &mut touched);
            }
            Change::Container(container) => self.put_container(container, &mut touched),
            Change::ContainerGone(id) => self.drop_container(&id, &mut touched),
        }
        self.publish(touched, &mut updates);
        updates
    }

    fn put_network(&mut self, network: Network, touched: &mut Touched) {
        let id = network.id.clone();
        let gateway = gateway_id(&id);
        let wanted = wanted_of_host(&gateway, &network);
        self.networks.insert(id.clone(), network);
        self.restand(&gateway, wanted, touched);
        self.refresh_host(touched);
        // Whoever is on it sees it in its place.
        touched.clients.extend(self.addresses_on(&id));
    }

    fn drop_network(&mut self, id: &NetworkId, touched: &mut Touched) {
        self.networks.remove(id);
        self.restand(&gateway_id(id), Wanted::default(), touched);
        let on_it = |container: &&mut Arc<Container>| container.endpoints_on(id).next().is_some();
        let mut left = Vec::new();
        for container in self.containers.values_mut().filter(on_it) {
            let others = container.endpoints().iter().filter(|endpoint| endpoint.network != *id);
            let reach = Reach::Endpoints(others.cloned().collect());
            *container = Arc::new(Container { reach, ..Container::clone(container) });
            left.push(container.id.clone());
        }
        for container in left {
            self.refresh(&container, touched);
        }
        self.refresh_host(touched);
    }

    fn put_container(&mut self, mut container: Container, touched: &mut Touched) {
        if self.containers.get(&container.id).is_some_and(|known| **known == container) {
            return;
        }
        self.share_texts(&mut container);
        let id = container.id.clone();
        self.forget_reach(&id);
        match &container.reach {
            Reach::SharedWith(other) => {
                self.sharers.entry(other.clone()).or_default().insert(id.clone());
            }
            Reach::Host => {
                self.on_host.insert(id.clone());
            }
            Reach::Endpoints(_) => {}
        }
        // A client's links are part of its view.
        touched.clients.extend(container.addresses());
        self.containers.insert(id.clone(), Arc::new(container));
        self.refresh(&id, touched);
    }

    /// Ids and names that are known already are taken from there: each of a hundred thousand
    /// containers would otherwise have its own copy of its network's id.
    fn share_texts(&self, container: &mut Container) {
        if let Some((known, _)) = self.containers.get_key_value(&container.id) {
            container.id = known.clone();
        }
        let Reach::Endpoints(endpoints) = &mut container.reach else { return };
        for endpoint in endpoints {
            if let Some((known, _)) = self.networks.get_key_value(&endpoint.network) {
                endpoint.network = known.clone();
            }
            for alias in &mut endpoint.aliases {
                let key = (endpoint.network.clone(), alias.clone());
                if let Some(((_, known), _)) = self.names.get_key_value(&key) {
                    *alias = known.clone();
                }
            }
        }
    }

    fn drop_container(&mut self, id: &ContainerId, touched: &mut Touched) {
        self.forget_reach(id);
        self.containers.remove(id);
        self.refresh(id, touched);
    }

    fn forget_reach(&mut self, id: &ContainerId) {
        self.on_host.remove(id);
        if let Some(Reach::SharedWith(other)) = self.containers.get(id).map(|c| &c.reach)
            && let Some(sharers) = self.sharers.get_mut(other)
        {
            sharers.remove(id);
            if sharers.is_empty() {
                self.sharers.remove(other);
            }
        }
    }

    fn refresh_host(&mut self, touched: &mut Touched) {
        for id in self.on_host.clone() {
            self.refresh(&id, touched);
        }
    }

    /// Lets a container, and those that are reached through it, stand as they are now.
    fn refresh(&mut self, id: &ContainerId, touched: &mut Touched) {
        let wanted = self.containers.get(id).map(|c| self.wanted_of(c)).unwrap_or_default();
        self.restand(id, wanted, touched);
        for sharer in self.sharers.get(id).cloned().unwrap_or_default() {
            // Docker lets nobody share with a container that shares, so this ends.
            let container = self.containers.get(&sharer);
            let wanted = container.map(|c| self.wanted_of(c)).unwrap_or_default();
            self.restand(&sharer, wanted, touched);
        }
    }

    fn wanted_of(&self, container: &Arc<Container>) -> Wanted {
        let through = match &container.reach {
            // Who was started before the other one's last start is left in a network namespace
            // that has gone.
            Reach::SharedWith(other) => {
                let other = self.containers.get(other);
                other.filter(|other| other.started <= container.started).map(|other| &other.reach)
            }
            own => Some(own),
        };
        let mut wanted = Wanted::default();
        match through {
            Some(Reach::Endpoints(endpoints)) => {
                let shared = matches!(container.reach, Reach::SharedWith(_));
                for endpoint in endpoints {
                    // Aliases belong to the container that was attached.
                    let aliases = if shared { &[] } else { &endpoint.aliases[..] };
                    wanted.add(container, endpoint, aliases, Via { guest: shared, host: false });
                    let own = endpoint.addresses().map(|a| (a, endpoint.network.clone()));
                    wanted.addresses.extend(own);
                }
            }
            Some(Reach::Host) => {
                for network in self.networks.values() {
                    let gateway = network.gateway();
                    if gateway.addresses().next().is_some() {
                        wanted.add(container, &gateway, &[], Via { guest: true, host: true });
                    }
                }
            }
            Some(Reach::SharedWith(_)) | None => {}
        }
        wanted.addresses.sort_unstable();
        wanted.addresses.dedup();
        wanted
    }

    /// Replaces what stands of a container by what is to stand, and touches what differs.
    fn restand(&mut self, id: &ContainerId, new: Wanted, touched: &mut Touched) {
        let old = self.standing.remove(id).unwrap_or_default();
        let mut differs = *old.addresses != *new.addresses;
        for key in old.keys.iter().filter(|key| !new.has(key)) {
            self.leave(key, id, touched);
            differs = true;
        }
        let mut keys = Vec::with_capacity(new.memberships.len());
        for (key, member) in new.memberships {
            differs |= self.join(&key, &member, touched);
            keys.push(key);
        }
        for (address, _) in &old.addresses {
            if let Some(owners) = self.clients.get_mut(address) {
                let mut others = std::mem::take(owners).into_vec();
                others.retain(|owner| owner != id);
                *owners = others.into();
            }
        }
        for (address, _) in &new.addresses {
            let owners = self.clients.entry(*address).or_default();
            if !owners.contains(id) {
                let mut all = std::mem::take(owners).into_vec();
                all.push(id.clone());
                *owners = all.into();
            }
        }
        // What a client sees depends on all its networks, and what its address points back to on
        // its names: so any difference touches every address.
        if differs {
            let both = old.addresses.iter().chain(&new.addresses);
            touched.clients.extend(both.map(|(address, _)| *address));
        }
        if !keys.is_empty() || !new.addresses.is_empty() {
            let standing = Standing { keys: keys.into(), addresses: new.addresses.into() };
            self.standing.insert(id.clone(), standing);
        }
    }

    /// Whether that makes a difference.
    fn join(&mut self, key: &Key, member: &Member, touched: &mut Touched) -> bool {
        let entry = self.names.entry(key.clone()).or_default();
        let id = &member.container.id;
        let known = entry.members.iter().find(|known| known.container.id == *id);
        if known == Some(member) {
            return false;
        }
        let joins = known.is_none();
        let others = entry.members.iter().filter(|other| other.container.id != *id);
        let mut members: Vec<&Member> = others.chain([member]).collect();
        members.sort_by_key(|member| member.place());
        entry.members = members.into_iter().cloned().collect();
        if joins {
            for branch in branches(key) {
                self.names.entry(branch.clone()).or_default().below += 1;
                touched.names.insert(branch);
            }
        }
        touched.names.insert(key.clone());
        true
    }

    fn leave(&mut self, key: &Key, id: &ContainerId, touched: &mut Touched) {
        let Some(entry) = self.names.get_mut(key) else { return };
        let others = entry.members.iter().filter(|member| member.container.id != *id);
        let others: Arc<[Member]> = others.cloned().collect();
        if others.len() == entry.members.len() {
            return;
        }
        entry.members = others;
        for branch in branches(key) {
            if let Some(entry) = self.names.get_mut(&branch) {
                entry.below = entry.below.saturating_sub(1);
            }
            touched.names.insert(branch);
        }
        touched.names.insert(key.clone());
    }

    fn publish(&mut self, touched: Touched, updates: &mut Vec<Update>) {
        for key in touched.names {
            let members = match self.names.get(&key) {
                Some(entry) if entry.members.is_empty() && entry.below == 0 => {
                    self.names.remove(&key);
                    None
                }
                entry => entry.map(|entry| entry.members.clone()),
            };
            let (network, owner) = key;
            updates.push(Update::Name { network, owner, members });
        }
        for address in touched.clients {
            let client = self.client(address);
            if client.is_none() {
                self.clients.remove(&address);
            }
            updates.push(Update::Client { address, client });
        }
    }

    fn addresses_on(&self, network: &NetworkId) -> Vec<IpAddr> {
        let endpoints = self.containers.values().filter(|c| c.endpoints_on(network).count() > 0);
        endpoints.flat_map(|container| container.addresses()).collect()
    }

    /// Who has an address, of the containers that have endpoints of their own or share them.
    fn client(&self, address: IpAddr) -> Option<Client> {
        let owners = self.clients.get(&address).filter(|owners| !owners.is_empty())?;
        let mut networks = Vec::new();
        let mut hosts = Vec::new();
        let mut addresses = Vec::new();
        for id in owners.iter() {
            let (Some(container), Some(standing)) =
                (self.containers.get(id), self.standing.get(id))
            else {
                continue;
            };
            for (own, network) in &standing.addresses {
                addresses.push((network.clone(), *own));
                let links = container.endpoints_on(network).flat_map(|endpoint| &endpoint.links);
                let links: Vec<_> = links.cloned().collect();
                networks.extend(self.networks.get(network).map(|network| (network, links)));
                if *own == address
                    && let Some(host) = container.host()
                {
                    // A container that only shares the address comes after its owner.
                    let shares = matches!(container.reach, Reach::SharedWith(_));
                    hosts.push((shares, network.clone(), host.clone()));
                }
            }
        }
        hosts.sort_by_key(|(shares, ..)| *shares);
        let seen = networks.iter().map(|(network, links)| (*network, &links[..])).collect();
        let hosts = hosts.into_iter().map(|(_, network, host)| (network, host)).collect();
        Some(Client { view: View::of_container(seen), hosts, addresses: addresses.into() })
    }
}

impl Wanted {
    /// A container under all its names at one endpoint.
    fn add(&mut self, container: &Arc<Container>, endpoint: &Endpoint, aliases: &[Name], via: Via) {
        let aliases = aliases.iter().map(|name| (name, NameSource::Alias));
        let names = container.names.iter().map(|(name, source)| (name, *source));
        for (name, source) in names.chain(aliases) {
            let key = (endpoint.network.clone(), name.clone());
            if !self.has(&key) {
                let member = Member {
                    container: container.clone(),
                    source,
                    v4: endpoint.v4,
                    v6: endpoint.v6,
                    guest: via.guest,
                    through_host: via.host,
                };
                self.memberships.push((key, member));
            }
        }
    }

    fn has(&self, key: &Key) -> bool {
        self.memberships.iter().any(|(known, _)| known == key)
    }
}

impl Member {
    /// Its place among the others of a set.
    fn place(&self) -> impl Ord + '_ {
        (self.v4, self.v6, &*self.container.name, &self.container.id)
    }
}

impl Container {
    fn endpoints(&self) -> &[Endpoint] {
        match &self.reach {
            Reach::Endpoints(endpoints) => endpoints,
            Reach::SharedWith(_) | Reach::Host => &[],
        }
    }

    fn endpoints_on(&self, network: &NetworkId) -> impl Iterator<Item = &Endpoint> {
        self.endpoints().iter().filter(move |endpoint| endpoint.network == *network)
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.endpoints().iter().flat_map(Endpoint::addresses)
    }
}

/// The id under which the host stands on a network; no container has one like it.
fn gateway_id(network: &NetworkId) -> ContainerId {
    ContainerId(format!("host@{}", network.0).into())
}

fn wanted_of_host(id: &ContainerId, network: &Network) -> Wanted {
    let host = Arc::new(Container {
        id: id.clone(),
        name: "(host)".into(),
        names: HOST_NAMES
            .iter()
            .filter_map(|name| Some((Name::parse(name).ok()?, NameSource::Host)))
            .collect(),
        started: 0,
        condition: Condition::Running,
        labels: Labels::default(),
        reach: Reach::Host,
        ports: [].into(),
    });
    let mut wanted = Wanted::default();
    let gateway = network.gateway();
    if gateway.addresses().next().is_some() {
        wanted.add(&host, &gateway, &[], Via { guest: true, host: true });
    }
    wanted
}

/// The empty non-terminals that a name makes: `c` and `b.c` for `a.b.c`.
fn branches(key: &Key) -> Vec<Key> {
    let (network, name) = key;
    let end = name.as_wire().len();
    name.label_starts().skip(1).map(|start| (network.clone(), name.part(start, end))).collect()
}
