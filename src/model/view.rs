//! `View`: which networks a client sees, and in which order they are searched.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Link, Name, NameError, Network, NetworkId};

/// What one client sees. The first network that has a name answers; answers are never merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Every network, in the order of their names.
    All,
    /// These networks, in this order.
    Networks(Arc<[Sight]>),
}

/// A network as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The network.
    pub network: NetworkId,
    /// The client's private names on it.
    pub links: Box<[Link]>,
}

/// Which networks are seen by clients that are no container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those that netalias itself is on when it runs in a container of the engine, else all.
    #[default]
    Auto,
    /// All.
    All,
    /// Those that netalias itself is on.
    Own,
    /// Those of these names.
    Networks(Vec<Name>),
}

/// `auto`, `all`, `own`, or network names with commas between them.
impl FromStr for Scope {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            "own" => Ok(Self::Own),
            list => {
                let names = list.split(',').map(|name| Name::parse(name.trim()));
                Ok(Self::Networks(names.collect::<Result<_, _>>()?))
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::Own => f.write_str("own"),
            Self::Networks(names) => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

impl View {
    /// The view of a container on these networks, in the order in which Docker searches them
    /// (`Endpoint.Less` in libnetwork's sandbox.go): networks with a way out before internal ones,
    /// those of both families first, then by name. Last is the default bridge, where Docker never
    /// looks.
    #[must_use]
    pub fn of_container(mut networks: Vec<(&Network, &[Link])>) -> Self {
        let families = |network: &Network| {
            let v4 = network.subnets.iter().any(|subnet| subnet.address.is_ipv4());
            let v6 = network.subnets.iter().any(|subnet| subnet.address.is_ipv6());
            usize::from(v4) + usize::from(v6)
        };
        networks.sort_by_key(|(network, _)| {
            let most_first = usize::MAX - families(network);
            let default_bridge = &*network.name == "bridge";
            (default_bridge, network.internal, most_first, &network.name, &network.id)
        });
        let mut sights: Vec<Sight> = Vec::with_capacity(networks.len());
        for (network, links) in networks {
            match sights.last_mut().filter(|sight| sight.network == network.id) {
                // A container that shares the endpoint of another one has no links of its own.
                Some(sight) => sight.links = [&sight.links[..], links].concat().into(),
                None => sights.push(Sight { network: network.id.clone(), links: links.into() }),
            }
        }
        Self::Networks(sights.into())
    }

    /// A view of these networks, without private names.
    #[must_use]
    pub fn of_networks(networks: Vec<NetworkId>) -> Self {
        let sight = |network| Sight { network, links: Box::default() };
        Self::Networks(networks.into_iter().map(sight).collect())
    }

    /// Whether this network is seen.
    #[must_use]
    pub fn sees(&self, network: &NetworkId) -> bool {
        self.place(network).is_some()
    }

    /// The network's place in the search; the lowest one is searched first.
    #[must_use]
    pub fn place(&self, network: &NetworkId) -> Option<usize> {
        match self {
            Self::All => Some(0),
            Self::Networks(sights) => sights.iter().position(|sight| sight.network == *network),
        }
    }

    /// Whether the client has private names.
    #[must_use]
    pub fn has_links(&self) -> bool {
        match self {
            Self::All => false,
            Self::Networks(sights) => sights.iter().any(|sight| !sight.links.is_empty()),
        }
    }

    /// The networks on which the client has a private meaning for a name, and the name meant.
    pub fn links<'a>(&'a self, alias: &'a Name) -> impl Iterator<Item = (&'a NetworkId, &'a Name)> {
        let sights = match self {
            Self::All => &[],
            Self::Networks(sights) => &sights[..],
        };
        sights.iter().flat_map(move |sight| {
            let meant = sight.links.iter().filter(move |link| link.alias == *alias);
            meant.map(|link| (&sight.network, &link.target))
        })
    }
}
