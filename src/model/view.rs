//! `View`: which networks a client sees, and in which order they are searched.

use super::{Network, NetworkId};

/// What one client sees. The first network that has a name answers; answers are never merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Every network, in the order of their names.
    All,
    /// These networks, in this order.
    Networks(Vec<NetworkId>),
}

impl View {
    /// The view of a container on these networks, in the order in which Docker searches them:
    /// networks with a way out before internal ones, then by name (`Endpoint.Less` in libnetwork's
    /// sandbox.go).
    #[must_use]
    pub fn of_container(mut networks: Vec<&Network>) -> Self {
        networks.sort_by_key(|network| (network.internal, &network.name, &network.id));
        networks.dedup_by_key(|network| &network.id);
        Self::Networks(networks.into_iter().map(|network| network.id.clone()).collect())
    }

    /// Whether this network is seen.
    #[must_use]
    pub fn sees(&self, network: &NetworkId) -> bool {
        match self {
            Self::All => true,
            Self::Networks(networks) => networks.contains(network),
        }
    }
}
