//! What is looked at: one container or one network.

use std::fmt;

use crate::model::{ContainerId, NetworkId};

/// Something of the engine that can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A container.
    Container(ContainerId),
    /// A network.
    Network(NetworkId),
}

impl Target {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Container(id) => &id.0,
            Self::Network(id) => &id.0,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(id) => id.fmt(f),
            Self::Network(id) => write!(f, "network {id}"),
        }
    }
}
