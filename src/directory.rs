//! The live directory: who has which name on which network. One fold writes, every query reads.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::model::{
    Change, Domains, Found, Health, Member, Name, Network, NetworkId, RecordSet, Registry, Update,
    View, Zone, readings,
};

/// A new, empty directory: its one writer and its first reader. `sources` is how many sources
/// must give a complete list before the directory is complete.
#[must_use]
pub fn new(sources: usize, health: Health) -> (Publisher, Reader) {
    let maps = Arc::new(Maps {
        names: DashMap::new(),
        networks: DashMap::new(),
        network_names: DashMap::new(),
        clients: DashMap::new(),
        incomplete: AtomicUsize::new(sources),
        health,
    });
    let registry = Arc::new(Mutex::new(Registry::default()));
    (Publisher { registry, maps: maps.clone() }, Reader { maps })
}

/// The one who writes. Clones are handles to the same registry, for sources side by side.
#[derive(Clone)]
pub struct Publisher {
    /// The lock makes one fold of several sources: a change and the updates that follow from it
    /// are published before the next change. It is never held across an await.
    registry: Arc<Mutex<Registry>>,
    maps: Arc<Maps>,
}

/// One who looks things up. Takes no lock beyond a shard of the map, and keeps none.
#[derive(Clone)]
pub struct Reader {
    maps: Arc<Maps>,
}

/// Where a question's name leads.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The zone that the name is in.
    pub zone: Zone,
    /// What is there.
    pub found: Found,
}

struct Maps {
    /// By unqualified owner name: the sets of all networks, ordered by network name. One look-up
    /// finds them all, so a view of many networks costs no more than a view of one.
    names: DashMap<Name, Vec<Arc<RecordSet>>>,
    networks: DashMap<NetworkId, Network>,
    /// Engines allow two networks of one name.
    network_names: DashMap<Name, Vec<NetworkId>>,
    clients: DashMap<IpAddr, Arc<View>>,
    /// Sources that have not given a complete list yet.
    incomplete: AtomicUsize,
    health: Health,
}

impl Publisher {
    /// Takes a change in and publishes the difference it makes.
    pub fn apply(&self, change: Change) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        for update in registry.apply(change) {
            self.maps.store(update);
        }
    }

    /// Whether this network is in the directory.
    #[must_use]
    pub fn knows(&self, network: &NetworkId) -> bool {
        self.maps.networks.contains_key(network)
    }

    /// One source has given its first complete list. Each source says so once.
    pub fn source_is_complete(&self) {
        let less_one = |left: usize| left.checked_sub(1);
        // Release: whoever reads zero (Acquire) sees every entry published before.
        let _ = self.maps.incomplete.fetch_update(Ordering::Release, Ordering::Relaxed, less_one);
    }
}

impl Reader {
    /// Whether every source has given a complete list, so that "unknown" means "does not exist".
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.maps.incomplete.load(Ordering::Acquire) == 0
    }

    /// The view of a client: a container sees its own networks, anybody else all.
    #[must_use]
    pub fn view_of(&self, client: IpAddr) -> Arc<View> {
        match self.maps.clients.get(&client.to_canonical()) {
            Some(view) => view.clone(),
            None => Arc::new(View::All),
        }
    }

    /// Finds what a name leads to in a view: as it stands, then relative to an own domain.
    #[must_use]
    pub fn resolve(&self, name: &Name, domains: &Domains, view: &View) -> Lookup {
        let (bare_zone, bare) = self.search(name, view);
        if let Found::Set(_) = bare {
            return Lookup { zone: bare_zone, found: bare };
        }
        match domains.split(name) {
            Some((domain, None)) => {
                Lookup { zone: Zone::Domain(domain.clone()), found: Found::Apex }
            }
            Some((domain, Some(relative))) => {
                let found = match self.search(&relative, view).1 {
                    // Below the domain a network's name is a name among others.
                    Found::Apex => Found::Branch,
                    found => found,
                };
                Lookup { zone: Zone::Domain(domain.clone()), found }
            }
            None => Lookup { zone: bare_zone, found: bare },
        }
    }

    /// Every set of a name, or of all names, ordered by name and network.
    #[must_use]
    pub fn sets(&self, owner: Option<&Name>) -> Vec<Arc<RecordSet>> {
        let mut sets = match owner {
            Some(owner) => self.maps.names.get(owner).map(|sets| sets.to_vec()).unwrap_or_default(),
            None => self.maps.names.iter().flat_map(|entry| entry.to_vec()).collect(),
        };
        sets.retain(|set| !set.members.is_empty());
        sets.sort_by_cached_key(|set| (set.owner.to_string(), set.network_name.clone()));
        sets
    }

    /// Whether no entry of any kind is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Maps { names, networks, network_names, clients, .. } = &*self.maps;
        names.is_empty() && networks.is_empty() && network_names.is_empty() && clients.is_empty()
    }

    /// Tries every reading of a name. An empty non-terminal counts only when nothing else is
    /// found: it must not hide a name on a network searched later.
    fn search(&self, name: &Name, view: &View) -> (Zone, Found) {
        let mut fallback = None;
        for reading in readings(name) {
            let (zone, networks) = match &reading.network {
                None => (Zone::Bare(name.clone()), None),
                Some(network) => match self.networks_named(network, view) {
                    Some(ids) => (Zone::Network(network.clone()), Some(ids)),
                    None => continue,
                },
            };
            match self.set(&reading.owner, networks.as_deref(), view) {
                Some(set) if set.members.is_empty() => {
                    fallback.get_or_insert((zone, Found::Branch));
                }
                Some(set) => return (zone, Found::Set(set)),
                // The name is in a network of ours, which does not have it.
                None if networks.is_some() => {
                    fallback.get_or_insert((zone, Found::Nothing));
                }
                None => {}
            }
        }
        if let Some(found) = fallback {
            return found;
        }
        if self.networks_named(name, view).is_some() {
            return (Zone::Network(name.clone()), Found::Apex);
        }
        let single = name.label_starts().nth(1).is_none();
        (if single { Zone::Root } else { Zone::Foreign }, Found::Nothing)
    }

    /// The networks of that name in a view.
    fn networks_named(&self, name: &Name, view: &View) -> Option<Vec<NetworkId>> {
        let entry = self.maps.network_names.get(name)?;
        let seen: Vec<NetworkId> = entry.iter().filter(|id| view.sees(id)).cloned().collect();
        (!seen.is_empty()).then_some(seen)
    }

    /// The first set of a name in the view's order, one with members before an empty one.
    fn set(
        &self,
        owner: &Name,
        networks: Option<&[NetworkId]>,
        view: &View,
    ) -> Option<Arc<RecordSet>> {
        let sets = self.maps.names.get(owner)?;
        let admitted = |set: &&Arc<RecordSet>| networks.is_none_or(|n| n.contains(&set.network));
        let place = |set: &&Arc<RecordSet>| match view {
            View::All => Some(0),
            View::Networks(order) => order.iter().position(|id| *id == set.network),
        };
        sets.iter()
            .filter(admitted)
            .filter_map(|set| Some(((set.members.is_empty(), place(&set)?), set)))
            .min_by_key(|(key, _)| *key)
            .map(|(_, set)| set.clone())
    }
}

impl Maps {
    fn store(&self, update: Update) {
        match update {
            Update::Name { network, owner, members } => self.store_name(network, owner, members),
            Update::Network(network) => {
                if let Ok(name) = Name::parse(&network.name) {
                    let mut ids = self.network_names.entry(name).or_default();
                    if !ids.contains(&network.id) {
                        ids.push(network.id.clone());
                    }
                }
                self.networks.insert(network.id.clone(), network);
            }
            Update::NetworkGone(id) => {
                let Some((_, network)) = self.networks.remove(&id) else { return };
                let Ok(name) = Name::parse(&network.name) else { return };
                if let Entry::Occupied(mut ids) = self.network_names.entry(name) {
                    ids.get_mut().retain(|known| *known != id);
                    if ids.get().is_empty() {
                        ids.remove();
                    }
                }
            }
            Update::Client { address, view: Some(view) } => {
                self.clients.insert(address, Arc::new(view));
            }
            Update::Client { address, view: None } => {
                self.clients.remove(&address);
            }
        }
    }

    fn store_name(&self, network: NetworkId, owner: Name, members: Option<Vec<Member>>) {
        // Read before the entry is locked: no guard is ever taken under another one.
        let known = self.networks.get(&network).map(|network| network.name.clone());
        let place = known.unwrap_or_else(|| network.0.clone());
        let mut entry = match self.names.entry(owner.clone()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(_) if members.is_none() => return,
            Entry::Vacant(entry) => entry.insert_entry(Vec::new()),
        };
        let sets = entry.get_mut();
        let old = sets.iter().position(|set| set.network == network).map(|at| sets.remove(at));
        if let Some(members) = members {
            let set = RecordSet::new(owner, network, place, members, self.health, old.as_deref());
            let order = |set: &RecordSet| (set.network_name.clone(), set.network.clone());
            let at = sets.partition_point(|other| order(other) < order(&set));
            sets.insert(at, Arc::new(set));
        }
        if sets.is_empty() {
            entry.remove();
        }
    }
}
