//! What a source says (`Change`) and what follows from it for the directory (`Update`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Asker, Container, ContainerId, Endpoint, Few, Name, Network, NetworkId, View};

/// One thing that a source knows now. It is a state, not a step: saying it twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This network exists.
    Network(Network),
    /// This network does not exist, and no endpoint is on it.
    NetworkGone(NetworkId),
    /// This container runs, with exactly these endpoints.
    Container(Container),
    /// This container does not run, or does not exist.
    ContainerGone(ContainerId),
}

/// One entry of the directory that is different now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The members of a name on a network. None: the name does not exist there. Empty: it exists
    /// only because names below it do (an empty non-terminal, RFC 8020).
    Name {
        /// Where.
        network: NetworkId,
        /// The unqualified owner name.
        owner: Name,
        /// Who answers to it, by address.
        members: Option<Arc<[Member]>>,
    },
    /// A network that names can be qualified by.
    Network(Network),
    /// That network is gone.
    NetworkGone(NetworkId),
    /// Who has this address. None: no container of ours.
    Client {
        /// The address; as the source of a question, it tells who asks.
        address: IpAddr,
        /// Who has it.
        client: Option<Client>,
    },
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it sees.
    pub view: View,
    /// Whose address it is. More than one container's for a moment when an address moves from one
    /// to another, and the two changes come one after the other.
    pub containers: Few<Arc<Container>>,
}

impl Client {
    /// Adds the client's own addresses on a network.
    pub fn introduce(&self, asker: &mut Asker, network: &NetworkId) {
        for endpoint in self.containers.iter().flat_map(|c| c.endpoints_on(network)) {
            asker.v4 = endpoint.v4.or(asker.v4);
            asker.v6 = endpoint.v6.or(asker.v6);
        }
    }

    /// On which networks it has an address, and what that points back to there.
    pub fn hosts(&self, address: IpAddr) -> impl Iterator<Item = (&NetworkId, &Name)> {
        self.containers.iter().flat_map(move |container| {
            let has_it = move |e: &&Endpoint| e.addresses().any(|own| own == address);
            let on = container.endpoints().iter().filter(has_it);
            on.filter_map(|endpoint| Some((&endpoint.network, container.host()?)))
        })
    }
}

/// An endpoint as a member of a record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The container; all its memberships share it.
    pub container: Arc<Container>,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Whether it is reached through another container, or the host: Docker gives it no name there.
    pub guest: bool,
    /// Whether the addresses are the host's: only who is on the network reaches it there.
    pub through_host: bool,
}
