//! `Registry`: the fold of all changes; each change gives only what is different now.

use std::collections::hash_map::Entry;
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
    names: Names,
    /// How many members' names end in this one: while there are any it is an empty non-terminal
    /// (RFC 8020), and cannot be NXDOMAIN.
    below: HashMap<Key, usize>,
    /// Which containers have an address of their own.
    clients: HashMap<IpAddr, Few<ContainerId>>,
    /// Containers that are reached through this one.
    sharers: HashMap<ContainerId, BTreeSet<ContainerId>>,
    /// Containers that are reached through the host.
    on_host: BTreeSet<ContainerId>,
    /// The names of those that are reached through others, and of the host on each network: what
    /// they are follows from more than themselves, and changes with it.
    dependent: HashMap<ContainerId, Box<[Key]>>,
    /// What a container sees that is on one network only; most are, and see the same.
    views: HashMap<NetworkId, View>,
}

/// A name on a network.
type Key = (NetworkId, Name);

/// The names of one container, each once, with the set that it makes when it is alone: all its
/// names on a network share that.
type Memberships = Vec<(Key, Arc<[Member]>)>;

/// The members of all names, by network: each would otherwise have the network's id in its key.
/// They are in the order of their addresses, and shared with the directory.
#[derive(Debug, Default)]
struct Names(HashMap<NetworkId, HashMap<Name, Arc<[Member]>>>);

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
            Change::Container(container) => {
                let known = self.containers.get(&container.id);
                if known.is_none_or(|known| **known != container) {
                    let container = self.sharing_texts(container);
                    self.replace(&container.id.clone(), Some(container), &mut touched);
                }
            }
            Change::ContainerGone(id) => self.replace(&id, None, &mut touched),
        }
        self.publish(touched, &mut updates);
        updates
    }

    fn put_network(&mut self, network: Network, touched: &mut Touched) {
        let id = network.id.clone();
        let gateway = gateway_id(&id);
        let of_host = memberships_of_host(&gateway, &network);
        self.networks.insert(id.clone(), network);
        self.restand_dependent(&gateway, of_host, touched);
        self.refresh_host(touched);
        // Whoever is on it sees it in its place.
        self.views.remove(&id);
        touched.clients.extend(self.addresses_on(&id));
    }

    fn drop_network(&mut self, id: &NetworkId, touched: &mut Touched) {
        self.networks.remove(id);
        self.views.remove(id);
        self.restand_dependent(&gateway_id(id), Vec::new(), touched);
        let on_it = |container: &&Arc<Container>| container.endpoints_on(id).next().is_some();
        let left: Vec<_> = self.containers.values().filter(on_it).cloned().collect();
        for container in left {
            let others = container.endpoints().iter().filter(|endpoint| endpoint.network != *id);
            let reach = Reach::Endpoints(others.cloned().collect());
            let without = Container { reach, ..Container::clone(&container) };
            self.replace(&container.id, Some(without), touched);
        }
        self.refresh_host(touched);
    }

    fn refresh_host(&mut self, touched: &mut Touched) {
        for id in self.on_host.clone() {
            self.refresh_dependent(&id, touched);
        }
    }

    /// Ids and names that are known already are taken from there: each of a hundred thousand
    /// containers would otherwise have its own copy of its network's id.
    fn sharing_texts(&self, mut container: Container) -> Container {
        if let Some((known, _)) = self.containers.get_key_value(&container.id) {
            container.id = known.clone();
        }
        let Reach::Endpoints(endpoints) = &mut container.reach else { return container };
        for endpoint in endpoints.iter_mut() {
            if let Some((known, _)) = self.networks.get_key_value(&endpoint.network) {
                endpoint.network = known.clone();
            }
            for alias in endpoint.aliases.iter_mut() {
                *alias = self.names.known(&endpoint.network, alias).unwrap_or(alias).clone();
            }
        }
        container
    }

    /// A container as it is now, in place of what it was; with it those that are reached through
    /// it.
    fn replace(&mut self, id: &ContainerId, new: Option<Container>, touched: &mut Touched) {
        let new = new.map(Arc::new);
        let old = match &new {
            Some(new) => self.containers.insert(id.clone(), new.clone()),
            None => self.containers.remove(id),
        };
        self.move_reach(id, old.as_deref(), new.as_deref());
        self.move_addresses(id, old.as_deref(), new.as_deref(), touched);
        let had = match &old {
            Some(old) if !old.is_dependent() => {
                self.memberships_of(old).into_iter().map(|(key, _)| key).collect()
            }
            _ => self.dependent.remove(id).unwrap_or_default(),
        };
        let wanted = new.as_ref().map(|new| self.memberships_of(new)).unwrap_or_default();
        let keys = self.restand(id, &had, wanted, touched);
        if new.is_some_and(|new| new.is_dependent()) {
            self.note_dependent(id, keys);
        }
        for sharer in self.sharers.get(id).cloned().unwrap_or_default() {
            // Docker lets nobody share with a container that shares, so this ends.
            self.refresh_dependent(&sharer, touched);
        }
    }

    fn move_reach(&mut self, id: &ContainerId, old: Option<&Container>, new: Option<&Container>) {
        match old.map(|old| &old.reach) {
            Some(Reach::SharedWith(other)) => {
                if let Some(sharers) = self.sharers.get_mut(other) {
                    sharers.remove(id);
                    if sharers.is_empty() {
                        self.sharers.remove(other);
                    }
                }
            }
            Some(Reach::Host) => drop(self.on_host.remove(id)),
            Some(Reach::Endpoints(_)) | None => {}
        }
        match new.map(|new| &new.reach) {
            Some(Reach::SharedWith(other)) => {
                self.sharers.entry(other.clone()).or_default().insert(id.clone());
            }
            Some(Reach::Host) => drop(self.on_host.insert(id.clone())),
            Some(Reach::Endpoints(_)) | None => {}
        }
    }

    /// What a client sees depends on all its networks, and what its address points back to on its
    /// names: so any difference touches every address.
    fn move_addresses(
        &mut self,
        id: &ContainerId,
        old: Option<&Container>,
        new: Option<&Container>,
        touched: &mut Touched,
    ) {
        for address in old.into_iter().flat_map(Container::addresses) {
            if let Some(owners) = self.clients.get_mut(&address) {
                let mut others = std::mem::take(owners).into_vec();
                others.retain(|owner| owner != id);
                *owners = others.into();
            }
            touched.clients.insert(address);
        }
        for address in new.into_iter().flat_map(Container::addresses) {
            let owners = self.clients.entry(address).or_default();
            if !owners.contains(id) {
                let mut all = std::mem::take(owners).into_vec();
                all.push(id.clone());
                *owners = all.into();
            }
            touched.clients.insert(address);
        }
    }

    /// Lets one that is reached through others stand as it is now.
    fn refresh_dependent(&mut self, id: &ContainerId, touched: &mut Touched) {
        let container = self.containers.get(id);
        let wanted = container.map(|c| self.memberships_of(c)).unwrap_or_default();
        self.restand_dependent(id, wanted, touched);
    }

    fn restand_dependent(&mut self, id: &ContainerId, wanted: Memberships, touched: &mut Touched) {
        let had = self.dependent.remove(id).unwrap_or_default();
        let keys = self.restand(id, &had, wanted, touched);
        self.note_dependent(id, keys);
    }

    fn note_dependent(&mut self, id: &ContainerId, keys: Box<[Key]>) {
        if !keys.is_empty() {
            self.dependent.insert(id.clone(), keys);
        }
    }

    /// The names that a container is to have. Those of one with endpoints of its own follow from
    /// itself alone.
    fn memberships_of(&self, container: &Arc<Container>) -> Memberships {
        let through = match &container.reach {
            // Who was started before the other one's last start is left in a network namespace
            // that has gone.
            Reach::SharedWith(other) => {
                let other = self.containers.get(other);
                other.filter(|other| other.started <= container.started).map(|other| &other.reach)
            }
            own => Some(own),
        };
        let mut memberships = Vec::new();
        match through {
            Some(Reach::Endpoints(endpoints)) => {
                let shared = container.is_dependent();
                for endpoint in endpoints.iter() {
                    // Aliases belong to the container that was attached.
                    let aliases = if shared { &[] } else { &endpoint.aliases[..] };
                    let via = Via { guest: shared, host: false };
                    add(&mut memberships, container, endpoint, aliases, via);
                }
            }
            Some(Reach::Host) => {
                for network in self.networks.values() {
                    let gateway = network.gateway();
                    if gateway.addresses().next().is_some() {
                        let via = Via { guest: true, host: true };
                        add(&mut memberships, container, &gateway, &[], via);
                    }
                }
            }
            Some(Reach::SharedWith(_)) | None => {}
        }
        memberships
    }

    /// Replaces the names that a container had by those that it is to have, touches what differs,
    /// and returns their keys.
    fn restand(
        &mut self,
        id: &ContainerId,
        had: &[Key],
        wanted: Memberships,
        touched: &mut Touched,
    ) -> Box<[Key]> {
        for key in had.iter().filter(|key| !has(&wanted, key)) {
            self.leave(key, id, touched);
        }
        let join = |(key, alone): (Key, Arc<[Member]>)| {
            self.join(&key, &alone, touched);
            key
        };
        wanted.into_iter().map(join).collect()
    }

    fn join(&mut self, key: &Key, alone: &Arc<[Member]>, touched: &mut Touched) {
        let Some(member) = alone.first() else { return };
        let all = self.names.entry(key);
        let id = &member.container.id;
        let known = all.iter().find(|known| known.container.id == *id);
        if known == Some(member) {
            return;
        }
        let joins = known.is_none();
        let others = all.iter().filter(|other| other.container.id != *id);
        let mut members: Vec<&Member> = others.chain([member]).collect();
        members.sort_by_key(|member| member.place());
        *all = match &members[..] {
            [_] => alone.clone(),
            several => several.iter().copied().cloned().collect(),
        };
        if joins {
            for branch in branches(key) {
                *self.below.entry(branch.clone()).or_default() += 1;
                touched.names.insert(branch);
            }
        }
        touched.names.insert(key.clone());
    }

    fn leave(&mut self, key: &Key, id: &ContainerId, touched: &mut Touched) {
        let Some(all) = self.names.get_mut(key) else { return };
        let others = all.iter().filter(|member| member.container.id != *id);
        let others: Arc<[Member]> = others.cloned().collect();
        if others.len() == all.len() {
            return;
        }
        *all = others;
        for branch in branches(key) {
            if let Entry::Occupied(mut below) = self.below.entry(branch.clone()) {
                *below.get_mut() -= 1;
                if *below.get() == 0 {
                    below.remove();
                }
            }
            touched.names.insert(branch);
        }
        touched.names.insert(key.clone());
    }

    fn publish(&mut self, touched: Touched, updates: &mut Vec<Update>) {
        for key in touched.names {
            let mut members = self.names.get(&key).cloned();
            if members.as_ref().is_some_and(|members| members.is_empty()) {
                self.names.remove(&key);
                members = None;
            }
            if members.is_none() && self.below.contains_key(&key) {
                members = Some(Arc::default());
            }
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
        let on_it = self.containers.values().filter(|c| c.endpoints_on(network).next().is_some());
        on_it.flat_map(|container| container.addresses()).collect()
    }

    /// Who has an address.
    fn client(&mut self, address: IpAddr) -> Option<Client> {
        let owners = self.clients.get(&address).filter(|owners| !owners.is_empty())?;
        let owners = owners.iter().filter_map(|id| self.containers.get(id).cloned());
        let containers: Vec<Arc<Container>> = owners.collect();
        let endpoints = containers.iter().flat_map(|container| container.endpoints());
        let seen = endpoints.filter_map(|endpoint| {
            Some((self.networks.get(&endpoint.network)?, &endpoint.links[..]))
        });
        let view = View::of_container(seen.collect());
        Some(Client { view: self.shared(view), containers: containers.into() })
    }

    /// The same view, but one that others have, too.
    fn shared(&mut self, view: View) -> View {
        match &view {
            View::Networks(sights) if sights.len() == 1 && sights[0].links.is_empty() => {
                self.views.entry(sights[0].network.clone()).or_insert(view).clone()
            }
            _ => view,
        }
    }
}

/// Adds a container under all its names at one endpoint.
fn add(
    memberships: &mut Memberships,
    container: &Arc<Container>,
    endpoint: &Endpoint,
    aliases: &[Name],
    via: Via,
) {
    let member = Member {
        container: container.clone(),
        v4: endpoint.v4,
        v6: endpoint.v6,
        guest: via.guest,
        through_host: via.host,
    };
    let alone: Arc<[Member]> = [member].into();
    for name in container.names.iter().map(|(name, _)| name).chain(aliases) {
        let key = (endpoint.network.clone(), name.clone());
        if !has(memberships, &key) {
            memberships.push((key, alone.clone()));
        }
    }
}

fn has(memberships: &Memberships, key: &Key) -> bool {
    memberships.iter().any(|(known, _)| known == key)
}

impl Names {
    fn get(&self, (network, name): &Key) -> Option<&Arc<[Member]>> {
        self.0.get(network)?.get(name)
    }

    fn get_mut(&mut self, (network, name): &Key) -> Option<&mut Arc<[Member]>> {
        self.0.get_mut(network)?.get_mut(name)
    }

    fn entry(&mut self, (network, name): &Key) -> &mut Arc<[Member]> {
        self.0.entry(network.clone()).or_default().entry(name.clone()).or_default()
    }

    fn remove(&mut self, (network, name): &Key) {
        if let Some(names) = self.0.get_mut(network) {
            names.remove(name);
            if names.is_empty() {
                self.0.remove(network);
            }
        }
    }

    /// The same name, as it is kept.
    fn known(&self, network: &NetworkId, name: &Name) -> Option<&Name> {
        self.0.get(network)?.get_key_value(name).map(|(known, _)| known)
    }
}

impl Member {
    /// Its place among the others of a set.
    fn place(&self) -> impl Ord + '_ {
        (self.v4, self.v6, &*self.container.name, &self.container.id)
    }
}

impl Container {
    /// Whether it is reached through others, so that its names follow from them, too.
    fn is_dependent(&self) -> bool {
        !matches!(self.reach, Reach::Endpoints(_))
    }
}

/// The id under which the host stands on a network; no container has one like it.
fn gateway_id(network: &NetworkId) -> ContainerId {
    ContainerId(format!("host@{}", network.0).into())
}

fn memberships_of_host(id: &ContainerId, network: &Network) -> Memberships {
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
    let mut memberships = Vec::new();
    let gateway = network.gateway();
    if gateway.addresses().next().is_some() {
        add(&mut memberships, &host, &gateway, &[], Via { guest: true, host: true });
    }
    memberships
}

/// The empty non-terminals that a name makes: `c` and `b.c` for `a.b.c`.
fn branches(key: &Key) -> Vec<Key> {
    let (network, name) = key;
    let end = name.as_wire().len();
    name.label_starts().skip(1).map(|start| (network.clone(), name.part(start, end))).collect()
}
