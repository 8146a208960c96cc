//! What a source says (`Change`) and what follows from it for the directory (`Update`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{
    Asker, Condition, Container, ContainerId, Name, NameSource, Network, NetworkId, Overrides,
    Port, Rank, View,
};

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
        /// Who answers to it, in rotation order.
        members: Option<Vec<Member>>,
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
    /// On which network it has the address, and its first name: what the address points back to.
    pub hosts: Vec<(NetworkId, Name)>,
    /// All its addresses, by network.
    pub addresses: Vec<(NetworkId, IpAddr)>,
}

impl Client {
    /// Adds the client's own addresses on a network.
    pub fn introduce(&self, asker: &mut Asker, network: &NetworkId) {
        for (_, address) in self.addresses.iter().filter(|(on, _)| on == network) {
            match address {
                IpAddr::V4(v4) => asker.v4 = Some(*v4),
                IpAddr::V6(v6) => asker.v6 = Some(*v6),
            }
        }
    }
}

/// An endpoint as a member of a record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The container.
    pub container: ContainerId,
    /// The container's name.
    pub name: Arc<str>,
    /// Its first name that DNS can carry: with the network's name, the target of SRV records.
    pub host: Name,
    /// Where it has the name from.
    pub source: NameSource,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Whether it is reached through another container, or the host: Docker gives it no name there.
    pub guest: bool,
    /// Whether the addresses are the host's: only who is on the network reaches it there.
    pub through_host: bool,
    /// Whether it can take clients.
    pub condition: Condition,
    /// How it is preferred.
    pub rank: Rank,
    /// How often it comes first where weights count.
    pub weight: u8,
    /// What its labels say about selection.
    pub labels: Overrides,
    /// The ports it exposes.
    pub ports: Arc<[Port]>,
}
