//! The live directory: who has which name on which network. One fold writes, every query reads.

mod epochs;

pub use epochs::Stamp;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use self::epochs::Epochs;
use crate::model::{
    Asker, Change, Client, ContainerId, Few, Found, Member, Name, Network, NetworkId, Place,
    Policy, RecordSet, RecordType, Registry, Reverse, Ring, Rules, Scope, Service, StaticFound,
    Turns, Update, View, Warning, Zone, readings, warnings_of, warnings_of_domains,
};

/// A new, empty directory: its one writer and its first reader. `sources` is how many sources
/// must give a complete list before the directory is complete.
#[must_use]
pub fn new(sources: usize, policy: Policy) -> (Publisher, Reader) {
    let maps = Arc::new(Maps {
        names: DashMap::new(),
        networks: DashMap::new(),
        places: DashMap::new(),
        network_names: DashMap::new(),
        clients: DashMap::new(),
        incomplete: AtomicUsize::new(sources),
        epochs: Epochs::new(),
        policy: ArcSwap::from_pointee(policy),
    });
    (Publisher { writer: Arc::default(), maps: maps.clone() }, Reader { maps })
}

/// The one who writes. Clones are handles to the same registry, for sources side by side.
#[derive(Clone)]
pub struct Publisher {
    /// The lock makes one fold of several sources: a change and the updates that follow from it
    /// are published before the next change. It is never held across an await.
    writer: Arc<Mutex<Writer>>,
    maps: Arc<Maps>,
}

#[derive(Default)]
struct Writer {
    registry: Registry,
    turns: Turns,
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

/// What a walk through all names finds.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Names with at least one endpoint, by network.
    pub names: usize,
    /// Endpoints, counted once for each of their names.
    pub endpoints: usize,
    /// What people should know, by name.
    pub warnings: Vec<Warning>,
}

struct Maps {
    /// By unqualified owner name: the sets of all networks, ordered by network name. One look-up
    /// finds them all, so a view of many networks costs no more than a view of one.
    names: DashMap<Name, Few<Arc<RecordSet>>>,
    networks: DashMap<NetworkId, Network>,
    /// What all sets on a network share.
    places: DashMap<NetworkId, Arc<Place>>,
    /// Engines allow two networks of one name.
    network_names: DashMap<Name, Vec<NetworkId>>,
    clients: DashMap<IpAddr, Client>,
    /// Sources that have not given a complete list yet.
    incomplete: AtomicUsize,
    epochs: Epochs,
    policy: ArcSwap<Policy>,
}

impl Publisher {
    /// Takes a change in and publishes the difference it makes; whether it makes one.
    pub fn apply(&self, change: Change) -> bool {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let updates = writer.registry.apply(change);
        let different = !updates.is_empty();
        for update in updates {
            let epoch = self.maps.epochs.of(&update);
            self.maps.store(update, &mut writer.turns);
            epoch.end();
            // Not once at the end: the removal of a network may be 100,000 updates, and whoever
            // sees that this has not ended looks no further.
            self.maps.epochs.all.end();
        }
        different
    }

    /// Puts another policy in force. Every question is answered by the old one or by the new one.
    pub fn set_policy(&self, policy: Policy) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = policy.rules.clone();
        let old = self.maps.policy.swap(Arc::new(policy));
        if old.rules != rules {
            self.maps.reselect(&rules, &mut writer.turns);
        }
        self.maps.epochs.shape.end();
        self.maps.epochs.all.end();
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
        // Who may ask depends on it.
        self.maps.epochs.shape.end();
        self.maps.epochs.all.end();
    }
}

impl Reader {
    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.maps.policy.load_full()
    }

    /// Whether every source has given a complete list, so that "unknown" means "does not exist".
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.maps.incomplete.load(Ordering::Acquire) == 0
    }

    /// A number that is another one after each change of names, views or policy. As long as it is
    /// the same, every stamp is as current as it was.
    #[must_use]
    pub fn generation(&self) -> usize {
        self.maps.epochs.all.now()
    }

    /// Whether a client may ask. Until the engine's networks are known, it may be one of theirs.
    #[must_use]
    pub fn admits(&self, client: IpAddr, policy: &Policy) -> bool {
        let of_engine = |client: IpAddr| {
            let subnets = |network: &Network| network.subnets.iter().any(|s| s.contains(client));
            self.maps.networks.iter().any(|network| subnets(&network))
        };
        policy.access.admits(client, || !self.is_complete() || of_engine(client.to_canonical()))
    }

    /// The container that has an address.
    #[must_use]
    pub fn container_at(&self, address: IpAddr) -> Option<Client> {
        self.maps.clients.get(&address.to_canonical()).map(|client| client.clone())
    }

    /// What the answer to a question for a name depends on, as it is now; whoever takes it before
    /// the look-up can tell later whether the answer still holds.
    #[must_use]
    pub fn stamp(&self, name: &Name, client: IpAddr, policy: &Policy) -> Stamp {
        let client = client.to_canonical();
        let by_all = match self.maps.clients.get(&client) {
            // A private name may mean any other name.
            Some(container) => container.view.has_links(),
            // The view is that of another client.
            None => match policy.scope {
                Scope::Auto | Scope::Own => policy.own.is_some(),
                Scope::All | Scope::Networks(_) => false,
            },
        };
        let stamp = self.maps.epochs.stamp(name, client);
        if by_all { stamp.strict() } else { stamp }
    }

    /// What it depends on who a client is, as it is now.
    #[must_use]
    pub fn client_stamp(&self, client: IpAddr) -> Stamp {
        self.maps.epochs.stamp(&Name::root(), client.to_canonical())
    }

    /// Whether nothing has changed that the answer depends on.
    #[must_use]
    pub fn is_current(&self, stamp: &Stamp) -> bool {
        self.maps.epochs.is_current(stamp)
    }

    /// Finds what a name leads to for a client: a container sees its own networks, anybody else
    /// what the scope says. Adds to the asker what addresses it has where the answer is.
    #[must_use]
    pub fn lookup(
        &self,
        asker: &mut Asker,
        name: &Name,
        qtype: RecordType,
        policy: &Policy,
    ) -> Lookup {
        if let Some(container) = self.container_at(asker.address) {
            let lookup = self.resolve(name, qtype, policy, &container.view);
            if let Found::Set(set) = &lookup.found {
                container.introduce(asker, &set.place.network);
            }
            return lookup;
        }
        let mut lookup = self.resolve(name, qtype, policy, &self.view_of_others(policy));
        // The gateway's address is the host's only for those on the network.
        if let (Found::Set(set), Some(host)) = (&lookup.found, &policy.host)
            && set.members.iter().all(|member| member.through_host)
            && !set.members.is_empty()
        {
            lookup.found = Found::Static(host.clone());
        }
        lookup
    }

    /// The view of a container, by one of its addresses.
    #[must_use]
    pub fn view_of(&self, address: IpAddr) -> Option<View> {
        self.container_at(address).map(|client| client.view.clone())
    }

    /// Whether a client may ask the world: not a container on nothing but internal networks, nor
    /// an unknown address in the range of one, unless it is the host's. What cannot send packets
    /// out must not send questions out either (CVE-2024-29018).
    #[must_use]
    pub fn has_way_out(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let Some(view) = self.view_of(address) else {
            let is_inside = |network: &Network| {
                let in_range = network.subnets.iter().any(|subnet| subnet.contains(address));
                network.internal && in_range && !network.gateways.contains(&address)
            };
            return !self.maps.networks.iter().any(|network| is_inside(&network));
        };
        let View::Networks(sights) = view else { return true };
        let leads_out = |id: &NetworkId| self.maps.networks.get(id).is_some_and(|n| !n.internal);
        sights.iter().any(|sight| leads_out(&sight.network))
    }

    fn view_of_others(&self, policy: &Policy) -> View {
        match &policy.scope {
            Scope::All => View::All,
            Scope::Auto => self.own_view(policy).unwrap_or(View::All),
            Scope::Own => self.own_view(policy).unwrap_or_else(|| View::of_networks(Vec::new())),
            Scope::Networks(names) => {
                let ids = names.iter().filter_map(|name| self.networks_named(name, &View::All));
                View::of_networks(ids.flatten().collect())
            }
        }
    }

    /// Finds what a name leads to in a view: the configuration's names before all others, then
    /// the name as it stands, then relative to an own domain.
    #[must_use]
    pub fn resolve(&self, name: &Name, qtype: RecordType, policy: &Policy, view: &View) -> Lookup {
        if let Some(StaticFound::Set(set)) = policy.statics.find(name) {
            return Lookup { zone: Zone::Bare(set.owner.clone()), found: Found::Static(set) };
        }
        if let Some(reverse) = Reverse::parse(name)
            && let Some(lookup) = self.reverse(&reverse, view)
        {
            return lookup;
        }
        let lookup = self.resolve_endpoints(name, qtype, policy, view);
        let empty = matches!(lookup.found, Found::Nothing | Found::Branch);
        if empty && let Some((service, name)) = Service::split(name) {
            let below = self.resolve_endpoints(&name, qtype, policy, view);
            if let Found::Set(set) = below.found {
                return Lookup { zone: below.zone, found: Found::Service(service, set) };
            }
        }
        if empty && let Some(StaticFound::Branch) = policy.statics.find(name) {
            return Lookup { zone: Zone::Bare(name.clone()), found: Found::Branch };
        }
        lookup
    }

    /// Every set of a name, or of all names, ordered by name and network.
    #[must_use]
    pub fn sets(&self, owner: Option<&Name>) -> Vec<Arc<RecordSet>> {
        let mut sets = match owner {
            Some(owner) => self.maps.names.get(owner).map(|sets| sets.to_vec()).unwrap_or_default(),
            None => self.maps.names.iter().flat_map(|entry| entry.to_vec()).collect(),
        };
        sets.retain(|set| !set.members.is_empty());
        sets.sort_by_cached_key(|set| (set.owner.to_string(), set.place.name.clone()));
        sets
    }

    /// What people should know about names.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.survey().warnings
    }

    /// Walks through all names once. Nothing is copied: of 100,000 endpoints that would be tens of
    /// megabytes each time.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let policy = self.policy();
        let mut survey = Survey::default();
        for entry in &self.maps.names {
            let sets = entry.iter().map(|set| &**set).filter(|set| !set.members.is_empty());
            let sets: Vec<&RecordSet> = sets.collect();
            survey.names += sets.len();
            survey.endpoints += sets.iter().map(|set| set.members.len()).sum::<usize>();
            survey.warnings.extend(warnings_of(&sets, &policy));
        }
        let networks: Vec<_> = self.maps.networks.iter().map(|n| n.name.clone()).collect();
        survey.warnings.extend(warnings_of_domains(&networks, &policy));
        survey
            .warnings
            .sort_by_cached_key(|warning| (warning.name.to_string(), warning.to_string()));
        survey
    }

    /// Whether no entry of any kind is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Maps { names, networks, network_names, clients, .. } = &*self.maps;
        names.is_empty() && networks.is_empty() && network_names.is_empty() && clients.is_empty()
    }

    fn resolve_endpoints(
        &self,
        name: &Name,
        qtype: RecordType,
        policy: &Policy,
        view: &View,
    ) -> Lookup {
        let (bare_zone, bare) = self.search(name, view, qtype);
        if let Found::Set(_) = bare {
            return Lookup { zone: bare_zone, found: bare };
        }
        let Some((domain, relative)) = policy.domains.split(name) else {
            return Lookup { zone: bare_zone, found: bare };
        };
        let found = match relative.map(|relative| (self.search(&relative, view, qtype).1, relative))
        {
            None => Found::Apex,
            // Below the domain a network's name is a name among others.
            Some((Found::Apex, _)) => Found::Branch,
            Some((Found::Nothing, relative)) if relative.as_wire() == NAME_SERVER => {
                self.own_set(policy, view).map_or(Found::Branch, Found::Set)
            }
            Some((found, _)) => found,
        };
        Lookup { zone: Zone::Domain(domain.clone()), found }
    }

    /// An address: what it points back to, or that nobody of ours has it. None: not in the range
    /// of a network of ours.
    fn reverse(&self, reverse: &Reverse, view: &View) -> Option<Lookup> {
        if reverse.is_whole()
            && let Some(client) = self.maps.clients.get(&reverse.address)
        {
            let seen = client.hosts(reverse.address).filter(|(network, _)| view.sees(network));
            let mut names = seen.filter_map(|(id, host)| {
                let network = Name::parse(&self.maps.networks.get(id)?.name).ok()?;
                Some((host.below(&network).ok()?, network))
            });
            if let Some((host, network)) = names.next() {
                return Some(Lookup { zone: Zone::Network(network), found: Found::Pointer(host) });
            }
        }
        let mut networks = self.maps.networks.iter();
        networks.find_map(|network| {
            let subnet = network.subnets.iter().find(|subnet| {
                subnet.contains(reverse.address) && reverse.bits >= subnet.prefix / 8 * 8
            })?;
            let found = if reverse.is_whole() { Found::Nothing } else { Found::Branch };
            Some(Lookup { zone: Zone::Reverse(Reverse::zone_of(subnet)), found })
        })
    }

    /// The networks that netalias itself is on.
    fn own_view(&self, policy: &Policy) -> Option<View> {
        let sets = self.maps.names.get(&own_name(policy.own.as_ref()?)?)?;
        let member = sets.iter().flat_map(|set| set.members.iter()).next()?;
        let address = member.v4.map(IpAddr::V4).or(member.v6.map(IpAddr::V6))?;
        // The guard must be gone before another shard is asked.
        drop(sets);
        self.view_of(address)
    }

    /// netalias itself as an endpoint.
    fn own_set(&self, policy: &Policy, view: &View) -> Option<Arc<RecordSet>> {
        self.set(&own_name(policy.own.as_ref()?)?, None, view, RecordType::Any)
    }

    /// Tries every reading of a name. An empty non-terminal counts only when nothing else is
    /// found: it must not hide a name on a network searched later.
    fn search(&self, name: &Name, view: &View, qtype: RecordType) -> (Zone, Found) {
        let mut fallback = None;
        for reading in readings(name) {
            let (zone, networks) = match &reading.network {
                None => (Zone::Bare(name.clone()), None),
                Some(network) => match self.networks_named(network, view) {
                    Some(ids) => (Zone::Network(network.clone()), Some(ids)),
                    None => continue,
                },
            };
            if let Some(set) = self.linked(&reading.owner, networks.as_deref(), view) {
                return (zone, Found::Set(set));
            }
            match self.set(&reading.owner, networks.as_deref(), view, qtype) {
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
        let single = name.is_single_label();
        (if single { Zone::Root } else { Zone::Foreign }, Found::Nothing)
    }

    /// What the client alone calls by this name, which Docker looks up before real names.
    fn linked(
        &self,
        alias: &Name,
        networks: Option<&[NetworkId]>,
        view: &View,
    ) -> Option<Arc<RecordSet>> {
        let admitted = |network: &NetworkId| networks.is_none_or(|n| n.contains(network));
        view.links(alias).filter(|(network, _)| admitted(network)).find_map(|(network, target)| {
            let sets = self.maps.names.get(target)?;
            let found = sets.iter().find(|set| set.place.network == *network);
            found.filter(|set| !set.members.is_empty()).cloned()
        })
    }

    /// The networks of that name in a view.
    fn networks_named(&self, name: &Name, view: &View) -> Option<Vec<NetworkId>> {
        let entry = self.maps.network_names.get(name)?;
        let seen: Vec<NetworkId> = entry.iter().filter(|id| view.sees(id)).cloned().collect();
        (!seen.is_empty()).then_some(seen)
    }

    /// The set of a name to answer from: in the view's order the first one with an address of the
    /// asked type, or the first one. Sets of nobody but guests (of other containers' networks, or
    /// of the host's) come after others, as Docker does not know them, and empty ones last. On a
    /// network where the name is the client's own for a container, it means no other one.
    fn set(
        &self,
        owner: &Name,
        networks: Option<&[NetworkId]>,
        view: &View,
        qtype: RecordType,
    ) -> Option<Arc<RecordSet>> {
        let sets = self.maps.names.get(owner)?;
        let is_link = |network: &NetworkId| view.links(owner).any(|(on, _)| on == network);
        let admitted = |set: &&Arc<RecordSet>| {
            let network = &set.place.network;
            networks.is_none_or(|n| n.contains(network)) && !is_link(network)
        };
        let lacks = |set: &RecordSet| match qtype {
            RecordType::A => set.v4.is_empty(),
            RecordType::Aaaa => set.v6().is_none_or(Ring::is_empty),
            _ => false,
        };
        let key = |set: &RecordSet| {
            let guests = set.members.iter().all(|member| member.guest);
            let place = view.place(&set.place.network)?;
            Some((set.members.is_empty(), guests, lacks(set), place))
        };
        let keyed = sets.iter().filter(admitted).filter_map(|set| Some((key(set)?, set)));
        keyed.min_by_key(|(key, _)| *key).map(|(_, set)| set.clone())
    }
}

impl Maps {
    fn store(&self, update: Update, turns: &mut Turns) {
        match update {
            Update::Name { network, owner, members } => {
                self.store_name(&network, owner, members, turns);
            }
            Update::Network(network) => {
                if let Ok(name) = Name::parse(&network.name) {
                    let mut ids = self.network_names.entry(name).or_default();
                    if !ids.contains(&network.id) {
                        ids.push(network.id.clone());
                    }
                }
                self.places.insert(network.id.clone(), Arc::new(network.place()));
                self.networks.insert(network.id.clone(), network);
            }
            Update::NetworkGone(id) => {
                self.places.remove(&id);
                let Some((_, network)) = self.networks.remove(&id) else { return };
                let Ok(name) = Name::parse(&network.name) else { return };
                if let Entry::Occupied(mut ids) = self.network_names.entry(name) {
                    ids.get_mut().retain(|known| *known != id);
                    if ids.get().is_empty() {
                        ids.remove();
                    }
                }
            }
            Update::Client { address, client: Some(client) } => {
                self.clients.insert(address, client);
            }
            Update::Client { address, client: None } => {
                self.clients.remove(&address);
            }
        }
    }

    fn store_name(
        &self,
        network: &NetworkId,
        owner: Name,
        members: Option<Arc<[Member]>>,
        turns: &mut Turns,
    ) {
        // Read before the entry is locked: no guard is ever taken under another one.
        let known = self.places.get(network).map(|place| place.clone());
        let unknown =
            || Place { name: network.0.clone(), network: network.clone(), dual_stack: false };
        let place = known.unwrap_or_else(|| Arc::new(unknown()));
        let mut entry = match self.names.entry(owner.clone()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(_) if members.is_none() => return,
            Entry::Vacant(entry) => entry.insert_entry(Few::default()),
        };
        let mut sets = std::mem::take(entry.get_mut()).into_vec();
        let old = sets.iter().position(|set| set.place.network == *network);
        let old = old.map(|at| sets.remove(at));
        if let Some(members) = members {
            let rules = &self.policy.load().rules;
            let set = RecordSet::new(owner, place, members, rules, old.as_deref(), turns);
            let order = |set: &RecordSet| (set.place.name.clone(), set.place.network.clone());
            let at = sets.partition_point(|other| order(other) < order(&set));
            sets.insert(at, Arc::new(set));
        }
        if sets.is_empty() {
            entry.remove();
        } else {
            *entry.get_mut() = sets.into();
        }
    }

    /// Makes every set anew under other rules; each goes on with its turn.
    fn reselect(&self, rules: &Rules, turns: &mut Turns) {
        for mut sets in self.names.iter_mut() {
            let anew = sets.iter().map(|set| Arc::new(set.with_rules(rules, turns)));
            *sets = anew.collect::<Vec<_>>().into();
        }
    }
}

/// The name server's name below a domain, as a label on the wire.
const NAME_SERVER: &[u8] = b"\x02ns";

/// The name that a container surely has.
fn own_name(own: &ContainerId) -> Option<Name> {
    Name::parse(own.short()).ok()
}
