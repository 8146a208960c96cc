//! `Registry`: the fold of all changes; each change gives only what is different now.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::{
    Change, Container, ContainerId, Endpoint, Member, Name, Network, NetworkId, Update, View,
};

/// Everything the sources have said. The directory is what its updates say, and nothing more.
#[derive(Debug, Default)]
pub struct Registry {
    networks: HashMap<NetworkId, Network>,
    containers: HashMap<ContainerId, Container>,
    names: HashMap<Key, Entry>,
    /// Which containers have an address. More than one only for a moment, when an address moves
    /// from one container to another and the two changes come one after the other.
    clients: HashMap<IpAddr, Vec<ContainerId>>,
}

/// A name on a network.
type Key = (NetworkId, Name);

#[derive(Debug, Default)]
struct Entry {
    members: BTreeMap<ContainerId, Member>,
    /// How many members' names end in this one: while there are any it is an empty non-terminal
    /// (RFC 8020), and cannot be NXDOMAIN.
    below: usize,
}

/// What a change has touched, collected first so that each entry is published once.
#[derive(Default)]
struct Touched {
    names: HashSet<Key>,
    clients: HashSet<IpAddr>,
}

impl Registry {
    /// Takes a change in and returns the difference it makes: nothing, when it says what was
    /// known. Costs as much as the sets that it touches, however many others there are.
    pub fn apply(&mut self, change: Change) -> Vec<Update> {
        match change {
            Change::Network(network) => self.put_network(network),
            Change::NetworkGone(id) => self.drop_network(&id),
            Change::Container(container) => self.put_container(&container),
            Change::ContainerGone(id) => {
                let old = self.containers.remove(&id);
                self.replace(old.as_ref(), None)
            }
        }
    }

    fn put_network(&mut self, network: Network) -> Vec<Update> {
        if self.networks.get(&network.id) == Some(&network) {
            return Vec::new();
        }
        let id = network.id.clone();
        self.networks.insert(id.clone(), network.clone());
        let mut updates = vec![Update::Network(network)];
        updates.extend(self.views_on(&id));
        updates
    }

    fn drop_network(&mut self, id: &NetworkId) -> Vec<Update> {
        let on_it = |c: &&Container| c.endpoints.iter().any(|e| e.network == *id);
        let left: Vec<Container> = self.containers.values().filter(on_it).cloned().collect();
        let mut updates = Vec::new();
        for mut container in left {
            container.endpoints.retain(|endpoint| endpoint.network != *id);
            updates.extend(self.put_container(&container));
        }
        if self.networks.remove(id).is_some() {
            updates.push(Update::NetworkGone(id.clone()));
        }
        updates
    }

    fn put_container(&mut self, container: &Container) -> Vec<Update> {
        if self.containers.get(&container.id) == Some(container) {
            return Vec::new();
        }
        let old = self.containers.insert(container.id.clone(), container.clone());
        self.replace(old.as_ref(), Some(container))
    }

    /// The difference between two states of one container, as updates of all that it touches.
    fn replace(&mut self, old: Option<&Container>, new: Option<&Container>) -> Vec<Update> {
        let mut touched = Touched::default();
        let before = old.map(memberships).unwrap_or_default();
        let after = new.map(memberships).unwrap_or_default();
        if let Some(old) = old {
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                self.leave(key, &old.id, &mut touched);
            }
        }
        for (key, member) in after {
            if before.get(&key) != Some(&member) {
                self.join(key, member, &mut touched);
            }
        }
        self.move_addresses(old, new, &mut touched);
        self.publish(touched)
    }

    fn join(&mut self, key: Key, member: Member, touched: &mut Touched) {
        let entry = self.names.entry(key.clone()).or_default();
        let newcomer = entry.members.insert(member.container.clone(), member).is_none();
        if newcomer {
            for branch in branches(&key) {
                self.names.entry(branch.clone()).or_default().below += 1;
                touched.names.insert(branch);
            }
        }
        touched.names.insert(key);
    }

    fn leave(&mut self, key: &Key, container: &ContainerId, touched: &mut Touched) {
        let Some(entry) = self.names.get_mut(key) else { return };
        if entry.members.remove(container).is_none() {
            return;
        }
        for branch in branches(key) {
            if let Some(entry) = self.names.get_mut(&branch) {
                entry.below = entry.below.saturating_sub(1);
            }
            touched.names.insert(branch);
        }
        touched.names.insert(key.clone());
    }

    fn move_addresses(
        &mut self,
        old: Option<&Container>,
        new: Option<&Container>,
        touched: &mut Touched,
    ) {
        let (before, after) = (attachments(old), attachments(new));
        for (address, _) in &before {
            if let (Some(old), Some(owners)) = (old, self.clients.get_mut(address)) {
                owners.retain(|id| *id != old.id);
            }
        }
        for (address, _) in &after {
            if let Some(new) = new {
                self.clients.entry(*address).or_default().push(new.id.clone());
            }
        }
        // What a client sees depends on all its networks, so a new one touches every address.
        if before != after {
            touched.clients.extend(before.iter().chain(&after).map(|(address, _)| *address));
        }
    }

    fn publish(&mut self, touched: Touched) -> Vec<Update> {
        let mut updates = Vec::with_capacity(touched.names.len() + touched.clients.len());
        for key in touched.names {
            let members = match self.names.get(&key) {
                Some(entry) if entry.members.is_empty() && entry.below == 0 => {
                    self.names.remove(&key);
                    None
                }
                entry => entry.map(|entry| entry.members.values().cloned().collect()),
            };
            let (network, owner) = key;
            updates.push(Update::Name { network, owner, members });
        }
        for address in touched.clients {
            let view = self.view_of(address);
            if view.is_none() {
                self.clients.remove(&address);
            }
            updates.push(Update::Client { address, view });
        }
        updates
    }

    /// The views of all clients on a network, after that network was learnt.
    fn views_on(&self, id: &NetworkId) -> Vec<Update> {
        let on_it = |c: &&Container| c.endpoints.iter().any(|e| e.network == *id);
        let endpoints = self.containers.values().filter(on_it).flat_map(|c| &c.endpoints);
        endpoints
            .flat_map(Endpoint::addresses)
            .map(|address| Update::Client { address, view: self.view_of(address) })
            .collect()
    }

    fn view_of(&self, address: IpAddr) -> Option<View> {
        let owners = self.clients.get(&address)?;
        let endpoints = owners.iter().filter_map(|id| self.containers.get(id));
        let networks: Vec<&Network> = endpoints
            .flat_map(|container| &container.endpoints)
            .filter_map(|endpoint| self.networks.get(&endpoint.network))
            .collect();
        (!owners.is_empty()).then(|| View::of_container(networks))
    }
}

/// Under which names, and as which member, a container stands in the directory.
fn memberships(container: &Container) -> HashMap<Key, Member> {
    let mut memberships = HashMap::new();
    for endpoint in &container.endpoints {
        for name in &endpoint.names {
            let member = Member {
                container: container.id.clone(),
                name: container.name.clone(),
                v4: endpoint.v4,
                v6: endpoint.v6,
                condition: container.condition,
            };
            memberships.insert((endpoint.network.clone(), name.clone()), member);
        }
    }
    memberships
}

/// The empty non-terminals that a name makes: `c` and `b.c` for `a.b.c`.
fn branches(key: &Key) -> Vec<Key> {
    let (network, name) = key;
    let end = name.as_wire().len();
    name.label_starts().skip(1).map(|start| (network.clone(), name.part(start, end))).collect()
}

/// Each address of a container with its network.
fn attachments(container: Option<&Container>) -> Vec<(IpAddr, &NetworkId)> {
    let endpoints = container.into_iter().flat_map(|container| &container.endpoints);
    endpoints.flat_map(|e| e.addresses().map(|address| (address, &e.network))).collect()
}
